//! Documents as a filter sees them: the raw line, with the attributes beside it merged in.

use std::fmt;

use arrow_array::{Array, ArrayRef, LargeBinaryArray};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::kinds::Values;
use crate::members::Members;
use crate::{Error, Result};

/// A batch of raw documents and the attributes of the same rows.
pub struct Documents<'a> {
    raw: &'a LargeBinaryArray,
    rows: Vec<&'a LargeBinaryArray>,
    columns: Vec<(&'a str, Values<'a>)>,
}

/// What is read of a document, so that nothing else is built; None for everything.
#[derive(Default)]
pub struct Wanted {
    /// Top-level fields.
    pub fields: Option<Vec<String>>,
    /// Keys of the attributes beside it.
    pub attributes: Option<Vec<String>>,
}

impl Wanted {
    /// What either reads.
    pub fn and(self, other: Wanted) -> Wanted {
        let both = |mine: Option<Vec<String>>, theirs: Option<Vec<String>>| Some([mine?, theirs?].concat());
        Wanted { fields: both(self.fields, other.fields), attributes: both(self.attributes, other.attributes) }
    }
}

fn wants(names: Option<&[String]>, name: &str) -> bool {
    names.is_none_or(|names| names.iter().any(|n| n == name))
}

impl<'a> Documents<'a> {
    /// `rows`: per attribute file, the `attributes` object of each document as JSON. `columns`: attributes by key, in
    /// the types of their kinds.
    pub fn new(
        raw: &'a LargeBinaryArray,
        rows: &'a [LargeBinaryArray],
        columns: &'a [(String, ArrayRef)],
    ) -> Result<Self> {
        let lengths = rows.iter().map(Array::len).chain(columns.iter().map(|(_, c)| c.len()));
        if let Some(other) = lengths.into_iter().find(|&l| l != raw.len()) {
            return Err(Error::invalid(format!("expected attributes for {} documents, found {other}", raw.len())));
        }
        let columns = columns.iter().map(|(key, array)| Ok((key.as_str(), Values::new(key, array)?)));
        Ok(Documents { raw, rows: rows.iter().collect(), columns: columns.collect::<Result<_>>()? })
    }

    pub fn len(&self) -> usize {
        self.raw.len()
    }

    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The document at `row`, with what is wanted of it.
    ///
    /// Attributes are added to those the document has; of equal keys the later file wins.
    pub fn get(&self, row: usize, wanted: &Wanted) -> std::result::Result<Value, String> {
        let (fields, keys) = (wanted.fields.as_deref(), wanted.attributes.as_deref());
        let columns = || self.columns.iter().filter(|(key, _)| wants(keys, key));
        // The end of a document attribute's span needs the text.
        let scored = wants(fields, "attributes") && columns().any(|(_, c)| is_number_at(c, row));
        let mut document = object(self.raw.value(row), fields, scored)?;
        if !wants(fields, "attributes") || (self.rows.is_empty() && self.columns.is_empty()) {
            return Ok(Value::Object(document));
        }
        let mut attributes = match document.remove("attributes") {
            Some(Value::Object(there)) => there,
            _ => Map::new(),
        };
        for beside in self.rows.iter().filter(|r| !r.is_null(row)) {
            extend(&mut attributes, beside.value(row), keys)?;
        }
        let length = match document.get("text") {
            Some(Value::String(text)) if scored => text.chars().count(),
            _ => 0,
        };
        for (key, column) in columns() {
            if let Some(value) = value(column, row, length) {
                attributes.insert((*key).to_owned(), value);
            }
        }
        document.insert("attributes".to_owned(), Value::Object(attributes));
        Ok(Value::Object(document))
    }
}

/// Whether the value at `row` is one number, of which an attribute row makes a span over the whole text.
fn is_number_at(values: &Values<'_>, row: usize) -> bool {
    match values {
        Values::Document(scores) => scores.is_valid(row),
        Values::Int64(numbers) => numbers.is_valid(row),
        _ => false,
    }
}

/// The value as an attribute row would have it; None where the row would leave the key out.
fn value(values: &Values<'_>, row: usize, length: usize) -> Option<Value> {
    let whole = |score: Value| Value::Array(vec![span(0, length as i64, score)]);
    match values {
        Values::Document(scores) => scores.is_valid(row).then(|| whole(Value::from(scores.value(row)))),
        Values::Int64(numbers) => numbers.is_valid(row).then(|| whole(Value::from(numbers.value(row)))),
        Values::String(texts) => texts.is_valid(row).then(|| Value::from(texts.value(row))),
        Values::Bool(flags) => flags.is_valid(row).then(|| Value::from(flags.value(row))),
        Values::Spans { list, .. } if list.is_null(row) => None,
        Values::Spans { list, start, end, score } => {
            let offsets = list.value_offsets();
            let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
            let spans = (from..to).map(|i| span(start.value(i), end.value(i), Value::from(score.value(i))));
            (from < to).then(|| Value::Array(spans.collect()))
        }
    }
}

fn span(start: i64, end: i64, score: Value) -> Value {
    Value::Array(vec![Value::from(start), Value::from(end), score])
}

/// Adds the wanted members of the object in an attribute row, which its reader has found well-formed.
fn extend(to: &mut Map<String, Value>, row: &[u8], keys: Option<&[String]>) -> std::result::Result<(), String> {
    if keys.is_none() {
        to.extend(object(row, None, false)?);
        return Ok(());
    }
    let json = simdutf8::basic::from_utf8(row).map_err(|e| e.to_string())?;
    for member in Members::of(json).map_err(|e| e.to_string())? {
        let (key, value) = member.map_err(|e| e.to_string())?;
        if wants(keys, &key) {
            to.insert(key.into_owned(), serde_json::from_str(value).map_err(|e| e.to_string())?);
        }
    }
    Ok(())
}

/// The JSON object in `line`, without the fields that nobody asks for: those are skipped, not built.
fn object(line: &[u8], fields: Option<&[String]>, text: bool) -> std::result::Result<Map<String, Value>, String> {
    let json = simdutf8::basic::from_utf8(line).map_err(|e| e.to_string())?;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Fields { fields, text }.deserialize(&mut deserializer).map_err(|e| e.to_string())?;
    deserializer.end().map_err(|e| e.to_string())?;
    Ok(found)
}

struct Fields<'f> {
    fields: Option<&'f [String]>,
    text: bool,
}

impl Fields<'_> {
    fn wants(&self, key: &str) -> bool {
        wants(self.fields, key) || (self.text && key == "text")
    }
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = Map::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if self.wants(&key) {
                found.insert(key.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
