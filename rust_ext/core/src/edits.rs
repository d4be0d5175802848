//! Edits of texts by spans with scores: which spans go, what takes their place, and the texts that come of it.

use arrow_array::builder::LargeStringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, LargeStringArray, ListArray};

use crate::rewrite::{push_edited, Replaced};
use crate::taggers::text::count_chars;
use crate::{Error, Result};

/// Replaces some spans of each text by a string.
pub struct Edit<'a> {
    /// Per row a list of struct<start: int64, end: int64, score: float64>, in code points.
    pub spans: &'a ListArray,
    /// Spans of lower scores stay.
    pub least: Option<f64>,
    /// Spans of this score and of higher ones stay.
    pub below: Option<f64>,
    pub replacement: &'a str,
}

/// What came of it.
pub struct Edited {
    /// The new texts, null where nothing changed; None where no text has a span that goes.
    pub texts: Option<LargeStringArray>,
    /// Spans found, by edit.
    pub counts: Vec<u64>,
    /// Texts in which spans overlap so that replacing their union is not replacing the first of them.
    pub overlapping: u64,
}

/// A span that goes, and the position of its edit.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
    rank: usize,
}

/// The columns of an edit.
struct Columns<'a> {
    lists: &'a ListArray,
    starts: &'a Int64Array,
    ends: &'a Int64Array,
    scores: &'a Float64Array,
    least: Option<f64>,
    below: Option<f64>,
}

impl<'a> Columns<'a> {
    fn new(edit: &Edit<'a>) -> Result<Self> {
        let wrong = || Error::invalid(format!("expected lists of spans, found {}", edit.spans.data_type()));
        let spans = edit.spans.values().as_struct_opt().ok_or_else(wrong)?;
        let column = |name: &str| -> Result<&ArrayRef> { spans.column_by_name(name).ok_or_else(wrong) };
        Ok(Columns {
            lists: edit.spans,
            starts: column("start")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?,
            ends: column("end")?.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?,
            scores: column("score")?.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?,
            least: edit.least,
            below: edit.below,
        })
    }

    /// The places of a row's spans.
    fn of_row(&self, row: usize) -> std::ops::Range<usize> {
        let at = |row: usize| self.lists.value_offsets().get(row).map_or(0, |at| *at as usize);
        if self.lists.is_null(row) {
            return 0..0;
        }
        at(row)..at(row + 1)
    }

    /// The span at a place, within a text of so many code points, where it is one that goes.
    fn fitting(&self, at: usize, chars: usize) -> Option<(usize, usize)> {
        let score = if self.scores.is_null(at) { f64::NAN } else { self.scores.value(at) };
        // A score that is no number is within no bounds.
        if !(self.least.is_none_or(|least| score >= least) && self.below.is_none_or(|below| score < below)) {
            return None;
        }
        let within = |offset: i64| usize::try_from(offset).unwrap_or(0).min(chars);
        let (start, end) = (within(self.starts.value(at)), within(self.ends.value(at)));
        (start < end).then_some((start, end))
    }
}

