//! Attribute rows, `{"id", "attributes": {key: [[start, end, score], ...]}, "source"}`, to and from Arrow columns.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{LargeBinaryBuilder, LargeStringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray, ListArray, RecordBatch,
};
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::documents::kind;
use crate::ids::{push_any, push_json};
use crate::json::{excerpt, push_float, push_integer, push_string, unescape_into};
use crate::rows::Rows;
use crate::taggers::{Column, Kind};
use crate::{Error, Result};

enum Scores<'a> {
    Document(&'a Float64Array),
    Spans { list: &'a ListArray, start: &'a Int64Array, end: &'a Int64Array, score: &'a Float64Array },
}

fn scores<'a>(key: &str, column: &'a ArrayRef) -> Result<Scores<'a>> {
    let wrong = || {
        Error::invalid(format!(
            "attribute `{key}`: expected float64 or list<struct<start: int64, end: int64, score: float64>>, found {}",
            column.data_type()
        ))
    };
    if let Some(values) = column.as_primitive_opt::<Float64Type>() {
        return Ok(Scores::Document(values));
    }
    let list = column.as_list_opt::<i32>().ok_or_else(wrong)?;
    let spans = list.values().as_struct_opt().ok_or_else(wrong)?;
    let integers = |name| spans.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let score = spans.column_by_name("score").and_then(|c| c.as_primitive_opt::<Float64Type>());
    match (integers("start"), integers("end"), score) {
        (Some(start), Some(end), Some(score)) => Ok(Scores::Spans { list, start, end, score }),
        _ => Err(wrong()),
    }
}

/// Columns of attributes as the `attributes` objects of rows.
pub struct AttributeObjects<'a> {
    lengths: &'a Int64Array,
    /// See `with_empty`.
    empty: bool,
    /// `"key":` and its values.
    columns: Vec<(Vec<u8>, Scores<'a>)>,
}

