//! From a token to the rows of the input matrix: vocabulary, character n-grams and buckets.
//!
//! The rules are fastText's (Bojanowski et al. 2017, Joulin et al. 2016, and its published C++ source), including those
//! that look like accidents, since models are trained with them:
//!
//! - the hash is FNV-1a over *signed* bytes: a byte from 128 flips the upper 24 bits too;
//! - a word of the vocabulary brings its own row and its n-grams, an unknown one its n-grams only;
//! - n-grams are of characters, in `<word>`; a lone `<` or `>` is none;
//! - a pruned model keeps the rows of some buckets; n-grams of the others count for nothing, not even in the average.

use std::io::BufRead;

use xxhash_rust::xxh3::xxh3_64;

use super::source::Source;
use super::table::{IdMap, Modulus, Table};
use crate::Result;

/// The token that ends a line; where it stands in a text, fastText stops reading.
pub(super) const END: &str = "</s>";
/// What a label starts with; models do not record another prefix, so unknown tokens are judged by this one.
const LABEL: &[u8] = b"__label__";
/// Bytes of a vocabulary entry at least: the NUL, the count, the type.
const ENTRY: u64 = 10;
/// No published model goes beyond 6; the limit keeps the work per byte of text bounded.
const MAX_ORDER: i32 = 64;

/// What the header of a model says about words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    /// Longest word n-gram; 1: words only.
    pub words: u32,
    pub buckets: Modulus,
    /// Lengths of character n-grams; none with `max_chars` 0.
    pub min_chars: u32,
    pub max_chars: u32,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word with its hash, of which word n-grams are made.
    Word(u32),
    /// The name of a label: skipped.
    Label,
    /// The end of the line, a word too.
    End(u32),
}

#[derive(Debug)]
pub(super) struct Dictionary {
    /// All entries, words before labels, one after the other.
    text: Vec<u8>,
    ends: Vec<usize>,
    words: u32,
    table: Table,
    orders: Orders,
    /// The buckets kept by pruning, with their rows after the words.
    kept: Option<IdMap>,
    pub labels: Vec<String>,
    pub label_counts: Vec<i64>,
}

/// The hash of nothing.
const BASIS: u32 = 2_166_136_261;

/// FNV-1a over signed bytes.
pub(super) fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(BASIS, |h, &b| step(h, b))
}

#[inline]
fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ i32::from(byte as i8) as u32).wrapping_mul(16_777_619)
}

fn starts_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

impl Orders {
    /// `old`: files of format 11, whose classifiers have no character n-grams whatever they say.
    pub fn read<R: BufRead>(source: &mut Source<R>, words: u32, old: bool) -> Result<Self> {
        let buckets = source.bounded("the number of buckets", 0..=i32::MAX)?;
        let min_chars = source.bounded("minn", 0..=MAX_ORDER)?;
        let max_chars = source.bounded("maxn", 0..=MAX_ORDER)?;
        let max_chars = if old { 0 } else { max_chars };
        let orders = Orders { words, buckets: Modulus::new(buckets), min_chars, max_chars };
        if buckets == 0 && orders.hashes() {
            return Err(source.wrong("expected buckets for its n-grams, found none"));
        }
        Ok(orders)
    }

    pub fn read_words<R: BufRead>(source: &mut Source<R>) -> Result<u32> {
        source.bounded("wordNgrams", 0..=MAX_ORDER)
    }

    fn hashes(&self) -> bool {
        self.words > 1 || self.max_chars > 0
    }
}

