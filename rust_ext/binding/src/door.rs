//! The one door between the languages: releases the GIL and gives each Rust error its Python exception.

use std::sync::{Mutex, MutexGuard};

use arrow_array::ArrayRef;
use dolma_core::{Error, Result};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

/// Checked for every class when the extension is compiled: Python's allocator aligns an object to 16 bytes, and an
/// instruction that relies on more ends the process.
pub const fn fits_in_an_object<T>() {
    assert!(align_of::<T>() <= 16, "expected a class of at most 16 bytes' alignment: put its contents into a Box");
}

/// Runs `work` without the GIL. No Python object may be touched inside.
pub fn released<T: Send>(py: Python<'_>, work: impl FnOnce() -> dolma_core::Result<T> + Send) -> PyResult<T> {
    py.detach(work).map_err(|e| to_python(py, e))
}

/// What several threads may ask for, one at a time.
pub fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::invalid("used after a failure in another thread"))
}

/// Makes OSError by errno (FileNotFoundError, PermissionError, ...), DataError of bad bytes, ValueError of bad arguments.
pub fn to_python(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::Io { path, source } => {
            let text = source.to_string();
            match source.raw_os_error() {
                Some(errno) => PyOSError::new_err((errno, strerror(&text), path.display().to_string())),
                // Not from the system: a stream that ends too soon, or data that a codec refuses.
                None => data_error(py, format!("{}: {text}", path.display())).unwrap_or_else(|e| e),
            }
        }
        Error::Data { .. } => data_error(py, error.to_string()).unwrap_or_else(|e| e),
        Error::Invalid(reason) => PyValueError::new_err(reason),
    }
}

fn data_error(py: Python<'_>, message: String) -> PyResult<PyErr> {
    let class = py.import("dolma_pipeline.errors")?.getattr("DataError")?;
    Ok(PyErr::from_value(class.call1((message,))?))
}

/// `No such file or directory (os error 2)` without the errno, which OSError carries itself.
fn strerror(text: &str) -> String {
    text.split(" (os error").next().unwrap_or(text).to_owned()
}

/// A pyarrow.Array over the same memory.
pub fn to_pyarrow<'py>(py: Python<'py>, array: ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    py.import("pyarrow")?.call_method1("array", (PyArray::from_array_ref(array),))
}
