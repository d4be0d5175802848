//! Documents: JSON lines to Arrow batches. Lines that are no document are set aside with their place and reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::{Array, ArrayRef, Int64Array, LargeBinaryArray, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::Stored;
use crate::columns::{missing, Mapping};
use crate::ids::push_any;
use crate::json::excerpt;
use crate::lines::{is_outside, no_room, Event, Lines, Position, KEPT};
use crate::marks::{Marked, Piece};
use crate::{Error, Result};

mod piece;
mod split;
mod strings;
mod values;
use split::{split, Escapes, Fields};
use strings::Strings;
use values::{last_of_each, optional_string, push_text, string_field};

/// A line that is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// 1-based; `offset` is of its first byte in the decompressed stream.
    pub line: u64,
    pub offset: u64,
    pub reason: String,
    /// Its first bytes, at most [`KEPT`].
    pub raw: Vec<u8>,
    /// How many bytes the line has.
    pub length: u64,
}

impl BadLine {
    /// `line`: all of a line of `length` bytes, or its beginning.
    fn new(at: Position, reason: String, line: &[u8], length: u64) -> Self {
        BadLine { line: at.line, offset: at.offset, reason, raw: beginning(line).to_vec(), length }
    }
}

/// The first bytes of a line, at most [`KEPT`]; of UTF-8 no character is cut.
fn beginning(line: &[u8]) -> &[u8] {
    let Some(head) = line.get(..KEPT) else { return line };
    match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_none() => head.get(..e.valid_up_to()).unwrap_or(head),
        _ => head,
    }
}

/// Field positions in a line are byte ranges of the JSON value, quotes included.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    fn fields(&self) -> Fields<'a> {
        let [id, text, source, metadata] =
            [self.id, self.text, self.source, self.metadata].map(|value| value.map(RawValue::get));
        Fields { id, text, source, metadata }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// A batch ends after the document that brings its text to this many bytes.
    pub batch_bytes: usize,
    /// Longer lines are set aside; this bounds the memory of the reader.
    pub max_line_bytes: usize,
    /// Also give the lines themselves, for writing them out again.
    pub keep_raw: bool,
    /// Other people's names for the fields; lines are then given in their standard form.
    pub columns: Option<Mapping>,
    /// Documents are taken as Dolma's mixer takes them: an id may be any value or missing (see `ids`), and of a key given
    /// twice the last one counts. Without effect where there are `columns`.
    pub as_dolma: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            batch_bytes: 4 << 20,
            max_line_bytes: MAX_LINE_BYTES,
            keep_raw: false,
            columns: None,
            as_dolma: false,
        }
    }
}

/// The longest line that is a document, unless told otherwise: 128 MiB.
pub const MAX_LINE_BYTES: usize = 128 << 20;
const BATCH_ROWS: usize = 32_768;
/// For lines longer than this the memory is asked for before it is needed, so that a lack of it can be told.
const LONG_LINE: usize = 1 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The columns of a batch: id, text, source, line, offset and, where lines are kept, raw, the byte ranges of the
/// `text` and `metadata` values in it (-1 where there is no metadata object).
#[derive(Default)]
struct Columns {
    id: Strings,
    /// It grows by strings, so that Arrow need not look at its bytes again.
    text: LargeStringBuilder,
    source: Strings,
    has_source: Vec<bool>,
    line: Vec<i64>,
    offset: Vec<i64>,
    raw: Strings,
    ranges: [Vec<i64>; 4],
    /// The line at hand in its standard form.
    standard: Vec<u8>,
    /// The escapes of the text at hand.
    escapes: Escapes,
    /// The text at hand, where its escapes may be wrong.
    unescaped: Vec<u8>,
}

pub const RANGES: [&str; 4] = ["text_start", "text_end", "metadata_start", "metadata_end"];

