//! Documents on their way out: text edited, provenance added, fields left out; everything else byte for byte as it came.

use std::borrow::Cow;
use std::fmt;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Int64Array, LargeBinaryArray, LargeStringArray, ListArray, RecordBatch, UInt32Array};
use memchr::memmem;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::documents::RANGES;
use crate::json::push_string;
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
    let mut changed = String::new();
    for row in 0..texts.len() {
        let (from, to) = (edits.value_offsets()[row] as usize, edits.value_offsets()[row + 1] as usize);
        if from == to || edits.is_null(row) {
            out.append_null();
            continue;
        }
        let text = texts.value(row);
        let mut cursor = Cursor::new(text);
        changed.clear();
        for i in from..to {
            let (start, end) = (starts.value(i).max(0) as usize, ends.value(i).max(0) as usize);
            let begin = cursor.byte;
            let (a, b) = (cursor.seek(start), cursor.seek(end));
            changed.push_str(text.get(begin..a).unwrap_or_default());
            let replacement = usize::try_from(which.value(i)).ok().and_then(|w| replacements.get(w));
            changed.push_str(replacement.ok_or_else(|| Error::invalid("an edit names no replacement"))?);
            cursor.byte = b.max(a);
        }
        changed.push_str(text.get(cursor.byte..).unwrap_or_default());
        out.append_value(&changed);
    }
    Ok(out.finish())
}

/// Code point offsets to byte offsets, moving forward only.
struct Cursor<'a> {
    text: &'a str,
    ascii: bool,
    byte: usize,
    char: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Cursor { text, ascii: text.is_ascii(), byte: 0, char: 0 }
    }

    fn seek(&mut self, char: usize) -> usize {
        if self.ascii {
            self.byte = char.clamp(self.byte, self.text.len());
            return self.byte;
        }
        let rest = self.text.get(self.byte..).unwrap_or_default();
        for c in rest.chars().take(char.saturating_sub(self.char)) {
            self.byte += c.len_utf8();
            self.char += 1;
        }
        self.byte
    }
}

/// Code points per text.
pub fn char_lengths(texts: &LargeStringArray) -> Int64Array {
    texts.iter().map(|t| t.map(|t| t.chars().count() as i64)).collect()
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
}

/// Documents and UTF-8 bytes of text that a call has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub documents: u64,
    pub text_bytes: u64,
}

