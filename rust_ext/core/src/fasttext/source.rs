//! A model file read once, front to back; every length it claims is checked against what is left before memory is taken.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Floats are converted in pieces of this many bytes, so that a matrix is never held twice.
const PIECE: usize = 1 << 16;

/// The little-endian fields of a model file.
pub(super) struct Source<R> {
    reader: R,
    path: PathBuf,
    offset: u64,
    left: u64,
}

impl Source<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        Ok(Source::new(BufReader::with_capacity(PIECE, file), path, length))
    }
}

impl<R: BufRead> Source<R> {
    pub fn new(reader: R, path: &Path, length: u64) -> Self {
        Source { reader, path: path.to_path_buf(), offset: 0, left: length }
    }

    /// The error for a field that cannot be.
    pub fn wrong(&self, reason: impl std::fmt::Display) -> Error {
        Error::data(&self.path, format!("not a usable fastText model: {reason}"))
    }

    /// `count` items of `size` bytes as a length in memory, if the rest of the file can hold them.
    pub fn room(&self, count: u64, size: u64, what: &str) -> Result<usize> {
        match count.checked_mul(size) {
            Some(bytes) if bytes <= self.left => {
                usize::try_from(count).map_err(|_| self.wrong(format!("{count} {what} do not fit in memory")))
            }
            _ => Err(self.wrong(format!(
                "expected {count} {what} of at least {size} bytes at byte {}, found the end of the file {} bytes on",
                self.offset, self.left
            ))),
        }
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        self.room(buffer.len() as u64, 1, what)?;
        self.reader.read_exact(buffer).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => self.wrong(format!("the file shrank while its {what} were read")),
            _ => Error::io(&self.path, e),
        })?;
        self.offset += buffer.len() as u64;
        self.left -= buffer.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    pub fn i8(&mut self, what: &str) -> Result<i8> {
        self.array(what).map(i8::from_le_bytes)
    }

    pub fn i32(&mut self, what: &str) -> Result<i32> {
        self.array(what).map(i32::from_le_bytes)
    }

    pub fn i64(&mut self, what: &str) -> Result<i64> {
        self.array(what).map(i64::from_le_bytes)
    }

    pub fn f64(&mut self, what: &str) -> Result<f64> {
        self.array(what).map(f64::from_le_bytes)
    }

    pub fn bool(&mut self, what: &str) -> Result<bool> {
        match self.array::<1>(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(self.wrong(format!("expected 0 or 1 for {what}, found {found}"))),
        }
    }

    /// An int32 within `range`.
    pub fn bounded(&mut self, what: &str, range: std::ops::RangeInclusive<i32>) -> Result<u32> {
        let found = self.i32(what)?;
        if !range.contains(&found) {
            let (low, high) = (range.start(), range.end());
            return Err(self.wrong(format!("expected {what} in {low}..={high}, found {found}")));
        }
        Ok(found.unsigned_abs())
    }

    pub fn bytes(&mut self, count: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.room(count, 1, what)?];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    /// `count` float32, all of them finite.
    pub fn floats(&mut self, count: u64, what: &str) -> Result<Vec<f32>> {
        let count = self.room(count, 4, what)?;
        let mut floats = Vec::with_capacity(count);
        let mut piece = vec![0; PIECE.min(count.saturating_mul(4))];
        while floats.len() < count {
            let wanted = piece.len().min((count - floats.len()).saturating_mul(4));
            let (now, _) = piece.split_at_mut(wanted);
            self.fill(now, what)?;
            floats.extend(now.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        match floats.iter().position(|f| !f.is_finite()) {
            Some(at) => Err(self.wrong(format!("expected finite {what}, found {:?} at index {at}", floats.get(at)))),
            None => Ok(floats),
        }
    }

    /// The bytes up to a NUL, which is consumed.
    pub fn word(&mut self, what: &str) -> Result<Vec<u8>> {
        let mut word = Vec::new();
        let read =
            self.reader.by_ref().take(self.left).read_until(0, &mut word).map_err(|e| Error::io(&self.path, e))?;
        self.offset += read as u64;
        self.left -= read as u64;
        match word.pop() {
            Some(0) => Ok(word),
            _ => Err(self.wrong(format!("expected a NUL after a {what}, found the end of the file"))),
        }
    }
}
