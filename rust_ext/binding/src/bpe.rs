//! Byte-level BPE tokenizers, and the order of documents in token files.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt8Type};
use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array, UInt8Array};
use dolma_core::bpe::batch::{self, Edges};
use dolma_core::bpe::{Encoder, Options, Tokenizer};
use dolma_core::{tokens, Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::door::{fits_in_an_object, released, to_pyarrow};

/// A tokenizer and the encoders that are idle: one is made for each thread that encodes at the same time.
#[pyclass(name = "BytePairEncoder", frozen)]
struct PyBytePairEncoder {
    tokenizer: Arc<Tokenizer>,
    idle: Mutex<Vec<Encoder>>,
}

impl PyBytePairEncoder {
    /// An encoder lost to a panic is not put back, so what the lock guards is whole even when poisoned.
    fn idle(&self) -> MutexGuard<'_, Vec<Encoder>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// ids, lengths, text_bytes.
type Columns<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

#[pymethods]
impl PyBytePairEncoder {
    #[new]
    #[pyo3(signature = (path, *, encode_special_tokens=false, segment=false))]
    fn new(py: Python<'_>, path: PathBuf, encode_special_tokens: bool, segment: bool) -> PyResult<Self> {
        let options = Options { encode_special_tokens, segment };
        let tokenizer = released(py, || Tokenizer::load(&path, options))?;
        Ok(PyBytePairEncoder { tokenizer: Arc::new(tokenizer), idle: Mutex::new(Vec::new()) })
    }

    #[getter]
    fn added(&self) -> Vec<(String, u32)> {
        self.tokenizer.added().to_vec()
    }

    #[pyo3(signature = (texts, *, strip=true, bos=None, eos=None))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        strip: bool,
        bos: Option<u32>,
        eos: Option<u32>,
    ) -> PyResult<Columns<'py>> {
        let array = texts.into_inner().0;
        let Some(texts) = array.as_string_opt::<i64>() else {
            return Err(PyTypeError::new_err(format!("expected large_string texts, found {}", array.data_type())));
        };
        let encoded = released(py, || {
            let idle = self.idle().pop();
            let mut encoder = idle.unwrap_or_else(|| Encoder::new(self.tokenizer.clone()));
            let encoded = batch::encode(&mut encoder, texts, Edges { strip, bos, eos });
            self.idle().push(encoder);
            Ok(encoded)
        })?;
        let column = |array: ArrayRef| to_pyarrow(py, array);
        Ok((
            column(Arc::new(UInt32Array::from(encoded.ids)))?,
            column(Arc::new(Int64Array::from(encoded.lengths)))?,
            column(Arc::new(Int64Array::from(encoded.text_bytes)))?,
        ))
    }
}

/// A text in which an engine with tables of another Unicode version finds other words.
#[pyfunction]
fn word_probe(py: Python<'_>) -> PyResult<String> {
    released(py, || Ok(batch::probe()))
}

/// The bytes of documents, given by where they start and how long they are, in the order of these.
#[pyfunction]
fn gather_bytes<'py>(py: Python<'py>, data: PyArray, starts: PyArray, lengths: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let (data, starts, lengths) = (data.into_inner().0, starts.into_inner().0, lengths.into_inner().0);
    let gathered = released(py, || {
        let bytes = data.as_primitive_opt::<UInt8Type>().ok_or_else(|| Error::invalid("expected uint8 data"))?;
        tokens::gather(bytes.values(), integers(&starts)?, integers(&lengths)?)
    })?;
    to_pyarrow(py, Arc::new(UInt8Array::from(gathered)))
}

pub fn integers(array: &ArrayRef) -> Result<&Int64Array> {
    let found = array.as_primitive_opt::<Int64Type>();
    found.ok_or_else(|| Error::invalid(format!("expected int64, found {}", array.data_type())))
}

const _: () = fits_in_an_object::<PyBytePairEncoder>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyBytePairEncoder>()?;
    module.add_function(wrap_pyfunction!(word_probe, module)?)?;
    module.add_function(wrap_pyfunction!(gather_bytes, module)?)
}
