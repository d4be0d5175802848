//! The quality signals of Gopher (arXiv 2112.11446, table A1) with the definitions of Dolma 1.2.1.
//!
//! Nothing is thresholded here. "Characters" in a denominator are those of the words, so without white space, while
//! `character_count` and the numerator of duplicate lines count all: that fraction can exceed 1.

use super::chars::{LETTER, SYMBOL};
use super::column::{Column, Kind};
use super::intern::Interner;
use super::ngrams::Ngrams;
use super::text::{count_chars, Text, Word};
use super::Tagger;

const ATTRIBUTES: [(&str, Kind); 19] = [
    ("fraction_of_characters_in_most_common_2grams", Kind::Document),
    ("fraction_of_characters_in_most_common_3grams", Kind::Document),
    ("fraction_of_characters_in_most_common_4grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_5grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_6grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_7grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_8grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_9grams", Kind::Document),
    ("fraction_of_characters_in_duplicate_10grams", Kind::Document),
    ("character_count", Kind::Document),
    ("word_count", Kind::Document),
    ("median_word_length", Kind::Document),
    ("symbol_to_word_ratio", Kind::Document),
    ("fraction_of_words_with_alpha_character", Kind::Document),
    ("required_word_count", Kind::Document),
    ("fraction_of_lines_starting_with_bullet_point", Kind::Document),
    ("fraction_of_lines_ending_with_ellipsis", Kind::Document),
    ("fraction_of_duplicate_lines", Kind::Document),
    ("fraction_of_characters_in_duplicate_lines", Kind::Document),
];
/// Positions in `ATTRIBUTES`: those before the first one are of n-grams, from 2 on.
const FIRST_COUNT: usize = 9;
const REQUIRED_COUNT: usize = 14;
const FIRST_OF_LINES: usize = 15;

/// `gopher_v1` splits lines at each line break, `gopher_v2` at runs of them.
pub struct Gopher {
    join_breaks: bool,
    ngrams: Ngrams,
    lines: Interner,
    breaks: Vec<(u32, u32)>,
    lengths: Lengths,
}

impl Gopher {
    pub fn v1() -> Self {
        Gopher {
            join_breaks: false,
            ngrams: Ngrams::default(),
            lines: Interner::default(),
            breaks: Vec::new(),
            lengths: Lengths::default(),
        }
    }

    pub fn v2() -> Self {
        Gopher { join_breaks: true, ..Gopher::v1() }
    }

    fn words(&mut self, text: &Text<'_>) -> [f64; 5] {
        let words = text.words();
        self.lengths.clear();
        let (mut symbols, mut alphabetic) = (0, 0);
        for word in words {
            symbols += u32::from(word.classes & SYMBOL != 0);
            alphabetic += u32::from(word.classes & LETTER != 0);
            self.lengths.add(word.chars);
        }
        let some = words.len().max(1) as f64;
        let median = self.lengths.median(words.len());
        [text.chars() as f64, words.len() as f64, median, f64::from(symbols) / some, f64::from(alphabetic) / some]
    }

    /// The n-grams at a position among the attributes, after those before it.
    fn grams(&mut self, at: usize, text: &Text<'_>, columns: &mut [Column]) {
        if at == 0 {
            self.ngrams.begin(text);
        }
        if let (Some((n, repeats)), Some(column)) = (self.ngrams.next(text), columns.get_mut(at)) {
            column.set(match n {
                2..=4 => repeats.top as f64 / text.word_chars().max(1) as f64,
                _ => repeats.duplicate as f64 / repeats.total.max(1) as f64,
            });
        }
    }