impl Dictionary {
    pub fn read<R: BufRead>(source: &mut Source<R>, orders: Orders) -> Result<Self> {
        let size = source.bounded("the size of the vocabulary", 0..=i32::MAX)?;
        let words = source.bounded("the number of words", 0..=i32::MAX)?;
        let labels = source.bounded("the number of labels", 0..=i32::MAX)?;
        source.i64("the number of tokens")?;
        let kept = source.i64("the number of kept buckets")?;
        if u64::from(words) + u64::from(labels) != u64::from(size) || labels == 0 {
            return Err(source.wrong(format!(
                "expected words and at least one label to make {size} entries, found {words} words and {labels} labels"
            )));
        }
        let entries = source.room(u64::from(size), ENTRY, "vocabulary entries")?;
        let mut dictionary = Dictionary {
            text: Vec::new(),
            ends: Vec::with_capacity(entries),
            words,
            table: Table::with_keys(entries),
            orders,
            kept: None,
            labels: Vec::new(),
            label_counts: Vec::new(),
        };
        for entry in 0..size {
            let word = source.word("word")?;
            let count = source.i64("the count of a word")?;
            let is_label = source.i8("the type of a word")? == 1;
            if is_label != (entry >= words) {
                return Err(source.wrong(format!("expected {words} words before the labels, not so at entry {entry}")));
            }
            if is_label {
                dictionary.labels.push(String::from_utf8_lossy(&word).into_owned());
                dictionary.label_counts.push(count);
            }
            dictionary.push(&word, entry);
        }
        if let Ok(kept) = u64::try_from(kept) {
            dictionary.kept = Some(dictionary.read_kept(source, kept)?);
        }
        Ok(dictionary)
    }

    fn push(&mut self, word: &[u8], entry: u32) {
        self.text.extend_from_slice(word);
        self.ends.push(self.text.len());
        let (text, ends) = (&self.text, &self.ends);
        self.table.insert(xxh3_64(word), entry, |e| entry_of(text, ends, e) == Some(word));
    }

    fn read_kept<R: BufRead>(&self, source: &mut Source<R>, count: u64) -> Result<IdMap> {
        let mut kept = IdMap::with_keys(source.room(count, 8, "kept buckets")?);
        for _ in 0..count {
            let bucket = source.bounded("a kept bucket", 0..=i32::MAX)?;
            let row = source.bounded("the row of a kept bucket", 0..=i32::MAX)?;
            if u64::from(row) >= count {
                return Err(source.wrong(format!("expected the row of a kept bucket below {count}, found {row}")));
            }
            kept.insert(bucket, row);
        }
        Ok(kept)
    }

    pub fn is_pruned(&self) -> bool {
        self.kept.is_some()
    }

    /// Rows that the input matrix must have: words, then buckets.
    pub fn rows(&self) -> u64 {
        let buckets = match &self.kept {
            Some(kept) => kept.len() as u64,
            None if self.orders.hashes() => u64::from(self.orders.buckets.divisor()),
            None => 0,
        };
        u64::from(self.words) + buckets
    }

    fn find(&self, token: &[u8]) -> Option<u32> {
        self.table.find(xxh3_64(token), |e| entry_of(&self.text, &self.ends, e) == Some(token))
    }

    /// Appends the rows of `token` to `rows`. `padded` is memory to work in.
    pub fn resolve(&self, token: &[u8], padded: &mut Vec<u8>, rows: &mut Vec<u32>) -> Token {
        let found = self.find(token);
        let is_label = found.map_or_else(|| token.starts_with(LABEL), |entry| entry >= self.words);
        if is_label {
            return Token::Label;
        }
        rows.extend(found);
        if token == END.as_bytes() {
            return Token::End(hash(token));
        }
        if self.orders.max_chars > 0 {
            padded.clear();
            padded.push(b'<');
            padded.extend_from_slice(token);
            padded.extend_from_slice(b">\0");
            self.character_ngrams(padded, rows);
        }
        Token::Word(hash(token))
    }

    /// Rows of the n-grams of `<token>`, which a NUL follows. The hash of each is that of the one before and a character
    /// more, which is whole where the next byte starts another.
    fn character_ngrams(&self, padded: &[u8], rows: &mut Vec<u32>) {
        let from = rows.len();
        let Orders { min_chars, max_chars, buckets, .. } = self.orders;
        let last = padded.len().saturating_sub(2);
        for start in 0..=last {
            let Some(rest) = padded.get(start..).filter(|r| r.first().is_some_and(|&b| starts_character(b))) else {
                continue;
            };
            let is_bracket = start == 0 || start == last;
            let (mut length, mut hash) = (0, BASIS);
            for (&byte, &next) in rest.iter().zip(rest.iter().skip(1)) {
                hash = step(hash, byte);
                if starts_character(next) {
                    length += 1;
                    if length >= min_chars && !(length == 1 && is_bracket) {
                        rows.push(buckets.of(hash));
                    }
                    if length >= max_chars {
                        break;
                    }
                }
            }
        }
        self.bucket_rows(rows, from);
    }

