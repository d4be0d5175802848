//! How long a text is, in several units.

use super::chars::{python_strip, Classes, BLANK, WORD};
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
            Unit::Tokens => tokens(text.str) + 1,
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
    /// Of [`Unit::Tokens`] the sum is that of the paragraphs; of characters it is the whole text.
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
        for paragraph in text.paragraphs().iter().filter(|p| !p.blank) {
            let length = match self.unit {
                Unit::Tokens => tokens(text.paragraph(paragraph)) + 1,
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
pub fn tokens(text: &str) -> usize {
    let classes = Classes::get();
    fn runs(classes: impl Iterator<Item = u8>) -> usize {
        let (mut count, mut last) = (0, BLANK);
        for class in classes.map(|class| class & (WORD | BLANK)) {
            count += usize::from(class != last && class != BLANK);
            last = class;
        }
        count
    }
    if text.is_ascii() {
        let ascii = classes.ascii();
        return runs(text.bytes().map(|byte| ascii[usize::from(byte & 0x7f)]));
    }
    runs(text.chars().map(|c| classes.of(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_runs() {
        for (text, count) in [("", 0), ("one two three", 3), ("don't", 3), ("a,.b 1", 4), ("\u{1c}", 1), ("字é…", 2)]
        {
            assert_eq!(tokens(text), count, "{text:?}");
        }
    }

    #[test]
    fn stripping_counts_code_points() {
        assert_eq!(stripped_chars(&Text::new("\u{3000} né \u{1f}")), 2);
        assert_eq!(stripped_chars(&Text::new("\u{1f} a b\n")), 3);
        assert_eq!(stripped_chars(&Text::new("\u{2003}")), 0);
    }
}
