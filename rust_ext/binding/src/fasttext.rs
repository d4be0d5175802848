//! fastText classifiers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{LargeStringArray, RecordBatch};
use dolma_core::fasttext::{batch, Model, Predictor, Reading};
use dolma_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::door::{fits_in_an_object, released};

/// A model and the predictors that are idle: one is made for each thread that reads at the same time.
#[pyclass(name = "FastText", frozen)]
struct PyFastText {
    model: Arc<Model>,
    idle: Mutex<Vec<Predictor>>,
}

impl PyFastText {
    /// A predictor lost to a panic is not put back, so what the lock guards is whole even when poisoned.
    fn idle(&self) -> MutexGuard<'_, Vec<Predictor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        reading: Reading,
        work: impl FnOnce(&mut Predictor, &LargeStringArray) -> Result<RecordBatch> + Send,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = texts.into_inner().0;
        let Some(texts) = array.as_string_opt::<i64>() else {
            return Err(PyTypeError::new_err(format!("expected large_string texts, found {}", array.data_type())));
        };
        let found = released(py, || {
            let reusable = {
                let mut idle = self.idle();
                let at = idle.iter().position(|p| p.reading() == reading);
                at.map(|at| idle.swap_remove(at))
            };
            let mut predictor = reusable.unwrap_or_else(|| Predictor::new(self.model.clone(), reading));
            let found = work(&mut predictor, texts);
            self.idle().push(predictor);
            found
        })?;
        PyRecordBatch::new(found).into_pyarrow(py)
    }
}

#[pymethods]
impl PyFastText {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let model = released(py, || Model::load(&path))?;
        Ok(PyFastText { model: Arc::new(model), idle: Mutex::new(Vec::new()) })
    }

    #[getter]
    fn labels(&self) -> Vec<String> {
        self.model.labels().to_vec()
    }

    #[pyo3(signature = (texts, k=1, threshold=0.0, *, lower=false, strip=false))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        k: i64,
        threshold: f32,
        lower: bool,
        strip: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, texts, Reading { lower, strip }, |predictor, texts| {
            let k = match k {
                -1 => usize::MAX,
                1.. => usize::try_from(k).unwrap_or(usize::MAX),
                _ => return Err(Error::invalid(format!("expected k of 1 or more, or -1 for all labels, found {k}"))),
            };
            batch::predict(predictor, texts, k, threshold)
        })
    }

    #[pyo3(signature = (texts, labels, *, lower=false, strip=false))]
    fn scores<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        labels: Vec<String>,
        lower: bool,
        strip: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, texts, Reading { lower, strip }, |predictor, texts| batch::scores(predictor, texts, &labels))
    }

    #[pyo3(signature = (texts, label, *, lower=false, strip=false))]
    fn label_scores<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        label: String,
        lower: bool,
        strip: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, texts, Reading { lower, strip }, |predictor, texts| batch::label_scores(predictor, texts, &label))
    }

    #[pyo3(signature = (texts, label, *, lower=false, strip=false))]
    fn paragraph_scores<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        label: String,
        lower: bool,
        strip: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, texts, Reading { lower, strip }, |predictor, texts| {
            batch::paragraph_scores(predictor, texts, &label)
        })
    }
}

const _: () = fits_in_an_object::<PyFastText>();

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyFastText>()
}
