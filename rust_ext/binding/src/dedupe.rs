//! Keys, filters, verdicts and the columns made of them.

use std::path::PathBuf;
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use dolma_core::bloom;
use dolma_core::dedupe::{self, Bloom, VerdictColumns};
use dolma_core::keys::{KeyWriter, Mode, Ngrams, Settings};
use dolma_core::Error;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PyArray;

use crate::door::{fits_in_an_object, lock, released, to_pyarrow};

fn finished(path: &std::path::Path) -> Error {
    Error::invalid(format!("{}: already finished", path.display()))
}

#[pyclass(name = "KeyWriter", frozen)]
struct PyKeyWriter {
    path: PathBuf,
    /// In a box of its own: what searches for separators wants an alignment that Python's allocator does not give.
    writer: Mutex<Option<Box<KeyWriter>>>,
}

#[pymethods]
impl PyKeyWriter {
    #[new]
    #[pyo3(signature = (
        path, mode, partitions, *, separator="\n".to_owned(), skip_empty=true, min_length=0, min_words=0,
        ngram_length=0, ngram_stride=0, skip_short=false, part=None, buffer_bytes=64 << 20
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        mode: &str,
        partitions: u32,
        separator: String,
        skip_empty: bool,
        min_length: usize,
        min_words: usize,
        ngram_length: usize,
        ngram_stride: usize,
        skip_short: bool,
        part: Option<(u32, u32)>,
        buffer_bytes: usize,
    ) -> PyResult<Self> {
        let modes = [Mode::Documents, Mode::Paragraphs, Mode::Ngrams];
        let Some(mode) = modes.into_iter().find(|m| m.name() == mode) else {
            let message = format!("expected mode `documents`, `paragraphs` or `ngrams`, found `{mode}`");
            return Err(PyValueError::new_err(message));
        };
        let ngrams = Ngrams { length: ngram_length, stride: ngram_stride, skip_short };
        let settings = Settings { mode, partitions, separator, skip_empty, min_length, min_words, ngrams, part };
        let writer = released(py, || KeyWriter::create(&path, settings, buffer_bytes))?;
        Ok(PyKeyWriter { path, writer: Mutex::new(Some(Box::new(writer))) })
    }

    fn add(&self, py: Python<'_>, texts: PyArray) -> PyResult<()> {
        let array = texts.into_inner().0;
        let Some(texts) = array.as_string_opt::<i64>() else {
            let message = format!("expected large_string texts, found {}", array.data_type());
            return Err(PyTypeError::new_err(message));
        };
        released(py, || lock(&self.writer)?.as_mut().ok_or_else(|| finished(&self.path))?.add(texts))
    }

    /// (bytes, BLAKE3 in hex, {"rows", "items", "keys"}) of the file, now under its name.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<(u64, String, Bound<'py, PyDict>)> {
        let (written, totals) =
            released(py, || lock(&self.writer)?.take().ok_or_else(|| finished(&self.path))?.finish())?;
        let counts = PyDict::new(py);
        counts.set_item("rows", totals.rows)?;
        counts.set_item("items", totals.items)?;
        counts.set_item("keys", totals.keys)?;
        Ok((written.bytes, written.blake3, counts))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        released(py, || lock(&self.writer).map(|mut writer| drop(writer.take())))
    }
}

#[pyclass(name = "VerdictColumns", frozen)]
struct PyVerdictColumns(Mutex<Box<VerdictColumns>>);

#[pymethods]
impl PyVerdictColumns {
    #[new]
    #[pyo3(signature = (key_file, verdict_files, shard_index, *, overlap_threshold=1.0, skipped=None))]
    fn new(
        py: Python<'_>,
        key_file: PathBuf,
        verdict_files: Vec<PathBuf>,
        shard_index: u64,
        overlap_threshold: f64,
        skipped: Option<f64>,
    ) -> PyResult<Self> {
        released(py, || VerdictColumns::open(&key_file, &verdict_files, shard_index, overlap_threshold))
            .map(|columns| skipped.into_iter().fold(columns, VerdictColumns::with_skipped))
            .map(|columns| PyVerdictColumns(Mutex::new(Box::new(columns))))
    }

