//! Attributes: their readers, and their columns as JSON.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::ArrayRef;
use dolma_core::attribute_reader::{self, AttributeReader};
use dolma_core::attributes::AttributeObjects;
use dolma_core::kinds::Kind;
use dolma_core::spans::SpanScanner;
use dolma_core::Result;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::documents::typed;
use crate::door::lock;
use crate::door::{fits_in_an_object, released, to_pyarrow};

#[pyclass(name = "AttributeReader", frozen)]
struct PyAttributeReader(Mutex<AttributeReader>);

#[pymethods]
impl PyAttributeReader {
    #[new]
    #[pyo3(signature = (path, keys, *, raw=false, any_id=false, kinds=vec![]))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        keys: Vec<String>,
        raw: bool,
        any_id: bool,
        kinds: Vec<Option<String>>,
    ) -> PyResult<Self> {
        let reader = released(py, || {
            let kinds: Vec<Option<Kind>> =
                kinds.into_iter().map(|k| k.map(|name| name.parse()).transpose()).collect::<Result<_>>()?;
            Ok(AttributeReader::open(&path, keys, raw, any_id)?.with_kinds(&kinds))
        });
        reader.map(|r| PyAttributeReader(Mutex::new(r)))
    }

    /// Steps over rows without looking at them; false if the file has fewer.
    fn skip_rows(&self, py: Python<'_>, rows: u64) -> PyResult<bool> {
        released(py, || lock(&self.0)?.skip_rows(rows))
    }

    fn next_rows<'py>(&self, py: Python<'py>, rows: usize) -> PyResult<Bound<'py, PyAny>> {
        let batch = released(py, || lock(&self.0)?.next_rows(rows))?;
        PyRecordBatch::new(batch).into_pyarrow(py)
    }
}

#[pyclass(name = "SpanScanner", frozen)]
struct PySpanScanner(Mutex<SpanScanner>);

#[pymethods]
impl PySpanScanner {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        released(py, || SpanScanner::open(&path)).map(|r| PySpanScanner(Mutex::new(r)))
    }

    fn next_rows<'py>(&self, py: Python<'py>, rows: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        released(py, || lock(&self.0)?.next_rows(rows))?.map(|b| PyRecordBatch::new(b).into_pyarrow(py)).transpose()
    }

    fn take_values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        PyRecordBatch::new(released(py, || lock(&self.0)?.take_values())?).into_pyarrow(py)
    }

    #[getter]
    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        released(py, || Ok(lock(&self.0)?.keys().to_vec()))
    }

    #[getter]
    fn kinds(&self, py: Python<'_>) -> PyResult<Vec<Option<&'static str>>> {
        released(py, || Ok(lock(&self.0)?.kinds().to_vec()))
    }
}

/// Columns as the `attributes` objects of an attribute file.
#[pyfunction]
#[pyo3(signature = (lengths, keys, columns, wanted=None))]
fn attribute_objects<'py>(
    py: Python<'py>,
    lengths: PyArray,
    keys: Vec<String>,
    columns: Vec<PyArray>,
    wanted: Option<PyArray>,
) -> PyResult<Bound<'py, PyAny>> {
    let wanted = wanted.map(|w| w.into_inner().0);
    let wanted = match &wanted {
        Some(w) => Some(typed(w.as_boolean_opt(), w, "booleans")?),
        None => None,
    };
    let lengths = lengths.into_inner().0;
    let lengths = typed(lengths.as_primitive_opt::<Int64Type>(), &lengths, "int64 lengths")?;
    let columns: Vec<(String, ArrayRef)> =
        keys.into_iter().zip(columns.into_iter().map(|c| c.into_inner().0)).collect();
    let objects = released(py, || AttributeObjects::new(lengths, &columns)?.to_array(wanted))?;
    to_pyarrow(py, Arc::new(objects))
}

#[pyfunction]
fn attribute_keys(py: Python<'_>, path: PathBuf, rows: usize) -> PyResult<Vec<String>> {
    released(py, || attribute_reader::attribute_keys(&path, rows))
}

/// (attribute, its kind where a row has it) in order of appearance.
#[pyfunction]
fn attribute_kinds(py: Python<'_>, path: PathBuf, rows: usize) -> PyResult<Vec<(String, Option<&'static str>)>> {
    let found = released(py, || attribute_reader::attribute_kinds(&path, rows))?;
    Ok(found.into_iter().map(|(key, kind)| (key, kind.map(Kind::name))).collect())
}

const _: () = fits_in_an_object::<PyAttributeReader>();
const _: () = fits_in_an_object::<PySpanScanner>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyAttributeReader>()?;
    module.add_class::<PySpanScanner>()?;
    module.add_function(wrap_pyfunction!(attribute_objects, module)?)?;
    module.add_function(wrap_pyfunction!(attribute_keys, module)?)?;
    module.add_function(wrap_pyfunction!(attribute_kinds, module)?)
}
