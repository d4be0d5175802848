//! Documents and attributes: readers, the atomic writer, edits and digests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, LargeStringArray};
use dolma_core::attributes::AttributeRows;
use dolma_core::columns::{content_id, Mapping};
use dolma_core::documents::{self, DocumentReader, Options, MAX_LINE_BYTES};
use dolma_core::edits::{self, Edit};
use dolma_core::fields;
use dolma_core::marks::Piece;
use dolma_core::rewrite::{self, Changes};
use dolma_core::tokens::{self, Rows};
use dolma_core::writer::Writer;
use dolma_core::{codec, digest, json};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::door::{fits_in_an_object, lock, released, to_pyarrow};

/// Bytes of lines that are put together before they go to the writer: what stays in the processor's cache.
const LINES: usize = 1 << 17;

pub fn typed<'a, T: ?Sized>(found: Option<&'a T>, array: &ArrayRef, expected: &str) -> PyResult<&'a T> {
    found.ok_or_else(|| PyTypeError::new_err(format!("expected {expected}, found {}", array.data_type())))
}

fn mapping(py: Python<'_>, columns: Option<Vec<(String, Option<String>)>>) -> PyResult<Option<Mapping>> {
    columns.map(|c| released(py, || Mapping::new(&c))).transpose()
}

/// (line, offset, reason, the first bytes, the length of the line).
type BadLine<'py> = (u64, u64, String, Bound<'py, PyBytes>, u64);

#[pyclass(name = "DocumentReader", frozen)]
struct PyDocumentReader(Mutex<DocumentReader>);

#[pymethods]
impl PyDocumentReader {
    #[new]
    #[pyo3(signature = (
        path, *, batch_bytes=4 << 20, max_line_bytes=MAX_LINE_BYTES, keep_raw=false, columns=None, as_dolma=false,
        piece=(0, 1)
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        batch_bytes: usize,
        max_line_bytes: usize,
        keep_raw: bool,
        columns: Option<Vec<(String, Option<String>)>>,
        as_dolma: bool,
        piece: (u64, u64),
    ) -> PyResult<Self> {
        let columns = mapping(py, columns)?;
        let options = Options { batch_bytes, max_line_bytes, keep_raw, columns, as_dolma };
        let piece = Piece { number: piece.0, of: piece.1 };
        released(py, || DocumentReader::open_piece(&path, options, piece)).map(|r| PyDocumentReader(Mutex::new(r)))
    }

    /// Steps over some of the text before the piece; false once there is nothing more to step over.
    fn skip(&self, py: Python<'_>, most: u64) -> PyResult<bool> {
        released(py, || lock(&self.0)?.skip(most))
    }

    /// Goes on to a later piece; false where the reader cannot.
    fn go_on(&self, py: Python<'_>, number: u64) -> PyResult<bool> {
        released(py, || Ok(lock(&self.0)?.go_on(number)))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        released(py, || lock(&self.0)?.next_batch())?.map(|b| PyRecordBatch::new(b).into_pyarrow(py)).transpose()
    }

    /// The bad lines met since the last call.
    fn take_bad<'py>(&self, py: Python<'py>) -> PyResult<Vec<BadLine<'py>>> {
        let bad = released(py, || Ok(lock(&self.0)?.take_bad()))?;
        Ok(bad.into_iter().map(|b| (b.line, b.offset, b.reason, PyBytes::new(py, &b.raw), b.length)).collect())
    }

    #[getter]
    fn damage(&self, py: Python<'_>) -> PyResult<Option<String>> {
        released(py, || Ok(lock(&self.0)?.damage().map(str::to_owned)))
    }

    #[getter]
    fn unread_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        released(py, || Ok(lock(&self.0)?.unread_bytes()))
    }

    #[getter]
    fn bytes_read(&self, py: Python<'_>) -> PyResult<u64> {
        released(py, || Ok(lock(&self.0)?.bytes_read()))
    }
}

#[pyclass(name = "LineWriter", frozen)]
struct PyLineWriter(Mutex<Writer>);

#[pymethods]
impl PyLineWriter {
    #[new]
    #[pyo3(signature = (path, *, level=None))]
    fn new(py: Python<'_>, path: PathBuf, level: Option<i32>) -> PyResult<Self> {
        released(py, || Writer::create(&path, level)).map(|w| PyLineWriter(Mutex::new(w)))
    }

