//! Documents on their way out: text edited, provenance added, fields left out; everything else byte for byte as it came.

use std::fmt::Write;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Int64Array, LargeBinaryArray, LargeStringArray, ListArray, RecordBatch, UInt32Array};
use memchr::memmem;

use crate::documents::RANGES;
use crate::json::push_string;
use crate::members::{merge, Member, Members, ObjectWriter};
use crate::taggers::text::count_chars;
use crate::{Error, Result};

/// Replaces spans of code points in texts.
///
/// `edits`: per text a list of struct<start: int64, end: int64, replacement: int32>, sorted and not overlapping;
/// `replacement` indexes `replacements`. Returns the new texts, null where nothing changed.
pub fn apply_edits(texts: &LargeStringArray, edits: &ListArray, replacements: &[String]) -> Result<LargeStringArray> {
    if texts.len() != edits.len() {
        return Err(Error::invalid(format!("expected {} rows of edits, found {}", texts.len(), edits.len())));
    }
    let spans = edits.values().as_struct_opt().ok_or_else(|| Error::invalid("expected edits as a list of structs"))?;
    let column = |name: &str| spans.column_by_name(name).ok_or_else(|| Error::invalid(format!("edits lack `{name}`")));
    let wrong = || Error::invalid("expected edits of int64, int64, int32");
    let starts = column("start")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    let ends = column("end")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    let which = column("replacement")?.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
    let mut out = LargeStringBuilder::with_capacity(texts.len(), 0);
    let mut spans = Vec::new();
    for row in 0..texts.len() {
        let (from, to) = (edits.value_offsets()[row] as usize, edits.value_offsets()[row + 1] as usize);
        if from == to || edits.is_null(row) {
            out.append_null();
            continue;
        }
        spans.clear();
        for i in from..to {
            let (start, end) = (starts.value(i).max(0) as usize, ends.value(i).max(0) as usize);
            let replacement = usize::try_from(which.value(i)).ok().and_then(|w| replacements.get(w));
            let replacement = replacement.ok_or_else(|| Error::invalid("an edit names no replacement"))?;
            spans.push(Replaced { start, end, replacement });
        }
        let text = texts.value(row);
        push_edited(text, count_chars(text), &spans, &mut out);
    }
    Ok(out.finish())
}

/// A span of code points, and what takes its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replaced<'a> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) replacement: &'a str,
}

/// Appends a text of so many code points with spans replaced, which are in order and apart.
pub(crate) fn push_edited(text: &str, chars: usize, spans: &[Replaced<'_>], out: &mut LargeStringBuilder) {
    let mut cursor = Cursor { text, ascii: chars == text.len(), byte: 0, char: 0 };
    let mut push = |part: &str| {
        // Writing into a column cannot fail.
        let _ = out.write_str(part);
    };
    for span in spans {
        let begin = cursor.byte;
        let (a, b) = (cursor.seek(span.start), cursor.seek(span.end));
        push(text.get(begin..a).unwrap_or_default());
        push(span.replacement);
        cursor.byte = b.max(a);
    }
    push(text.get(cursor.byte..).unwrap_or_default());
    out.append_value("");
}

/// Code point offsets to byte offsets, moving forward only.
struct Cursor<'a> {
    text: &'a str,
    ascii: bool,
    byte: usize,
    char: usize,
}

impl Cursor<'_> {
    fn seek(&mut self, char: usize) -> usize {
        if self.ascii {
            self.byte = char.clamp(self.byte, self.text.len());
            return self.byte;
        }
        let mut rest = char.saturating_sub(self.char);
        self.char += rest;
        let bytes = self.text.as_bytes();
        let begins = |byte: &u8| byte & 0xc0 != 0x80;
        // Whole blocks, as long as the one that is sought begins behind them.
        while let Some(block) = bytes.get(self.byte..self.byte + BLOCK) {
            let here = block.iter().filter(|byte| begins(byte)).count();
            if here > rest {
                break;
            }
            rest -= here;
            self.byte += BLOCK;
        }
        while let Some(byte) = bytes.get(self.byte) {
            if begins(byte) {
                if rest == 0 {
                    break;
                }
                rest -= 1;
            }
            self.byte += 1;
        }
        self.byte
    }
}

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// Code points per text.
pub fn char_lengths(texts: &LargeStringArray) -> Int64Array {
    texts.iter().map(|t| t.map(|t| count_chars(t) as i64)).collect()
}

/// Bytes of each text without white space at its ends.
pub fn stripped_bytes(texts: &LargeStringArray) -> Int64Array {
    texts.iter().map(|t| t.map(|t| t.trim().len() as i64)).collect()
}

