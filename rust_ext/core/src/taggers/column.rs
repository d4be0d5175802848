//! The values of one attribute, on their way from a tagger to an Arrow array.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, LargeStringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, ListArray, StructArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};

pub use crate::kinds::Kind;

/// The values of one attribute for the documents of a batch, one `set` or any `span`s (or neither), then `finish_row`
/// per document.
pub enum Column {
    Document(Float64Builder, Option<f64>),
    Int64(Int64Builder, Option<i64>),
    String(LargeStringBuilder, Option<String>),
    Bool(BooleanBuilder, Option<bool>),
    Spans(Spans),
}

/// What a column holds of the document at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row<'a> {
    Document(Option<f64>),
    Spans { starts: &'a [i64], ends: &'a [i64], scores: &'a [f64] },
}

/// Plain vectors rather than Arrow's nested builders, which look up the type of each field at each value.
#[derive(Default)]
pub struct Spans {
    starts: Vec<i64>,
    ends: Vec<i64>,
    scores: Vec<f64>,
    offsets: Vec<i32>,
}

impl Spans {
    /// The first span of the document at hand.
    fn first(&self) -> usize {
        self.offsets.last().map_or(0, |end| *end as usize)
    }

    fn end_offset(&self) -> i32 {
        i32::try_from(self.starts.len()).unwrap_or(i32::MAX)
    }
}

pub fn span_fields() -> Fields {
    Fields::from(vec![
        Field::new("start", DataType::Int64, false),
        Field::new("end", DataType::Int64, false),
        Field::new("score", DataType::Float64, false),
    ])
}

/// The field of a list of spans.
pub fn span_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(span_fields()), false))
}

impl Column {
    pub fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Document => Column::Document(Float64Builder::with_capacity(rows), None),
            Kind::Int64 => Column::Int64(Int64Builder::with_capacity(rows), None),
            Kind::String => Column::String(LargeStringBuilder::with_capacity(rows, 0), None),
            Kind::Bool => Column::Bool(BooleanBuilder::with_capacity(rows), None),
            Kind::Spans => Column::Spans(Spans::default()),
        }
    }

    /// The score of the whole document; rounded to five decimals, as attributes are stored.
    pub fn set(&mut self, score: f64) {
        if let Column::Document(_, value) = self {
            *value = Some(round5(score));
        }
    }

    /// The same, of a number that is stored already.
    pub fn set_unrounded(&mut self, score: f64) {
        if let Column::Document(_, value) = self {
            *value = Some(score);
        }
    }

    /// The whole number of the document.
    pub fn set_integer(&mut self, number: i64) {
        if let Column::Int64(_, value) = self {
            *value = Some(number);
        }
    }

    /// The text of the document.
    pub fn set_text(&mut self, text: String) {
        if let Column::String(_, value) = self {
            *value = Some(text);
        }
    }

    /// Whether the document is so.
    pub fn set_flag(&mut self, flag: bool) {
        if let Column::Bool(_, value) = self {
            *value = Some(flag);
        }
    }

    /// A half-open span of code points with its score, rounded to five decimals.
    pub fn span(&mut self, start: usize, end: usize, score: f64) {
        if let Column::Spans(spans) = self {
            spans.starts.push(start as i64);
            spans.ends.push(end as i64);
            spans.scores.push(round5(score));
        }
    }

    /// Makes room for so many more rows of as many spans each as the rows so far: to grow by doubling is to move all.
    pub fn make_room(&mut self, rows: usize) {
        if let Column::Spans(spans) = self {
            let more = spans.starts.len() * rows / spans.offsets.len().max(1);
            let more = more + more / 8;
            spans.starts.reserve_exact(more);
            spans.ends.reserve_exact(more);
            spans.scores.reserve_exact(more);
        }
    }

    /// Spans of all rows so far.
    pub fn spans(&self) -> usize {
        match self {
            Column::Spans(spans) => spans.starts.len(),
            _ => 0,
        }
    }

    /// The document at hand, which is not finished.
    pub fn row(&self) -> Row<'_> {
        match self {
            Column::Document(_, value) => Row::Document(*value),
            Column::Spans(spans) => {
                let from = spans.first();
                Row::Spans {
                    starts: spans.starts.get(from..).unwrap_or_default(),
                    ends: spans.ends.get(from..).unwrap_or_default(),
                    scores: spans.scores.get(from..).unwrap_or_default(),
                }
            }
            // Rules that are asked in a chain read numbers and spans alone.
            Column::Int64(..) | Column::String(..) | Column::Bool(..) => Row::Document(None),
        }
    }

    /// Leaves out the document at hand.
    pub fn forget_row(&mut self) {
        match self {
            Column::Document(_, value) => *value = None,
            Column::Int64(_, value) => *value = None,
            Column::String(_, value) => *value = None,
            Column::Bool(_, value) => *value = None,
            Column::Spans(spans) => {
                let from = spans.first();
                spans.starts.truncate(from);
                spans.ends.truncate(from);
                spans.scores.truncate(from);
            }
        }
    }

    pub fn finish_row(&mut self) {
        match self {
            Column::Document(builder, value) => builder.append_option(value.take()),
            Column::Spans(spans) => spans.offsets.push(spans.end_offset()),
            rare => rare.finish_rare_row(),
        }
    }

    /// The same for the kinds that no tagger of this crate has, apart so that `finish_row` stays short.
    #[inline(never)]
    fn finish_rare_row(&mut self) {
        match self {
            Column::Int64(builder, value) => builder.append_option(value.take()),
            Column::String(builder, value) => builder.append_option(value.take()),
            Column::Bool(builder, value) => builder.append_option(value.take()),
            Column::Document(..) | Column::Spans(_) => {}
        }
    }

    /// The array of all finished rows; the column starts anew. Spans beyond 2^31 are left out (see `tag_texts`).
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Document(builder, _) => Arc::new(builder.finish()),
            Column::Int64(builder, _) => Arc::new(builder.finish()),
            Column::String(builder, _) => Arc::new(builder.finish()),
            Column::Bool(builder, _) => Arc::new(builder.finish()),
            Column::Spans(spans) => {
                let spans = std::mem::take(spans);
                let mut offsets = Vec::with_capacity(spans.offsets.len() + 1);
                offsets.push(0);
                offsets.extend_from_slice(&spans.offsets);
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(Int64Array::from(spans.starts)),
                    Arc::new(Int64Array::from(spans.ends)),
                    Arc::new(Float64Array::from(spans.scores)),
                ];
                let values = StructArray::new(span_fields(), columns, None);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                Arc::new(ListArray::new(span_item(), offsets, Arc::new(values), None))
            }
        }
    }
}

