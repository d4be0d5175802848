//! What taggers ask of sources, pages and addresses: kernels over columns of strings.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeStringArray};
use dolma_core::pieces::{pieces, Unit};
use dolma_core::urls::{Mode, UrlList};
use dolma_core::{code, licenses, words};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::door::{fits_in_an_object, released, to_pyarrow};

fn strings<'a>(array: &'a ArrayRef, what: &str) -> PyResult<&'a LargeStringArray> {
    let found = array.as_string_opt::<i64>();
    found.ok_or_else(|| PyTypeError::new_err(format!("expected large_string {what}, found {}", array.data_type())))
}

/// A list of domains, addresses or Adblock rules.
#[pyclass(name = "UrlList", frozen)]
struct PyUrlList {
    list: UrlList,
}

#[pymethods]
impl PyUrlList {
    #[new]
    #[pyo3(signature = (mode, paths, lines=Vec::new()))]
    fn new(py: Python<'_>, mode: String, paths: Vec<PathBuf>, lines: Vec<String>) -> PyResult<Self> {
        let list = released(py, || {
            let mut list = UrlList::new(Mode::named(&mode)?);
            paths.iter().try_for_each(|path| list.read(path))?;
            lines.iter().for_each(|line| list.add(line));
            Ok(list)
        })?;
        Ok(PyUrlList { list })
    }

    fn __len__(&self) -> usize {
        self.list.len()
    }

    #[getter]
    fn ignored(&self) -> usize {
        self.list.ignored()
    }

    fn hits<'py>(&self, py: Python<'py>, urls: PyArray) -> PyResult<Bound<'py, PyAny>> {
        let array = urls.into_inner().0;
        let urls = strings(&array, "urls")?;
        let found = released(py, || Ok(self.list.hits(urls)))?;
        to_pyarrow(py, Arc::new(found))
    }
}

#[pyfunction]
fn comment_shares<'py>(py: Python<'py>, texts: PyArray, languages: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let (texts, languages) = (texts.into_inner().0, languages.into_inner().0);
    let (texts, languages) = (strings(&texts, "texts")?, strings(&languages, "languages")?);
    let found = released(py, || Ok(code::comment_shares(texts, languages)))?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
fn visible_shares<'py>(py: Python<'py>, texts: PyArray) -> PyResult<Bound<'py, PyAny>> {
    let array = texts.into_inner().0;
    let texts = strings(&array, "texts")?;
    let found = released(py, || Ok(code::visible_shares(texts)))?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
#[pyo3(name = "licenses")]
fn find_licenses<'py>(py: Python<'py>, pages: PyArray, anywhere: bool) -> PyResult<Bound<'py, PyAny>> {
    let array = pages.into_inner().0;
    let pages = strings(&array, "pages")?;
    let found = released(py, || Ok(licenses::licenses(pages, anywhere)))?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
fn text_pieces<'py>(py: Python<'py>, texts: PyArray, unit: String) -> PyResult<Bound<'py, PyAny>> {
    let array = texts.into_inner().0;
    let texts = strings(&array, "texts")?;
    let found = released(py, || pieces(texts, Unit::named(&unit)?))?;
    PyRecordBatch::new(found).into_pyarrow(py)
}

#[pyfunction]
fn word_spans<'py>(
    py: Python<'py>,
    texts: PyArray,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let array = texts.into_inner().0;
    let texts = strings(&array, "texts")?;
    let found = released(py, || Ok(words::word_spans(texts)))?;
    Ok((
        to_pyarrow(py, Arc::new(found.counts))?,
        to_pyarrow(py, Arc::new(found.starts))?,
        to_pyarrow(py, Arc::new(found.ends))?,
    ))
}

const _: () = fits_in_an_object::<PyUrlList>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyUrlList>()?;
    module.add_function(wrap_pyfunction!(comment_shares, module)?)?;
    module.add_function(wrap_pyfunction!(visible_shares, module)?)?;
    module.add_function(wrap_pyfunction!(find_licenses, module)?)?;
    module.add_function(wrap_pyfunction!(text_pieces, module)?)?;
    module.add_function(wrap_pyfunction!(word_spans, module)?)
}