/// Appends the documents of `batch` (read with its lines kept) as JSON lines to `out`.
///
/// `copies`: how often each is written, once without it; `texts`: the new text of each, null to leave it.
pub fn encode_documents(
    batch: &RecordBatch,
    copies: Option<&UInt32Array>,
    texts: Option<&LargeStringArray>,
    changes: &Changes,
    out: &mut Vec<u8>,
) -> Result<Amount> {
    let rows = batch.num_rows();
    for length in [copies.map(Array::len), texts.map(Array::len)].into_iter().flatten() {
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
    let mut amount = Amount::default();
    for row in 0..rows {
        let times = copies.map_or(1, |c| c.value(row));
        if times == 0 {
            continue;
        }
        let new_text = texts.and_then(|t| (!t.is_null(row)).then(|| t.value(row)));
        let provenance = changes.provenance.as_ref().map(|file| format!("{file}:{}", lines.value(row)));
        let document = std::str::from_utf8(raw.value(row)).map_err(|e| Error::invalid(e.to_string()))?;
        let start = out.len();
        let at = ranges.map(|r| usize::try_from(r.value(row)).ok());
        encode(document, at, new_text, provenance.as_deref(), &changes.discard, out)?;
        out.push(b'\n');
        let end = out.len();
        for _ in 1..times {
            out.extend_from_within(start..end);
        }
        amount.documents += u64::from(times);
        amount.text_bytes += u64::from(times) * new_text.unwrap_or(old.value(row)).len() as u64;
    }
    Ok(amount)
}

fn encode(
    document: &str,
    [text_start, text_end, metadata_start, metadata_end]: [Option<usize>; 4],
    new_text: Option<&str>,
    provenance: Option<&str>,
    discard: &[String],
    out: &mut Vec<u8>,
) -> Result<()> {
    if new_text.is_none() && provenance.is_none() && discard.is_empty() {
        out.extend_from_slice(document.as_bytes());
        return Ok(());
    }
    let metadata = metadata_start.zip(metadata_end).and_then(|(a, b)| Some((b, document.get(a..b)?)));
    // A quoted key cannot stand inside a string, where its quotes would be escaped: not found means not there.
    let simple = discard.is_empty()
        && match (provenance, metadata) {
            (None, _) => true,
            (Some(_), Some((_, object))) => memmem::find(object.as_bytes(), b"\"provenance\"").is_none(),
            (Some(_), None) => memmem::find(document.as_bytes(), b"\"metadata\"").is_none(),
        };
    let mut splices: Vec<(usize, usize, Vec<u8>)> = Vec::with_capacity(2);
    if let (Some(text), Some(start), Some(end)) = (new_text, text_start, text_end) {
        let mut json = Vec::with_capacity(text.len() + text.len() / 16 + 2);
        push_string(text, &mut json);
        splices.push((start, end, json));
    }
    if !simple {
        return rebuild(document, new_text, provenance, discard, out);
    }
    if let Some(value) = provenance {
        let mut json = Vec::with_capacity(value.len() + 40);
        let at = match metadata {
            Some((end, object)) => {
                let empty = object.get(1..object.len() - 1).is_none_or(|inner| inner.trim().is_empty());
                json.extend_from_slice(if empty { b"\"provenance\":" } else { b",\"provenance\":" });
                push_string(value, &mut json);
                end - 1
            }
            None => {
                json.extend_from_slice(b",\"metadata\":{\"provenance\":");
                push_string(value, &mut json);
                json.push(b'}');
                document.rfind('}').unwrap_or(document.len())
            }
        };
        splices.push((at, at, json));
    }
    splices.sort_by_key(|s| s.0);
    let mut done = 0;
    for (start, end, json) in &splices {
        out.extend_from_slice(document.get(done..*start).unwrap_or_default().as_bytes());
        out.extend_from_slice(json);
        done = *end;
    }
    out.extend_from_slice(document.get(done..).unwrap_or_default().as_bytes());
    Ok(())
}

/// The top-level members of an object, in order, values untouched.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>> {
    serde_json::from_str::<Members<'_>>(json).map(|m| m.0).map_err(|e| Error::invalid(e.to_string()))
}

/// Member by member, for what splicing cannot do: leaving fields out, replacing an earlier provenance.
fn rebuild(
    document: &str,
    new_text: Option<&str>,
    provenance: Option<&str>,
    discard: &[String],
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut object = ObjectWriter::begin(out);
    let mut has_metadata = false;
    for (key, value) in members(document)? {
        if discard.iter().any(|d| d == key.as_ref()) {
            continue;
        }
        object.key(&key);
        match (key.as_ref(), new_text, provenance) {
            ("text", Some(text), _) => push_string(text, object.out),
            ("metadata", _, Some(file)) => {
                has_metadata = true;
                rebuild_metadata(value.get(), file, object.out)?;
            }
            _ => object.out.extend_from_slice(value.get().as_bytes()),
        }
    }
    if let (false, Some(file)) = (has_metadata || discard.iter().any(|d| d == "metadata"), provenance) {
        object.key("metadata");
        rebuild_metadata("null", file, object.out)?;
    }
    object.end();
    Ok(())
}

/// Anything but an object or null is somebody's own data and stays as it is.
fn rebuild_metadata(json: &str, provenance: &str, out: &mut Vec<u8>) -> Result<()> {
    let old = match json.as_bytes().first() {
        Some(b'{') => members(json)?,
        Some(b'n') => Vec::new(),
        _ => {
            out.extend_from_slice(json.as_bytes());
            return Ok(());
        }
    };
    let mut object = ObjectWriter::begin(out);
    for (key, value) in old.iter().filter(|(key, _)| key != "provenance") {
        object.key(key);
        object.out.extend_from_slice(value.get().as_bytes());
    }
    object.key("provenance");
    push_string(provenance, object.out);
    object.end();
    Ok(())
}

struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> ObjectWriter<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        ObjectWriter { out, first: true }
    }

    fn key(&mut self, key: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        push_string(key, self.out);
        self.out.push(b':');
    }

    fn end(self) {
        self.out.push(b'}');
    }
}
