//! Paragraphs of punctuation.

use super::chars::{is_python_space, Classes, BLANK, PUNCTUATION};
use super::column::{Column, Kind};
use super::text::{count_chars, Text};
use super::Tagger;

/// `not_alphanum_paragraph_v1`: paragraphs made of punctuation, symbols, emoji and white space, by what Dolma 1.2.1's
/// regular expression takes for such; without one, a span of score 0 over the whole text.
pub struct AllPunctuation;

impl Tagger for AllPunctuation {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[("all_punct", Kind::Spans)]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [column] = columns else { return };
        let (mut byte, mut char, mut found) = (0, 0, false);
        let mut start = 0;
        for paragraph in text.str.split_inclusive('\n') {
            let end = start + paragraph.len();
            if is_punctuation(paragraph) {
                let between = text.str.get(byte..start).unwrap_or_default();
                char += if text.is_ascii() { between.len() } else { count_chars(between) };
                let length = if text.is_ascii() { paragraph.len() } else { count_chars(paragraph) };
                column.span(char, char + length, 1.0);
                (byte, char, found) = (end, char + length, true);
            }
            start = end;
        }
        if !found {
            column.span(0, text.chars(), 0.0);
        }
    }
}

/// Takes a paragraph that is not blank. Most have a letter or a digit within a few bytes.
fn is_punctuation(paragraph: &str) -> bool {
    if paragraph.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let classes = Classes::get();
    let fits = |c| classes.of(c) & (PUNCTUATION | BLANK) != 0 || is_emoji(c);
    paragraph.chars().all(fits) && !paragraph.chars().all(is_python_space)
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6ff}' | '\u{2600}'..='\u{27bf}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_is_neither_letters_nor_blank() {
        for (paragraph, all) in [
            ("***\n", true),
            (" — … 👍🏽 ✓ $+\u{a0}", true),
            ("\u{24b6}", false),
            ("\u{1f6d9}", true),
            ("字", false),
            ("--a--", false),
            (" \t\n", false),
            ("", false),
            ("\u{1c}-", false),
            ("\u{301}-", false),
        ] {
            assert_eq!(is_punctuation(paragraph), all, "{paragraph:?}");
        }
    }
}
