//! The keys of a text, in the order in which they are compared.

use memchr::memmem::Finder;
use unicode_segmentation::UnicodeSegmentation;
use xxhash_rust::xxh3::xxh3_128;

use super::{partition_of, Key, MAX_PARTITIONS};
use crate::{Error, Result};

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Documents,
    Paragraphs,
    Ngrams,
}

impl Mode {
    pub fn from_word(word: u64) -> Option<Self> {
        [Mode::Documents, Mode::Paragraphs, Mode::Ngrams].into_iter().find(|m| *m as u64 == word)
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Documents => "documents",
            Mode::Paragraphs => "paragraphs",
            Mode::Ngrams => "ngrams",
        }
    }
}

/// N-grams of UAX-29 words, those of white space left out.
#[derive(Clone, Copy, Debug)]
pub struct Ngrams {
    pub length: usize,
    /// N-grams start at words 0, 1, 1 + stride, 1 + 2 stride, ..., as in Dolma; 0 and 1 take every one.
    pub stride: usize,
    /// A paragraph of fewer than two n-grams is otherwise compared as a whole, and by that alone.
    pub skip_short: bool,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode,
    pub partitions: u32,
    pub separator: String,
    /// Leave out what is White_Space alone.
    pub skip_empty: bool,
    /// In code points of the document's key or the paragraph, without its separator.
    pub min_length: usize,
    /// In words between White_Space.
    pub min_words: usize,
    pub ngrams: Ngrams,
    /// `(index, of)`: only keys in this one of so many parts of the key space; other jobs take the others.
    pub part: Option<(u32, u32)>,
}

impl Settings {
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            let found = self.partitions;
            return Err(Error::invalid(format!("expected 1 to {MAX_PARTITIONS} partitions, found {found}")));
        }
        if self.mode != Mode::Documents && self.separator.is_empty() {
            return Err(Error::invalid("expected a paragraph separator, found an empty string"));
        }
        if self.mode == Mode::Ngrams && self.ngrams.length == 0 {
            return Err(Error::invalid("expected n-grams of at least one word, found 0"));
        }
        match self.part {
            Some((index, of)) if index >= of => {
                Err(Error::invalid(format!("expected the index of one of {of} parts, found {index}")))
            }
            // Each part would see only some of a paragraph's n-grams, so the share of repeated ones would mean little.
            Some(_) if self.mode == Mode::Ngrams => Err(Error::invalid("expected no n-grams in one part of the keys")),
            _ => Ok(()),
        }
    }

    /// Whether a key is in the part that is wanted.
    pub fn holds(&self, key: Key) -> bool {
        self.part.is_none_or(|(index, of)| partition_of(key, of) == index)
    }

    /// Whether a text takes part; `chars` is its length in code points.
    fn takes(&self, text: &str, chars: usize) -> bool {
        chars >= self.min_length
            && !(self.skip_empty && text.trim_start().is_empty())
            && (self.min_words == 0 || text.split_whitespace().nth(self.min_words - 1).is_some())
    }

    /// The key of a whole document, where it takes part.
    pub fn document(&self, text: &str) -> Option<Key> {
        let chars = if self.min_length > 0 { char_count(text) } else { 0 };
        self.takes(text, chars).then(|| xxh3_128(text.as_bytes())).filter(|key| self.holds(*key))
    }
}

/// Cuts texts into paragraphs, and paragraphs into n-grams.
pub struct Extractor {
    settings: Settings,
    finder: Finder<'static>,
    separator_chars: usize,
    words: Words,
}

impl Extractor {
    pub fn new(settings: Settings) -> Self {
        let finder = Finder::new(settings.separator.as_bytes()).into_owned();
        let separator_chars = char_count(&settings.separator);
        Extractor { settings, finder, separator_chars, words: Words::default() }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Calls `each(start, end, paragraph)` for the paragraphs that take part.
    ///
    /// The span counts code points and includes the separator, the paragraph does not. A text that ends with a separator
    /// has no empty paragraph after it: that would be a span of nothing.
    pub fn paragraphs<'t>(&self, text: &'t str, mut each: impl FnMut(u64, u64, &'t str) -> Result<()>) -> Result<()> {
        let (mut rest, mut start) = (text, 0);
        while !rest.is_empty() {
            let (paragraph, after, separator_chars) = match self.finder.find(rest.as_bytes()) {
                Some(at) => {
                    let (paragraph, tail) = rest.split_at(at);
                    (paragraph, tail.get(self.finder.needle().len()..).unwrap_or_default(), self.separator_chars)
                }
                None => (rest, "", 0),
            };
            let chars = char_count(paragraph);
            let end = start + (chars + separator_chars) as u64;
            if self.settings.takes(paragraph, chars) {
                each(start, end, paragraph)?;
            }
            (rest, start) = (after, end);
        }
        Ok(())
    }

    /// The keys of the n-grams of `paragraph`, and whether it is to be compared as a whole instead.
    ///
    /// Words end in a byte that no UTF-8 has, so that no n-gram has the key of another or of a paragraph.
    pub fn ngrams(&mut self, paragraph: &str, keys: &mut Vec<Key>) -> bool {
        let Ngrams { length, stride, skip_short } = self.settings.ngrams;
        self.words.split(paragraph);
        let starts = (self.words.len() + 1).saturating_sub(length);
        let mut next = 0;
        while next < starts {
            keys.push(xxh3_128(self.words.slice(next, length)));
            next = if next == 0 { 1 } else { next.saturating_add(stride.max(1)) };
        }
        keys.len() < 2 && !skip_short
    }
}

/// The words of a paragraph in one buffer, so that an n-gram is a slice of it.
#[derive(Default)]
struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    fn split(&mut self, text: &str) {
        self.bytes.clear();
        self.ends.clear();
        for word in text.split_word_bounds().filter(|w| !w.trim_start().is_empty()) {
            self.bytes.extend_from_slice(word.as_bytes());
            self.bytes.push(0xff);
            self.ends.push(self.bytes.len());
        }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn slice(&self, start: usize, length: usize) -> &[u8] {
        let from = start.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        let to = self.ends.get(start + length - 1).copied().unwrap_or(0);
        self.bytes.get(from..to).unwrap_or_default()
    }
}

fn char_count(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mode: Mode) -> Settings {
        Settings {
            mode,
            partitions: 1,
            separator: "\n".to_owned(),
            skip_empty: false,
            min_length: 0,
            min_words: 0,
            ngrams: Ngrams { length: 2, stride: 0, skip_short: false },
            part: None,
        }
    }

