//! A column of texts through a model: predictions and scores as Arrow arrays.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Float64Builder, Int32Builder, ListBuilder};
use arrow_array::{Array, ArrayRef, LargeStringArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::predictor::{is_python_space, Predictor};
use crate::taggers::{Column, Kind};
use crate::{Error, Result};

/// `label: list<int32>` and `score: list<float32>` of the `k` best labels of each text, best first.
pub fn predict(predictor: &mut Predictor, texts: &LargeStringArray, k: usize, threshold: f32) -> Result<RecordBatch> {
    if threshold.is_nan() {
        return Err(Error::invalid("expected a threshold, found NaN"));
    }
    let list = |item: DataType| Arc::new(Field::new("item", item, false));
    let mut labels = ListBuilder::with_capacity(Int32Builder::new(), texts.len()).with_field(list(DataType::Int32));
    let mut scores = ListBuilder::with_capacity(Float32Builder::new(), texts.len()).with_field(list(DataType::Float32));
    let mut found = Vec::new();
    for text in values(texts)? {
        found.clear();
        predictor.predict(text, k, threshold, &mut found);
        for &(label, score) in &found {
            labels.values().append_value(label as i32);
            scores.values().append_value(score);
        }
        labels.append(true);
        scores.append(true);
    }
    batch(vec![("label".into(), Arc::new(labels.finish())), ("score".into(), Arc::new(scores.finish()))])
}

/// A float64 column per label, under its name: null where a prediction of all labels would leave it out.
pub fn scores(predictor: &mut Predictor, texts: &LargeStringArray, labels: &[String]) -> Result<RecordBatch> {
    let ids: Vec<u32> = labels.iter().map(|name| predictor.label(name)).collect::<Result<_>>()?;
    let mut columns: Vec<Float64Builder> = ids.iter().map(|_| Float64Builder::with_capacity(texts.len())).collect();
    let mut row = Vec::new();
    for text in values(texts)? {
        predictor.scores(text, &ids, &mut row);
        for (column, score) in columns.iter_mut().zip(&row) {
            column.append_option(score.map(f64::from));
        }
    }
    let arrays = columns.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef);
    batch(labels.iter().cloned().zip(arrays).collect())
}

/// `positive` and `negative`, float64: the score of `label` and 1 minus it, rounded as attributes are.
pub fn label_scores(predictor: &mut Predictor, texts: &LargeStringArray, label: &str) -> Result<RecordBatch> {
    let id = predictor.label(label)?;
    let mut positive = Column::new(Kind::Document, texts.len());
    let mut negative = Column::new(Kind::Document, texts.len());
    for text in values(texts)? {
        let score = one(predictor, text, id);
        positive.set(score);
        negative.set(1.0 - score);
        positive.finish_row();
        negative.finish_row();
    }
    batch(vec![("positive".into(), positive.finish()), ("negative".into(), negative.finish())])
}

/// The same by paragraph, and for the document as a whole.
///
/// `positive` and `negative` are lists of spans in code points, one per paragraph: a line with its line break, unless
/// it is blank. `doc_positive` is the sum of length x score over the length of the text, blank lines and all;
/// `doc_negative` is 1 minus it. Both are 0 for an empty text.
pub fn paragraph_scores(predictor: &mut Predictor, texts: &LargeStringArray, label: &str) -> Result<RecordBatch> {
    let id = predictor.label(label)?;
    let kinds = [Kind::Spans, Kind::Spans, Kind::Document, Kind::Document];
    let mut columns = kinds.map(|kind| Column::new(kind, texts.len()));
    for text in values(texts)? {
        let [positive, negative, doc_positive, doc_negative] = &mut columns;
        let (mut start, mut weighted) = (0, 0.0);
        for paragraph in text.split_inclusive('\n') {
            let length = paragraph.chars().count();
            if !paragraph.chars().all(is_python_space) {
                let score = one(predictor, paragraph, id);
                positive.span(start, start + length, score);
                negative.span(start, start + length, 1.0 - score);
                weighted += length as f64 * score;
            }
            start += length;
        }
        let share = if start > 0 { weighted / start as f64 } else { 0.0 };
        doc_positive.set(share);
        doc_negative.set(if start > 0 { 1.0 - share } else { 0.0 });
        columns.iter_mut().for_each(Column::finish_row);
    }
    let names = ["positive", "negative", "doc_positive", "doc_negative"].map(String::from);
    batch(names.into_iter().zip(columns.iter_mut().map(Column::finish)).collect())
}

/// A label that a prediction leaves out scores 0.
fn one(predictor: &mut Predictor, text: &str, label: u32) -> f64 {
    predictor.score(text, label).map_or(0.0, f64::from)
}

fn values(texts: &LargeStringArray) -> Result<impl Iterator<Item = &str>> {
    if texts.null_count() > 0 {
        return Err(Error::invalid("expected texts without nulls"));
    }
    Ok((0..texts.len()).map(|row| texts.value(row)))
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| Error::invalid(e.to_string()))
}