/// What to change besides the text.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Adds `metadata.provenance` = this, a colon and the document's line.
    pub provenance: Option<String>,
    /// Top-level fields to leave out.
    pub discard: Vec<String>,
    /// The provenance is written even where `discard` names `metadata`, as it is by Dolma.
    pub always_provenance: bool,
}

/// Documents and UTF-8 bytes of text that a call has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub documents: u64,
    pub text_bytes: u64,
}

/// What becomes of one document.
struct Rewrite<'a> {
    text: Option<&'a str>,
    /// `attributes` objects of the files beside it, merged in order into its own.
    beside: Vec<&'a str>,
    provenance: Option<String>,
    discard: &'a [String],
    always_provenance: bool,
}

/// Bytes of lines that are put together before they are written: what stays in the processor's cache.
const LINES: usize = 1 << 17;

/// Gives `write` the documents of `batch` (read with its lines kept) as JSON lines, some at a time.
///
/// `copies`: how often each is written, once without it; `texts`: the new text of each, null to leave it;
/// `attributes`: per attribute file the `attributes` object of each document, merged in that order into those that it
/// has; a null adds nothing.
pub fn encode_documents(
    batch: &RecordBatch,
    copies: Option<&UInt32Array>,
    texts: Option<&LargeStringArray>,
    attributes: &[&LargeBinaryArray],
    changes: &Changes,
    mut write: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Amount> {
    let rows = batch.num_rows();
    let lengths = [copies.map(Array::len), texts.map(Array::len)].into_iter().flatten();
    for length in lengths.chain(attributes.iter().map(|a| a.len())) {
        if length != rows {
            return Err(Error::invalid(format!("expected {rows} rows, found {length}")));
        }
    }
    let missing = || Error::invalid("expected documents read with their lines kept");
    let raw: &LargeBinaryArray =
        batch.column_by_name("raw").and_then(|c| c.as_binary_opt::<i64>()).ok_or_else(missing)?;
    let old: &LargeStringArray =
        batch.column_by_name("text").and_then(|c| c.as_string_opt::<i64>()).ok_or_else(missing)?;
    let integers =
        |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(missing);
    let lines = integers("line")?;
    let ranges = [integers(RANGES[0])?, integers(RANGES[1])?, integers(RANGES[2])?, integers(RANGES[3])?];
    let discarded = changes.discard.iter().any(|d| d == ATTRIBUTES);
    let mut amount = Amount::default();
    let mut out = Vec::with_capacity(2 * LINES);
    for row in 0..rows {
        let times = copies.map_or(1, |c| c.value(row));
        if times == 0 {
            continue;
        }
        let beside = attributes.iter().filter(|a| !discarded && !a.is_null(row)).map(|a| utf8(a.value(row)));
        let rewrite = Rewrite {
            text: texts.and_then(|t| (!t.is_null(row)).then(|| t.value(row))),
            beside: beside.collect::<Result<_>>()?,
            provenance: changes.provenance.as_ref().map(|file| format!("{file}:{}", lines.value(row))),
            discard: &changes.discard,
            always_provenance: changes.always_provenance,
        };
        let start = out.len();
        rewrite.encode(utf8(raw.value(row))?, ranges.map(|r| usize::try_from(r.value(row)).ok()), &mut out)?;
        out.push(b'\n');
        let end = out.len();
        for _ in 1..times {
            out.extend_from_within(start..end);
        }
        if out.len() > LINES {
            write(&out)?;
            out.clear();
        }
        amount.documents += u64::from(times);
        amount.text_bytes += u64::from(times) * rewrite.text.unwrap_or(old.value(row)).len() as u64;
    }
    write(&out)?;
    Ok(amount)
}

const ATTRIBUTES: &str = "attributes";

fn utf8(bytes: &[u8]) -> Result<&str> {
    simdutf8::basic::from_utf8(bytes).map_err(|e| Error::invalid(e.to_string()))
}

/// What is put into a document.
enum Part<'a> {
    Text(&'a str),
    Attributes,
    /// JSON before it, the value, JSON after it.
    Provenance(&'a str, &'a str, &'a str),
}

impl Rewrite<'_> {
    fn encode(
        &self,
        document: &str,
        [text_start, text_end, metadata_start, metadata_end]: [Option<usize>; 4],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.text.is_none() && self.beside.is_empty() && self.provenance.is_none() && self.discard.is_empty() {
            out.extend_from_slice(document.as_bytes());
            return Ok(());
        }
        let metadata = metadata_start.zip(metadata_end).and_then(|(a, b)| Some((b, document.get(a..b)?)));
        // A quoted key cannot stand inside a string, where its quotes would be escaped: not found means not there.
        let lacks = |json: &str, key: &str| memmem::find(json.as_bytes(), key.as_bytes()).is_none();
        let simple = self.discard.is_empty()
            && (self.beside.is_empty() || lacks(document, "\"attributes\""))
            && match (&self.provenance, metadata) {
                (None, _) => true,
                (Some(_), Some((_, object))) => lacks(object, "\"provenance\""),
                (Some(_), None) => lacks(document, "\"metadata\""),
            };
        if !simple {
            return self.rebuild(document, out);
        }
        let last = document.rfind('}').unwrap_or(document.len());
        let mut splices: Vec<(usize, usize, Part<'_>)> = Vec::with_capacity(3);
        if let (Some(text), Some(start), Some(end)) = (self.text, text_start, text_end) {
            splices.push((start, end, Part::Text(text)));
        }
        if !self.beside.is_empty() {
            splices.push((last, last, Part::Attributes));
        }
        if let Some(value) = &self.provenance {
            let (at, before, after) = match metadata {
                Some((end, object)) => {
                    let empty = object.get(1..object.len() - 1).is_none_or(|inner| inner.trim().is_empty());
                    (end - 1, if empty { "\"provenance\":" } else { ",\"provenance\":" }, "")
                }
                None => (last, ",\"metadata\":{\"provenance\":", "}"),
            };
            splices.push((at, at, Part::Provenance(before, value, after)));
        }
        // Stable: of two at the end, attributes come first.
        splices.sort_by_key(|s| s.0);
        let mut done = 0;
        for (start, end, part) in splices {
            out.extend_from_slice(document.get(done..start).unwrap_or_default().as_bytes());
            match part {
                Part::Text(text) => push_string(text, out),
                Part::Attributes => {
                    out.extend_from_slice(b",\"attributes\":");
                    merge(self.beside.iter().copied(), out)?;
                }
                Part::Provenance(before, value, after) => {
                    out.extend_from_slice(before.as_bytes());
                    push_string(value, out);
                    out.extend_from_slice(after.as_bytes());
                }
            }
            done = end;
        }
        out.extend_from_slice(document.get(done..).unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Member by member, for what splicing cannot do: leaving fields out, replacing what is there.
    fn rebuild(&self, document: &str, out: &mut Vec<u8>) -> Result<()> {
        let members = Members::of(document)?.collect::<Result<Vec<Member<'_>>>>()?;
        // The last of several counts, as it does for whoever parses the line.
        let own = members.iter().rposition(|(key, _)| key == ATTRIBUTES).filter(|_| !self.beside.is_empty());
        let mut object = ObjectWriter::begin(out);
        let mut has_metadata = false;
        for (i, member) in members.iter().enumerate() {
            let (key, value) = member;
            if self.discard.iter().any(|d| d == key.as_ref()) || (key == ATTRIBUTES && own.is_some_and(|o| o != i)) {
                continue;
            }
            match (key.as_ref(), self.text, &self.provenance) {
                ("text", Some(text), _) => {
                    object.key(key);
                    push_string(text, object.out);
                }
                ("metadata", _, Some(file)) => {
                    has_metadata = true;
                    object.key(key);
                    rebuild_metadata(value, file, object.out)?;
                }
                (ATTRIBUTES, _, _) if own.is_some() => {
                    object.key(key);
                    // Anything but an object is replaced, as it is by Dolma.
                    let there = Some(*value).filter(|v| v.starts_with('{'));
                    merge(there.into_iter().chain(self.beside.iter().copied()), object.out)?;
                }
                _ => object.member(member),
            }
        }
        if !self.beside.is_empty() && own.is_none() {
            object.key(ATTRIBUTES);
            merge(self.beside.iter().copied(), object.out)?;
        }
        let discarded = !self.always_provenance && self.discard.iter().any(|d| d == "metadata");
        if let (false, Some(file)) = (has_metadata || discarded, &self.provenance) {
            object.key("metadata");
            rebuild_metadata("null", file, object.out)?;
        }
        object.end();
        Ok(())
    }
}

/// Anything but an object or null is somebody's own data and stays as it is.
fn rebuild_metadata(json: &str, provenance: &str, out: &mut Vec<u8>) -> Result<()> {
    let old = match json.as_bytes().first() {
        Some(b'{') => Members::of(json)?.collect::<Result<Vec<Member<'_>>>>()?,
        Some(b'n') => Vec::new(),
        _ => {
            out.extend_from_slice(json.as_bytes());
            return Ok(());
        }
    };
    let mut object = ObjectWriter::begin(out);
    for member in old.iter().filter(|(key, _)| key != "provenance") {
        object.member(member);
    }
    object.key("provenance");
    push_string(provenance, object.out);
    object.end();
    Ok(())
}
