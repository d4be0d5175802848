//! Texts cut into the units that a classifier judges.

use std::sync::Arc;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::{ArrayRef, Int32Array, Int64Array, LargeStringArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use unicode_segmentation::UnicodeSegmentation;

use crate::taggers::chars::is_python_space;
use crate::taggers::text::count_chars;
use crate::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines with their line breaks, blank ones left out.
    Paragraph,
    /// Sentences of UAX #29 without the white space around them.
    Sentence,
    /// Words and punctuation marks of UAX #29; white space is left out.
    Word,
    /// The same with the white space: together they are the text.
    Segment,
}

impl Unit {
    pub fn named(name: &str) -> Result<Unit> {
        match name {
            "paragraph" => Ok(Unit::Paragraph),
            "sentence" => Ok(Unit::Sentence),
            "word" => Ok(Unit::Word),
            "segment" => Ok(Unit::Segment),
            _ => Err(Error::invalid(format!("expected `paragraph`, `sentence`, `word` or `segment`, found `{name}`"))),
        }
    }
}

/// A row per unit: `row` of its text, `start` and `end` in code points, `text`.
pub fn pieces(texts: &LargeStringArray, unit: Unit) -> Result<RecordBatch> {
    let (mut rows, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    let mut out = LargeStringBuilder::new();
    for (row, text) in texts.iter().enumerate() {
        let row = i32::try_from(row).map_err(|_| Error::invalid("expected fewer than 2^31 texts in a batch"))?;
        let mut start = 0;
        each(text.unwrap_or_default(), unit, |piece| {
            let trimmed = piece.trim_start_matches(is_python_space);
            let before = count_chars(piece) - count_chars(trimmed);
            let end = start + count_chars(piece);
            if !trimmed.is_empty() || unit == Unit::Segment {
                let (piece, from, to) = match unit {
                    Unit::Paragraph | Unit::Word | Unit::Segment => (piece, start, end),
                    Unit::Sentence => {
                        let sentence = trimmed.trim_end_matches(is_python_space);
                        (sentence, start + before, start + before + count_chars(sentence))
                    }
                };
                rows.push(row);
                starts.push(from as i64);
                ends.push(to as i64);
                out.append_value(piece);
            }
            start = end;
        });
    }
    let field = |name, kind| Field::new(name, kind, false);
    let schema = Schema::new(vec![
        field("row", DataType::Int32),
        field("start", DataType::Int64),
        field("end", DataType::Int64),
        field("text", DataType::LargeUtf8),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(rows)),
        Arc::new(Int64Array::from(starts)),
        Arc::new(Int64Array::from(ends)),
        Arc::new(out.finish()),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|e| Error::invalid(e.to_string()))
}

fn each<'t>(text: &'t str, unit: Unit, give: impl FnMut(&'t str)) {
    match unit {
        Unit::Paragraph => text.split_inclusive('\n').for_each(give),
        Unit::Sentence => text.split_sentence_bounds().for_each(give),
        Unit::Word | Unit::Segment => text.split_word_bounds().for_each(give),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    use proptest::prelude::*;

    use super::*;

    fn found(texts: &[&str], unit: Unit) -> Vec<(i32, i64, i64, String)> {
        let batch = pieces(&LargeStringArray::from(texts.to_vec()), unit).unwrap();
        let (rows, text) = (batch.column(0).as_primitive::<Int32Type>(), batch.column(3).as_string::<i64>());
        let (starts, ends) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
        (0..batch.num_rows())
            .map(|i| (rows.value(i), starts.value(i), ends.value(i), text.value(i).to_owned()))
            .collect()
    }

    #[test]
    fn units_with_their_place() {
        let texts = ["é one\n \n\ntwo", "", "Is it? Yes — 3.5 of\nit.  "];
        let expected =
            [(0, 0, 6, "é one\n"), (0, 9, 12, "two"), (2, 0, 20, "Is it? Yes — 3.5 of\n"), (2, 20, 25, "it.  ")];
        assert_eq!(found(&texts, Unit::Paragraph), expected.map(|(r, s, e, t)| (r, s, e, t.to_owned())));
        let expected = [
            (0, 0, 5, "é one"),
            (0, 9, 12, "two"),
            (2, 0, 6, "Is it?"),
            (2, 7, 19, "Yes — 3.5 of"),
            (2, 20, 23, "it."),
        ];
        assert_eq!(found(&texts, Unit::Sentence), expected.map(|(r, s, e, t)| (r, s, e, t.to_owned())));
    }

    #[test]
    fn words_and_what_is_between_them() {
        let place = |(s, e, t): (i64, i64, &str)| (0, s, e, t.to_owned());
        let words = [(0, 5, "Don't"), (6, 10, "pané"), (10, 11, ","), (13, 16, "3.5")];
        assert_eq!(found(&["Don't pané, \n3.5"], Unit::Word), words.map(place));
        let segments = [(0, 1, "a"), (1, 3, "  "), (3, 4, "\n"), (4, 5, "b")];
        assert_eq!(found(&["a  \nb"], Unit::Segment), segments.map(place));
    }

    proptest! {
        #[test]
        fn pieces_are_what_their_offsets_say(text in "(\\PC|[a.!? \\n\\x1c])*") {
            for unit in [Unit::Paragraph, Unit::Sentence, Unit::Word, Unit::Segment] {
                for (_, start, end, piece) in found(&[&text], unit) {
                    let cut: String = text.chars().skip(start as usize).take((end - start) as usize).collect();
                    prop_assert_eq!(cut, piece);
                }
            }
        }
    }
}