impl<'a> AttributeObjects<'a> {
    /// `lengths`: code points of each text, the end of a document's span.
    pub fn new(lengths: &'a Int64Array, columns: &'a [(String, ArrayRef)]) -> Result<Self> {
        let of_key = |(key, column): &'a (String, ArrayRef)| {
            if column.len() != lengths.len() {
                return Err(Error::invalid(format!("attribute `{key}`: {} rows, not {}", column.len(), lengths.len())));
            }
            let mut name = Vec::new();
            push_string(key, &mut name);
            name.push(b':');
            Ok((name, scores(key, column)?))
        };
        Ok(AttributeObjects { lengths, empty: false, columns: columns.iter().map(of_key).collect::<Result<_>>()? })
    }

    /// Also writes `"key":[]` where Dolma's dedupe does: for a text that has no span, unless it is empty, and for a score
    /// that is not a number.
    pub fn with_empty(mut self, empty: bool) -> Self {
        self.empty = empty;
        self
    }

    /// The object of each row; of those that are not `wanted`, null.
    pub fn to_array(&self, wanted: Option<&BooleanArray>) -> Result<LargeBinaryArray> {
        if let Some(other) = wanted.map(Array::len).filter(|&l| l != self.lengths.len()) {
            return Err(Error::invalid(format!("expected {} rows, found {other}", self.lengths.len())));
        }
        let mut objects = LargeBinaryBuilder::with_capacity(self.lengths.len(), 0);
        let mut object = Vec::new();
        for row in 0..self.lengths.len() {
            if wanted.is_some_and(|w| !w.value(row)) {
                objects.append_null();
                continue;
            }
            object.clear();
            self.push(row, &mut object);
            objects.append_value(&object);
        }
        Ok(objects.finish())
    }

    /// Appends the object of one row. A null score leaves the key out; no span does so too, unless `empty` is set.
    fn push(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (name, scores) in &self.columns {
            let (from, to, there) = match scores {
                Scores::Document(values) if values.is_null(row) => (0, 0, false),
                Scores::Document(values) if self.empty && values.value(row).is_nan() => (0, 0, true),
                Scores::Document(_) => (0, 1, true),
                Scores::Spans { list, .. } if list.is_null(row) => (0, 0, false),
                Scores::Spans { list, .. } => {
                    let (from, to) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
                    (from, to, from < to || (self.empty && self.lengths.value(row) > 0))
                }
            };
            if !there {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(name);
            if from == to {
                out.push(b'[');
            }
            for i in from..to {
                out.extend_from_slice(if i == from { b"[[" } else { b",[" });
                let (start, end, score) = match scores {
                    Scores::Document(values) => (0, self.lengths.value(row), values.value(row)),
                    Scores::Spans { start, end, score, .. } => (start.value(i), end.value(i), score.value(i)),
                };
                push_integer(start, out);
                out.push(b',');
                push_integer(end, out);
                out.push(b',');
                push_float(score, out);
                out.push(b']');
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}

/// The documents of a batch and their attributes, to be written as JSON lines.
pub struct AttributeRows<'a> {
    ids: &'a LargeStringArray,
    any_id: bool,
    sources: Option<&'a LargeStringArray>,
    objects: AttributeObjects<'a>,
}

impl<'a> AttributeRows<'a> {
    /// `lengths`: code points of each text; `empty`: see `AttributeObjects::with_empty`.
    pub fn new(
        ids: &'a LargeStringArray,
        lengths: &'a Int64Array,
        sources: Option<&'a LargeStringArray>,
        columns: &'a [(String, ArrayRef)],
        empty: bool,
    ) -> Result<Self> {
        if lengths.len() != ids.len() {
            return Err(Error::invalid(format!(
                "expected the lengths of {} texts, found {}",
                ids.len(),
                lengths.len()
            )));
        }
        let objects = AttributeObjects::new(lengths, columns)?.with_empty(empty);
        Ok(AttributeRows { ids, any_id: false, sources, objects })
    }

    /// The ids were read as any values (see `ids`), and are written as such.
    pub fn with_any_id(mut self, any_id: bool) -> Self {
        self.any_id = any_id;
        self
    }

    /// Appends all lines to `out`, which `full` is given to empty whenever it holds more than `most` bytes.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        most: usize,
        mut full: impl FnMut(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        for row in 0..self.ids.len() {
            self.push(row, out);
            if out.len() > most {
                full(out)?;
            }
        }
        Ok(())
    }

    /// Appends the line of one document.
    fn push(&self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        match self.any_id {
            true => push_json(self.ids.value(row), out),
            false => push_string(self.ids.value(row), out),
        }
        out.extend_from_slice(b",\"attributes\":");
        self.objects.push(row, out);
        if let Some(sources) = self.sources.filter(|s| !s.is_null(row)) {
            out.extend_from_slice(b",\"source\":");
            push_string(sources.value(row), out);
        }
        out.extend_from_slice(b"}\n");
    }
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: &'a RawValue,
}

/// Why a row without a string as its id cannot be read.
fn no_string(id: Option<&str>) -> String {
    let found = id.map_or("none", kind);
    format!(
        "expected a string as `id`, found {found}; documents with such ids are read with `columns: {{as_dolma: true}}`, \
         as `dolma tag`, `dedupe` and `mix` read them"
    )
}

type Spans<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// Streams the rows of one JSONL attribute file.
pub struct AttributeReader {
    rows: Rows,
    keys: Vec<String>,
    raw: bool,
    any_id: bool,
    /// Bytes of the last batch's objects: the next one's are about as many.
    expected: usize,
}

impl AttributeReader {
    /// `keys`: the attributes to give as span columns; `raw`: also give each row's `attributes` as they stand,
    /// which must then be an object; `any_id`: ids may be any values, or missing (see `ids`).
    pub fn open(path: &Path, keys: Vec<String>, raw: bool, any_id: bool) -> Result<Self> {
        Ok(AttributeReader { rows: Rows::open(path)?, keys, raw, any_id, expected: 0 })
    }

    /// Steps over `n` rows without looking at them; false if the file has fewer.
    pub fn skip_rows(&mut self, n: u64) -> Result<bool> {
        let mut left = n;
        while left > 0 {
            let Some(line) = self.rows.next()? else { return Ok(false) };
            left -= u64::from(!line.is_blank());
        }
        Ok(true)
    }

    /// At most `n` rows: `id`, `raw` where asked for, then a list<struct<start, end, score>> per key.
    ///
    /// A row that is no attribute row is an error: what follows it could not be told to belong to which document.
    pub fn next_rows(&mut self, n: usize) -> Result<RecordBatch> {
        let mut ids = LargeStringBuilder::new();
        let mut raws = LargeBinaryBuilder::with_capacity(0, self.expected + self.expected / 8);
        let mut columns: Vec<Column> = self.keys.iter().map(|_| Column::new(Kind::Spans, n)).collect();
        let (mut rows, mut id) = (0, Vec::new());
        while rows < n {
            let Some(line) = self.rows.next()? else { break };
            if line.is_blank() {
                continue;
            }
            let row: Row<'_> = line.parse()?;
            id.clear();
            match row.id.map(RawValue::get) {
                _ if self.any_id => push_any(row.id, &mut id).map_err(|e| line.bad(e))?,
                Some(json) if json.starts_with('"') => unescape_into(json, &mut id).map_err(|e| line.bad(e))?,
                found => return Err(line.bad(no_string(found))),
            }
            ids.append_value(std::str::from_utf8(&id).map_err(|e| line.bad(e))?);
            if self.raw {
                let object = row.attributes.get();
                if !object.starts_with('{') {
                    let found = excerpt(object, 40);
                    return Err(line.bad(format!("expected an object of attributes, found `{found}`")));
                }
                raws.append_value(object);
            }
            if !self.keys.is_empty() {
                let spans: Spans<'_> = serde_json::from_str(row.attributes.get()).map_err(|e| line.bad(e))?;
                for (key, column) in self.keys.iter().zip(&mut columns) {
                    if let Some(value) = spans.get(key.as_str()) {
                        let list: Vec<(f64, f64, f64)> = serde_json::from_str(value.get())
                            .map_err(|e| line.bad(format!("`{key}`: expected [[start, end, score], ...]: {e}")))?;
                        for (start, end, score) in list {
                            column.span(start.max(0.0) as usize, end.max(0.0) as usize, score);
                        }
                    }
                }
            }
            columns.iter_mut().for_each(Column::finish_row);
            rows += 1;
        }
        let mut fields = vec![Field::new("id", DataType::LargeUtf8, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish())];
        if self.raw {
            self.expected = raws.values_slice().len();
            fields.push(Field::new("raw", DataType::LargeBinary, false));
            arrays.push(Arc::new(raws.finish()));
        }
        for (key, column) in self.keys.iter().zip(&mut columns) {
            let array = column.finish();
            fields.push(Field::new(key, array.data_type().clone(), false));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| Error::invalid(e.to_string()))
    }
}

/// The attribute keys in the first `rows` rows of a file, in order of appearance.
pub fn attribute_keys(path: &Path, rows: usize) -> Result<Vec<String>> {
    let mut reader = AttributeReader::open(path, Vec::new(), true, true)?;
    let batch = reader.next_rows(rows)?;
    let mut keys: Vec<String> = Vec::new();
    let raw = batch.column_by_name("raw").and_then(|c| c.as_binary_opt::<i64>());
    for row in raw.into_iter().flatten().flatten() {
        let text = String::from_utf8_lossy(row);
        let there: Keys = serde_json::from_str(&text).map_err(|e| Error::data(path, e.to_string()))?;
        for key in there.0 {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// The keys of an object in order; its values are skipped.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> serde::de::Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<Keys, A::Error> {
        let mut keys = Vec::new();
        while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
            keys.push(key);
        }
        Ok(Keys(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lists_are_written_where_they_are_wanted() {
        let mut spans = Column::new(Kind::Spans, 3);
        spans.finish_row();
        spans.span(0, 2, 1.0);
        spans.finish_row();
        spans.finish_row();
        let scores: ArrayRef = Arc::new(Float64Array::from(vec![Some(f64::NAN), None, Some(1.0)]));
        let columns = [("s".to_owned(), spans.finish()), ("d".to_owned(), scores)];
        let lengths = Int64Array::from(vec![3, 3, 0]);
        let objects = AttributeObjects::new(&lengths, &columns).unwrap().with_empty(true).to_array(None).unwrap();
        let rows: Vec<&[u8]> = objects.iter().flatten().collect();
        // An empty text has no paragraphs, and so no list of them.
        let expected: [&[u8]; 3] = [br#"{"s":[],"d":[]}"#, br#"{"s":[[0,2,1.0]]}"#, br#"{"d":[[0,0,1.0]]}"#];
        assert_eq!(rows, expected);
        let without = AttributeObjects::new(&lengths, &columns[..1]).unwrap().to_array(None).unwrap();
        assert_eq!(without.value(0), b"{}");
    }
}
