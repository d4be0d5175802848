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
    /// Number of the repeated (n-1)-gram at each word, or NONE.
    numbers: Vec<u32>,
    /// Words at which a repeated (n-1)-gram starts, ascending.
    live: Vec<u32>,
    found: Vec<(u32, u32)>,
    pairs: Pairs,
    /// Characters of all words before each word, and of all words.
    before: Vec<u64>,
}

impl Ngrams {
    /// The repeats of each size for which the text has enough words, in order of size.
    pub fn count(&mut self, text: &Text<'_>) -> impl Iterator<Item = (usize, Repeats)> {
        let words = text.words();
        self.start(text.str.as_bytes(), words);
        let mut sizes = [Repeats::default(); 11];
        let possible = *SIZES.end().min(&words.len());
        for (n, repeats) in sizes.iter_mut().enumerate().take(possible + 1).skip(*SIZES.start()) {
            *repeats = self.next_size(n);
        }
        sizes.into_iter().enumerate().take(possible + 1).skip(*SIZES.start())
    }

    fn start(&mut self, text: &[u8], words: &[Word]) {
        self.words.reset(words.len());
        self.numbers.clear();
        self.live.clear();
        self.before.clear();
        self.before.push(0);
        let mut sum = 0;
        for word in words {
            self.numbers.push(self.words.add(text, word.start, word.end));
            sum += u64::from(word.chars);
            self.before.push(sum);
        }
        for (at, number) in self.numbers.iter_mut().enumerate() {
            if self.words.count(*number) > 1 {
                self.live.push(at as u32);
            } else {
                *number = NONE;
            }
        }
    }

    fn next_size(&mut self, n: usize) -> Repeats {
        self.pairs.reset(self.live.len());
        self.found.clear();
        for &at in &self.live {
            let pair = self.numbers.get(at as usize..at as usize + 2);
            if let Some(&[a, b]) = pair {
                if b != NONE {
                    self.found.push((at, self.pairs.add(a, b, at)));
                }
            }
        }
        for &at in &self.live {
            if let Some(number) = self.numbers.get_mut(at as usize) {
                *number = NONE;
            }
        }
        self.live.clear();
        let mut repeats = Repeats { total: self.total(n), ..Repeats::default() };
        let (mut count, mut first) = (1, 0);
        for pair in self.pairs.iter() {
            if pair.count > count {
                (count, first) = (pair.count, pair.first);
            }
        }
        repeats.top = u64::from(count) * self.chars(first, n);
        for i in 0..self.found.len() {
            let Some(&(at, number)) = self.found.get(i) else { break };
            if self.pairs.get(number).is_some_and(|p| p.count > 1) {
                self.live.push(at);
                repeats.duplicate += self.chars(at, n);
                if let Some(mine) = self.numbers.get_mut(at as usize) {
                    *mine = number;
                }
            }
        }
        repeats
    }

    /// Characters of the n-gram that starts at word `at`.
    fn chars(&self, at: u32, n: usize) -> u64 {
        let before = |i: usize| self.before.get(i).copied().unwrap_or_default();
        before(at as usize + n) - before(at as usize)
    }

    /// The sum over all n-grams: over their ends less over their starts, each nearly the sum over all words.
    fn total(&self, n: usize) -> u64 {
        let last = self.before.len().saturating_sub(n);
        let not_ends: u64 = self.before.iter().take(n).sum();
        let not_starts: u64 = self.before.iter().skip(last).sum();
        not_starts - not_ends
    }
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
