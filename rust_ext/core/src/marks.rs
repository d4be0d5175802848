//! Pieces of a file of lines: where each begins in the text, told by how much of the file as it is stored was used.
//!
//! Piece `k` of `n` begins where the decoder had used `k / n` of the stored bytes. That is looked at after each chunk of
//! text, all of which but the last have the same size, so the places depend on the bytes of the file alone.

use std::io::{self, Read};

use crate::codec::Stored;

/// Bytes of text between two looks at how much was used.
const CHUNK: usize = 1 << 16;

/// One of the pieces of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From 0.
    pub number: u64,
    pub of: u64,
}

/// Reads the text of a file and notes where its pieces begin.
pub struct Marked {
    inner: Box<dyn Read + Send>,
    stored: Stored,
    of: u64,
    chunk: Vec<u8>,
    /// chunk[start..end] is read and not yet given out.
    start: usize,
    end: usize,
    decoded: u64,
    marks: Vec<u64>,
    /// What ended the text, to be told once the chunk is given out.
    broken: Option<io::Error>,
    ended: bool,
}

impl Marked {
    /// `of`: how many pieces the file has; with one piece the text is passed on as it comes.
    pub fn new(inner: Box<dyn Read + Send>, stored: Stored, of: u64) -> Self {
        let chunk = if of > 1 { vec![0; CHUNK] } else { Vec::new() };
        Marked { inner, stored, of, chunk, start: 0, end: 0, decoded: 0, marks: Vec::new(), broken: None, ended: false }
    }

    /// The offset in the text at which the piece `number` begins; None while it lies behind all that was decoded.
    pub fn begin(&self, number: u64) -> Option<u64> {
        match number.checked_sub(1) {
            None => Some(0),
            Some(before) => self.marks.get(usize::try_from(before).ok()?).copied(),
        }
    }

    fn fill(&mut self) {
        self.start = 0;
        self.end = 0;
        while self.end < self.chunk.len() && !self.ended {
            match self.inner.read(self.chunk.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.broken = Some(error);
                    self.ended = true;
                }
            }
        }
        self.decoded += self.end as u64;
        let used = u128::from(self.stored.used()) * u128::from(self.of);
        while (self.marks.len() as u64) + 1 < self.of {
            if used < (self.marks.len() as u128 + 1) * u128::from(self.stored.bytes) {
                break;
            }
            self.marks.push(self.decoded);
        }
    }
}

impl Read for Marked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.of <= 1 {
            return self.inner.read(into);
        }
        if self.start == self.end && !self.ended {
            self.fill();
        }
        let ready = self.chunk.get(self.start..self.end).unwrap_or_default();
        if ready.is_empty() {
            return self.broken.take().map_or(Ok(0), Err);
        }
        let given = (&mut &*ready).read(into)?;
        self.start += given;
        Ok(given)
    }
}