    fn write(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        released(py, || lock(&self.0)?.write(data))
    }

    #[pyo3(signature = (batch, *, copies=None, texts=None, attributes=vec![], provenance=None, discard=vec![],
        always_provenance=false))]
    #[allow(clippy::too_many_arguments)]
    fn write_documents(
        &self,
        py: Python<'_>,
        batch: PyRecordBatch,
        copies: Option<PyArray>,
        texts: Option<PyArray>,
        attributes: Vec<PyArray>,
        provenance: Option<String>,
        discard: Vec<String>,
        always_provenance: bool,
    ) -> PyResult<(u64, u64)> {
        let batch = batch.into_inner();
        let copies = copies.map(|c| c.into_inner().0);
        let texts = texts.map(|t| t.into_inner().0);
        let copies = match &copies {
            Some(c) => Some(typed(c.as_primitive_opt::<UInt32Type>(), c, "uint32 copies")?),
            None => None,
        };
        let texts = match &texts {
            Some(t) => Some(typed(t.as_string_opt::<i64>(), t, "large_string texts")?),
            None => None,
        };
        let attributes: Vec<ArrayRef> = attributes.into_iter().map(|a| a.into_inner().0).collect();
        let objects = |a| typed(ArrayRef::as_binary_opt::<i64>(a), a, "large_binary attributes");
        let attributes = attributes.iter().map(objects).collect::<PyResult<Vec<_>>>()?;
        let changes = Changes { provenance, discard, always_provenance };
        let amount = released(py, || {
            let mut writer = lock(&self.0)?;
            rewrite::encode_documents(&batch, copies, texts, &attributes, &changes, |lines| writer.write(lines))
        })?;
        Ok((amount.documents, amount.text_bytes))
    }

    /// Rows of the table of a token file.
    #[allow(clippy::too_many_arguments)]
    fn write_token_rows(
        &self,
        py: Python<'_>,
        starts: PyArray,
        ends: PyArray,
        ids: PyArray,
        files: PyArray,
        labels: Vec<String>,
        lines: PyArray,
    ) -> PyResult<()> {
        let [starts, ends, ids, files, lines] = [starts, ends, ids, files, lines].map(|a| a.into_inner().0);
        let integers = |array| typed(ArrayRef::as_primitive_opt::<Int64Type>(array), array, "int64");
        let rows = Rows {
            starts: integers(&starts)?,
            ends: integers(&ends)?,
            ids: typed(ids.as_string_opt::<i64>(), &ids, "large_string ids")?,
            files: integers(&files)?,
            labels: &labels,
            lines: integers(&lines)?,
        };
        released(py, || {
            let mut out = Vec::new();
            tokens::push_rows(&rows, &mut out)?;
            lock(&self.0)?.write(&out)
        })
    }

    #[pyo3(signature = (ids, lengths, sources, keys, columns, *, empty=false, any_id=false))]
    #[allow(clippy::too_many_arguments)]
    fn write_attributes(
        &self,
        py: Python<'_>,
        ids: PyArray,
        lengths: PyArray,
        sources: Option<PyArray>,
        keys: Vec<String>,
        columns: Vec<PyArray>,
        empty: bool,
        any_id: bool,
    ) -> PyResult<()> {
        let (ids, lengths) = (ids.into_inner().0, lengths.into_inner().0);
        let sources = sources.map(|s| s.into_inner().0);
        let ids = typed(ids.as_string_opt::<i64>(), &ids, "large_string ids")?;
        let lengths = typed(lengths.as_primitive_opt::<Int64Type>(), &lengths, "int64 lengths")?;
        let sources = match &sources {
            Some(s) => Some(typed(s.as_string_opt::<i64>(), s, "large_string sources")?),
            None => None,
        };
        let columns: Vec<(String, ArrayRef)> =
            keys.into_iter().zip(columns.into_iter().map(|c| c.into_inner().0)).collect();
        released(py, || {
            let rows = AttributeRows::new(ids, lengths, sources, &columns, empty)?.with_any_id(any_id);
            let mut writer = lock(&self.0)?;
            let mut out = Vec::with_capacity(2 * LINES);
            let mut full = |out: &mut Vec<u8>| {
                let done = writer.write(out);
                out.clear();
                done
            };
            rows.write(&mut out, LINES, &mut full)?;
            full(&mut out)
        })
    }

    /// (bytes, BLAKE3 in hex) of the finished file.
    fn finish(&self, py: Python<'_>) -> PyResult<(u64, String)> {
        let written = released(py, || lock(&self.0)?.finish())?;
        Ok((written.bytes, written.blake3))
    }

    fn abort(&self) -> PyResult<()> {
        self.0.lock().map_err(|_| PyRuntimeError::new_err("used after a failure in another thread"))?.abort();
        Ok(())
    }
}

