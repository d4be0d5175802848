//! Repeated pieces of text, as Dolma 1.2.1's `repetitions_v1` and `paragraph_repetitions_v1` define them.

use super::column::{Column, Kind};
use super::repeats::Views;
use super::text::Text;
use super::Tagger;

/// Stretches in which a piece of a line stands at least four times, with at most one space between the copies.
///
/// `repetition` has the number of copies as its score; the document has the highest score, the longest stretch, and the
/// share of its characters that is repeated.
pub struct Repetition {
    by_paragraph: bool,
    views: Views,
}

impl Repetition {
    pub fn document() -> Self {
        Repetition { by_paragraph: false, views: Views::default() }
    }

    /// Copies do not go on into the next paragraph.
    pub fn paragraphs() -> Self {
        Repetition { by_paragraph: true, views: Views::default() }
    }
}

impl Tagger for Repetition {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[
            ("repetition", Kind::Spans),
            ("doc_max_score_repetition", Kind::Document),
            ("doc_max_length_repetition", Kind::Document),
            ("doc_frac_repetition", Kind::Document),
        ]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [spans, score, length, fraction] = columns else { return };
        let (units, shortest) = self.views.of(text);
        let (mut most, mut longest, mut sum) = (0, 0, 0);
        units.each(self.by_paragraph, shortest, |repeat| {
            spans.span(repeat.start, repeat.end, repeat.count as f64);
            most = most.max(repeat.count);
            longest = longest.max(repeat.end - repeat.start);
            sum += repeat.end - repeat.start;
        });
        score.set(most as f64);
        length.set(longest as f64);
        fraction.set(if sum == 0 { 0.0 } else { sum as f64 / units.len() as f64 });
    }
}
