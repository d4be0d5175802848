//! Every span of an attribute file as one long table, for statistics: its keys need not be known before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, UInt32Builder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::rows::Rows;
use crate::{Error, Result};

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    attributes: Entries<'a>,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

type Span = (f64, f64, f64);

/// The attributes of a row in the order they have in the file.
struct Entries<'a>(Vec<(Cow<'a, str>, Vec<Span>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of [[start, end, score], ...]")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, spans)) = map.next_entry::<Key<'de>, Vec<Span>>()? {
                    entries.push((key.0, spans));
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
    index: HashMap<String, u32>,
}

impl SpanScanner {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(SpanScanner { rows: Rows::open(path)?, keys: Vec::new(), index: HashMap::new() })
    }

    /// The keys met so far, in order of appearance.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The spans of the next rows, at most `n` of them; None at the end.
    ///
    /// `key: uint32` (into `keys`), `start`, `end: int64`, `score: float64`. A key with an empty list counts as one span
    /// (0, 0, 0.0), as it does in Dolma.
    pub fn next_rows(&mut self, n: usize) -> Result<Option<RecordBatch>> {
        let (mut keys, mut scores) = (UInt32Builder::new(), Float64Builder::new());
        let (mut starts, mut ends) = (Int64Builder::new(), Int64Builder::new());
        let mut rows = 0;
        while rows < n {
            let Some(row) = self.rows.next()? else { break };
            if row.is_blank() {
                continue;
            }
            let row: Row<'_> = row.parse()?;
            for (name, spans) in row.attributes.0 {
                let key = match self.index.get(name.as_ref()) {
                    Some(&key) => key,
                    None => {
                        let key = self.keys.len() as u32;
                        self.keys.push(name.clone().into_owned());
                        self.index.insert(name.into_owned(), key);
                        key
                    }
                };
                let nothing = [(0.0, 0.0, 0.0)];
                for &(start, end, score) in if spans.is_empty() { &nothing[..] } else { &spans[..] } {
                    keys.append_value(key);
                    starts.append_value(start as i64);
                    ends.append_value(end as i64);
                    scores.append_value(score);
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
        let names = ["key", "start", "end", "score"];
        let fields: Vec<Field> =
            names.into_iter().zip(kinds).map(|(name, kind)| Field::new(name, kind, false)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map(Some).map_err(|e| Error::invalid(e.to_string()))
    }
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
}
