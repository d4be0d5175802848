//! What can be measured on a text.
//!
//! A pass builds one [`Text`] per document; every tagger of the pass reads its shared, lazily computed views
//! (characters, words, lines), so a text is segmented once however many taggers run.

pub mod text;

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StructBuilder};
use arrow_array::{Array, ArrayRef, LargeStringArray};
use arrow_schema::{DataType, Field, Fields};

pub use text::Text;

use crate::{Error, Result};

/// How an attribute is laid out in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One score for the whole document, or none: a nullable float64.
    Document,
    /// Any number of `[start, end, score]`: a list of struct<start: int64, end: int64, score: float64>.
    Spans,
}

/// The values of one attribute for the documents of a batch, one `push_*` (or none) then `finish_row` per document.
pub enum Column {
    Document(Float64Builder, Option<f64>),
    Spans(ListBuilder<StructBuilder>),
}

pub fn span_fields() -> Fields {
    Fields::from(vec![
        Field::new("start", DataType::Int64, false),
        Field::new("end", DataType::Int64, false),
        Field::new("score", DataType::Float64, false),
    ])
}

impl Column {
    pub fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Document => Column::Document(Float64Builder::with_capacity(rows), None),
            Kind::Spans => {
                let spans = StructBuilder::new(
                    span_fields(),
                    vec![
                        Box::new(Int64Builder::new()),
                        Box::new(Int64Builder::new()),
                        Box::new(Float64Builder::new()),
                    ],
                );
                let item = Field::new("item", DataType::Struct(span_fields()), false);
                Column::Spans(ListBuilder::with_capacity(spans, rows).with_field(Arc::new(item)))
            }
        }
    }

    /// The score of the whole document; rounded to five decimals, as attributes are stored.
    pub fn set(&mut self, score: f64) {
        if let Column::Document(_, value) = self {
            *value = Some(round5(score));
        }
    }

    /// A half-open span of code points with its score, rounded to five decimals.
    pub fn span(&mut self, start: usize, end: usize, score: f64) {
        if let Column::Spans(list) = self {
            let spans = list.values();
            if let Some(b) = spans.field_builder::<Int64Builder>(0) {
                b.append_value(start as i64);
            }
            if let Some(b) = spans.field_builder::<Int64Builder>(1) {
                b.append_value(end as i64);
            }
            if let Some(b) = spans.field_builder::<Float64Builder>(2) {
                b.append_value(round5(score));
            }
            spans.append(true);
        }
    }

    pub fn finish_row(&mut self) {
        match self {
            Column::Document(builder, value) => builder.append_option(value.take()),
            Column::Spans(list) => list.append(true),
        }
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Document(builder, _) => Arc::new(builder.finish()),
            Column::Spans(list) => Arc::new(list.finish()),
        }
    }
}

/// Scores are stored with five decimals, rounded as Python's `round(score, 5)` does.
///
/// The fast path divides an integer by 1e5, which is the nearest double to that decimal; only a score within 1e-6 of a
/// tie needs the exact decimal expansion.
pub fn round5(score: f64) -> f64 {
    let scaled = score * 1e5;
    if !scaled.is_finite() || scaled.abs() >= 1e15 {
        return score;
    }
    let nearest = scaled.round();
    if ((scaled - nearest).abs() - 0.5).abs() > 1e-6 {
        return nearest / 1e5;
    }
    format!("{score:.5}").parse().unwrap_or(score)
}

/// A tagger measures one document at a time into its own columns.
pub trait Tagger: Send {
    /// The attributes in the order in which `tag` finds their columns.
    fn attributes(&self) -> &'static [(&'static str, Kind)];

    /// Measures `text`; a column that is not set stays absent for this document.
    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]);
}

/// Runs `taggers` over a column of texts in one pass.
///
/// Returns, per tagger, its columns in the order of [`Tagger::attributes`]. A null text is an error: the reader never
/// yields one.
pub fn tag_texts(taggers: &mut [Box<dyn Tagger>], texts: &LargeStringArray) -> Result<Vec<Vec<ArrayRef>>> {
    if texts.null_count() > 0 {
        return Err(Error::invalid("expected texts without nulls"));
    }
    let mut columns: Vec<Vec<Column>> = taggers
        .iter()
        .map(|t| t.attributes().iter().map(|(_, kind)| Column::new(*kind, texts.len())).collect())
        .collect();
    for row in 0..texts.len() {
        let text = Text::new(texts.value(row));
        for (tagger, out) in taggers.iter_mut().zip(&mut columns) {
            tagger.tag(&text, out);
            out.iter_mut().for_each(Column::finish_row);
        }
    }
    Ok(columns.iter_mut().map(|out| out.iter_mut().map(Column::finish).collect()).collect())
}
