//! Dolma's filters and span expressions.

use std::sync::{Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeBinaryArray};
use dolma_core::select::{Documents, Replacement, RowError, Selector, SpanSelector};
use dolma_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::door::{fits_in_an_object, released, to_pyarrow, to_python};

/// Documents and what stands beside them, taken from Python before the GIL is released.
struct Batch {
    raw: LargeBinaryArray,
    rows: Vec<LargeBinaryArray>,
    columns: Vec<(String, ArrayRef)>,
}

impl Batch {
    fn new(raw: PyArray, attributes: Vec<PyArray>, columns: Vec<(String, PyArray)>) -> PyResult<Self> {
        Ok(Batch {
            raw: binary(raw)?,
            rows: attributes.into_iter().map(binary).collect::<PyResult<_>>()?,
            columns: columns.into_iter().map(|(key, array)| (key, array.into_inner().0)).collect(),
        })
    }

    fn documents(&self) -> Result<Documents<'_>> {
        if self.raw.null_count() > 0 {
            return Err(Error::invalid("expected raw documents without nulls"));
        }
        Documents::new(&self.raw, &self.rows, &self.columns)
    }
}

fn binary(array: PyArray) -> PyResult<LargeBinaryArray> {
    let array = array.into_inner().0;
    let typed = array.as_binary_opt::<i64>().cloned();
    typed.ok_or_else(|| PyTypeError::new_err(format!("expected large_binary, found {}", array.data_type())))
}

/// The errors of the last batch, how many of its documents Dolma would judge otherwise, and how many have each field.
#[derive(Default)]
struct Errors(Mutex<(Vec<RowError>, usize, Vec<usize>)>);

impl Errors {
    fn set(&self, errors: Vec<RowError>, spelled: usize, seen: Vec<usize>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (errors, spelled, seen);
    }

    fn seen(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).2.clone()
    }

    fn get(&self) -> Vec<RowError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn spelled(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[pyclass(name = "Selector", frozen)]
struct PySelector {
    inner: Selector,
    errors: Errors,
}

#[pymethods]
impl PySelector {
    #[new]
    #[pyo3(signature = (include, exclude, syntax="jsonpath", strict=false))]
    fn new(py: Python<'_>, include: Vec<String>, exclude: Vec<String>, syntax: &str, strict: bool) -> PyResult<Self> {
        let inner = syntax.parse().and_then(|syntax| Selector::new(&include, &exclude, syntax, strict));
        Ok(PySelector { inner: inner.map_err(|e| to_python(py, e))?, errors: Errors::default() })
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.inner.names().to_vec()
    }

    #[getter]
    fn errors(&self) -> Vec<RowError> {
        self.errors.get()
    }

    #[getter]
    fn spelled(&self) -> usize {
        self.errors.spelled()
    }

    #[getter]
    fn reads(&self) -> Vec<(usize, String)> {
        self.inner.reads()
    }

    #[getter]
    fn seen(&self) -> Vec<usize> {
        self.errors.seen()
    }

    #[pyo3(signature = (raw, attributes=Vec::new(), columns=Vec::new()))]
    fn select<'py>(
        &self,
        py: Python<'py>,
        raw: PyArray,
        attributes: Vec<PyArray>,
        columns: Vec<(String, PyArray)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let batch = Batch::new(raw, attributes, columns)?;
        let found = released(py, || Ok(self.inner.select(&batch.documents()?)))?;
        self.errors.set(found.errors, found.spelled, found.seen);
        to_pyarrow(py, std::sync::Arc::new(found.kept))
    }
}

#[pyclass(name = "SpanSelector", frozen)]
struct PySpanSelector {
    inner: SpanSelector,
    errors: Errors,
}

#[pymethods]
impl PySpanSelector {
    #[new]
    #[pyo3(signature = (expression, syntax="jsonpath", strict=false))]
    fn new(py: Python<'_>, expression: &str, syntax: &str, strict: bool) -> PyResult<Self> {
        let inner = syntax.parse().and_then(|syntax| SpanSelector::new(expression, syntax, strict));
        Ok(PySpanSelector { inner: inner.map_err(|e| to_python(py, e))?, errors: Errors::default() })
    }

    #[getter]
    fn names(&self) -> Vec<String> {
        self.inner.names().to_vec()
    }

    #[getter]
    fn errors(&self) -> Vec<RowError> {
        self.errors.get()
    }

    #[getter]
    fn spelled(&self) -> usize {
        self.errors.spelled()
    }

    #[getter]
    fn reads(&self) -> Vec<(usize, String)> {
        self.inner.reads()
    }

    #[getter]
    fn seen(&self) -> Vec<usize> {
        self.errors.seen()
    }

    #[pyo3(signature = (raw, attributes=Vec::new(), columns=Vec::new()))]
    fn spans<'py>(
        &self,
        py: Python<'py>,
        raw: PyArray,
        attributes: Vec<PyArray>,
        columns: Vec<(String, PyArray)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let batch = Batch::new(raw, attributes, columns)?;
        let found = released(py, || Ok(self.inner.spans(&batch.documents()?)))?;
        self.errors.set(found.errors, found.spelled, found.seen);
        to_pyarrow(py, found.spans)
    }
}

#[pyclass(name = "Replacement", frozen)]
struct PyReplacement {
    inner: Replacement,
    errors: Errors,
}

#[pymethods]
impl PyReplacement {
    #[new]
    #[pyo3(signature = (program, strict=false))]
    fn new(py: Python<'_>, program: &str, strict: bool) -> PyResult<Self> {
        let inner = Replacement::new(program, strict).map_err(|e| to_python(py, e))?;
        Ok(PyReplacement { inner, errors: Errors::default() })
    }

    #[getter]
    fn errors(&self) -> Vec<RowError> {
        self.errors.get()
    }

    #[pyo3(signature = (rows, raw, attributes=Vec::new(), columns=Vec::new()))]
    fn strings(
        &self,
        py: Python<'_>,
        rows: Vec<usize>,
        raw: PyArray,
        attributes: Vec<PyArray>,
        columns: Vec<(String, PyArray)>,
    ) -> PyResult<Vec<Option<String>>> {
        let batch = Batch::new(raw, attributes, columns)?;
        let (strings, errors) = released(py, || Ok(self.inner.strings(&batch.documents()?, &rows)))?;
        self.errors.set(errors, 0, Vec::new());
        Ok(strings)
    }
}

const _: () = fits_in_an_object::<PySelector>();
const _: () = fits_in_an_object::<PySpanSelector>();
const _: () = fits_in_an_object::<PyReplacement>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PySelector>()?;
    module.add_class::<PySpanSelector>()?;
    module.add_class::<PyReplacement>()
}