/// Edits texts. `rows`: the text that each row of the columns tells of, in order, each once; -1 where it stays as it is.
///
/// Spans that overlap are one: their union is replaced, once, by what the earliest of the edits says.
pub fn edit_spans(texts: &LargeStringArray, rows: &[i64], edits: &[Edit<'_>]) -> Result<Edited> {
    let columns = edits.iter().map(Columns::new).collect::<Result<Vec<_>>>()?;
    if let Some(wrong) = columns.iter().find(|column| column.lists.len() != rows.len()) {
        return Err(Error::invalid(format!("expected {} rows of spans, found {}", rows.len(), wrong.lists.len())));
    }
    let mut edited = Edited { texts: None, counts: vec![0; edits.len()], overlapping: 0 };
    // Most texts that change become shorter, and memory that is not written to costs nothing.
    let mut out = LargeStringBuilder::with_capacity(texts.len(), texts.value_data().len());
    let mut next = 0;
    let mut found: Vec<Found> = Vec::new();
    let mut unions: Vec<Replaced<'_>> = Vec::new();
    for (row, text_row) in rows.iter().enumerate() {
        let Ok(at) = usize::try_from(*text_row) else { continue };
        if at < next || at >= texts.len() {
            return Err(Error::invalid(format!("expected rows in order below {}, found {at}", texts.len())));
        }
        if columns.iter().all(|column| column.of_row(row).is_empty()) {
            continue;
        }
        let text = texts.value(at);
        let chars = count_chars(text);
        found.clear();
        for (rank, column) in columns.iter().enumerate() {
            let spans = column.of_row(row).filter_map(|place| column.fitting(place, chars));
            found.extend(spans.map(|(start, end)| Found { start, end, rank }));
        }
        if found.is_empty() {
            continue;
        }
        for each in &found {
            if let Some(count) = edited.counts.get_mut(each.rank) {
                *count += 1;
            }
        }
        unions.clear();
        edited.overlapping += u64::from(unite(&mut found, edits, &mut unions));
        out.append_nulls(at - next);
        push_edited(text, chars, &unions, &mut out);
        next = at + 1;
    }
    if next > 0 {
        out.append_nulls(texts.len() - next);
        edited.texts = Some(out.finish());
    }
    Ok(edited)
}

/// The unions of spans that overlap, not of those that touch, each with what the earliest edit in it says. Returns
/// whether replacing some union is not replacing the first of its spans.
fn unite<'a>(found: &mut [Found], edits: &[Edit<'a>], unions: &mut Vec<Replaced<'a>>) -> bool {
    // Most taggers find spans in order; the sort is stable.
    found.sort_by_key(|span| (span.start, span.rank));
    let mut differs = false;
    let mut rest = found.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let (mut end, mut rank) = (first.end, first.rank);
        while let Some(span) = rest.next_if(|span| span.start < end) {
            differs |= span.end > first.end || span.rank < first.rank;
            end = end.max(span.end);
            rank = rank.min(span.rank);
        }
        let replacement = edits.get(rank).map_or("", |edit| edit.replacement);
        unions.push(Replaced { start: first.start, end, replacement });
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taggers::column::Column;
    use crate::taggers::Kind;

    fn spans(rows: &[&[(usize, usize, f64)]]) -> ListArray {
        let mut column = Column::new(Kind::Spans, rows.len());
        for row in rows {
            row.iter().for_each(|(start, end, score)| column.span(*start, *end, *score));
            column.finish_row();
        }
        column.finish().as_list().clone()
    }

    fn cut(spans: &ListArray) -> Edit<'_> {
        Edit { spans, least: None, below: None, replacement: "" }
    }

    #[test]
    fn rows_say_which_texts_change() {
        let texts = LargeStringArray::from(vec!["abc", "dé𝄞f", "ghi", "jkl"]);
        let found = spans(&[&[(1, 3, 1.0)], &[], &[(0, 1, 1.0), (2, 9, 1.0)]]);
        let edited = edit_spans(&texts, &[1, 2, 3], &[cut(&found)]).unwrap();
        let expected = [None, Some("df"), None, Some("k")];
        assert_eq!(edited.texts.unwrap().iter().collect::<Vec<_>>(), expected);
        assert_eq!((edited.counts, edited.overlapping), (vec![3], 0));
        let edited = edit_spans(&texts, &[-1, 2, -1], &[cut(&found)]).unwrap();
        assert!(edited.texts.is_none());
        assert_eq!(edited.counts, [0]);
    }

    #[test]
    fn the_union_is_replaced_by_what_the_earliest_edit_says() {
        let texts = LargeStringArray::from(vec!["0123456789"]);
        let (first, second) = (spans(&[&[(4, 8, 1.0)]]), spans(&[&[(2, 5, 1.0), (8, 9, 1.0)]]));
        let edits = |a, b| [Edit { replacement: "A", ..cut(a) }, Edit { replacement: "B", ..cut(b) }];
        let edited = edit_spans(&texts, &[0], &edits(&first, &second)).unwrap();
        assert_eq!(edited.texts.unwrap().value(0), "01AB9");
        assert_eq!((edited.counts, edited.overlapping), (vec![1, 2], 1));
        let edited = edit_spans(&texts, &[0], &edits(&second, &first)).unwrap();
        assert_eq!(edited.texts.unwrap().value(0), "01AA9");
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        let texts = LargeStringArray::from(vec!["a", "b"]);
        let found = spans(&[&[(0, 1, 1.0)], &[(0, 1, 1.0)]]);
        let error = |rows: &[i64]| edit_spans(&texts, rows, &[cut(&found)]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error(&[0]), "expected 1 rows of spans, found 2");
        assert_eq!(error(&[1, 0]), "expected rows in order below 2, found 0");
        assert_eq!(error(&[1, 2]), "expected rows in order below 2, found 2");
    }
}