    /// Appends the rows of the word n-grams of two words and more; `hashes` are those of a line's words.
    pub fn word_ngrams(&self, hashes: &[u32], rows: &mut Vec<u32>) {
        let from = rows.len();
        let buckets = u64::from(self.orders.buckets.divisor());
        let signed = |hash: u32| i64::from(hash as i32) as u64;
        for (start, &first) in hashes.iter().enumerate() {
            let mut hash = signed(first);
            for &next in hashes.iter().skip(start + 1).take(self.orders.words.saturating_sub(1) as usize) {
                hash = hash.wrapping_mul(116_049_371).wrapping_add(signed(next));
                rows.push((hash % buckets) as u32);
            }
        }
        self.bucket_rows(rows, from);
    }

    pub fn has_word_ngrams(&self) -> bool {
        self.orders.words > 1
    }

    /// Puts rows in the place of the buckets in `rows` past `from`.
    fn bucket_rows(&self, rows: &mut Vec<u32>, from: usize) {
        if let Some(kept) = &self.kept {
            kept.select(rows, from);
        }
        rows.iter_mut().skip(from).for_each(|row| *row += self.words);
    }
}

fn entry_of<'a>(text: &'a [u8], ends: &[usize], entry: u32) -> Option<&'a [u8]> {
    let entry = entry as usize;
    let start = match entry.checked_sub(1) {
        Some(before) => *ends.get(before)?,
        None => 0,
    };
    text.get(start..*ends.get(entry)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(orders: Orders, words: &[&str]) -> Dictionary {
        let mut made = Dictionary {
            text: Vec::new(),
            ends: Vec::new(),
            words: words.len() as u32,
            table: Table::with_keys(words.len()),
            orders,
            kept: None,
            labels: Vec::new(),
            label_counts: Vec::new(),
        };
        for (entry, word) in words.iter().enumerate() {
            made.push(word.as_bytes(), entry as u32);
        }
        made
    }

    fn rows(dictionary: &Dictionary, token: &str) -> (Token, Vec<u32>) {
        let mut rows = Vec::new();
        let token = dictionary.resolve(token.as_bytes(), &mut Vec::new(), &mut rows);
        (token, rows)
    }

    #[test]
    fn bytes_are_hashed_signed() {
        assert_eq!(hash(b""), 2_166_136_261);
        assert_eq!(hash(b"a"), 0xE40C_292C);
        assert_eq!(hash("\u{e9}".as_bytes()), 0x3CFA_68C1);
    }

    #[test]
    fn ngrams_are_of_characters_and_lone_brackets_do_not_count() {
        let orders = Orders { words: 1, buckets: Modulus::new(1 << 30), min_chars: 1, max_chars: 2 };
        let (token, found) = rows(&dictionary(orders, &[]), "\u{e9}b");
        let expected = ["<\u{e9}", "\u{e9}", "\u{e9}b", "b", "b>"].map(|g| hash(g.as_bytes()) % (1 << 30));
        assert_eq!(found, expected);
        assert_eq!(token, Token::Word(hash("\u{e9}b".as_bytes())));
    }

    #[test]
    fn known_words_labels_and_the_end_of_line() {
        let orders = Orders { words: 1, buckets: Modulus::new(100), min_chars: 3, max_chars: 3 };
        let known = dictionary(orders, &["</s>", "a"]);
        assert_eq!(rows(&known, "a"), (Token::Word(hash(b"a")), vec![1, 2 + hash(b"<a>") % 100]));
        assert_eq!(rows(&known, "</s>"), (Token::End(hash(b"</s>")), vec![0]));
        assert_eq!(rows(&known, "__label__x"), (Token::Label, vec![]));
    }

    #[test]
    fn word_ngrams_chain_signed_hashes() {
        let orders = Orders { words: 3, buckets: Modulus::new(1000), min_chars: 0, max_chars: 0 };
        let mut found = Vec::new();
        dictionary(orders, &["a"]).word_ngrams(&[1, u32::MAX, 2], &mut found);
        let chain = |h: u64, next: u64| h.wrapping_mul(116_049_371).wrapping_add(next);
        let (one_two, two_three) = (chain(1, u64::MAX), chain(u64::MAX, 2));
        let expected = [one_two, chain(one_two, 2), two_three].map(|h| 1 + (h % 1000) as u32);
        assert_eq!(found, expected);
    }
}
