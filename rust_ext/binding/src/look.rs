//! Many files looked at in one call.

use std::ffi::OsString;

use dolma_core::look::{self, Look};
use pyo3::prelude::*;

#[pyfunction]
fn look_at_files(py: Python<'_>, paths: Vec<OsString>) -> PyResult<Vec<Option<Look>>> {
    crate::door::released(py, || Ok(look::look_at_files(&paths)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(look_at_files, module)?)
}