    fn next_rows<'py>(&self, py: Python<'py>, rows: usize) -> PyResult<Bound<'py, PyAny>> {
        let column = released(py, || lock(&self.0)?.next_rows(rows))?;
        to_pyarrow(py, column)
    }

    #[getter]
    fn rows_left(&self, py: Python<'_>) -> PyResult<u64> {
        released(py, || Ok(lock(&self.0)?.rows_left()))
    }
}

/// Writes the verdicts on one partition's keys; without `false_positive_rate` against an exact set.
#[pyfunction]
#[pyo3(signature = (
    key_files, partition, out, *, false_positive_rate=None, size_in_bytes=0, estimated_keys=0, load=None, save=None,
    keys="", read_only=false
))]
#[allow(clippy::too_many_arguments)]
fn reduce_keys<'py>(
    py: Python<'py>,
    key_files: Vec<PathBuf>,
    partition: u32,
    out: PathBuf,
    false_positive_rate: Option<f64>,
    size_in_bytes: u64,
    estimated_keys: u64,
    load: Option<PathBuf>,
    save: Option<PathBuf>,
    keys: &str,
    read_only: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let keys = keys.to_owned();
    let bloom =
        false_positive_rate.map(|rate| Bloom { rate, size_in_bytes, estimated_keys, load, save, keys, read_only });
    let reduced = released(py, || dedupe::reduce_keys(&key_files, partition, &out, bloom.as_ref()))?;
    let stats = PyDict::new(py);
    stats.set_item("keys", reduced.keys)?;
    stats.set_item("duplicates", reduced.duplicates)?;
    stats.set_item("verdicts", (reduced.verdicts.bytes, reduced.verdicts.blake3))?;
    if let Some(filter) = reduced.filter {
        stats.set_item("filter_bytes", filter.bytes)?;
        stats.set_item("probes", filter.probes)?;
        stats.set_item("capacity", filter.capacity)?;
        stats.set_item("held", filter.held)?;
        stats.set_item("loaded", filter.loaded)?;
        stats.set_item("fill", filter.fill)?;
        stats.set_item("false_positive_rate", filter.false_positive_rate)?;
        stats.set_item("saved", filter.saved.map(|s| (s.bytes, s.blake3)))?;
    }
    Ok(stats)
}

/// (probes, keys per block of 512 bits) of the smallest filter with this false-positive rate.
#[pyfunction]
fn bloom_plan(py: Python<'_>, false_positive_rate: f64) -> PyResult<(u32, f64)> {
    released(py, || bloom::Plan::new(false_positive_rate)).map(|plan| (plan.probes, plan.load))
}

/// What a filter file says of itself: {"keys": the text it was saved with, "partitions", "held", "capacity"}.
#[pyfunction]
fn describe_filter<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let found = released(py, || bloom::describe(&path))?;
    let described = PyDict::new(py);
    described.set_item("keys", found.keys)?;
    described.set_item("partitions", found.partitions)?;
    described.set_item("held", found.held)?;
    described.set_item("capacity", found.capacity)?;
    Ok(described)
}

/// Joins the filters of single partitions into one file; returns its (bytes, BLAKE3 in hex).
#[pyfunction]
fn merge_filters(py: Python<'_>, parts: Vec<PathBuf>, out: PathBuf) -> PyResult<(u64, String)> {
    released(py, || bloom::merge(&parts, &out)).map(|written| (written.bytes, written.blake3))
}

const _: () = fits_in_an_object::<PyKeyWriter>();
const _: () = fits_in_an_object::<PyVerdictColumns>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyKeyWriter>()?;
    module.add_class::<PyVerdictColumns>()?;
    module.add_function(wrap_pyfunction!(reduce_keys, module)?)?;
    module.add_function(wrap_pyfunction!(bloom_plan, module)?)?;
    module.add_function(wrap_pyfunction!(describe_filter, module)?)?;
    module.add_function(wrap_pyfunction!(merge_filters, module)?)
}
