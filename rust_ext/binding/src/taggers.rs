//! Taggers: one call measures a batch of texts with all of them.

use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_schema::{Field, Schema};
use dolma_core::taggers::chain::Chain;
use dolma_core::taggers::conditions::Step;
use dolma_core::taggers::periods::sequences;
use dolma_core::taggers::{by_name, catalogue, round5, tag_texts, Kind, Tagger};
use dolma_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::door::{fits_in_an_object, lock, released, to_pyarrow};

fn find(name: &str) -> Result<Box<dyn Tagger>> {
    by_name(name).ok_or_else(|| Error::invalid(format!("unknown native tagger `{name}`")))
}

/// One record batch per name, its columns the attributes of that tagger.
#[pyfunction]
#[pyo3(name = "tag_texts")]
fn tag<'py>(py: Python<'py>, texts: PyArray, names: Vec<String>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let array = texts.into_inner().0;
    let texts = array
        .as_string_opt::<i64>()
        .ok_or_else(|| PyTypeError::new_err(format!("expected large_string texts, found {}", array.data_type())))?;
    let batches = released(py, || {
        let mut taggers = names.iter().map(|n| find(n)).collect::<Result<Vec<_>>>()?;
        let columns = tag_texts(&mut taggers, texts)?;
        taggers
            .iter()
            .zip(columns)
            .map(|(tagger, arrays)| to_batch(tagger.as_ref(), arrays))
            .collect::<Result<Vec<_>>>()
    })?;
    batches.into_iter().map(|b| PyRecordBatch::new(b).into_pyarrow(py)).collect()
}

fn to_batch(tagger: &dyn Tagger, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let field = |(name, kind): &(&str, Kind)| Field::new(*name, kind.data_type(), *kind != Kind::Spans);
    let schema = Schema::new(tagger.attributes().iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), arrays).map_err(|e| Error::invalid(e.to_string()))
}

/// Rules over texts, which measure a text only as far as it reaches them.
#[pyclass(name = "TextChain", frozen)]
struct PyTextChain(Mutex<Chain>);

#[pymethods]
impl PyTextChain {
    #[new]
    fn new(
        py: Python<'_>,
        attributes: Vec<(String, String)>,
        rules: Vec<Vec<Step>>,
        wanted: Vec<usize>,
    ) -> PyResult<Self> {
        released(py, || Chain::new(&attributes, &rules, wanted)).map(|chain| PyTextChain(Mutex::new(chain)))
    }

    /// (the first rule that is true of each of `rows`, the wanted columns of those of which none is).
    fn filter<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        rows: PyArray,
    ) -> PyResult<(Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>)> {
        let (texts, rows) = (texts.into_inner().0, rows.into_inner().0);
        let (Some(texts), Some(rows)) = (texts.as_string_opt::<i64>(), rows.as_primitive_opt::<Int64Type>()) else {
            let found = format!("{} and {}", texts.data_type(), rows.data_type());
            return Err(PyTypeError::new_err(format!("expected large_string texts and int64 rows, found {found}")));
        };
        let found = released(py, || lock(&self.0)?.filter(texts, rows.values()))?;
        let columns = found.columns.into_iter().map(|column| to_pyarrow(py, column)).collect::<PyResult<_>>()?;
        Ok((to_pyarrow(py, Arc::new(found.rule))?, columns))
    }
}

const _: () = fits_in_an_object::<PyTextChain>();

/// (name, one line of description) of all native taggers, sorted by name.
#[pyfunction]
fn tagger_catalogue() -> Vec<(&'static str, &'static str)> {
    catalogue().collect()
}

#[pyfunction]
fn tagger_names() -> Vec<&'static str> {
    catalogue().map(|(name, _)| name).collect()
}

/// (attribute, its kind) in the order of the columns.
#[pyfunction]
fn tagger_attributes(py: Python<'_>, name: String) -> PyResult<Vec<(&'static str, &'static str)>> {
    let tagger = released(py, || find(&name))?;
    Ok(tagger.attributes().iter().map(|(name, kind)| (*name, kind.name())).collect())
}

/// Repeated sequences of each row of `ids`, rows between two of the `offsets`: (row, start, end, times).
#[pyfunction]
fn periodic_sequences<'py>(
    py: Python<'py>,
    ids: PyArray,
    offsets: PyArray,
    longest: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (ids, offsets) = (ids.into_inner().0, offsets.into_inner().0);
    let (Some(ids), Some(offsets)) = (ids.as_primitive_opt::<UInt32Type>(), offsets.as_primitive_opt::<Int64Type>())
    else {
        let found = format!("{} and {}", ids.data_type(), offsets.data_type());
        return Err(PyTypeError::new_err(format!("expected uint32 ids and int64 offsets, found {found}")));
    };
    let batch = released(py, || {
        let [mut rows, mut starts, mut ends, mut times] = [const { Vec::<i64>::new() }; 4];
        for (number, bounds) in offsets.values().windows(2).enumerate() {
            let bound = |i: usize| usize::try_from(bounds[i]).ok();
            let row = bound(0).zip(bound(1)).and_then(|(from, to)| ids.values().get(from..to));
            let row = row.ok_or_else(|| {
                let found = format!("{} to {}", bounds[0], bounds[1]);
                Error::invalid(format!("row {number}: expected offsets within {} ids, found {found}", ids.len()))
            })?;
            for sequence in sequences(row, longest) {
                rows.push(number as i64);
                starts.push(sequence.start as i64);
                ends.push(sequence.end as i64);
                times.push(sequence.times as i64);
            }
        }
        let named = [("row", rows), ("start", starts), ("end", ends), ("times", times)];
        let columns = named.map(|(name, values)| (name, Arc::new(Int64Array::from(values)) as ArrayRef));
        RecordBatch::try_from_iter(columns).map_err(|e| Error::invalid(e.to_string()))
    })?;
    PyRecordBatch::new(batch).into_pyarrow(py)
}

/// Scores as attributes store them: `round(score, 5)`.
#[pyfunction]
fn round_scores<'py>(py: Python<'py>, scores: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let array = scores.into_inner().0;
    let scores = array
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| PyTypeError::new_err(format!("expected double scores, found {}", array.data_type())))?;
    let rounded: Float64Array = released(py, || Ok(scores.unary(round5)))?;
    to_pyarrow(py, Arc::new(rounded))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTextChain>()?;
    module.add_function(wrap_pyfunction!(tag, module)?)?;
    module.add_function(wrap_pyfunction!(tagger_catalogue, module)?)?;
    module.add_function(wrap_pyfunction!(tagger_names, module)?)?;
    module.add_function(wrap_pyfunction!(tagger_attributes, module)?)?;
    module.add_function(wrap_pyfunction!(periodic_sequences, module)?)?;
    module.add_function(wrap_pyfunction!(round_scores, module)?)
}
