//! Files that are whole or not there: written under a temporary name, hashed on the way, renamed at the end.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::codec::{Compression, Encoder};
use crate::digest::Hashing;
use crate::{Error, Result};

/// What [`Writer::finish`] knows of the file: its length in bytes and its BLAKE3 in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub bytes: u64,
    pub blake3: String,
}

/// Bytes of the longest file name that a temporary name repeats in full: file systems allow 255, and `.`, a step such as
/// `.unsorted`, and `.tmp-PID` are added.
const LONGEST_STEM: usize = 230;

/// The name of a file as its temporary name repeats it: a long one is cut, and a hash tells it from others that begin alike.
fn temporary_stem(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    if bytes.len() <= LONGEST_STEM {
        return name.to_owned();
    }
    // FNV-1a, which io/writing.py computes too: what is left behind there is found by this name.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let mut head = LONGEST_STEM - 17;
    while head > 0 && bytes.get(head).is_some_and(|b| b & 0xc0 == 0x80) {
        head -= 1;
    }
    let mut stem = bytes.get(..head).unwrap_or_default().to_vec();
    stem.extend(format!("~{hash:016x}").into_bytes());
    OsString::from_vec(stem)
}

/// `.NAME.tmp-PID` beside `path`, where a file is written until it is whole; with `step` it is `.NAME.STEP.tmp-PID`.
pub fn temporary_path(path: &Path, step: Option<&str>) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(temporary_stem(path.file_name().unwrap_or_default()));
    if let Some(step) = step {
        name.push(format!(".{step}"));
    }
    name.push(format!(".tmp-{}", std::process::id()));
    path.with_file_name(name)
}

/// Writes `path` by way of `.NAME.tmp-PID` beside it. Dropped without `finish`, it removes the temporary file.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    encoder: Option<Encoder<Hashing<File>>>,
}

impl Writer {
    /// Compression by the extension of `path`; missing directories are made.
    pub fn create(path: &Path, level: Option<i32>) -> Result<Self> {
        if path.file_name().is_none() {
            return Err(Error::invalid(format!("{}: not a file name", path.display())));
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() {
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        let temporary = temporary_path(path, None);
        let file = File::create(&temporary).map_err(|e| Error::io(path, e))?;
        let encoder = Encoder::new(Compression::of(path), level, Hashing::new(file)).map_err(|e| {
            let _ = fs::remove_file(&temporary);
            Error::io(path, e)
        })?;
        Ok(Writer { path: path.to_path_buf(), temporary, encoder: Some(encoder) })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.write_all(bytes).map_err(|e| Error::io(&self.path, e)),
            None => Err(Error::invalid(format!("{}: already finished", self.path.display()))),
        }
    }

    /// Completes the file, forces it to disk, and gives it its name.
    pub fn finish(&mut self) -> Result<Written> {
        let encoder =
            self.encoder.take().ok_or_else(|| Error::invalid(format!("{}: already finished", self.path.display())))?;
        let done = encoder.finish().and_then(|hashing| {
            hashing.get_ref().sync_data()?;
            let written = Written { bytes: hashing.bytes(), blake3: hashing.hex() };
            fs::rename(&self.temporary, &self.path)?;
            Ok(written)
        });
        done.map_err(|e| {
            let _ = fs::remove_file(&self.temporary);
            Error::io(&self.path, e)
        })
    }

    /// Gives the file up; nothing of it stays.
    pub fn abort(&mut self) {
        if self.encoder.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_have_short_temporary_ones() {
        let pid = std::process::id();
        let of = |name: &str, step| temporary_path(&Path::new("d").join(name), step).to_string_lossy().into_owned();
        assert_eq!(of("a.gz", None), format!("d/.a.gz.tmp-{pid}"));
        assert_eq!(of("a.gz", Some("spill")), format!("d/.a.gz.spill.tmp-{pid}"));
        let name = "x".repeat(230);
        assert_eq!(of(&name, None), format!("d/.{name}.tmp-{pid}"));
        // The hash is pinned in tests/io/test_writing.py too.
        let name = "x".repeat(240);
        assert_eq!(of(&name, None), format!("d/.{}~ab63b56e728938e5.tmp-{pid}", "x".repeat(213)));
        let name = "é".repeat(120);
        assert!(of(&name, None).starts_with(&format!("d/.{}~", "é".repeat(106))), "cut between code points");
    }

    #[test]
    fn a_file_of_a_long_name_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n".repeat(255));
        let mut writer = Writer::create(&path, None).unwrap();
        writer.write(b"text").unwrap();
        writer.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"text");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let error = Writer::create(&directory.path().join("n".repeat(256)), None).and_then(|mut w| w.finish());
        assert!(error.unwrap_err().to_string().contains(&"n".repeat(256)));
    }
}
