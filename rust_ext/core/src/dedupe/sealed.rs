//! Sealed records: little-endian u64 words followed by the xxh3_64 of their bytes, the headers of our binary files.
//!
//! Each record of a table is sealed by itself, so that one of many is read by a seek, and trusted.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, Xxh3Default};

use crate::{Error, Result};

/// The first words of every file: magic, version, the hash of its keys and that hash's seed.
pub const PREFIX: usize = 4;
/// xxh3_128, the only hash of keys there is.
pub const XXH3_128: u64 = 1;
pub const SEED: u64 = 0;

/// A kind of file: its magic, the version that is written and read, and how messages call it.
pub struct Kind {
    pub magic: &'static [u8; 8],
    pub version: u64,
    pub what: &'static str,
    /// What to do with a file of another version.
    pub remedy: &'static str,
}

/// Bytes of a record of `words` words.
pub const fn sealed_size(words: usize) -> u64 {
    (words as u64 + 1) * 8
}

/// Appends `words` and their checksum.
pub fn seal(words: &[u64], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    let sum = xxh3_64(out.get(start..).unwrap_or_default());
    out.extend(sum.to_le_bytes());
}

/// The words that open a file of this kind.
pub fn prefix(kind: &Kind) -> [u64; PREFIX] {
    [u64::from_le_bytes(*kind.magic), kind.version, XXH3_128, SEED]
}

/// A file of sealed records, open for reading at any place.
pub struct SealedFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl SealedFile {
    /// Opens `path` and reads its header of `N` words: [`prefix`], the length of the file in bytes, and what follows.
    pub fn open<const N: usize>(path: &Path, kind: &Kind) -> Result<(Self, [u64; N])> {
        let Kind { what, .. } = kind;
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        let mut this = SealedFile { path: path.to_path_buf(), file, length };
        let header = match this.words::<N>(0) {
            Ok(header) => header,
            Err(Error::Io { path, source }) => return Err(Error::Io { path, source }),
            Err(_) => return Err(this.unreadable(kind)),
        };
        let [magic_found, version, hash, seed, declared, ..] = header.get(..).unwrap_or_default() else {
            return Err(this.bad(format!("expected {what}, found a shorter header")));
        };
        if *magic_found != u64::from_le_bytes(*kind.magic) || *version != kind.version {
            return Err(this.unreadable(kind));
        }
        if (*hash, *seed) != (XXH3_128, SEED) {
            return Err(this.bad(format!(
                "expected {what} with hash {XXH3_128}, seed {SEED}; found hash {hash}, seed {seed}; {}",
                kind.remedy
            )));
        }
        if *declared != length {
            return Err(this.bad(format!("expected {declared} bytes, found {length}: cut short or changed")));
        }
        Ok((this, header))
    }

    /// Why the header could not be read: another kind of file, another version, or damage.
    fn unreadable(&mut self, kind: &Kind) -> Error {
        let Kind { magic, version: expected, what, remedy } = kind;
        if self.length == 0 {
            return self.bad(format!("expected {what}, found an empty file"));
        }
        let mut start = [0u8; 16];
        let whole = self.seek(0).is_ok() && self.file.read_exact(&mut start).is_ok();
        let (found, version) = start.split_at(8);
        if !whole || found != magic.as_slice() {
            return self.bad(format!("expected {what}, found other bytes at its start"));
        }
        let version = version.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
        if version != *expected {
            return self.bad(format!("expected {what} of version {expected}, found version {version}; {remedy}"));
        }
        self.bad("the header is damaged: its checksum does not match")
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn bad(&self, reason: impl Into<String>) -> Error {
        Error::data(&self.path, reason)
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map(|_| ()).map_err(|e| Error::io(&self.path, e))
    }

    /// The record of `N` words at `offset`.
    pub fn words<const N: usize>(&mut self, offset: u64) -> Result<[u64; N]> {
        let bytes = self.bytes(offset, sealed_size(N))?;
        let (body, sum) = bytes.split_at(N * 8);
        if xxh3_64(body).to_le_bytes() != sum {
            return Err(self.bad(format!("the record at byte {offset} is damaged: its checksum does not match")));
        }
        let mut words = [0u64; N];
        for (word, chunk) in words.iter_mut().zip(body.chunks_exact(8)) {
            *word = chunk.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
        }
        Ok(words)
    }

    /// `length` bytes at `offset`, which must lie inside the file (checked before anything is allocated).
    pub fn bytes(&mut self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let size = self.within(offset, length)?;
        self.seek(offset)?;
        let mut bytes = vec![0u8; size];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io(&self.path, e))?;
        Ok(bytes)
    }