    fn spans(settings: Settings, text: &str) -> Vec<(u64, u64, String)> {
        let mut found = Vec::new();
        let push = |start, end, p: &str| {
            found.push((start, end, p.to_owned()));
            Ok(())
        };
        Extractor::new(settings).paragraphs(text, push).unwrap();
        found
    }

    fn cut(text: &str, separator: &str) -> Vec<(u64, u64, String)> {
        spans(Settings { separator: separator.to_owned(), ..settings(Mode::Paragraphs) }, text)
    }

    fn own(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
        expected.iter().map(|(s, e, p)| (*s, *e, (*p).to_owned())).collect()
    }

    #[test]
    fn spans_count_code_points_and_include_the_separator() {
        assert_eq!(cut("aé\n日本\n\nx", "\n"), own(&[(0, 3, "aé"), (3, 6, "日本"), (6, 7, ""), (7, 8, "x")]));
        assert_eq!(cut("é<é>é<é>", "<é>"), own(&[(0, 4, "é"), (4, 8, "é")]));
        assert_eq!(cut("", "\n"), own(&[]));
        assert_eq!(cut("\n", "\n"), own(&[(0, 1, "")]));
    }

    #[test]
    fn each_limit_leaves_out_what_is_below_it() {
        let text = "日本語\n \u{2003}\na b\n\nabcd e";
        let with = |change: fn(&mut Settings)| {
            let mut s = settings(Mode::Paragraphs);
            change(&mut s);
            spans(s, text).into_iter().map(|(_, _, p)| p).collect::<Vec<_>>()
        };
        assert_eq!(with(|s| s.skip_empty = true), ["日本語", "a b", "abcd e"]);
        assert_eq!(with(|s| s.min_length = 4), ["abcd e"]);
        assert_eq!(with(|s| s.min_length = 3), ["日本語", "a b", "abcd e"]);
        assert_eq!(with(|s| s.min_words = 1), ["日本語", "a b", "abcd e"]);
        assert_eq!(with(|s| s.min_words = 2), ["a b", "abcd e"]);
    }

    fn grams(text: &str, change: fn(&mut Ngrams)) -> (Vec<Key>, bool) {
        let mut s = settings(Mode::Ngrams);
        change(&mut s.ngrams);
        let mut keys = Vec::new();
        let whole = Extractor::new(s).ngrams(text, &mut keys);
        (keys, whole)
    }

    fn key(words: &[&str]) -> Key {
        xxh3_128(&words.iter().flat_map(|w| w.bytes().chain([0xff])).collect::<Vec<u8>>())
    }

    #[test]
    fn ngrams_are_of_words_without_white_space() {
        let (keys, whole) = grams("It's 2.0,\u{a0}no?", |_| ());
        assert_eq!(keys, [key(&["It's", "2.0"]), key(&["2.0", ","]), key(&[",", "no"]), key(&["no", "?"])]);
        assert!(!whole);
    }

    #[test]
    fn the_stride_counts_from_the_second_word() {
        let count = |stride: usize| {
            let mut s = settings(Mode::Ngrams);
            s.ngrams.stride = stride;
            let mut keys = Vec::new();
            Extractor::new(s).ngrams("a b c d e f g h i j", &mut keys);
            keys
        };
        assert_eq!(count(0).len(), 9);
        assert_eq!(count(1), count(0));
        assert_eq!(count(2), [0, 1, 3, 5, 7].map(|i| count(0)[i]));
        assert_eq!(count(3), [0, 1, 4, 7].map(|i| count(0)[i]));
    }

    #[test]
    fn short_paragraphs_are_compared_as_wholes() {
        assert_eq!(grams("a b", |_| ()), (vec![key(&["a", "b"])], true));
        assert_eq!(grams("a b", |n| n.skip_short = true), (vec![key(&["a", "b"])], false));
        assert_eq!(grams("a", |_| ()), (vec![], true));
        assert_eq!(grams("", |n| n.skip_short = true), (vec![], false));
        assert_eq!(grams("a b", |n| n.length = usize::MAX), (vec![], true));
    }
}
