//! Permutations of 32-bit hashes, and the least value of each.

use super::avx2;

/// Permutations that one turn of the inner loop does: two AVX2 registers.
pub const LANES: usize = 16;

/// `a` and `b` of so many permutations.
pub type Block = ([u32; LANES], [u32; LANES]);

/// `a * x + b` modulo 2^32 for each permutation, `a` odd.
///
/// For each in order splitmix64, which begins with the seed, gives the upper 32 bits of a number for `a`, whose last bit
/// is set, and of the next for `b`.
pub struct Permutations {
    count: usize,
    /// Filled up with permutations that are calculated for nothing.
    blocks: Vec<Block>,
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Permutations {
    pub fn new(count: usize, seed: u64) -> Self {
        let mut state = seed;
        let blocks = (0..count.div_ceil(LANES)).map(|_| {
            let (mut a, mut b) = ([0; LANES], [0; LANES]);
            for (a, b) in a.iter_mut().zip(&mut b) {
                *a = (splitmix64(&mut state) >> 32) as u32 | 1;
                *b = (splitmix64(&mut state) >> 32) as u32;
            }
            (a, b)
        });
        Permutations { count, blocks: blocks.collect() }
    }

    /// Replaces `signature` by the least value of each permutation over the hashes; of none they are 2^32 - 1.
    pub fn signature(&self, hashes: &[u32], signature: &mut Vec<u32>) {
        signature.clear();
        avx2::least(&self.blocks, hashes, signature);
        signature.truncate(self.count);
    }
}

/// Appends the least value of each permutation.
#[inline(always)]
pub fn least(blocks: &[Block], hashes: &[u32], signature: &mut Vec<u32>) {
    for (a, b) in blocks {
        let mut least = [u32::MAX; LANES];
        for x in hashes {
            for ((least, a), b) in least.iter_mut().zip(a).zip(b) {
                *least = (*least).min(a.wrapping_mul(*x).wrapping_add(*b));
            }
        }
        signature.extend_from_slice(&least);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The first outputs for the seed 1234567, which the author of the generator gives.
        let mut state = 1_234_567;
        let found: Vec<u64> = (0..3).map(|_| splitmix64(&mut state)).collect();
        assert_eq!(found, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    proptest! {
        #[test]
        fn both_ways_give_the_least(
            count in 1usize..80, seed: u64, hashes in prop::collection::vec(any::<u32>(), 0..40),
        ) {
            let permutations = Permutations::new(count, seed);
            let (mut quick, mut plain) = (vec![7], Vec::new());
            permutations.signature(&hashes, &mut quick);
            least(&permutations.blocks, &hashes, &mut plain);
            plain.truncate(count);
            prop_assert_eq!(&quick, &plain);
            let (mut state, mut slow) = (seed, Vec::new());
            for _ in 0..count {
                let a = (splitmix64(&mut state) >> 32) as u32 | 1;
                let b = (splitmix64(&mut state) >> 32) as u32;
                let values = hashes.iter().map(|x| ((u64::from(a) * u64::from(*x) + u64::from(b)) % (1 << 32)) as u32);
                slow.push(values.min().unwrap_or(u32::MAX));
            }
            prop_assert_eq!(quick, slow);
        }
    }
}