    /// `length` bytes at `offset`, whose checksum must be `sum`.
    pub fn checked_bytes(&mut self, offset: u64, length: u64, sum: u64, what: &str) -> Result<Vec<u8>> {
        let bytes = self.bytes(offset, length)?;
        if xxh3_64(&bytes) != sum {
            return Err(self.bad(format!("{what} are damaged: their checksum does not match")));
        }
        Ok(bytes)
    }

    /// A stream over `length` bytes at `offset` that sums what it reads; takes the file's position.
    pub fn stream(&mut self, offset: u64, length: u64) -> Result<Summed<io::Take<&mut File>>> {
        self.within(offset, length)?;
        self.seek(offset)?;
        Ok(Summed::new((&mut self.file).take(length)))
    }

    /// As [`SealedFile::stream`], for good.
    pub fn into_stream(mut self, offset: u64, length: u64) -> Result<Summed<io::Take<File>>> {
        self.within(offset, length)?;
        self.seek(offset)?;
        Ok(Summed::new(self.file.take(length)))
    }

    fn within(&self, offset: u64, length: u64) -> Result<usize> {
        match offset.checked_add(length) {
            Some(end) if end <= self.length => {
                usize::try_from(length).map_err(|_| self.bad(format!("{length} bytes do not fit in memory")))
            }
            _ => Err(self.bad(format!(
                "expected {length} bytes at byte {offset}, found a file of {}: cut short or damaged",
                self.length
            ))),
        }
    }
}

/// Sums what is read through it.
pub struct Summed<R> {
    inner: R,
    sum: Xxh3Default,
}

impl<R: Read> Summed<R> {
    fn new(inner: R) -> Self {
        Summed { inner, sum: Xxh3Default::new() }
    }

    /// xxh3_64 of the bytes read so far.
    pub fn sum(&self) -> u64 {
        self.sum.digest()
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.sum.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { magic: b"DOLMATST", version: 1, what: "a test file", remedy: "write it again" };

    fn write(path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        let [a, b, c, d] = prefix(&KIND);
        seal(&[a, b, c, d, 64, 7], &mut bytes);
        bytes.extend(*b"contents");
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    fn open(path: &Path) -> std::result::Result<u64, String> {
        SealedFile::open::<6>(path, &KIND).map(|(_, words)| words[5]).map_err(|e| e.to_string())
    }

    #[test]
    fn a_header_is_read_back_or_refused_with_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let reason = |change: &dyn Fn(&mut Vec<u8>)| {
            write(&path, change);
            open(&path).map_err(|e| e.rsplit(&format!("{}: ", path.display())).next().unwrap().to_owned())
        };
        assert_eq!(reason(&|_| ()), Ok(7));
        let other = Err("expected a test file, found other bytes at its start".to_owned());
        assert_eq!(reason(&|b| b[0] ^= 1), other);
        assert_eq!(reason(&|b| b.truncate(9)), other);
        assert_eq!(reason(&|b| b.clear()), Err("expected a test file, found an empty file".to_owned()));
        let newer = Err("expected a test file of version 1, found version 9; write it again".to_owned());
        assert_eq!(reason(&|b| b[8] = 9), newer);
        assert_eq!(reason(&|b| b[40] ^= 1), Err("the header is damaged: its checksum does not match".to_owned()));
        assert_eq!(reason(&|b| b.truncate(60)), Err("expected 64 bytes, found 60: cut short or changed".to_owned()));
    }
}
