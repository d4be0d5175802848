//! Sets of n-grams and what two of them have in common.

use super::avx2;
use super::shingles::{each_ngram, ngram_count};

/// The distinct n-grams of a text.
#[derive(Clone, Debug, Default)]
pub struct Ngrams {
    /// Their hashes, sorted.
    pub distinct: Vec<u64>,
    /// How many there are in the text, equal ones each time.
    pub all: usize,
}

impl Ngrams {
    pub fn of(tokens: &[u64], n: usize) -> Self {
        let mut ngrams = Ngrams::default();
        ngrams.renew(tokens, n);
        ngrams
    }

    /// The same in memory that is there.
    pub fn renew(&mut self, tokens: &[u64], n: usize) {
        self.all = ngram_count(tokens.len(), n);
        self.distinct.clear();
        each_ngram(tokens, n, |hash| self.distinct.push(hash));
        self.distinct.sort_unstable();
        self.distinct.dedup();
    }
}

/// How many n-grams two sets share, and how many each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub shared: usize,
    pub left: usize,
    pub right: usize,
}

impl Overlap {
    pub fn of(left: &Ngrams, right: &Ngrams) -> Self {
        let (left, right) = (left.distinct.as_slice(), right.distinct.as_slice());
        Overlap { shared: shared(left, right), left: left.len(), right: right.len() }
    }

    /// Shared n-grams per n-gram of either; NaN of two empty sets.
    pub fn jaccard(&self) -> f64 {
        self.shared as f64 / (self.left + self.right - self.shared) as f64
    }

    /// The share of the left n-grams that the right set has.
    pub fn containment(&self) -> f64 {
        self.shared as f64 / self.left as f64
    }
}

/// The size of the intersection of two sorted slices of distinct numbers.
fn shared(left: &[u64], right: &[u64]) -> usize {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    // Which of the two goes on is chance: no branch is guessed.
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        shared += usize::from(a == b);
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    shared
}

/// One bit for each of 4096 classes of n-grams: what rejects most pairs before their sets are looked at.
#[derive(Clone, Debug)]
pub struct Bitmap([u64; 64]);

impl Bitmap {
    pub fn of(ngrams: &Ngrams) -> Self {
        let mut bits = [0; 64];
        for hash in &ngrams.distinct {
            bits[(hash >> 6 & 63) as usize] |= 1 << (hash & 63);
        }
        Bitmap(bits)
    }

    /// False only where the set of `self` has an n-gram that that of `other` has not.
    pub fn may_be_within(&self, other: &Bitmap) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    /// The most that the sets can have in common: each bit that only one has is an n-gram at least that only it has.
    pub fn most_shared(&self, other: &Bitmap, left: usize, right: usize) -> usize {
        let (only_left, only_right) = avx2::differences(&self.0, &other.0);
        left.saturating_sub(only_left).min(right.saturating_sub(only_right))
    }
}

/// Bits that only one of the two has.
#[inline(always)]
pub fn differences(left: &[u64; 64], right: &[u64; 64]) -> (usize, usize) {
    let (mut only_left, mut only_right) = (0, 0);
    for (a, b) in left.iter().zip(right) {
        only_left += (a & !b).count_ones() as usize;
        only_right += (b & !a).count_ones() as usize;
    }
    (only_left, only_right)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn overlaps_are_those_of_sets_of_windows(
            left in prop::collection::vec(0u64..4, 1..30), right in prop::collection::vec(0u64..4, 1..30), n in 1usize..5,
        ) {
            let windows = |tokens: &[u64]| -> BTreeSet<Vec<u64>> {
                let windows: BTreeSet<Vec<u64>> = tokens.windows(n).map(<[u64]>::to_vec).collect();
                if windows.is_empty() { [tokens.to_vec()].into() } else { windows }
            };
            let (a, b) = (windows(&left), windows(&right));
            let (left, right) = (Ngrams::of(&left, n), Ngrams::of(&right, n));
            let overlap = Overlap::of(&left, &right);
            let shared = a.intersection(&b).count();
            prop_assert_eq!(overlap, Overlap { shared, left: a.len(), right: b.len() });
            let (first, second) = (Bitmap::of(&left), Bitmap::of(&right));
            prop_assert!(first.most_shared(&second, overlap.left, overlap.right) >= shared);
            prop_assert!(shared < a.len() || first.may_be_within(&second));
            prop_assert_eq!(avx2::differences(&first.0, &second.0), differences(&first.0, &second.0));
            prop_assert_eq!(differences(&first.0, &second.0), {
                let count = |a: &Bitmap, b: &Bitmap| a.0.iter().zip(&b.0).map(|(a, b)| (a & !b).count_ones() as usize).sum();
                (count(&first, &second), count(&second, &first))
            });
        }
    }
}
