//! How long a text is, in several units.

use super::chars::{is_python_space, python_strip, Classes, BLANK, WORD};
use super::column::{Column, Kind};
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
            Unit::Chars | Unit::Tokens => &[("length", Kind::Document)],
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
        };
        if let [column] = columns {
            column.set(length as f64);
        }
    }
}

/// `whitespace_tokenizer_with_paragraphs_v1`: the same count for each paragraph that is not blank, and their sum.
pub struct ParagraphTokens;

impl Tagger for ParagraphTokens {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[("paragraph", Kind::Spans), ("document", Kind::Document)]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [paragraphs, document] = columns else { return };
        let (mut start, mut sum) = (0, 0);
        for paragraph in text.str.split_inclusive('\n') {
            let end = start + if text.is_ascii() { paragraph.len() } else { count_chars(paragraph) };
            if !paragraph.chars().all(is_python_space) {
                let length = tokens(paragraph) + 1;
                paragraphs.span(start, end, length as f64);
                sum += length;
            }
            start = end;
        }
        document.set(sum as f64);
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
    let (mut count, mut last) = (0, BLANK);
    for c in text.chars() {
        let class = classes.of(c) & (WORD | BLANK);
        count += usize::from(class != last && class != BLANK);
        last = class;
    }
    count
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
