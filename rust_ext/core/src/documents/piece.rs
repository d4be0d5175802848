//! Reading one piece of a file of documents.

use std::path::Path;

use super::{Columns, DocumentReader, Options};
use crate::codec;
use crate::lines::{Lines, Skipped};
use crate::marks::{Marked, Piece};
use crate::{Error, Result};

/// Whether the next line begins behind the piece.
pub(super) fn is_over(piece: Piece, lines: &Lines<Marked>) -> bool {
    let next = piece.number + 1;
    next < piece.of && lines.reader().begin(next).is_some_and(|place| lines.offset() >= place)
}

impl DocumentReader {
    /// Reads one piece of a file: the lines that begin in it, under the numbers that they have in the file. All but the
    /// first begin with calls of [`DocumentReader::skip`].
    pub fn open_piece(path: &Path, options: Options, piece: Piece) -> Result<Self> {
        if piece.number >= piece.of {
            let Piece { number, of } = piece;
            return Err(Error::invalid(format!("expected a piece from 0 to {}, found {number}", of.saturating_sub(1))));
        }
        let (reader, stored) = codec::open_counted(path)?;
        let marked = Marked::new(reader, stored.clone(), piece.of);
        Ok(DocumentReader {
            path: path.to_path_buf(),
            lines: Lines::new(marked, options.max_line_bytes),
            piece,
            options,
            columns: Columns::default(),
            bad: Vec::new(),
            damage: None,
            stored,
            done: false,
        })
    }

    /// Steps over about `most` bytes of the text before the piece; false once there is nothing more to step over.
    pub fn skip(&mut self, most: u64) -> Result<bool> {
        if self.done {
            return Ok(false);
        }
        let number = self.piece.number;
        let skipped = self.lines.skip(|reader| reader.begin(number), most).map_err(|e| Error::io(&self.path, e))?;
        self.done = skipped == Skipped::Ended;
        Ok(skipped == Skipped::Some)
    }

    /// Goes on to a later piece of the same file, without reading again what lies before it. False where the file has
    /// ended, or where `number` lies behind.
    pub fn go_on(&mut self, number: u64) -> bool {
        let next = number > self.piece.number && number < self.piece.of;
        // The end of the file and damage belong to the piece that met them.
        if !next || !self.done || self.lines.is_done() {
            return false;
        }
        self.piece.number = number;
        self.done = false;
        true
    }
}
