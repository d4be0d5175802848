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
/// Bigrams are found in a table. An n-gram can only repeat where the (n-1)-gram it begins with repeats, so longer ones
/// are found by splitting the places of each of those by the word that comes next: most are a pair of places where one
/// comparison tells. In prose few places are left after n = 3.
#[derive(Default)]
pub struct Ngrams {
    words: Interner,
    /// The size that was counted last.
    size: usize,
    /// Number of each word.
    numbers: Vec<u32>,
    pairs: Pairs,
    /// Places of the bigrams of words that repeat, and the number of each bigram.
    found: Vec<(u32, u32)>,
    /// Where the next place of each bigram goes; NONE where it does not repeat.
    cursors: Vec<u32>,
    repeated: Repeated,
    /// Those of the size before.
    shorter: Repeated,
    /// Next word and place of each of many places.
    split: Vec<u64>,
}

/// The n-grams of one size that occur more than once.
#[derive(Default)]
struct Repeated {
    grams: Vec<Gram>,
    /// Words at which they start: those of one n-gram beside each other, in the order of the text.
    places: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Gram {
    /// Its number of places.
    count: u32,
    /// Characters of its words.
    chars: u32,
}

impl Ngrams {
    /// Begins with a text: its words are numbered, and [`Ngrams::next`] counts the shortest n-grams.
    pub fn begin(&mut self, text: &Text<'_>) {
        self.size = SIZES.start() - 1;
        self.number_words(text.str.as_bytes(), text.words());
    }

    /// The repeats of the next size, if it is one of `SIZES` and the text, which was begun with, has words enough.
    pub fn next(&mut self, text: &Text<'_>) -> Option<(usize, Repeats)> {
        let words = text.words();
        let n = self.size + 1;
        if n > *SIZES.end() || n > words.len() {
            return None;
        }
        self.size = n;
        match n {
            2 => self.pair_words(words),
            _ => self.lengthen(words, n),
        }
        let repeats = self.repeated.repeats(words, n);
        Some((n, Repeats { total: total(words, text.word_chars(), n), ..repeats }))
    }

    fn number_words(&mut self, text: &[u8], words: &[Word]) {
        self.words.reset(words.len());
        self.numbers.clear();
        self.numbers.extend(words.iter().map(|word| self.words.add(text, word.start, word.end)));
    }

    /// Finds the bigrams that repeat among those of two words that do.
    fn pair_words(&mut self, words: &[Word]) {
        let Ngrams { words: table, numbers, pairs, found, cursors, repeated, .. } = self;
        // Each is put where the next one goes and counted or not: a branch would be guessed wrong as often as not.
        found.clear();
        found.resize(numbers.len(), (0, NONE));
        let (mut many, mut before) = (0, false);
        for (at, number) in numbers.iter().enumerate() {
            let here = table.count(*number) > 1;
            if let Some(next) = found.get_mut(many) {
                next.0 = (at as u32).wrapping_sub(1);
            }
            many += usize::from(before & here);
            before = here;
        }
        found.truncate(many);
        pairs.reset(found.len());
        for (at, number) in found.iter_mut() {
            if let Some(&[a, b]) = numbers.get(*at as usize..*at as usize + 2) {
                *number = pairs.add(a, b, *at);
            }
        }
        repeated.clear();
        cursors.clear();
        let mut all = 0;
        for pair in pairs.iter() {
            cursors.push(if pair.count > 1 { all } else { NONE });
            if pair.count > 1 {
                let first = pair.first as usize;
                repeated.grams.push(Gram { count: pair.count, chars: chars(words.get(first..first + 2)) as u32 });
                all += pair.count;
            }
        }
        repeated.places.resize(all as usize, 0);
        for (at, number) in found.iter() {
            if let Some(cursor) = cursors.get_mut(*number as usize).filter(|cursor| **cursor != NONE) {
                if let Some(place) = repeated.places.get_mut(*cursor as usize) {
                    *place = *at;
                }
                *cursor += 1;
            }
        }
    }

    /// Finds the n-grams that repeat from the repeated (n-1)-grams.
    fn lengthen(&mut self, words: &[Word], n: usize) {
        std::mem::swap(&mut self.repeated, &mut self.shorter);
        let Ngrams { numbers, repeated, shorter, split, .. } = self;
        repeated.clear();
        let next = |place: u32| numbers.get(place as usize + n - 1).copied();
        let mut rest = shorter.places.as_slice();
        for gram in &shorter.grams {
            let (places, others) = rest.split_at(rest.len().min(gram.count as usize));
            rest = others;
            let (Some(first), Some(last)) = (places.first(), places.last()) else { break };
            let of = |place: u32| gram.chars + words.get(place as usize + n - 1).map_or(0, |w| w.chars);
            let word = next(*first);
            if word == next(*last) && places.iter().all(|place| next(*place) == word) {
                repeated.add(of(*first), places.iter().copied());
            } else if places.len() > 2 {
                split.clear();
                split.extend(places.iter().filter_map(|p| Some(u64::from(next(*p)?) << 32 | u64::from(*p))));
                split.sort_unstable();
                for same in split.chunk_by(|a, b| a >> 32 == b >> 32).filter(|same| same.len() > 1) {
                    repeated.add(of(same.first().map_or(0, |p| *p as u32)), same.iter().map(|p| *p as u32));
                }
            }
        }
    }
}

impl Repeated {
    fn clear(&mut self) {
        self.grams.clear();
        self.places.clear();
    }

    fn add(&mut self, chars: u32, places: impl ExactSizeIterator<Item = u32>) {
        self.grams.push(Gram { count: places.len() as u32, chars });
        self.places.extend(places);
    }

    /// The repeats among n-grams of the size `n`, without their total.
    fn repeats(&self, words: &[Word], n: usize) -> Repeats {
        let mut duplicate = 0;
        // Where no n-gram repeats, the first of the text is the most common.
        let (mut most, mut first, mut start) = (1, 0, 0);
        for gram in &self.grams {
            duplicate += u64::from(gram.count) * u64::from(gram.chars);
            let place = self.places.get(start).map_or(0, |place| *place as usize);
            if gram.count > most || (gram.count == most && place < first) {
                (most, first) = (gram.count, place);
            }
            start += gram.count as usize;
        }
        Repeats { top: u64::from(most) * chars(words.get(first..first + n)), duplicate, total: 0 }
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

    fn count(ngrams: &mut Ngrams, text: &str) -> Vec<(usize, Repeats)> {
        let text = Text::new(text);
        ngrams.begin(&text);
        std::iter::from_fn(|| ngrams.next(&text)).collect()
    }

    #[test]
    fn counts_a_small_text() {
        let found = count(&mut Ngrams::default(), "aa b aa b c");
        assert_eq!(found.len(), 4);
        assert_eq!(found[0], (2, Repeats { top: 6, duplicate: 6, total: 3 + 3 + 3 + 2 }));
        assert_eq!(found[1], (3, Repeats { top: 5, duplicate: 0, total: 5 + 4 + 4 }));
        assert_eq!(count(&mut Ngrams::default(), "alone"), []);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(texts in prop::collection::vec("((a|bb|é|dd|e|…)( |\n)){0,60}", 1..4)) {
            let mut ngrams = Ngrams::default();
            for text in &texts {
                prop_assert_eq!(count(&mut ngrams, text), slowly(text));
            }
        }
    }
}
