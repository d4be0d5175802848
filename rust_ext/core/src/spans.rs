//! Every value of an attribute file as two long tables, for statistics: its keys need not be known before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, LargeStringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::kinds::Kind;
use crate::rows::Rows;
use crate::{Error, Result};

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    attributes: Entries<'a>,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A score; a whole number that a float64 does not hold counts as its neighbour.
#[derive(Clone, Copy)]
struct Near(f64);

impl<'de> Deserialize<'de> for Near {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Option::<f64>::deserialize(deserializer).map(|score| Near(score.unwrap_or(f64::NAN)))
    }
}

type Span = (f64, f64, Near);

/// A value as it stands in a row.
enum Found<'a> {
    Spans(Vec<Span>),
    Text(Cow<'a, str>),
    Flag(bool),
    Number(f64),
    Nothing,
}

impl<'de: 'a, 'a> Deserialize<'de> for Found<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Found<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[[start, end, score], ...], a text, true, false or a number")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Self::Value, A::Error> {
                let mut spans = Vec::with_capacity(items.size_hint().unwrap_or(1));
                while let Some(span) = items.next_element()? {
                    spans.push(span);
                }
                Ok(Found::Spans(spans))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Found::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
                Ok(Found::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E>(self, flag: bool) -> std::result::Result<Self::Value, E> {
                Ok(Found::Flag(flag))
            }

            fn visit_f64<E>(self, number: f64) -> std::result::Result<Self::Value, E> {
                Ok(Found::Number(number))
            }

            fn visit_i64<E>(self, number: i64) -> std::result::Result<Self::Value, E> {
                Ok(Found::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> std::result::Result<Self::Value, E> {
                Ok(Found::Number(number as f64))
            }

            /// A number, which serde_json hands over as a map where it is built to keep the digits as they are spelled.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
                let number = Number::deserialize(MapAccessDeserializer::new(map))
                    .map_err(|_| A::Error::invalid_type(Unexpected::Map, &self))?;
                Ok(Found::Number(number.as_f64().unwrap_or(f64::NAN)))
            }

            fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
                Ok(Found::Nothing)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The attributes of a row in the order they have in the file.
struct Entries<'a>(Vec<(Cow<'a, str>, Found<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, found)) = map.next_entry::<Key<'de>, Found<'de>>()? {
                    entries.push((key.0, found));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Streams the spans of one JSONL attribute file.
pub struct SpanScanner {
    rows: Rows,
    keys: Vec<String>,
    kinds: Vec<Option<&'static str>>,
    index: HashMap<String, u32>,
    words: (UInt32Builder, LargeStringBuilder),
}

impl SpanScanner {
    pub fn open(path: &Path) -> Result<Self> {
        let words = (UInt32Builder::new(), LargeStringBuilder::new());
        Ok(SpanScanner { rows: Rows::open(path)?, keys: Vec::new(), kinds: Vec::new(), index: HashMap::new(), words })
    }

    /// The keys met so far, in order of appearance.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// What each of `keys` holds: `spans`, `number` (alone), `string` or `bool`; None for nulls alone.
    pub fn kinds(&self) -> &[Option<&'static str>] {
        &self.kinds
    }

