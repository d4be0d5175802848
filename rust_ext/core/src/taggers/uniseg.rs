//! Words per paragraph by Unicode's rules, without white space; and the same below zero, for filters that only know `>=`.

use super::column::{Column, Kind};
use super::text::Text;
use super::Tagger;

/// `uniseg_length_paragraphs_v1` and its kin.
pub struct Uniseg {
    blank_too: bool,
    attributes: &'static [(&'static str, Kind)],
}

const PARAGRAPHS: &[(&str, Kind)] = &[("paragraph", Kind::Spans), ("negative_paragraph", Kind::Spans)];
const WITH_DOCUMENT: &[(&str, Kind)] = &[
    ("paragraph", Kind::Spans),
    ("negative_paragraph", Kind::Spans),
    ("document", Kind::Document),
    ("negative_document", Kind::Document),
];

impl Uniseg {
    pub fn paragraphs() -> Self {
        Uniseg { blank_too: false, attributes: PARAGRAPHS }
    }

    /// Blank paragraphs have a length of 0.
    pub fn with_blank() -> Self {
        Uniseg { blank_too: true, attributes: PARAGRAPHS }
    }

    /// The sum of the paragraphs as well.
    pub fn with_document() -> Self {
        Uniseg { blank_too: false, attributes: WITH_DOCUMENT }
    }
}

impl Tagger for Uniseg {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        self.attributes
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [spans, negative, document @ ..] = columns else { return };
        let mut sum = 0.0;
        for (paragraph, segments) in text.paragraphs().iter().zip(text.segments()) {
            if paragraph.blank && !self.blank_too {
                continue;
            }
            let (first, last, length) = (paragraph.first as usize, paragraph.last as usize, f64::from(segments.solid));
            spans.span(first, last, length);
            // Not -0.0: it would be written as such.
            negative.span(first, last, 0.0 - length);
            sum += length;
        }
        if let [positive, negative] = document {
            positive.set(sum);
            negative.set(0.0 - sum);
        }
    }
}
