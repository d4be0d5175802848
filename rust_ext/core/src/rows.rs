//! The lines of an attribute file.

use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::codec;
use crate::lines::{is_outside, Event, Lines};
use crate::{Error, Result};

/// Bytes of the longest line that is read.
const LONGEST: usize = 1 << 30;

/// Streams the lines of one attribute file.
pub struct Rows {
    path: PathBuf,
    lines: Lines<Box<dyn Read + Send>>,
}

/// A line and where it stands.
pub struct Row<'a> {
    path: &'a Path,
    number: u64,
    line: &'a [u8],
}

impl Rows {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Rows { path: path.to_path_buf(), lines: Lines::new(codec::open(path)?, LONGEST) })
    }

    /// The next line, None at the end.
    ///
    /// One that cannot be read is an error: what follows it could not be told to belong to which document.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        let Rows { path, lines } = self;
        match lines.next() {
            Event::Line(at, line) => Ok(Some(Row { path, number: at.line, line })),
            Event::End => Ok(None),
            Event::TooLong(at, _, length) => {
                let reason = format!("line {}: expected at most {LONGEST} bytes, found {length}", at.line);
                Err(Error::data(path, reason))
            }
            Event::Damage(_, _, _, error) if is_outside(&error) => Err(Error::io(path, error)),
            Event::Damage(at, _, _, error) => {
                Err(Error::data(path, format!("line {}: truncated or corrupt: {error}", at.line)))
            }
        }
    }
}

impl<'a> Row<'a> {
    pub fn is_blank(&self) -> bool {
        self.line.iter().all(u8::is_ascii_whitespace)
    }

    /// The number of the line, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T> {
        let text = simdutf8::basic::from_utf8(self.line).map_err(|e| self.bad(e))?;
        serde_json::from_str(text).map_err(|e| self.bad(e))
    }

    /// That it is no attribute row, and why.
    pub fn bad(&self, reason: impl Display) -> Error {
        Error::data(self.path, format!("line {}: expected an attribute row: {reason}", self.number))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn rows_of_a_damaged_file_end_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.gz");
        let mut encoder = codec::Encoder::new(codec::Compression::Gzip, None, Vec::new()).unwrap();
        encoder.write_all(b"1\n2\n").unwrap();
        let mut packed = encoder.finish().unwrap();
        let crc = packed.len() - 8;
        packed[crc] ^= 1;
        std::fs::write(&path, packed).unwrap();
        let mut rows = Rows::open(&path).unwrap();
        for expected in [1, 2] {
            assert_eq!(rows.next().unwrap().unwrap().parse::<i64>().unwrap(), expected);
        }
        let error = rows.next().err().unwrap().to_string();
        assert!(
            error.ends_with(
                "line 3: truncated or corrupt: the text of a gzip member does not have the CRC that the file gives"
            ),
            "{error}"
        );
    }
}
