//! Attribute rows, `{"id", "attributes": {key: value, ...}}`, to Arrow columns whose kinds the rows tell.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{LargeBinaryBuilder, LargeStringBuilder};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::attribute_values::{read, Known, Row, Value};
use crate::documents::kind;
use crate::ids::push_any;
use crate::json::{excerpt, unescape_into};
use crate::kinds::Kind;
use crate::rows::Rows;
use crate::taggers::Column;
use crate::{Error, Result};

/// Why a row without a string as its id cannot be read.
fn no_string(id: Option<&str>) -> String {
    let found = id.map_or("none", kind);
    format!(
        "expected a string as `id`, found {found}; documents with such ids are read with `columns: {{as_dolma: true}}`, \
         as `dolma tag`, `dedupe` and `mix` read them"
    )
}

type Object<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

/// An attribute that is read.
struct Wanted {
    key: String,
    known: Option<Known>,
    column: Option<Column>,
}

impl Wanted {
    /// The column, to which so many rows belong already that have no value.
    fn column(&mut self, kind: Kind, absent: usize) -> &mut Column {
        self.column.get_or_insert_with(|| {
            let mut column = Column::new(kind, absent + 1);
            (0..absent).for_each(|_| column.finish_row());
            column
        })
    }

    fn add(&mut self, value: Value, row: usize) {
        let column = self.column(value.kind(), row);
        match value {
            Value::Number(score) => column.set_unrounded(score),
            Value::Integer(number) => column.set_integer(number),
            Value::Text(text) => column.set_text(text),
            Value::Flag(flag) => column.set_flag(flag),
            Value::Spans(spans) => {
                for (start, end, score) in spans {
                    column.span(start.max(0.0) as usize, end.max(0.0) as usize, score);
                }
            }
        }
    }

    /// The column of all rows of a batch: without a value so far, of spans, unless the kind is known.
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let kind = self.known.map_or(Kind::Spans, |known| known.kind);
        self.column(kind, rows).finish()
    }
}

/// Streams the rows of one JSONL attribute file.
pub struct AttributeReader {
    rows: Rows,
    wanted: Vec<Wanted>,
    raw: bool,
    any_id: bool,
    /// Bytes of the last batch's objects: the next one's are about as many.
    expected: usize,
}

impl AttributeReader {
    /// `keys`: the attributes to give as columns; `raw`: also give each row's `attributes` as they stand,
    /// which must then be an object; `any_id`: ids may be any values, or missing (see `ids`).
    pub fn open(path: &Path, keys: Vec<String>, raw: bool, any_id: bool) -> Result<Self> {
        let wanted = keys.into_iter().map(|key| Wanted { key, known: None, column: None }).collect();
        Ok(AttributeReader { rows: Rows::open(path)?, wanted, raw, any_id, expected: 0 })
    }

    /// Says of which kind each attribute is, where that is known before a row has it.
    pub fn with_kinds(mut self, kinds: &[Option<Kind>]) -> Self {
        for (wanted, kind) in self.wanted.iter_mut().zip(kinds) {
            wanted.known = kind.map(|kind| Known { kind, line: None });
        }
        self
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

    /// At most `n` rows: `id`, `raw` where asked for, then a column per key, of spans where no row had it so far.
    ///
    /// A row that is no attribute row is an error: what follows it could not be told to belong to which document. So is
    /// one whose value is of another kind than those before.
    pub fn next_rows(&mut self, n: usize) -> Result<RecordBatch> {
        let mut ids = LargeStringBuilder::new();
        let mut raws = LargeBinaryBuilder::with_capacity(0, self.expected + self.expected / 8);
        let (mut rows, mut id) = (0, Vec::new());
        for wanted in &mut self.wanted {
            wanted.column = None;
        }
        while rows < n {
            let Some(line) = self.rows.next()? else { break };
            if line.is_blank() {
                continue;
            }
            let row: Row<'_> = line.parse()?;
            id.clear();
            match row.id.map(RawValue::get) {
                _ if self.any_id => push_any(row.id.map(RawValue::get), &mut id).map_err(|e| line.bad(e))?,
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
            if !self.wanted.is_empty() {
                let object: Object<'_> = serde_json::from_str(row.attributes.get()).map_err(|e| line.bad(e))?;
                let marks = row.marks().map_err(|e| line.bad(e))?;
                for wanted in &mut self.wanted {
                    let Some(json) = object.get(wanted.key.as_str()) else { continue };
                    let marked = marks.as_ref().and_then(|m| m.get(wanted.key.as_str()));
                    let value = read(json.get(), marked.map(Cow::as_ref))
                        .map_err(|e| line.bad(format!("`{}`: {e}", wanted.key)))?;
                    let Some(value) = value else { continue };
                    let known = wanted.known.get_or_insert(Known { kind: value.kind(), line: None });
                    if known.kind != value.kind() {
                        return Err(line.bad(known.refuse(&wanted.key, value.kind(), json.get())));
                    }
                    known.line.get_or_insert(line.number());
                    wanted.add(value, rows);
                }
            }
            for wanted in &mut self.wanted {
                if let Some(column) = &mut wanted.column {
                    column.finish_row();
                }
            }
            rows += 1;
        }
        let mut fields = vec![Field::new("id", DataType::LargeUtf8, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(ids.finish())];
        if self.raw {
            self.expected = raws.values_slice().len();
            fields.push(Field::new("raw", DataType::LargeBinary, false));
            arrays.push(Arc::new(raws.finish()));
        }
        for wanted in &mut self.wanted {
            let array = wanted.finish(rows);
            let nullable = !matches!(array.data_type(), DataType::List(_));
            fields.push(Field::new(&wanted.key, array.data_type().clone(), nullable));
            arrays.push(array);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| Error::invalid(e.to_string()))
    }
}

/// The attributes in the first `rows` rows of a file, in order of appearance, and the kind of each where a row has it.
pub fn attribute_kinds(path: &Path, rows: usize) -> Result<Vec<(String, Option<Kind>)>> {
    let mut found: Vec<(String, Option<Kind>)> = Vec::new();
    let mut lines = Rows::open(path)?;
    let mut read_rows = 0;
    while read_rows < rows {
        let Some(line) = lines.next()? else { break };
        if line.is_blank() {
            continue;
        }
        let row: Row<'_> = line.parse()?;
        let members: InOrder<'_> = serde_json::from_str(row.attributes.get()).map_err(|e| line.bad(e))?;
        let marks = row.marks().map_err(|e| line.bad(e))?;
        for (key, json) in members.0 {
            let place = found.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
                found.push((key.clone().into_owned(), None));
                found.len() - 1
            });
            if found[place].1.is_none() {
                let marked = marks.as_ref().and_then(|m| m.get(&key));
                let value = read(json.get(), marked.map(Cow::as_ref)).map_err(|e| line.bad(format!("`{key}`: {e}")))?;
                found[place].1 = value.map(|v| v.kind());
            }
        }
        read_rows += 1;
    }
    Ok(found)
}

/// The attribute keys in the first `rows` rows of a file, in order of appearance.
pub fn attribute_keys(path: &Path, rows: usize) -> Result<Vec<String>> {
    Ok(attribute_kinds(path, rows)?.into_iter().map(|(key, _)| key).collect())
}

/// The members of an object in order.
struct InOrder<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for InOrder<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> serde::de::Visitor<'de> for MembersVisitor {
    type Value = InOrder<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            members.push((member.0 .0, member.1));
        }
        Ok(InOrder(members))
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