/// Scores are stored with five decimals, rounded as Python's `round(score, 5)` does.
///
/// The fast path divides an integer by 1e5, which is the nearest double to that decimal. Scaling errs by at most 2.4e-7
/// below 2^31, so only a score that close to a tie, or a larger one, needs the exact decimal expansion.
pub fn round5(score: f64) -> f64 {
    // Casts, as `fract` and `round` are calls of a function where the processor is not known to have them.
    if score as i64 as f64 == score {
        return score;
    }
    let scaled = (score * 1e5).abs();
    let nearest = (scaled + 0.5) as i64 as f64;
    if scaled < 2_147_483_648.0 && ((scaled - nearest).abs() - 0.5).abs() > 1e-6 {
        return (nearest / 1e5).copysign(score);
    }
    if score.is_finite() {
        format!("{score:.5}").parse().unwrap_or(score)
    } else {
        score
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::Array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_hold_their_own_spans() {
        let mut column = Column::new(Kind::Spans, 3);
        column.span(0, 4, 1.0);
        column.span(4, 5, 0.123456);
        column.finish_row();
        column.finish_row();
        column.span(2, 3, 1.0);
        column.finish_row();
        let array = column.finish();
        assert_eq!(array.data_type(), &Kind::Spans.data_type());
        let list = array.as_list::<i32>();
        assert_eq!(list.value_offsets(), &[0, 2, 2, 3]);
        let spans = list.values().as_struct();
        assert_eq!(spans.column(0).as_primitive::<Int64Type>().values(), &[0, 4, 2]);
        assert_eq!(column.finish().len(), 0);
    }

    #[test]
    fn room_is_made_once_for_rows_like_those_before() {
        let mut column = Column::new(Kind::Spans, 90);
        for row in 0..90 {
            for _ in 0..5 {
                column.span(0, 1, 1.0);
            }
            column.finish_row();
            if row == 9 {
                column.make_room(80);
            }
        }
        let Column::Spans(spans) = column else { unreachable!() };
        assert_eq!((spans.starts.len(), spans.starts.capacity()), (450, 500));
    }

    #[test]
    fn ties_go_to_the_even_digit_and_nearly_ties_do_not() {
        for (score, rounded) in [
            (0.015625, 0.01562),
            (0.046875, 0.04688),
            (2.675005, 2.67501),
            (1.000005, 1.00001),
            (12345678.123455, 12345678.12345),
            (1e15, 1e15),
            (-0.000004, -0.0),
            (3.0, 3.0),
        ] {
            assert_eq!(round5(score).to_bits(), f64::to_bits(rounded), "{score}");
        }
        assert!(round5(f64::NAN).is_nan());
        assert_eq!(round5(f64::INFINITY), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn rounds_like_the_exact_decimal(score in -1e9..1e9f64, few in -1000i64..1000) {
            for x in [score, score * 1e-9, few as f64 / 64.0, few as f64 / 1e6] {
                prop_assert_eq!(round5(x).to_bits(), format!("{x:.5}").parse::<f64>().unwrap_or(x).to_bits());
            }
        }
    }
}