    /// The spans of the next rows, at most `n` of them; None at the end.
    ///
    /// `key: uint32` (into `keys`), `start`, `end: int64`, `score: float64`. A key with an empty list counts as one span
    /// (0, 0, 0.0), as it does in Dolma. A number without a span ends before it starts.
    pub fn next_rows(&mut self, n: usize) -> Result<Option<RecordBatch>> {
        let (mut keys, mut scores) = (UInt32Builder::new(), Float64Builder::new());
        let (mut starts, mut ends) = (Int64Builder::new(), Int64Builder::new());
        let mut rows = 0;
        while rows < n {
            let Some(line) = self.rows.next()? else { break };
            if line.is_blank() {
                continue;
            }
            let row: Row<'_> = line.parse()?;
            for (name, found) in row.attributes.0 {
                let key = match self.index.get(name.as_ref()) {
                    Some(&key) => key,
                    None => {
                        let key = self.keys.len() as u32;
                        self.keys.push(name.clone().into_owned());
                        self.kinds.push(None);
                        self.index.insert(name.into_owned(), key);
                        key
                    }
                };
                let kind = match &found {
                    Found::Nothing => continue,
                    Found::Spans(_) => Kind::Spans.name(),
                    Found::Number(_) => "number",
                    Found::Text(_) => Kind::String.name(),
                    Found::Flag(_) => Kind::Bool.name(),
                };
                let known = *self.kinds[key as usize].get_or_insert(kind);
                if known != kind {
                    let name = &self.keys[key as usize];
                    return Err(line.bad(format!("`{name}`: expected {known} as in the lines before, found {kind}")));
                }
                let mut add = |start: f64, end: f64, score: f64| {
                    keys.append_value(key);
                    starts.append_value(start as i64);
                    ends.append_value(end as i64);
                    scores.append_value(score);
                };
                match found {
                    Found::Spans(spans) if spans.is_empty() => add(0.0, 0.0, 0.0),
                    Found::Spans(spans) => spans.iter().for_each(|&(start, end, score)| add(start, end, score.0)),
                    Found::Number(number) => add(0.0, -1.0, number),
                    Found::Text(text) => {
                        self.words.0.append_value(key);
                        self.words.1.append_value(text);
                    }
                    Found::Flag(flag) => {
                        self.words.0.append_value(key);
                        self.words.1.append_value(if flag { "true" } else { "false" });
                    }
                    Found::Nothing => {}
                }
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(keys.finish()),
            Arc::new(starts.finish()),
            Arc::new(ends.finish()),
            Arc::new(scores.finish()),
        ];
        let kinds = [DataType::UInt32, DataType::Int64, DataType::Int64, DataType::Float64];
        batch(&["key", "start", "end", "score"], &kinds, arrays).map(Some)
    }

    /// The texts and flags of the rows of the last `next_rows`: `key: uint32` (into `keys`), `value: large_string`, where
    /// a flag is `true` or `false`.
    pub fn take_values(&mut self) -> Result<RecordBatch> {
        let arrays: Vec<ArrayRef> = vec![Arc::new(self.words.0.finish()), Arc::new(self.words.1.finish())];
        batch(&["key", "value"], &[DataType::UInt32, DataType::LargeUtf8], arrays)
    }
}

fn batch(names: &[&str], kinds: &[DataType], arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        names.iter().zip(kinds).map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| Error::invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, UInt32Type};

    /// The keys, and (key, score) of every span.
    type Scanned = (Vec<String>, Vec<(u32, f64)>);

    fn scan(text: &str) -> Result<Scanned> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        let mut scanner = SpanScanner::open(&path)?;
        let mut found = Vec::new();
        while let Some(batch) = scanner.next_rows(1)? {
            let keys = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
            let scores = batch.column(3).as_primitive::<Float64Type>().values().to_vec();
            found.extend(keys.into_iter().zip(scores));
        }
        Ok((scanner.keys().to_vec(), found))
    }

    #[test]
    fn keys_come_in_order_and_an_empty_list_counts_as_zero() {
        let text = "{\"id\":\"1\",\"attributes\":{\"z\":[[0,3,1],[3,4,0.5]],\"a\\u0062\":[]}}\n\n\
                    {\"attributes\":{\"ab\":[[0,1,2.5e0]],\"z\":[]},\"id\":\"2\",\"source\":\"s\"}\n{\"id\":\"3\",\"attributes\":{}}";
        let (keys, spans) = scan(text).unwrap();
        assert_eq!(keys, ["z", "ab"]);
        assert_eq!(spans, [(0, 1.0), (0, 0.5), (1, 0.0), (1, 2.5), (0, 0.0)]);
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let error =
            scan("{\"id\":\"1\",\"attributes\":{}}\n{\"id\":\"2\",\"attributes\":{\"a\":[[1]]}}\n").unwrap_err();
        assert!(error.to_string().contains("line 2: expected an attribute row: invalid length 1"), "{error}");
    }

    #[test]
    fn texts_and_flags_are_a_table_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(
            &path,
            "{\"attributes\":{\"t\":\"a\\u00e9\",\"n\":7,\"x\":null}}\n{\"attributes\":{\"b\":true,\"t\":\"\"}}\n",
        )
        .unwrap();
        let mut scanner = SpanScanner::open(&path).unwrap();
        let batch = scanner.next_rows(10).unwrap().unwrap();
        assert_eq!(batch.column(2).as_primitive::<arrow_array::types::Int64Type>().values(), &[-1]);
        let values = scanner.take_values().unwrap();
        assert_eq!(values.column(0).as_primitive::<UInt32Type>().values(), &[0, 3, 0]);
        assert_eq!(values.column(1).as_string::<i64>().iter().flatten().collect::<Vec<_>>(), ["aé", "true", ""]);
        assert_eq!(scanner.keys(), ["t", "n", "x", "b"]);
        assert_eq!(scanner.kinds(), [Some("string"), Some("number"), None, Some("bool")]);
        let error = scan("{\"attributes\":{\"t\":\"a\"}}\n{\"attributes\":{\"t\":1}}\n").unwrap_err().to_string();
        assert!(
            error.ends_with(
                "line 2: expected an attribute row: `t`: expected string as in the lines before, found number"
            ),
            "{error}"
        );
    }
}
