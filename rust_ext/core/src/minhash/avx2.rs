//! Inner loops that are compiled a second time, for AVX2, and chosen where the processor has it: the same code, and the
//! same results.
//!
//! The only unsafe code of the crate: calling what is compiled for more than every processor has.

use super::permute::{self, Block};
use super::sets;

/// See [`permute::least`].
pub fn least(blocks: &[Block], hashes: &[u32], signature: &mut Vec<u32>) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn compiled(blocks: &[Block], hashes: &[u32], signature: &mut Vec<u32>) {
            permute::least(blocks, hashes, signature);
        }
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { compiled(blocks, hashes, signature) };
    }
    permute::least(blocks, hashes, signature);
}

/// See [`sets::differences`].
pub fn differences(left: &[u64; 64], right: &[u64; 64]) -> (usize, usize) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
        #[target_feature(enable = "avx2,popcnt")]
        fn compiled(left: &[u64; 64], right: &[u64; 64]) -> (usize, usize) {
            sets::differences(left, right)
        }
        // SAFETY: the processor has AVX2 and POPCNT, which is all that the function asks for.
        return unsafe { compiled(left, right) };
    }
    sets::differences(left, right)
}
