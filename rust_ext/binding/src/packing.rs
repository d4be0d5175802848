//! Documents packed into training instances, and brought to their places in token files.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{ArrayRef, Int64Array};
use dolma_core::{packing, tokens, Error};
use pyo3::prelude::*;
use pyo3_arrow::PyArray;

use crate::bpe::integers;
use crate::door::{released, to_pyarrow};

/// instances, offsets, openers.
type Columns<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// The instance of each document and its place there, and of each instance the document that opened it.
#[pyfunction]
fn pack_best_fit<'py>(py: Python<'py>, lengths: PyArray, capacity: usize) -> PyResult<Columns<'py>> {
    let lengths = lengths.into_inner().0;
    let packed = released(py, || packing::best_fit(integers(&lengths)?, capacity))?;
    let column = |values: Vec<i64>| to_pyarrow(py, Arc::new(Int64Array::from(values)) as ArrayRef);
    Ok((column(packed.instances)?, column(packed.offsets)?, column(packed.openers)?))
}

/// The bytes of documents, given by where they start and how long they are, to their places in a file.
#[pyfunction]
fn scatter_bytes(
    py: Python<'_>,
    path: PathBuf,
    data: PyArray,
    starts: PyArray,
    lengths: PyArray,
    places: PyArray,
) -> PyResult<()> {
    let data = data.into_inner().0;
    let (starts, lengths, places) = (starts.into_inner().0, lengths.into_inner().0, places.into_inner().0);
    released(py, || {
        let bytes = data.as_primitive_opt::<UInt8Type>().ok_or_else(|| Error::invalid("expected uint8 data"))?;
        tokens::scatter(&path, bytes.values(), integers(&starts)?, integers(&lengths)?, integers(&places)?)
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_best_fit, module)?)?;
    module.add_function(wrap_pyfunction!(scatter_bytes, module)?)
}
