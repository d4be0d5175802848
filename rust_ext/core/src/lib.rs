//! Readers, writers and text kernels of dolma_pipeline, free of Python.
//!
//! Everything takes and returns Arrow arrays, a batch of documents at a time; nothing here panics on input.

pub mod attribute_reader;
pub mod attribute_values;
pub mod attributes;
pub mod bloom;
pub mod bpe;
pub mod code;
pub mod codec;
pub mod columns;
pub mod decode;
pub mod dedupe;
pub mod digest;
pub mod documents;
pub mod edits;
pub mod error;
pub mod fasttext;
pub mod fields;
pub mod gzip;
pub mod ids;
pub mod json;
pub mod keys;
pub mod kinds;
pub mod licenses;
pub mod lines;
pub mod look;
pub mod marks;
pub mod members;
pub mod minhash;
pub mod packing;
pub mod pieces;
pub mod rewrite;
pub mod rows;
pub mod select;
pub mod spans;
pub mod taggers;
pub mod tokens;
pub mod urls;
pub mod words;
pub mod writer;

pub use error::{Error, Result};
