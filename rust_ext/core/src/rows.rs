//! The lines of an attribute file.

use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::codec;
use crate::lines::{Event, Lines};
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
            Event::TooLong(at, _, length) => Err(Error::data(path, format!("line {}: {length} bytes long", at.line))),
            Event::Damage(at, _, error) => {
                Err(Error::data(path, format!("line {}: truncated or corrupt: {error}", at.line)))
            }
        }
    }
}

impl<'a> Row<'a> {
    pub fn is_blank(&self) -> bool {
        self.line.iter().all(u8::is_ascii_whitespace)
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
