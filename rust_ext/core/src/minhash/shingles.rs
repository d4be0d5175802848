//! The hash of n tokens in a row, in a few instructions each.

/// The hash of tokens t1 to tn is `finalise(t1 * M^(n-1) + ... + tn + n * LENGTH)` modulo 2^64, M being `MULTIPLIER`.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Keeps a text of fewer tokens than n apart from n-grams of which the first tokens hash to 0.
const LENGTH: u64 = 0xd1b5_4a32_d192_ed03;

/// The finaliser of murmur3, 64 bits.
#[inline(always)]
fn finalise(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The hash of all of `tokens` as one n-gram.
pub fn whole(tokens: &[u64]) -> u64 {
    let sum = tokens.iter().fold(0u64, |sum, token| sum.wrapping_mul(MULTIPLIER).wrapping_add(*token));
    finalise(sum.wrapping_add((tokens.len() as u64).wrapping_mul(LENGTH)))
}

/// The hash of every n-gram in order; of fewer than `n` tokens the one of all; of none nothing.
#[inline(always)]
pub fn each_ngram(tokens: &[u64], n: usize, mut push: impl FnMut(u64)) {
    if tokens.is_empty() || n == 0 {
        return;
    }
    if tokens.len() <= n {
        return push(whole(tokens));
    }
    let leaving = (0..n).fold(1u64, |power, _| power.wrapping_mul(MULTIPLIER));
    let length = (n as u64).wrapping_mul(LENGTH);
    let (first, rest) = tokens.split_at(n);
    let mut sum = first.iter().fold(0u64, |sum, token| sum.wrapping_mul(MULTIPLIER).wrapping_add(*token));
    push(finalise(sum.wrapping_add(length)));
    for (entering, gone) in rest.iter().zip(tokens) {
        let change = entering.wrapping_sub(gone.wrapping_mul(leaving));
        sum = sum.wrapping_mul(MULTIPLIER).wrapping_add(change);
        push(finalise(sum.wrapping_add(length)));
    }
}

/// How many n-grams so many tokens have.
pub fn ngram_count(tokens: usize, n: usize) -> usize {
    if tokens == 0 {
        0
    } else {
        tokens.saturating_sub(n - 1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(tokens: &[u64], n: usize) -> Vec<u64> {
        let mut found = Vec::new();
        each_ngram(tokens, n, |hash| found.push(hash));
        found
    }

    #[test]
    fn a_short_text_is_one_ngram() {
        assert_eq!(hashes(&[], 3), [0u64; 0]);
        assert_eq!(hashes(&[7, 8], 3), [whole(&[7, 8])]);
        assert_ne!(whole(&[7, 8]), whole(&[0, 7, 8]));
    }

    proptest! {
        #[test]
        fn the_rolling_hash_is_that_of_each_window(tokens in prop::collection::vec(any::<u64>(), 0..20), n in 1usize..7) {
            let windows: Vec<u64> = tokens.windows(n).map(whole).collect();
            let expected = if tokens.len() < n && !tokens.is_empty() { vec![whole(&tokens)] } else { windows };
            prop_assert_eq!(ngram_count(tokens.len(), n), expected.len());
            prop_assert_eq!(hashes(&tokens, n), expected);
        }
    }
}
