//! How long a text is, in several units.

use super::chars::python_strip;
use super::column::{Column, Kind};
use super::pretokens::pretokens;
use super::segments::stripped_segments;
use super::text::{count_chars, Text};
use super::Tagger;

/// What a [`Length`] counts.
pub enum Unit {
    Bytes,
    Chars,
    /// Code points of the text without the white space around it.
    StrippedChars,
    /// 1 for each document.
    Documents,
    /// Tokens of `\w+|[^\w\s]+`, plus one: Dolma 1.2.1 counts the pieces between them.
    Tokens,
    /// What OLMo's tokenizer cuts a text into before it merges bytes.
    Pretokens,
    /// Words and what is between them (UAX 29), of the text without the white space around it.
    Segments,
}

/// One number for the whole document.
pub struct Length {
    unit: Unit,
    attribute: &'static [(&'static str, Kind)],
}

impl Length {
    pub fn new(unit: Unit) -> Self {
        let attribute = match unit {
            Unit::Bytes => &[("bytes", Kind::Document)],
            Unit::Chars | Unit::Tokens | Unit::Pretokens | Unit::Segments => &[("length", Kind::Document)],
            Unit::StrippedChars => &[("length_no_ws", Kind::Document)],
            Unit::Documents => &[("docs", Kind::Document)],
        };
        Length { unit, attribute }
    }
}

impl Tagger for Length {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        self.attribute
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let length = match self.unit {
            Unit::Bytes => text.str.len(),
            Unit::Chars => text.chars(),
            Unit::StrippedChars => stripped_chars(text),
            Unit::Documents => 1,
            Unit::Tokens => tokens(text) + 1,
            Unit::Pretokens => pretokens(text.str),
            Unit::Segments => stripped_segments(text),
        };
        if let [column] = columns {
            column.set(length as f64);
        }
    }
}

/// The same by paragraph: a span for each that is not blank, and a sum for the document.
pub struct ByParagraph {
    unit: Unit,
}

impl ByParagraph {
    /// The sum of [`Unit::Tokens`] is that of the paragraphs; in characters it is the whole text.
    pub fn new(unit: Unit) -> Self {
        ByParagraph { unit }
    }
}

impl Tagger for ByParagraph {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[("paragraph", Kind::Spans), ("document", Kind::Document)]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [spans, document] = columns else { return };
        let mut sum = 0;
        // No token goes beyond a line.
        let mut starts = matches!(self.unit, Unit::Tokens).then(|| Counter::new(text.token_starts().iter().copied()));
        for paragraph in text.paragraphs() {
            let tokens = starts.as_mut().map_or(0, |starts| starts.count_to(paragraph.end as usize));
            if paragraph.blank {
                continue;
            }
            let length = match self.unit {
                Unit::Tokens => tokens + 1,
                Unit::Pretokens => pretokens(text.paragraph(paragraph)),
                _ => (paragraph.last - paragraph.first) as usize,
            };
            spans.span(paragraph.first as usize, paragraph.last as usize, length as f64);
            sum += length;
        }
        let whole = if matches!(self.unit, Unit::Chars) { text.chars() } else { sum };
        document.set(whole as f64);
    }
}

fn stripped_chars(text: &Text<'_>) -> usize {
    let stripped = python_strip(text.str);
    if text.is_ascii() {
        stripped.len()
    } else {
        count_chars(stripped)
    }
}

/// Maximal runs of word characters, and of what is neither word character nor white space.
pub fn tokens(text: &Text<'_>) -> usize {
    text.token_starts().iter().map(|starts| starts.count_ones() as usize).sum()
}

/// Counts the bits of a stream piece by piece.
struct Counter<I> {
    words: I,
    /// Bits of the current word that are not counted yet, and where the next word begins.
    left: u64,
    next: usize,
}

impl<I: Iterator<Item = u64>> Counter<I> {
    fn new(words: I) -> Self {
        Counter { words, left: 0, next: 0 }
    }

    /// How many are set from where the last call ended to before `end`.
    fn count_to(&mut self, end: usize) -> usize {
        let mut count = 0;
        while self.next <= end {
            count += self.left.count_ones() as usize;
            self.left = self.words.next().unwrap_or_default();
            self.next += 64;
        }
        let after = !0u64 << (end % 64);
        count += (self.left & !after).count_ones() as usize;
        self.left &= after;
        count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chars::{Classes, BLANK, WORD};
    use super::*;

    #[test]
    fn tokens_are_runs() {
        for (text, count) in [("", 0), ("one two three", 3), ("don't", 3), ("a,.b 1", 4), ("\u{1c}", 1), ("字é…", 2)]
        {
            assert_eq!(tokens(&Text::new(text)), count, "{text:?}");
        }
    }

    #[test]
    fn stripping_counts_code_points() {
        assert_eq!(stripped_chars(&Text::new("\u{3000} né \u{1f}")), 2);
        assert_eq!(stripped_chars(&Text::new("\u{1f} a b\n")), 3);
        assert_eq!(stripped_chars(&Text::new("\u{2003}")), 0);
    }

    #[test]
    fn tokens_of_paragraphs_are_those_of_each_alone() {
        let text = ["a b", "", &"x, ".repeat(41), &"é字".repeat(50), " ", &" ".repeat(63), "…!", "c"].join("\n");
        let text = Text::new(&text);
        let mut starts = Counter::new(text.token_starts().iter().copied());
        for paragraph in text.paragraphs() {
            assert_eq!(
                starts.count_to(paragraph.end as usize),
                tokens(&Text::new(text.paragraph(paragraph))),
                "{paragraph:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn tokens_are_runs_of_one_class(text in "([a-c_1 \n.,\x1c]|é|…|\u{3000}|字|a{60,66}){0,30}") {
            let classes = Classes::get();
            let mut last = BLANK;
            let mut count = 0;
            for class in text.chars().map(|c| classes.of(c) & (WORD | BLANK)) {
                count += usize::from(class != last && class != BLANK);
                last = class;
            }
            prop_assert_eq!(tokens(&Text::new(&text)), count);
        }
    }
}
