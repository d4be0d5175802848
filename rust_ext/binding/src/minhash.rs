//! MinHash: signatures, band keys, and the comparison of texts by their tokens.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::Array;
use dolma_core::minhash::{self, Rule, Scheme, TokenRows, Unit};
use dolma_core::{Error, Result};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::door::{released, to_pyarrow};

/// Python's numbers may be negative, which is an error of the value and not of its size.
fn count(value: i64, name: &str) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::invalid(format!("expected {name} of 0 or more, found {value}")))
}

fn scheme(unit: &str, ngram: i64, seed: u64) -> Result<Scheme> {
    Ok(Scheme { unit: Unit::named(unit)?, ngram: count(ngram, "an ngram")?, seed })
}

#[pyfunction]
#[pyo3(signature = (texts, *, unit, ngram, permutations, seed))]
fn minhash_signatures<'py>(
    py: Python<'py>,
    texts: PyArray,
    unit: String,
    ngram: i64,
    permutations: i64,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts.into_inner().0;
    let found = released(py, || {
        minhash::signatures(&texts, scheme(&unit, ngram, seed)?, count(permutations, "permutations")?)
    })?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
#[pyo3(signature = (texts, *, unit, ngram, bands, rows, seed))]
fn minhash_bands<'py>(
    py: Python<'py>,
    texts: PyArray,
    unit: String,
    ngram: i64,
    bands: i64,
    rows: i64,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts.into_inner().0;
    let found = released(py, || {
        minhash::bands(&texts, scheme(&unit, ngram, seed)?, count(bands, "bands")?, count(rows, "rows")?)
    })?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
#[pyo3(signature = (texts, *, unit))]
fn minhash_tokens<'py>(py: Python<'py>, texts: PyArray, unit: String) -> PyResult<Bound<'py, PyAny>> {
    let texts = texts.into_inner().0;
    let found = released(py, || minhash::tokens(&texts, Unit::named(&unit)?))?;
    to_pyarrow(py, Arc::new(found))
}

#[pyfunction]
#[pyo3(signature = (tokens, left, right, *, ngram))]
fn minhash_compare<'py>(
    py: Python<'py>,
    tokens: PyArray,
    left: PyArray,
    right: PyArray,
    ngram: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let (tokens, left, right) = (tokens.into_inner().0, left.into_inner().0, right.into_inner().0);
    let found = released(py, || minhash::compare(&TokenRows::of(&tokens)?, &left, &right, count(ngram, "an ngram")?))?;
    PyRecordBatch::new(found).into_pyarrow(py)
}

#[pyfunction]
#[pyo3(signature = (tokens, groups, *, rule, ngram, threshold, large))]
fn minhash_resolve<'py>(
    py: Python<'py>,
    tokens: PyArray,
    groups: PyArray,
    rule: String,
    ngram: i64,
    threshold: f64,
    large: i64,
) -> PyResult<(Bound<'py, PyAny>, u64)> {
    let (tokens, groups) = (tokens.into_inner().0, groups.into_inner().0);
    let found = released(py, || {
        let numbers = groups.as_primitive_opt::<Int64Type>();
        let numbers =
            numbers.ok_or_else(|| Error::invalid(format!("expected int64 groups, found {}", groups.data_type())))?;
        let rule = Rule::named(&rule, threshold)?;
        minhash::resolve(&TokenRows::of(&tokens)?, numbers, rule, count(ngram, "an ngram")?, count(large, "large")?)
    })?;
    Ok((PyRecordBatch::new(found.rows).into_pyarrow(py)?, found.comparisons))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MINHASH_VERSION", minhash::VERSION)?;
    module.add_function(wrap_pyfunction!(minhash_signatures, module)?)?;
    module.add_function(wrap_pyfunction!(minhash_bands, module)?)?;
    module.add_function(wrap_pyfunction!(minhash_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(minhash_compare, module)?)?;
    module.add_function(wrap_pyfunction!(minhash_resolve, module)?)
}