impl Columns {
    /// Adds one line, or says why it is no document; on failure nothing is added.
    fn push(&mut self, at: Position, line: &[u8], keep_raw: bool, as_dolma: bool) -> std::result::Result<(), String> {
        let text = simdutf8::compat::from_utf8(line)
            .map_err(|e| format!("invalid UTF-8 at byte {} of the line", e.valid_up_to()))?;
        let (fields, known) = match split(text, &mut self.escapes) {
            Some(fields) => (fields, true),
            // serde would take an array as the fields in order.
            None if !text.trim_start().starts_with('{') => {
                return Err(format!("expected a JSON object, found `{}`", excerpt(text, 40)));
            }
            None => match serde_json::from_str::<Line<'_>>(text) {
                Ok(line) => (line.fields(), false),
                // A key given twice.
                Err(e) if as_dolma && e.is_data() => return self.push(at, &last_of_each(text)?, keep_raw, true),
                Err(e) => return Err(describe(&e)),
            },
        };
        // All that can be said of these is known: nothing is wrong with them.
        let simple = fields.text.filter(|value| known && !self.escapes.units && value.starts_with('"'));
        let mark = (self.id.bytes.len(), self.source.bytes.len());
        let id = if as_dolma {
            push_any(fields.id, &mut self.id.bytes)
        } else {
            string_field(fields.id, "id", &mut self.id.bytes)
        };
        self.unescaped.clear();
        let unescaped = id
            .and_then(|()| match simple {
                Some(_) => Ok(()),
                None => string_field(fields.text, "text", &mut self.unescaped),
            })
            .and_then(|()| optional_string(fields.source, &mut self.source.bytes));
        let has_source = match unescaped {
            Ok(has) => has,
            Err(reason) => {
                let absent = |value: Option<&str>| value.is_none_or(|v| v == "null");
                let reason = match (absent(fields.id) && !as_dolma, absent(fields.text)) {
                    (true, _) => missing("id", text),
                    (false, true) => missing("text", text),
                    _ => reason,
                };
                self.id.bytes.truncate(mark.0);
                self.source.bytes.truncate(mark.1);
                return Err(reason);
            }
        };
        match simple {
            Some(value) => push_text(value, &self.escapes, &mut self.text),
            None => {
                let text = simdutf8::basic::from_utf8(&self.unescaped).map_err(|e| format!("`text`: {e}"))?;
                self.text.append_value(text);
            }
        }
        self.id.end();
        self.source.end();
        self.has_source.push(has_source);
        self.line.push(at.line as i64);
        self.offset.push(at.offset as i64);
        if keep_raw {
            let base = text.as_ptr() as usize;
            let range = |value: Option<&str>| match value {
                Some(v) => {
                    let start = v.as_ptr() as usize - base;
                    (start as i64, (start + v.len()) as i64)
                }
                None => (-1, -1),
            };
            let object = fields.metadata.filter(|m| m.starts_with('{'));
            let ((a, b), (c, d)) = (range(fields.text), range(object));
            for (column, value) in self.ranges.iter_mut().zip([a, b, c, d]) {
                column.push(value);
            }
            self.raw.bytes.extend_from_slice(line);
            self.raw.end();
        }
        Ok(())
    }

    /// Adds the document of a line as it stands in the file, or says why it is none; a blank line adds nothing.
    fn push_line(
        &mut self,
        at: Position,
        line: &[u8],
        options: &Options,
        path: &Path,
    ) -> Result<std::result::Result<(), String>> {
        let line = if at.line == 1 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(Ok(()));
        }
        if line.len() > LONG_LINE {
            // What the column of texts would ask for, which cannot be asked to try.
            let room = Vec::<u8>::new().try_reserve_exact(2 * self.text.values_slice().len() + line.len());
            let room = room.and_then(|()| self.raw.bytes.try_reserve(if options.keep_raw { line.len() } else { 0 }));
            room.map_err(|_| Error::io(path, no_room(line.len())))?;
        }
        Ok(self.add(at, line, options))
    }

    /// The same of a line whose fields have other names.
    fn add(&mut self, at: Position, line: &[u8], options: &Options) -> std::result::Result<(), String> {
        let Some(mapping) = &options.columns else {
            return self.push(at, line, options.keep_raw, options.as_dolma);
        };
        let text = simdutf8::compat::from_utf8(line)
            .map_err(|e| format!("invalid UTF-8 at byte {} of the line", e.valid_up_to()))?;
        self.standard.clear();
        let mut standard = std::mem::take(&mut self.standard);
        let result = mapping
            .rewrite(text, options.keep_raw, &mut standard)
            .and_then(|()| self.push(at, &standard, options.keep_raw, false));
        self.standard = standard;
        result
    }

    fn rows(&self) -> usize {
        self.line.len()
    }

    fn finish(&mut self, keep_raw: bool) -> Result<RecordBatch> {
        let nulls = NullBuffer::from(std::mem::take(&mut self.has_source));
        let mut fields = vec![
            Field::new("id", DataType::LargeUtf8, false),
            Field::new("text", DataType::LargeUtf8, false),
            Field::new("source", DataType::LargeUtf8, true),
            Field::new("line", DataType::Int64, false),
            Field::new("offset", DataType::Int64, false),
        ];
        // The next batch will be about as large; one huge document says nothing of it.
        let room = self.text.values_slice().len().min(8 << 20);
        let next = LargeStringBuilder::with_capacity(self.rows(), room);
        let text = std::mem::replace(&mut self.text, next).finish();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.strings(None)?),
            Arc::new(text),
            Arc::new(self.source.strings(Some(nulls))?),
            Arc::new(Int64Array::from(std::mem::take(&mut self.line))),
            Arc::new(Int64Array::from(std::mem::take(&mut self.offset))),
        ];
        if keep_raw {
            fields.push(Field::new("raw", DataType::LargeBinary, false));
            columns.push(Arc::new(self.raw.binary()?));
            for (name, values) in RANGES.iter().zip(&mut self.ranges) {
                fields.push(Field::new(*name, DataType::Int64, false));
                columns.push(Arc::new(Int64Array::from(std::mem::take(values))));
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::invalid(e.to_string()))
    }
}