    /// `characters`: of all words.
    fn lines(&mut self, text: &Text<'_>, characters: u64) -> [f64; 4] {
        self.breaks.clear();
        split_lines(text, self.join_breaks, &mut self.breaks);
        self.lines.reset(self.breaks.len());
        let bytes = text.str.as_bytes();
        let (mut bullets, mut ellipses) = (0u64, 0u64);
        for &(start, end) in &self.breaks {
            let line = bytes.get(start as usize..end as usize).unwrap_or_default();
            bullets += u64::from(matches!(line.first(), Some(b'*' | b'-')));
            ellipses += u64::from(line.ends_with("\u{2026}".as_bytes()));
            self.lines.add(bytes, start, end);
        }
        let (mut duplicates, mut duplicate_chars) = (0u64, 0u64);
        for (start, end, count) in self.lines.iter().filter(|(_, _, count)| *count > 1) {
            duplicates += u64::from(count);
            let line = text.str.get(start as usize..end as usize).unwrap_or_default();
            duplicate_chars += count_chars(line) as u64 * u64::from(count);
        }
        let all = self.breaks.len().max(1) as f64;
        [
            bullets as f64 / all,
            ellipses as f64 / all,
            duplicates as f64 / all,
            duplicate_chars as f64 / characters.max(1) as f64,
        ]
    }
}

impl Tagger for Gopher {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &ATTRIBUTES
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let mut done = 0;
        for part in [FIRST_COUNT - 1, FIRST_COUNT, REQUIRED_COUNT, FIRST_OF_LINES] {
            self.measure(part, text, &mut done, columns);
        }
    }

    /// What is counted of words, of lines, and of n-grams comes apart; shorter n-grams come before longer ones.
    fn measure(&mut self, attribute: usize, text: &Text<'_>, done: &mut u64, columns: &mut [Column]) {
        if attribute < FIRST_COUNT {
            for size in done.trailing_ones() as usize..=attribute {
                self.grams(size, text, columns);
                *done |= 1 << size;
            }
            return;
        }
        let (first, scores): (usize, &[f64]) = match attribute {
            REQUIRED_COUNT => (REQUIRED_COUNT, &[required(text)]),
            FIRST_OF_LINES.. => (FIRST_OF_LINES, &self.lines(text, text.word_chars())),
            _ => (FIRST_COUNT, &self.words(text)),
        };
        for (at, score) in (first..).zip(scores) {
            *done |= 1 << at;
            if let Some(column) = columns.get_mut(at) {
                column.set(if text.str.is_empty() { 0.0 } else { *score });
            }
        }
    }
}

/// The words that a text is expected to have, each with its length above its bytes.
const REQUIRED: [u64; 8] = [
    spelled(b"the\0", 3),
    spelled(b"be\0\0", 2),
    spelled(b"to\0\0", 2),
    spelled(b"of\0\0", 2),
    spelled(b"and\0", 3),
    spelled(b"that", 4),
    spelled(b"have", 4),
    spelled(b"with", 4),
];

const fn spelled(bytes: &[u8; 4], length: u32) -> u64 {
    (length as u64) << 32 | u32::from_le_bytes(*bytes) as u64
}

/// How many words are among those that a text is expected to have.
fn required(text: &Text<'_>) -> f64 {
    let bytes = text.str.as_bytes();
    let known = |word: &Word| {
        let length = word.end - word.start;
        let found = match bytes.get(word.start as usize..).and_then(<[u8]>::first_chunk) {
            Some(four) => {
                let four = u32::from_le_bytes(*four);
                // A longer word is packed too, and its length tells it from these.
                four & u32::MAX >> (8 * 4u32.saturating_sub(length))
            }
            None => text.bytes(word).iter().rev().fold(0, |found, byte| found << 8 | u32::from(*byte)),
        };
        let found = u64::from(length) << 32 | u64::from(found);
        // Without branches, which would be guessed wrong as often as not.
        REQUIRED.iter().fold(false, |known, word| known | (found == *word))
    };
    text.words().iter().map(|word| u64::from(known(word))).sum::<u64>() as f64
}

/// Byte ranges of the lines; with `join` those of `re.split("\n+")`, where an empty one is left only at either end.
fn split_lines(text: &Text<'_>, join: bool, lines: &mut Vec<(u32, u32)>) {
    let mut start = 0;
    for at in text.newlines().iter().map(|newline| newline.at) {
        if at > start || !join || lines.is_empty() {
            lines.push((start, at));
        }
        start = at + 1;
    }
    lines.push((start, text.str.len() as u32));
}

/// Word lengths: a histogram of the short ones, the long ones as they are.
struct Lengths {
    short: [u32; 64],
    long: Vec<u32>,
}

impl Default for Lengths {
    fn default() -> Self {
        Lengths { short: [0; 64], long: Vec::new() }
    }
}

