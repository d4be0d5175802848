//! A blocked Bloom filter: all probes of a key fall in one block of 512 bits, which is one cache line.
//!
//! The low half of the key chooses the block; the high half seeds splitmix64, whose words give nine bits to each probe.
//! (Stepping through the block by a hashed stride instead would leave 2^17 patterns, and with them a floor of 1e-4.)

mod file;
mod sizing;

pub use file::{describe, load, merge, save, Description};
pub use sizing::{best_probes, expected_rate, Plan, MAX_PROBES};

use crate::keys::Key;
use crate::{Error, Result};

pub const BLOCK_BITS: usize = 512;
pub const BLOCK_BYTES: u64 = 64;
const WORDS: usize = BLOCK_BITS / 64;
/// Nine bits of a word choose one of 512.
const PROBES_PER_WORD: u32 = 7;

#[repr(align(64))]
#[derive(Clone, Copy, Default)]
struct Block([u64; WORDS]);

impl Block {
    fn ones(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }
}

pub struct BloomFilter {
    blocks: Vec<Block>,
    probes: u32,
    keys: u64,
    capacity: u64,
}

impl BloomFilter {
    /// An empty filter; `capacity` is the number of keys it was planned for, which it does not enforce.
    pub fn new(blocks: u64, probes: u32, capacity: u64) -> Result<Self> {
        if blocks == 0 || !(1..=MAX_PROBES).contains(&probes) {
            return Err(Error::invalid(format!(
                "expected at least one block and 1 to {MAX_PROBES} probes, found {blocks} and {probes}"
            )));
        }
        let mut memory = Vec::new();
        let fits = usize::try_from(blocks).is_ok_and(|n| memory.try_reserve_exact(n).is_ok());
        if !fits {
            return Err(Error::invalid(format!(
                "a filter of {} bytes does not fit in memory; more `partitions` make each smaller",
                blocks.saturating_mul(BLOCK_BYTES)
            )));
        }
        memory.resize(blocks as usize, Block::default());
        Ok(BloomFilter { blocks: memory, probes, keys: 0, capacity })
    }

    /// The block of a key, and the bits it has in it.
    fn place(&self, key: Key) -> (usize, Block) {
        let block = (u128::from(key as u64) * self.blocks.len() as u128) >> 64;
        let mut state = (key >> 64) as u64;
        let mut mask = Block::default();
        let mut left = self.probes;
        while left > 0 {
            let mut word = splitmix64(&mut state);
            for _ in 0..left.min(PROBES_PER_WORD) {
                if let Some(bits) = mask.0.get_mut((word >> 6) as usize % WORDS) {
                    *bits |= 1 << (word & 63);
                }
                word >>= 9;
            }
            left = left.saturating_sub(PROBES_PER_WORD);
        }
        (block as usize, mask)
    }

    /// Whether `key` may have been inserted; never false for one that was.
    pub fn contains(&self, key: Key) -> bool {
        let (at, mask) = self.place(key);
        self.blocks.get(at).is_some_and(|block| block.0.iter().zip(&mask.0).all(|(b, m)| b & m == *m))
    }

    /// Inserts `key`; whether it may have been there before.
    pub fn insert(&mut self, key: Key) -> bool {
        let (at, mask) = self.place(key);
        let Some(block) = self.blocks.get_mut(at) else {
            return false;
        };
        let mut missing = 0;
        for (b, m) in block.0.iter_mut().zip(&mask.0) {
            missing |= m & !*b;
            *b |= m;
        }
        self.keys += u64::from(missing != 0);
        missing == 0
    }

    pub fn blocks(&self) -> u64 {
        self.blocks.len() as u64
    }

    pub fn probes(&self) -> u32 {
        self.probes
    }

    /// Keys inserted that were not there before.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Share of the bits that are set.
    pub fn fill(&self) -> f64 {
        let ones: u64 = self.blocks.iter().map(|b| u64::from(b.ones())).sum();
        ones as f64 / (self.blocks.len() * BLOCK_BITS) as f64
    }

    /// The rate of false positives of the filter as it is: the mean over its blocks of their own.
    pub fn false_positive_rate(&self) -> f64 {
        let mut blocks_of = [0u64; BLOCK_BITS + 1];
        for block in &self.blocks {
            if let Some(n) = blocks_of.get_mut(block.ones() as usize) {
                *n += 1;
            }
        }
        let hit = |ones: usize| (0..self.probes).fold(1.0, |power, _| power * (ones as f64 / BLOCK_BITS as f64));
        let total: f64 = blocks_of.iter().enumerate().map(|(ones, n)| *n as f64 * hit(ones)).sum();
        total / self.blocks.len() as f64
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn key(i: u64) -> Key {
        xxh3_128(&i.to_le_bytes())
    }

    fn planned(keys: u64, rate: f64) -> BloomFilter {
        let plan = Plan::new(rate).unwrap();
        BloomFilter::new(plan.blocks(keys), plan.probes, keys).unwrap()
    }

    #[test]
    fn what_was_inserted_is_found() {
        let mut filter = planned(1000, 1e-9);
        assert!((0..1000).all(|i| !filter.insert(key(i))));
        assert!((0..1000).all(|i| filter.contains(key(i)) && filter.insert(key(i))));
        assert_eq!(filter.keys(), 1000);
    }

    #[test]
    fn measured_and_estimated_rates_are_the_planned_one() {
        for (rate, trials) in [(0.1, 200_000u64), (1e-2, 1_000_000), (1e-3, 3_000_000)] {
            let mut filter = planned(100_000, rate);
            for i in 0..100_000 {
                filter.insert(key(i));
            }
            let hits = (0..trials).filter(|i| filter.contains(key(1 << 40 | i))).count();
            let measured = hits as f64 / trials as f64;
            assert!(measured > rate * 0.8 && measured < rate * 1.25, "{rate}: measured {measured}");
            let estimated = filter.false_positive_rate();
            // The keys that were themselves taken for duplicates are missing from the filter, hence a little below.
            assert!(estimated > rate * 0.8 && estimated < rate * 1.1, "{rate}: estimated {estimated}");
        }
    }

    #[test]
    fn keys_of_one_partition_spread_over_the_filter() {
        let mut filter = planned(100_000, 1e-3);
        let same = |i: u64| key(i) & (u128::MAX >> 12) | 0x5a5u128 << 116;
        for i in 0..100_000 {
            filter.insert(same(i));
        }
        let hits = (0..1_000_000).filter(|i| filter.contains(same(1 << 40 | i))).count();
        assert!((700..1300).contains(&hits), "{hits}");
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let reason = |f: Result<BloomFilter>| f.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(reason(BloomFilter::new(0, 3, 0)).contains("found 0 and 3"));
        assert!(reason(BloomFilter::new(1, 0, 0)).contains("found 1 and 0"));
        assert!(reason(BloomFilter::new(u64::MAX, 3, 0)).contains("does not fit in memory"));
    }
}
