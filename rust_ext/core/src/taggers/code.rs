//! Signals of source code that need only its text: copyright notices, and RedPajama's line and token figures.

use memchr::{memchr_iter, memmem};
use regex::Regex;

use super::chars::{Classes, LETTER};
use super::column::{Column, Kind};
use super::length::tokens;
use super::text::{count_chars, Text};
use super::Tagger;

/// `code_copyright_comments_v1`: the first `/* */` comment if it speaks of copyright; in a text without such comments
/// the lines of `//`, `#`, `--` and nothing that it begins with. `doc` is the share of the text, -1 for no text.
///
/// Two faults of Dolma 1.2.1 are not repeated: its comment block ends a character early for each line break in it, and
/// its share counts a character too many, so that a text of nothing else has more than 1.
pub struct Copyright {
    word: Option<Regex>,
}

impl Copyright {
    pub fn new() -> Self {
        Copyright { word: Regex::new("(?i)copyright").ok() }
    }
}

impl Default for Copyright {
    fn default() -> Self {
        Copyright::new()
    }
}

impl Tagger for Copyright {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[("copyright_notice", Kind::Spans), ("comment_block", Kind::Spans), ("doc", Kind::Document)]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [notice, block, doc] = columns else { return };
        if text.str.is_empty() {
            return doc.set(-1.0);
        }
        let count = |from: usize, to: usize| {
            let part = text.str.get(from..to).unwrap_or_default();
            if text.is_ascii() {
                part.len()
            } else {
                count_chars(part)
            }
        };
        let mut share = 0;
        if let Some((start, end)) = first_comment(text.str) {
            let comment = text.str.get(start..end).unwrap_or_default();
            if self.word.as_ref().is_some_and(|w| w.is_match(comment)) {
                let at = count(0, start);
                share = count(start, end);
                notice.span(at, at + share, 1.0);
            }
        } else {
            let end = leading_comments(text.str);
            if end > 0 {
                share = count(0, end);
                block.span(0, share, 1.0);
            }
        }
        doc.set(share as f64 / text.chars() as f64);
    }
}

/// The byte range of the first `/* ... */`.
fn first_comment(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = memmem::find(bytes, b"/*")?;
    let end = memmem::find(bytes.get(start + 2..)?, b"*/")?;
    Some((start, start + 2 + end + 2))
}

/// Bytes of the comment lines and empty lines that a text begins with, line breaks included.
fn leading_comments(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if !(line == "\n" || ["//", "#", "--"].iter().any(|mark| line.starts_with(mark))) {
            break;
        }
        end += line.len();
    }
    end
}

/// `code_redpajama_taggers_v1`: longest and mean line in code points, share of letters and numbers, letters per token.
///
/// Lines are those of `str.splitlines()`, tokens those of `whitespace_tokenizer_v1`.
pub struct RedPajama;

impl Tagger for RedPajama {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[
            ("max_line_length_doc", Kind::Document),
            ("avg_line_length_doc", Kind::Document),
            ("alnum_prop_doc", Kind::Document),
            ("alpha_token_prop_doc", Kind::Document),
        ]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [longest, mean, alnum, alpha] = columns else { return };
        let lines = Lines::of(text.str);
        let (letters, letters_and_numbers) = count_letters(text);
        longest.set(lines.longest as f64);
        mean.set(ratio(lines.chars, lines.count));
        alnum.set(ratio(letters_and_numbers, text.chars()));
        alpha.set(ratio(letters, tokens(text) + 1));
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// (`str.isalpha()`, `str.isalnum()`) characters.
fn count_letters(text: &Text<'_>) -> (usize, usize) {
    if text.is_ascii() {
        let letters = text.str.bytes().filter(u8::is_ascii_alphabetic).count();
        return (letters, letters + text.str.bytes().filter(u8::is_ascii_digit).count());
    }
    let classes = Classes::get();
    let (mut letters, mut numbers) = (0, 0);
    for c in text.str.chars() {
        let letter = classes.of(c) & LETTER != 0;
        letters += usize::from(letter);
        numbers += usize::from(!letter && c.is_numeric());
    }
    (letters, letters + numbers)
}

/// Lines of `str.splitlines()`, in code points without their ends.
#[derive(Default)]
struct Lines {
    count: usize,
    chars: usize,
    longest: usize,
}

impl Lines {
    fn of(text: &str) -> Lines {
        let mut lines = Lines::default();
        // Nearly every text breaks its lines with line feeds alone.
        if text.is_ascii() && !text.bytes().any(|b| matches!(b, 0x0b..=0x0d | 0x1c..=0x1e)) {
            let mut start = 0;
            for end in memchr_iter(b'\n', text.as_bytes()) {
                lines.add(end - start);
                start = end + 1;
            }
            if start < text.len() {
                lines.add(text.len() - start);
            }
            return lines;
        }
        let (mut length, mut open, mut after_return) = (0, false, false);
        for c in text.chars() {
            if c == '\n' && after_return {
                after_return = false;
            } else if matches!(c, '\n' | '\x0b'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}') {
                lines.add(length);
                (length, open, after_return) = (0, false, c == '\r');
            } else {
                length += 1;
                (open, after_return) = (true, false);
            }
        }
        if open {
            lines.add(length);
        }
        lines
    }

    fn add(&mut self, length: usize) {
        self.count += 1;
        self.chars += length;
        self.longest = self.longest.max(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_have_an_end() {
        assert_eq!(first_comment("a /*/ b */ c */"), Some((2, 10)));
        assert_eq!(first_comment("/**/"), Some((0, 4)));
        assert_eq!(first_comment("/*/"), None);
        assert_eq!(first_comment("é */"), None);
    }

    #[test]
    fn a_block_of_comments_includes_its_line_breaks() {
        assert_eq!(leading_comments("# a\n\n// b\nx\n# c"), 10);
        assert_eq!(leading_comments("-- é"), 5);
        assert_eq!(leading_comments(" # a"), 0);
    }

    #[test]
    fn lines_are_those_of_python() {
        for (text, expected) in [
            ("", (0, 0, 0)),
            ("\n", (1, 0, 0)),
            ("ab\n\nc", (3, 3, 2)),
            ("ab\r\ncé\r\u{2028}d\u{85}", (4, 5, 2)),
            ("a\r\n\nb\u{1c}", (3, 2, 1)),
        ] {
            let lines = Lines::of(text);
            assert_eq!((lines.count, lines.chars, lines.longest), expected, "{text:?}");
        }
    }
}