/// (`plain`, `gzip` or `zstd`; the first decompressed bytes; whether the file ends there; why it cannot be read on).
type Head<'py> = (&'static str, Bound<'py, PyBytes>, bool, Option<String>);

/// The beginning of a file, decompressed.
#[pyfunction]
fn read_head(py: Python<'_>, path: PathBuf, limit: usize) -> PyResult<Head<'_>> {
    let head = released(py, || codec::head(&path, limit))?;
    let damage = head.damage.map(|e| e.to_string());
    Ok((head.compression, PyBytes::new(py, &head.bytes), head.whole, damage))
}

#[pyfunction]
fn blake3_file(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    released(py, || digest::blake3_file(&path))
}

#[pyfunction]
fn keyed_hash<'py>(py: Python<'py>, values: PyArray, seed: u64) -> PyResult<Bound<'py, PyAny>> {
    let array = values.into_inner().0;
    let strings = typed(array.as_string_opt::<i64>(), &array, "large_string values")?;
    let hashes = released(py, || Ok(digest::keyed_hash(strings, seed)))?;
    to_pyarrow(py, Arc::new(hashes))
}

#[pyfunction]
fn apply_edits<'py>(
    py: Python<'py>,
    texts: PyArray,
    edits: PyArray,
    replacements: Vec<String>,
) -> PyResult<Bound<'py, PyAny>> {
    let (texts, edits) = (texts.into_inner().0, edits.into_inner().0);
    let texts = typed(texts.as_string_opt::<i64>(), &texts, "large_string texts")?;
    let edits = typed(edits.as_list_opt::<i32>(), &edits, "a list of edits")?;
    let edited = released(py, || rewrite::apply_edits(texts, edits, &replacements))?;
    to_pyarrow(py, Arc::new(edited))
}

/// (texts with spans replaced or None where none is, the spans found by edit, texts in which spans overlap).
type Edited<'py> = (Option<Bound<'py, PyAny>>, Vec<u64>, u64);

/// `bounds`: of the scores of each edit, the least that goes and the least that stays.
#[pyfunction]
fn edit_spans<'py>(
    py: Python<'py>,
    texts: PyArray,
    rows: PyArray,
    spans: Vec<PyArray>,
    bounds: Vec<(Option<f64>, Option<f64>)>,
    replacements: Vec<String>,
) -> PyResult<Edited<'py>> {
    let (texts, rows) = (texts.into_inner().0, rows.into_inner().0);
    let texts = typed(texts.as_string_opt::<i64>(), &texts, "large_string texts")?;
    let rows = typed(rows.as_primitive_opt::<Int64Type>(), &rows, "int64 rows")?;
    let spans: Vec<ArrayRef> = spans.into_iter().map(|column| column.into_inner().0).collect();
    let lists = |column| typed(ArrayRef::as_list_opt::<i32>(column), column, "lists of spans");
    let lists = spans.iter().map(lists).collect::<PyResult<Vec<_>>>()?;
    let each = lists.into_iter().zip(bounds).zip(&replacements);
    let edits: Vec<Edit<'_>> =
        each.map(|((spans, (least, below)), replacement)| Edit { spans, least, below, replacement }).collect();
    let edited = released(py, || edits::edit_spans(texts, rows.values(), &edits))?;
    let texts = edited.texts.map(|texts| to_pyarrow(py, Arc::new(texts))).transpose()?;
    Ok((texts, edited.counts, edited.overlapping))
}

#[pyfunction]
fn char_lengths<'py>(py: Python<'py>, texts: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let array = texts.into_inner().0;
    let texts = typed(array.as_string_opt::<i64>(), &array, "large_string texts")?;
    let lengths = released(py, || Ok(rewrite::char_lengths(texts)))?;
    to_pyarrow(py, Arc::new(lengths))
}

