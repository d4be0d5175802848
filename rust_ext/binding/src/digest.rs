//! A BLAKE3 that grows with what is written, so that a file need not be read again for its hash.

use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use dolma_core::digest::Growing;
use dolma_core::Error;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::PyArray;

use crate::door::{fits_in_an_object, released};

/// Fewer bytes than this are hashed sooner than another thread could take over.
const SHORT: usize = 16 << 10;

#[pyclass(name = "Blake3", frozen)]
struct PyBlake3 {
    state: Mutex<Box<Growing>>,
}

impl PyBlake3 {
    fn add(&self, data: &[u8]) -> dolma_core::Result<()> {
        let mut state = self.state.lock().map_err(|_| Error::invalid("the hash was left half way"))?;
        state.update(data);
        Ok(())
    }
}

#[pymethods]
impl PyBlake3 {
    #[new]
    fn new() -> Self {
        PyBlake3 { state: Mutex::new(Box::default()) }
    }

    fn update(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            if bytes.len() < SHORT {
                return self.add(bytes).map_err(|e| crate::door::to_python(py, e));
            }
            return released(py, || self.add(bytes));
        }
        let array = data.extract::<PyArray>()?.into_inner().0;
        released(py, || {
            let bytes = array.as_primitive_opt::<UInt8Type>().ok_or_else(|| Error::invalid("expected uint8 data"))?;
            self.add(bytes.values())
        })
    }

    fn hexdigest(&self, py: Python<'_>) -> PyResult<String> {
        released(py, || {
            let state = self.state.lock().map_err(|_| Error::invalid("the hash was left half way"))?;
            Ok(state.hex())
        })
    }
}

const _: () = fits_in_an_object::<PyBlake3>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyBlake3>()
}
