//! The size and time of many files at once: what a resumed run asks of every file that it read and wrote.
//!
//! A name is looked up from its directory, which is opened once for all names in a row that are in it, and several
//! threads ask at a time: they wait for a disk or a server together.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::thread;

use rustix::fs::{open, stat, statat, AtFlags, Mode, OFlags, Stat};

/// Size in bytes and time of the last change in ns, as `os.stat` gives them.
pub type Look = (u64, i64);

const MOST_THREADS: usize = 8;
/// Files for which a thread of its own pays.
const ENOUGH: usize = 256;

/// Looks at each file, through links; `None` for one that cannot be looked at.
pub fn look_at_files<P: AsRef<OsStr> + Sync>(paths: &[P]) -> Vec<Option<Look>> {
    let mut found = vec![None; paths.len()];
    let each = paths.len().div_ceil(MOST_THREADS).max(ENOUGH);
    if paths.len() <= each {
        fill(paths, &mut found);
        return found;
    }
    thread::scope(|scope| {
        for (part, looks) in paths.chunks(each).zip(found.chunks_mut(each)) {
            scope.spawn(move || fill(part, looks));
        }
    });
    found
}

fn fill<P: AsRef<OsStr>>(paths: &[P], looks: &mut [Option<Look>]) {
    let mut opened: Option<(&[u8], OwnedFd)> = None;
    let mut names = paths.iter().map(|path| divided(path.as_ref().as_bytes())).peekable();
    for look in looks {
        let Some((directory, name)) = names.next() else { return };
        if opened.as_ref().is_none_or(|(open, _)| *open != directory) {
            // A directory with one name in a row is not worth it.
            let shared = names.peek().is_some_and(|(next, _)| *next == directory);
            opened = if shared { open_directory(directory).map(|found| (directory, found)) } else { None };
        }
        let found = match &opened {
            Some((_, found)) => statat(found, name, AtFlags::empty()),
            None => stat([directory, name].concat()),
        };
        *look = found.ok().and_then(told);
    }
}

/// The directory of a path, with the slash at its end, and the name in it; one of them may be empty.
fn divided(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at(memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1))
}

fn open_directory(directory: &[u8]) -> Option<OwnedFd> {
    if directory.is_empty() {
        return None;
    }
    open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn told(found: Stat) -> Option<Look> {
    let size = u64::try_from(found.st_size).ok()?;
    let nanoseconds = i64::try_from(found.st_mtime_nsec).ok()?;
    Some((size, found.st_mtime.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{symlink, MetadataExt};
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_file_is_told_of_in_its_place() {
        let top = tempfile::tempdir().unwrap();
        let mut paths: Vec<PathBuf> = Vec::new();
        for n in 0..3000usize {
            let directory = top.path().join((n / 700).to_string());
            fs::create_dir_all(&directory).unwrap();
            paths.push(directory.join(n.to_string()));
            if n % 5 != 3 {
                fs::write(&paths[n], vec![b'x'; n]).unwrap();
            }
        }
        symlink(&paths[7], top.path().join("link")).unwrap();
        paths.extend(["link", "gone/a", "gone/b", "0/\0", "0/1/x", "0/1/y"].map(|name| top.path().join(name)));
        paths.push(PathBuf::new());
        let told = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.size(), found.mtime() * 1_000_000_000 + found.mtime_nsec()))
        };
        assert_eq!(look_at_files(&paths), paths.iter().map(told).collect::<Vec<_>>());
        assert_eq!(look_at_files(&paths[4..6]), paths[4..6].iter().map(told).collect::<Vec<_>>());
        assert_eq!(look_at_files::<PathBuf>(&[]), []);
    }
}