#[pyfunction]
fn stripped_bytes<'py>(py: Python<'py>, texts: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let array = texts.into_inner().0;
    let texts = typed(array.as_string_opt::<i64>(), &array, "large_string texts")?;
    let lengths = released(py, || Ok(rewrite::stripped_bytes(texts)))?;
    to_pyarrow(py, Arc::new(lengths))
}

/// The string at a dotted path of each document, null where there is none.
#[pyfunction]
fn string_field<'py>(py: Python<'py>, raw: PyArray, path: String) -> PyResult<Bound<'py, PyAny>> {
    let array = raw.into_inner().0;
    let lines = typed(array.as_binary_opt::<i64>(), &array, "large_binary documents")?;
    let values = released(py, || json::string_field(lines, &path))?;
    to_pyarrow(py, Arc::new(values))
}

#[pyfunction]
fn json_field<'py>(py: Python<'py>, lines: PyArray, path: &str) -> PyResult<Bound<'py, PyAny>> {
    let lines = lines.into_inner().0;
    let lines = typed(lines.as_binary_opt::<i64>(), &lines, "large_binary lines")?;
    let values = released(py, || Ok(json::json_field(lines, path)))?;
    to_pyarrow(py, Arc::new(values))
}

/// Documents among JSON lines, and the bad lines.
#[pyfunction]
#[pyo3(signature = (lines, numbers, *, keep_raw=false, columns=None))]
fn read_lines<'py>(
    py: Python<'py>,
    lines: PyArray,
    numbers: PyArray,
    keep_raw: bool,
    columns: Option<Vec<(String, Option<String>)>>,
) -> PyResult<(Bound<'py, PyAny>, Vec<BadLine<'py>>)> {
    let (lines, numbers) = (lines.into_inner().0, numbers.into_inner().0);
    let lines = typed(lines.as_binary_opt::<i64>(), &lines, "large_binary lines")?;
    let numbers = typed(numbers.as_primitive_opt::<Int64Type>(), &numbers, "int64 numbers")?;
    let options = Options { keep_raw, columns: mapping(py, columns)?, ..Options::default() };
    let (batch, bad) = released(py, || documents::read_lines(lines, numbers, &options))?;
    let bad = bad.into_iter().map(|b| (b.line, b.offset, b.reason, PyBytes::new(py, &b.raw), b.length)).collect();
    Ok((PyRecordBatch::new(batch).into_pyarrow(py)?, bad))
}

/// (field, kinds of its values) of JSON lines.
#[pyfunction]
fn field_kinds(py: Python<'_>, lines: PyArray) -> PyResult<Vec<(String, u32)>> {
    let lines = lines.into_inner().0;
    let lines = typed(lines.as_binary_opt::<i64>(), &lines, "large_binary lines")?;
    released(py, || fields::field_kinds(lines))
}

/// The id of each text that has none.
#[pyfunction]
fn content_ids<'py>(py: Python<'py>, texts: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts.into_inner().0;
    let texts = typed(texts.as_string_opt::<i64>(), &texts, "large_string texts")?;
    let ids: LargeStringArray = released(py, || Ok(texts.iter().map(|t| t.map(content_id)).collect()))?;
    to_pyarrow(py, Arc::new(ids))
}

const _: () = fits_in_an_object::<PyDocumentReader>();
const _: () = fits_in_an_object::<PyLineWriter>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyDocumentReader>()?;
    module.add_class::<PyLineWriter>()?;
    module.add_function(wrap_pyfunction!(read_head, module)?)?;
    module.add_function(wrap_pyfunction!(blake3_file, module)?)?;
    module.add_function(wrap_pyfunction!(keyed_hash, module)?)?;
    module.add_function(wrap_pyfunction!(apply_edits, module)?)?;
    module.add_function(wrap_pyfunction!(edit_spans, module)?)?;
    module.add_function(wrap_pyfunction!(char_lengths, module)?)?;
    module.add_function(wrap_pyfunction!(stripped_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(string_field, module)?)?;
    module.add_function(wrap_pyfunction!(json_field, module)?)?;
    module.add_function(wrap_pyfunction!(read_lines, module)?)?;
    module.add_function(wrap_pyfunction!(field_kinds, module)?)?;
    module.add_function(wrap_pyfunction!(content_ids, module)?)
}
