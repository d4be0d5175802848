//! Repeated n-grams of words, n = 2 to 10.

use super::intern::{Interner, Pairs, NONE};
use super::text::{Text, Word};

pub const SIZES: std::ops::RangeInclusive<usize> = 2..=10;

/// What repeats among the n-grams of one size. Characters are those of the words, white space aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Occurrences x characters of the most common n-gram; of several, the one that comes first in the text.
    pub top: u64,
    /// Characters of all occurrences of n-grams that occur more than once.
    pub duplicate: u64,
    /// Characters of all n-grams.
    pub total: u64,
}

/// Counts n-grams exactly, with memory that is kept between documents.
///
/// An n-gram can only repeat where both (n-1)-grams it is made of repeat. So each size looks only at the places that
/// are left from the size before, and numbers pairs of numbers; in prose few places are left after n = 3, and all
/// sizes together cost little more than the bigrams.
#[derive(Default)]
pub struct Ngrams {
    words: Interner,
    /// Number of each word.
    numbers: Vec<u32>,
    /// Number of the repeated (n-1)-gram at each word, or NONE.
    grams: Vec<u32>,
    /// Repeated (n-1)-grams in the order of the text.
    live: Vec<Gram>,
    found: Vec<(Gram, u32)>,
    pairs: Pairs,
}

/// The word an n-gram starts at, and the characters of its words.
#[derive(Clone, Copy)]
struct Gram {
    at: u32,
    chars: u32,
}

impl Ngrams {
    /// How often a word of at most 16 bytes is in the text that was counted last.
    pub fn times(&self, word: &[u8]) -> u32 {
        self.words.times(word)
    }

    /// The repeats of each size for which the text has enough words, in order of size.
    pub fn count(&mut self, text: &Text<'_>) -> impl Iterator<Item = (usize, Repeats)> {
        let words = text.words();
        let all = chars(Some(words));
        let mut sizes = [Repeats::default(); 11];
        let possible = *SIZES.end().min(&words.len());
        self.number_words(text.str.as_bytes(), words);
        for (n, repeats) in sizes.iter_mut().enumerate().take(possible + 1).skip(*SIZES.start()) {
            match n {
                2 => self.pair_words(words),
                _ => self.pair_grams(words, n),
            }
            *repeats = self.repeats(words, all, n);
        }
        sizes.into_iter().enumerate().take(possible + 1).skip(*SIZES.start())
    }

    fn number_words(&mut self, text: &[u8], words: &[Word]) {
        self.words.reset(words.len());
        self.numbers.clear();
        self.live.clear();
        for word in words {
            self.numbers.push(self.words.add(text, word.start, word.end));
        }
        self.grams.clear();
        self.grams.resize(words.len(), NONE);
    }

    /// Finds the bigrams of words that repeat.
    fn pair_words(&mut self, words: &[Word]) {
        self.found.clear();
        let mut before = false;
        for (at, number) in self.numbers.iter().enumerate() {
            let here = self.words.count(*number) > 1;
            if before & here {
                self.found.push((Gram { at: at as u32 - 1, chars: 0 }, NONE));
            }
            before = here;
        }
        self.pairs.reset(self.found.len());
        for (gram, number) in &mut self.found {
            let at = gram.at as usize;
            if let (Some(&[a, b]), Some([one, other])) = (self.numbers.get(at..at + 2), words.get(at..at + 2)) {
                gram.chars = one.chars + other.chars;
                *number = self.pairs.add(a, b, gram.at);
            }
        }
    }

    /// Finds the n-grams whose two (n-1)-grams repeat.
    fn pair_grams(&mut self, words: &[Word], n: usize) {
        self.pairs.reset(self.live.len());
        self.found.clear();
        for gram in &self.live {
            let pair = self.grams.get(gram.at as usize..gram.at as usize + 2);
            if let Some(&[a, b]) = pair.filter(|pair| pair[1] != NONE) {
                let more = words.get(gram.at as usize + n - 1).map_or(0, |w| w.chars);
                let longer = Gram { at: gram.at, chars: gram.chars + more };
                self.found.push((longer, self.pairs.add(a, b, gram.at)));
            }
        }
        for gram in &self.live {
            if let Some(number) = self.grams.get_mut(gram.at as usize) {
                *number = NONE;
            }
        }
    }

    /// What repeats of those found; these are live for the next size. `all`: characters of the words.
    fn repeats(&mut self, words: &[Word], all: u64, n: usize) -> Repeats {
        let mut repeats = Repeats { total: total(words, all, n), ..Repeats::default() };
        let (mut count, mut first) = (1, 0);
        for pair in self.pairs.iter() {
            if pair.count > count {
                (count, first) = (pair.count, pair.first as usize);
            }
        }
        repeats.top = u64::from(count) * chars(words.get(first..first + n));
        self.live.clear();
        if count == 1 {
            return repeats;
        }
        for (gram, number) in &self.found {
            if self.pairs.get(*number).is_some_and(|p| p.count > 1) {
                self.live.push(*gram);
                repeats.duplicate += u64::from(gram.chars);
                if let Some(mine) = self.grams.get_mut(gram.at as usize) {
                    *mine = *number;
                }
            }
        }
        repeats
    }
}

fn chars(words: Option<&[Word]>) -> u64 {
    words.unwrap_or_default().iter().map(|w| u64::from(w.chars)).sum()
}

/// Characters of all n-grams, of words that have `all` together: a word is in n of them, one close to an end in fewer.
fn total(words: &[Word], all: u64, n: usize) -> u64 {
    let ends = words.iter().take(n - 1).zip(words.iter().rev());
    let missing =
        ends.zip((1..n as u64).rev()).map(|((a, b), fewer)| fewer * (u64::from(a.chars) + u64::from(b.chars)));
    n as u64 * all - missing.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Every size on its own, from the definition.
    fn slowly(text: &str) -> Vec<(usize, Repeats)> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut sizes = Vec::new();
        for n in SIZES {
            let mut order: Vec<&[&str]> = Vec::new();
            let mut counts: HashMap<&[&str], u64> = HashMap::new();
            for gram in words.windows(n) {
                if !counts.contains_key(gram) {
                    order.push(gram);
                }
                *counts.entry(gram).or_default() += 1;
            }
            let chars = |gram: &[&str]| gram.iter().map(|w| w.chars().count() as u64).sum::<u64>();
            let mut repeats = Repeats::default();
            let mut most = 0;
            for gram in &order {
                let count = counts[gram];
                if count > most {
                    (most, repeats.top) = (count, count * chars(gram));
                }
                repeats.total += count * chars(gram);
                repeats.duplicate += if count > 1 { count * chars(gram) } else { 0 };
            }
            if !order.is_empty() {
                sizes.push((n, repeats));
            }
        }
        sizes
    }

    #[test]
    fn counts_a_small_text() {
        let found: Vec<_> = Ngrams::default().count(&Text::new("aa b aa b c")).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], (2, Repeats { top: 6, duplicate: 6, total: 3 + 3 + 3 + 2 }));
        assert_eq!(found[1], (3, Repeats { top: 5, duplicate: 0, total: 5 + 4 + 4 }));
        assert_eq!(Ngrams::default().count(&Text::new("alone")).count(), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(texts in prop::collection::vec("((a|bb|é|dd|e|…)( |\n)){0,60}", 1..4)) {
            let mut ngrams = Ngrams::default();
            for text in &texts {
                prop_assert_eq!(ngrams.count(&Text::new(text)).collect::<Vec<_>>(), slowly(text));
            }
        }
    }
}
