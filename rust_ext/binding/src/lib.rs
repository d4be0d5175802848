//! `dolma_pipeline._native`: thin bindings, one file per core module; see `_native.pyi` for the typed surface.

use pyo3::prelude::*;

mod attributes;
mod bpe;
mod content;
mod dedupe;
mod digest;
mod documents;
mod door;
mod fasttext;
mod look;
mod minhash;
mod packing;
mod select;
mod taggers;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    attributes::register(module)?;
    documents::register(module)?;
    digest::register(module)?;
    look::register(module)?;
    taggers::register(module)?;
    fasttext::register(module)?;
    select::register(module)?;
    dedupe::register(module)?;
    minhash::register(module)?;
    bpe::register(module)?;
    packing::register(module)?;
    content::register(module)
}