impl Lengths {
    fn clear(&mut self) {
        self.short.fill(0);
        self.long.clear();
    }

    fn add(&mut self, length: u32) {
        match self.short.get_mut(length as usize) {
            Some(count) => *count += 1,
            None => self.long.push(length),
        }
    }

    /// The mean of the two middle lengths of `count`, which are the same where it is odd; 0 of none.
    fn median(&mut self, count: usize) -> f64 {
        if count == 0 {
            return 0.0;
        }
        self.long.sort_unstable();
        (f64::from(self.at((count - 1) / 2)) + f64::from(self.at(count / 2))) / 2.0
    }

    /// The length at `rank` of the sorted lengths.
    fn at(&self, rank: usize) -> u32 {
        let mut rank = rank;
        for (length, count) in self.short.iter().enumerate() {
            match rank.checked_sub(*count as usize) {
                Some(left) => rank = left,
                None => return length as u32,
            }
        }
        self.long.get(rank).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::{Array, LargeStringArray};

    use super::super::tag_texts;
    use super::*;

    /// The scores of one text by name, without the absent ones.
    fn tag(tagger: Gopher, text: &str) -> Vec<(&'static str, f64)> {
        let texts = LargeStringArray::from(vec![text]);
        let columns = tag_texts(&mut [Box::new(tagger)], &texts).unwrap();
        let scored = columns[0].iter().zip(ATTRIBUTES).filter(|(c, _)| c.is_valid(0));
        scored.map(|(c, (name, _))| (name, c.as_primitive::<Float64Type>().value(0))).collect()
    }

    #[test]
    fn measures_words_and_lines() {
        let found = tag(Gopher::v2(), "the cat\n\n* the #cat…\nthe cat");
        assert_eq!(
            found[6..],
            [
                ("character_count", 28.0),
                ("word_count", 7.0),
                ("median_word_length", 3.0),
                ("symbol_to_word_ratio", 0.14286),
                ("fraction_of_words_with_alpha_character", 0.85714),
                ("required_word_count", 3.0),
                ("fraction_of_lines_starting_with_bullet_point", 0.33333),
                ("fraction_of_lines_ending_with_ellipsis", 0.33333),
                ("fraction_of_duplicate_lines", 0.66667),
                ("fraction_of_characters_in_duplicate_lines", 0.66667),
            ][..]
        );
        assert_eq!(found[0], ("fraction_of_characters_in_most_common_2grams", 0.57143));
    }

    #[test]
    fn required_words_are_told_from_longer_and_shorter_ones() {
        let text = "the be to of and that have with thex bex th b The withs t\0 be\0 thatwith of";
        let count = |end: usize| required(&Text::new(text.get(..end).unwrap_or_default()));
        let expected = |end: usize| {
            let known = ["the", "be", "to", "of", "and", "that", "have", "with"];
            text[..end].split(' ').filter(|word| known.contains(word)).count() as f64
        };
        // Wherever the text ends: the last words are read another way.
        for end in 0..=text.len() {
            assert_eq!(count(end), expected(end), "{end}");
        }
        assert_eq!(expected(text.len()), 9.0);
    }

    #[test]
    fn an_empty_text_has_counts_and_no_ngrams() {
        let found = tag(Gopher::v1(), "");
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|(_, score)| *score == 0.0));
        assert_eq!(tag(Gopher::v1(), "two words").len(), 11);
    }

    #[test]
    fn empty_lines_are_duplicates_in_v1_and_at_both_ends_in_v2() {
        let lines = |t| tag(t, "\n\na\n\n").iter().find(|(n, _)| *n == "fraction_of_duplicate_lines").map(|f| f.1);
        assert_eq!(lines(Gopher::v1()), Some(0.8));
        assert_eq!(lines(Gopher::v2()), Some(0.66667));
    }

    #[test]
    fn the_median_of_an_even_number_is_a_mean() {
        let mut lengths = Lengths::default();
        for length in [1, 70, 2, 90] {
            lengths.add(length);
        }
        assert_eq!(lengths.median(4), 36.0);
        lengths.add(80);
        assert_eq!(lengths.median(5), 70.0);
    }
}
