//! fastText classifiers: loading `.bin` and `.ftz` files and predicting labels.
//!
//! Written from the published format and its C++ implementation; scores agree with it within 1e-5. A [`Model`] is
//! immutable and shared; each thread reads texts with its own [`Predictor`].

use std::io::BufRead;
use std::path::Path;

pub mod batch;
mod cache;
mod dictionary;
mod loss;
mod matrix;
mod predictor;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use dictionary::{Dictionary, Orders};
use loss::Loss;
use matrix::Matrix;
pub use predictor::{Predictor, Reading};
use source::Source;
use tree::Tree;

use crate::{Error, Result};

/// First four bytes of a model file, as a number.
const MAGIC: i32 = 793_712_314;
/// The newest format; 11 is the only other one with a magic number.
const VERSION: i32 = 12;
/// The number of a classifier among fastText's kinds of model.
const SUPERVISED: i32 = 3;

/// A classifier: text in, labels with scores out.
#[derive(Debug)]
pub struct Model {
    dictionary: Dictionary,
    input: Matrix,
    output: Matrix,
    loss: Loss,
    width: usize,
}

impl Model {
    /// Reads a model, `.bin` or `.ftz`, in one pass; takes the memory of its weights, those of a quantised model as
    /// float32 where that is no more than 64 MB.
    ///
    /// `Error::Data` says what was expected where the file is not a classifier, ends early, or contradicts itself.
    pub fn load(path: &Path) -> Result<Self> {
        Self::read(&mut Source::open(path)?)
    }

    fn read<R: BufRead>(source: &mut Source<R>) -> Result<Self> {
        let magic = source.i32("the magic number")?;
        if magic != MAGIC {
            return Err(source.wrong(format!("expected the magic number {MAGIC}, found {magic}")));
        }
        let version = source.i32("the version")?;
        if version > VERSION {
            return Err(source.wrong(format!("expected a version up to {VERSION}, found {version}")));
        }
        let width = source.bounded("dim", 1..=i32::MAX)?;
        for field in ["ws", "epoch", "minCount", "neg"] {
            source.i32(field)?;
        }
        let words = Orders::read_words(source)?;
        let loss = source.bounded("the loss (1 hs, 2 ns, 3 softmax, 4 ova)", 1..=4)?;
        let kind = source.i32("the kind of model")?;
        if kind != SUPERVISED {
            return Err(source.wrong(format!(
                "expected a classifier (kind {SUPERVISED}), found kind {kind}: word vectors predict no labels"
            )));
        }
        let orders = Orders::read(source, words, version < VERSION)?;
        source.i32("lrUpdateRate")?;
        source.f64("the sampling threshold")?;

        let dictionary = Dictionary::read(source, orders)?;
        let is_quantised = source.bool("whether the input matrix is quantised")?;
        if dictionary.is_pruned() && !is_quantised {
            return Err(source.wrong("expected a pruned model to be quantised, found dense weights"));
        }
        let input = Matrix::read(source, is_quantised, width, "the input matrix")?;
        if input.rows() < dictionary.rows() || input.rows() > u64::from(u32::MAX) {
            return Err(source.wrong(format!(
                "expected an input matrix of {} rows, found {}",
                dictionary.rows(),
                input.rows()
            )));
        }
        let is_output_quantised = source.bool("whether the output matrix is quantised")? && is_quantised;
        let output = Matrix::read(source, is_output_quantised, width, "the output matrix")?;
        if output.rows() != dictionary.labels.len() as u64 {
            return Err(source.wrong(format!(
                "expected an output matrix of {} rows, found {}",
                dictionary.labels.len(),
                output.rows()
            )));
        }
        let loss = match loss {
            1 => Loss::Tree(Tree::new(&dictionary.label_counts).map_err(|e| source.wrong(e))?),
            3 => Loss::Softmax,
            _ => Loss::Sigmoid(loss::sigmoid_table()),
        };
        Ok(Model { dictionary, input, output, loss, width: width as usize })
    }

    /// The labels as the model has them, prefix and all, the most frequent one first.
    pub fn labels(&self) -> &[String] {
        &self.dictionary.labels
    }

    /// The index of the label `name`; `Error::Invalid` lists the first labels where there is no such one.
    pub fn label(&self, name: &str) -> Result<u32> {
        match self.labels().iter().position(|label| label == name) {
            Some(index) => Ok(index as u32),
            None => {
                let first: Vec<String> = self.labels().iter().take(5).map(|l| format!("`{l}`")).collect();
                Err(Error::invalid(format!(
                    "expected one of the model's {} labels ({}, ...), found `{name}`",
                    self.labels().len(),
                    first.join(", ")
                )))
            }
        }
    }

    fn width(&self) -> usize {
        self.width
    }
}
