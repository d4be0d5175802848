//! Classes of characters as Python sees them, looked up in one table.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::parse;

/// `str.isspace()`, on which `str.split()` and `str.strip()` rest.
pub const SPACE: u8 = 1;
/// `str.isalpha()`: general categories L*.
pub const LETTER: u8 = 1 << 1;
/// What Gopher counts as a symbol: `#` and the ellipsis.
pub const SYMBOL: u8 = 1 << 2;
/// `\w` of a Unicode regex: letters, marks, decimal digits, connectors, joiners.
pub const WORD: u8 = 1 << 3;
/// `\s` of a Unicode regex: the property White_Space, so without the information separators U+001C..U+001F.
pub const BLANK: u8 = 1 << 4;
/// `\p{N}` of a Unicode regex: digits, letters that are numbers, fractions.
pub const NUMBER: u8 = 1 << 5;
/// `[[:punct:]]` of a Unicode regex: punctuation and symbols that are no letters.
pub const PUNCTUATION: u8 = 1 << 6;

const CODE_POINTS: usize = 0x11_0000;

/// Python's white space: Unicode's and the information separators.
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub fn python_strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// Class bits of every code point: a page of 256 for each high byte, equal pages stored once (about 60 kB).
pub struct Classes {
    ascii: [u8; 128],
    index: Vec<u16>,
    pages: Vec<[u8; 256]>,
}

impl Classes {
    pub fn get() -> &'static Classes {
        static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
            let symbols = |c| if matches!(c, '#' | '\u{2026}') { SYMBOL } else { 0 };
            let spaces = |c| if is_python_space(c) { SPACE } else { 0 };
            let classes = [
                (r"\p{L}", LETTER),
                (r"\w", WORD),
                (r"\s", BLANK),
                (r"\p{N}", NUMBER),
                (r"[[\p{P}\p{S}]--\p{Alphabetic}]", PUNCTUATION),
            ];
            Classes::build(&classes, |c| symbols(c) | spaces(c))
        });
        &CLASSES
    }

    pub fn of(&self, c: char) -> u8 {
        let c = c as usize;
        if let Some(bits) = self.ascii.get(c) {
            return *bits;
        }
        let page = self.index.get(c >> 8).and_then(|i| self.pages.get(usize::from(*i)));
        page.map_or(0, |p| p[c & 0xff])
    }

    /// Class bits of the 128 ASCII characters.
    pub fn ascii(&self) -> &[u8; 128] {
        &self.ascii
    }

    /// The bits of each class of characters, written as in a regular expression, and those that `more` adds to a
    /// character below U+3001, where all white space is.
    pub fn build(classes: &[(&str, u8)], more: impl Fn(char) -> u8) -> Classes {
        let mut flat = vec![0u8; CODE_POINTS];
        for (class, bits) in classes {
            for (first, last) in ranges(class) {
                for marked in flat.iter_mut().take(last as usize + 1).skip(first as usize) {
                    *marked |= bits;
                }
            }
        }
        for (c, marked) in ('\0'..='\u{3000}').zip(&mut flat) {
            *marked |= more(c);
        }
        let mut classes = Classes { ascii: [0; 128], index: Vec::new(), pages: Vec::new() };
        classes.ascii.copy_from_slice(&flat[..128]);
        for chunk in flat.chunks_exact(256) {
            let mut page = [0; 256];
            page.copy_from_slice(chunk);
            let at = classes.pages.iter().position(|p| *p == page).unwrap_or_else(|| {
                classes.pages.push(page);
                classes.pages.len() - 1
            });
            classes.index.push(at as u16);
        }
        classes
    }
}

/// First and last of the ranges of a class; one of a single character is a literal to the parser.
fn ranges(class: &str) -> Vec<(char, char)> {
    match parse(class).map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(ranges))) => ranges.iter().map(|r| (r.start(), r.end())).collect(),
        Ok(HirKind::Literal(one)) => String::from_utf8_lossy(&one.0).chars().map(|c| (c, c)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_predicates() {
        let classes = Classes::get();
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            assert_eq!(classes.of(c) & SPACE != 0, is_python_space(c), "{c:?}");
            assert_eq!(classes.of(c) & BLANK != 0, c.is_whitespace(), "{c:?}");
            if c.is_ascii_alphanumeric() {
                assert_ne!(classes.of(c) & WORD, 0, "{c:?}");
            }
        }
        assert!(classes.pages.len() < 400);
    }

    #[test]
    fn letters_are_categories_not_the_alphabetic_property() {
        let of = |c| Classes::get().of(c) & (LETTER | SYMBOL | WORD | SPACE | BLANK);
        assert_eq!(of('é'), LETTER | WORD);
        assert_eq!(of('字'), LETTER | WORD);
        assert_eq!(of('Ⅷ'), WORD);
        assert_eq!(of('\u{345}'), WORD);
        assert_eq!(of('…'), SYMBOL);
        assert_eq!(of('#'), SYMBOL);
        assert_eq!(of('\u{1c}'), SPACE);
        assert_eq!(of('\u{85}'), SPACE | BLANK);
        assert_eq!(of('\u{200b}'), 0);
    }
}