pub(crate) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't') | Some(b'f') => "a boolean",
        Some(b'n') | None => "null",
        _ => "a number",
    }
}

/// serde_json counts lines and columns; a JSON line has one line.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head);
    if error.is_data() {
        reason.to_owned()
    } else {
        format!("malformed JSON at byte {}: {reason}", error.column())
    }
}

/// The documents of `lines`, which are rows of some other format: `numbers` has the place of each, from 0.
pub fn read_lines(
    lines: &LargeBinaryArray,
    numbers: &Int64Array,
    options: &Options,
) -> Result<(RecordBatch, Vec<BadLine>)> {
    if lines.len() != numbers.len() {
        return Err(Error::invalid(format!("expected {} numbers, found {}", lines.len(), numbers.len())));
    }
    let mut columns = Columns::default();
    let mut bad = Vec::new();
    for (line, number) in lines.iter().zip(numbers.values()) {
        let (line, offset) = (line.unwrap_or_default(), (*number).max(0) as u64);
        let at = Position { line: offset + 1, offset };
        if let Err(reason) = columns.add(at, line, options) {
            bad.push(BadLine::new(at, reason, line, line.len() as u64));
        }
    }
    Ok((columns.finish(options.keep_raw)?, bad))
}

/// Streams the documents of one file.
pub struct DocumentReader {
    path: PathBuf,
    lines: Lines<Marked>,
    piece: Piece,
    options: Options,
    columns: Columns,
    bad: Vec<BadLine>,
    damage: Option<String>,
    stored: Stored,
    done: bool,
}

impl DocumentReader {
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        Self::open_piece(path, options, Piece { number: 0, of: 1 })
    }

    /// The next documents in file order, or None at the end. Blank lines are passed over.
    ///
    /// Damage to the file ends it. What the system refuses while it is read is an error: the file may be fine.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let DocumentReader { path, lines, piece, options, columns, bad, damage, stored, done } = self;
        while !*done && columns.text.values_slice().len() < options.batch_bytes && columns.rows() < BATCH_ROWS {
            if piece::is_over(*piece, lines) {
                *done = true;
                break;
            }
            match lines.next() {
                Event::Line(at, line) => {
                    if let Err(reason) = columns.push_line(at, line, options, path)? {
                        bad.push(BadLine::new(at, reason, line, line.len() as u64));
                    }
                }
                Event::TooLong(at, head, length) => {
                    let reason = format!("a line of {length} bytes, over the limit of {}", options.max_line_bytes);
                    bad.push(BadLine::new(at, reason, head, length));
                }
                Event::Damage(_, _, _, error) if is_outside(&error) => {
                    *done = true;
                    return Err(Error::io(path, error));
                }
                Event::Damage(at, rest, length, error) => {
                    *done = true;
                    let what = match error.kind() {
                        ErrorKind::Unsupported => "cannot be read",
                        _ => "is truncated or corrupt",
                    };
                    let reason = format!("the file {what} after byte {} of its text: {error}", at.offset + length);
                    // What follows the last newline may still be a whole document.
                    let cut = error.kind() == ErrorKind::UnexpectedEof;
                    let whole = rest.len() as u64 == length && columns.push_line(at, rest, options, path)?.is_ok();
                    if !whole {
                        bad.push(BadLine::new(at, reason.clone(), rest, length));
                    }
                    *damage = Some(format!("{reason}; {}", stored.told(cut)));
                }
                Event::End => *done = true,
            }
        }
        if columns.rows() == 0 {
            return Ok(None);
        }
        columns.finish(options.keep_raw).map(Some)
    }

    /// The bad lines met since the last call.
    pub fn take_bad(&mut self) -> Vec<BadLine> {
        std::mem::take(&mut self.bad)
    }

    /// Why the file could not be read to its end, once it is known.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// How many bytes of the file, as it is stored, lie behind the damage that ended it; 0 where there was none.
    pub fn unread_bytes(&self) -> u64 {
        match self.damage {
            Some(_) => self.stored.left(),
            None => 0,
        }
    }

    /// Bytes of decompressed input consumed.
    pub fn bytes_read(&self) -> u64 {
        self.lines.offset()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests;
