//! Documents as a filter sees them: the raw line, with the attributes beside it merged in.

use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, LargeBinaryArray, ListArray};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::members::Members;
use crate::{Error, Result};

/// A batch of raw documents and the attributes of the same rows.
pub struct Documents<'a> {
    raw: &'a LargeBinaryArray,
    rows: Vec<&'a LargeBinaryArray>,
    columns: Vec<(&'a str, Column<'a>)>,
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

enum Column<'a> {
    Scores(&'a Float64Array),
    Spans { list: &'a ListArray, start: &'a Int64Array, end: &'a Int64Array, score: &'a Float64Array },
}

impl<'a> Documents<'a> {
    /// `rows`: per attribute file, the `attributes` object of each document as JSON. `columns`: attributes by key, as
    /// nullable float64 (one score for the whole text) or list<struct<start, end, score>>.
    pub fn new(
        raw: &'a LargeBinaryArray,
        rows: &'a [LargeBinaryArray],
        columns: &'a [(String, ArrayRef)],
    ) -> Result<Self> {
        let lengths = rows.iter().map(Array::len).chain(columns.iter().map(|(_, c)| c.len()));
        if let Some(other) = lengths.into_iter().find(|&l| l != raw.len()) {
            return Err(Error::invalid(format!("expected attributes for {} documents, found {other}", raw.len())));
        }
        let columns = columns.iter().map(|(key, array)| Ok((key.as_str(), Column::new(key, array)?)));
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
        let scored = wants(fields, "attributes") && columns().any(|(_, c)| c.is_score_at(row));
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
            if let Some(spans) = column.spans(row, length) {
                attributes.insert((*key).to_owned(), spans);
            }
        }
        document.insert("attributes".to_owned(), Value::Object(attributes));
        Ok(Value::Object(document))
    }
}

impl<'a> Column<'a> {
    fn new(key: &str, array: &'a ArrayRef) -> Result<Self> {
        let wrong = || {
            let found = array.data_type();
            Error::invalid(format!("attribute `{key}`: expected float64 or list<start, end, score>, found {found}"))
        };
        if let Some(scores) = array.as_primitive_opt::<Float64Type>() {
            return Ok(Column::Scores(scores));
        }
        let list = array.as_list_opt::<i32>().ok_or_else(wrong)?;
        let spans = list.values().as_struct_opt().ok_or_else(wrong)?;
        let field = |name: &str| spans.column_by_name(name).ok_or_else(wrong);
        Ok(Column::Spans {
            list,
            start: field("start")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?,
            end: field("end")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?,
            score: field("score")?.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?,
        })
    }

    fn is_score_at(&self, row: usize) -> bool {
        matches!(self, Column::Scores(scores) if scores.is_valid(row))
    }

    /// `[[start, end, score], ...]` as an attribute row would have it; None where the row would leave the key out.
    fn spans(&self, row: usize, length: usize) -> Option<Value> {
        let spans: Vec<Value> = match self {
            Column::Scores(scores) => {
                scores.is_valid(row).then(|| span(0, length as i64, scores.value(row))).into_iter().collect()
            }
            Column::Spans { list, .. } if list.is_null(row) => return None,
            Column::Spans { list, start, end, score } => {
                let offsets = list.value_offsets();
                let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
                (from..to).map(|i| span(start.value(i), end.value(i), score.value(i))).collect()
            }
        };
        (!spans.is_empty()).then_some(Value::Array(spans))
    }
}

fn span(start: i64, end: i64, score: f64) -> Value {
    Value::Array(vec![Value::from(start), Value::from(end), Value::from(score)])
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
