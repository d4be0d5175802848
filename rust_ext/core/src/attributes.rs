//! Columns of attributes as rows `{"id", "attributes": {key: value, ...}, "source"}`, in Dolma's form where it has one.
//!
//! Numbers and spans are `[[start, end, score], ...]`, a number over the whole text; texts and flags are plain JSON. A
//! whole number is an integer to its last digit, and `"kinds": {key: "int64"}` at the end of the row tells it from a span.

use arrow_array::builder::LargeBinaryBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray};

use crate::ids::push_json;
use crate::json::{push_float, push_integer, push_string};
use crate::kinds::{Kind, Values};
use crate::{Error, Result};

/// Columns of attributes as the `attributes` objects of rows.
pub struct AttributeObjects<'a> {
    lengths: &'a Int64Array,
    /// See `with_empty`.
    empty: bool,
    /// `"key":` and its values.
    columns: Vec<(Vec<u8>, Values<'a>)>,
}

impl<'a> AttributeObjects<'a> {
    /// `lengths`: code points of each text, the end of a document's span.
    ///
    /// Fails where a score is infinite, which JSON cannot say.
    pub fn new(lengths: &'a Int64Array, columns: &'a [(String, ArrayRef)]) -> Result<Self> {
        let of_key = |(key, column): &'a (String, ArrayRef)| {
            if column.len() != lengths.len() {
                return Err(Error::invalid(format!("attribute `{key}`: {} rows, not {}", column.len(), lengths.len())));
            }
            let mut name = Vec::new();
            push_string(key, &mut name);
            name.push(b':');
            let values = Values::new(key, column)?;
            finite(key, &values)?;
            Ok((name, values))
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

    /// Appends the object of one row. A null, and a score that is not a number, leave the key out; no span does so too,
    /// unless `empty` is set.
    fn push(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (name, values) in &self.columns {
            let (from, to, there) = self.extent(values, row);
            if !there {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(name);
            match values {
                Values::Document(scores) if to > 0 => {
                    self.push_number(row, out, |out| push_float(scores.value(row), out))
                }
                Values::Int64(numbers) => self.push_number(row, out, |out| push_integer(numbers.value(row), out)),
                Values::Spans { start, end, score, .. } if from < to => {
                    for i in from..to {
                        out.extend_from_slice(if i == from { b"[[" } else { b",[" });
                        push_integer(start.value(i), out);
                        out.push(b',');
                        push_integer(end.value(i), out);
                        out.push(b',');
                        push_float(score.value(i), out);
                        out.push(b']');
                    }
                    out.push(b']');
                }
                Values::Document(_) | Values::Spans { .. } => out.extend_from_slice(b"[]"),
                Values::String(texts) => push_string(texts.value(row), out),
                Values::Bool(flags) => out.extend_from_slice(if flags.value(row) { b"true" } else { b"false" }),
            }
        }
        out.push(b'}');
    }

    /// Appends a number as one span over the whole text.
    fn push_number(&self, row: usize, out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(b"[[0,");
        push_integer(self.lengths.value(row), out);
        out.push(b',');
        push(out);
        out.extend_from_slice(b"]]");
    }

    /// The spans of a row as positions among all of its column, of a number one; and whether the row has the key.
    fn extent(&self, values: &Values<'_>, row: usize) -> (usize, usize, bool) {
        match values {
            Values::Document(values) if values.is_null(row) => (0, 0, false),
            Values::Document(values) if values.value(row).is_nan() => (0, 0, self.empty),
            Values::Document(_) => (0, 1, true),
            Values::Spans { list, .. } if list.is_null(row) => (0, 0, false),
            Values::Spans { list, .. } => {
                let (from, to) = (list.value_offsets()[row] as usize, list.value_offsets()[row + 1] as usize);
                (from, to, from < to || (self.empty && self.lengths.value(row) > 0))
            }
            Values::Int64(values) => (0, 1, !values.is_null(row)),
            Values::String(values) => (0, 1, !values.is_null(row)),
            Values::Bool(values) => (0, 1, !values.is_null(row)),
        }
    }

    /// Appends `,"kinds":{...}` where a row has whole numbers.
    fn push_kinds(&self, row: usize, out: &mut Vec<u8>) {
        let mut first = true;
        for (name, values) in &self.columns {
            if !matches!(values, Values::Int64(numbers) if numbers.is_valid(row)) {
                continue;
            }
            out.extend_from_slice(if std::mem::take(&mut first) { b",\"kinds\":{" } else { b"," });
            out.extend_from_slice(name);
            push_string(Kind::Int64.name(), out);
        }
        if !first {
            out.push(b'}');
        }
    }
}

/// Fails for a column with an infinite score.
fn finite(key: &str, values: &Values<'_>) -> Result<()> {
    let scores: &Float64Array = match values {
        Values::Document(scores) => scores,
        Values::Spans { score, .. } => score,
        _ => return Ok(()),
    };
    // The values below nulls may be anything.
    if scores.values().iter().any(|s| s.is_infinite()) && scores.iter().flatten().any(f64::is_infinite) {
        return Err(Error::invalid(format!(
            "attribute `{key}`: expected finite scores, found infinity, which JSON lines cannot say; Parquet can"
        )));
    }
    Ok(())
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
        self.objects.push_kinds(row, out);
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::taggers::Column;

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

    #[test]
    fn every_kind_has_its_shape() {
        let columns: [(String, ArrayRef); 3] = [
            ("n".to_owned(), Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
            ("t".to_owned(), Arc::new(LargeStringArray::from(vec![Some("\"é"), Some("")]))),
            ("b".to_owned(), Arc::new(BooleanArray::from(vec![None, Some(false)]))),
        ];
        let (lengths, ids) = (Int64Array::from(vec![3, 4]), LargeStringArray::from(vec!["1", "2"]));
        let rows = AttributeRows::new(&ids, &lengths, None, &columns, false).unwrap();
        let mut out = Vec::new();
        rows.write(&mut out, usize::MAX, |_| Ok(())).unwrap();
        let expected = [
            r#"{"id":"1","attributes":{"n":[[0,3,9223372036854775807]],"t":"\"é"},"kinds":{"n":"int64"}}"#,
            r#"{"id":"2","attributes":{"t":"","b":false}}"#,
        ];
        assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn infinity_is_refused() {
        let columns: [(String, ArrayRef); 1] = [("s".to_owned(), Arc::new(Float64Array::from(vec![f64::INFINITY])))];
        let error = AttributeObjects::new(&Int64Array::from(vec![3]), &columns).err().unwrap().to_string();
        assert!(error.starts_with("attribute `s`: expected finite scores, found infinity"), "{error}");
    }
}
