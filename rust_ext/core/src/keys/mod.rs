//! What is compared: documents, paragraphs or n-grams of words, each as the xxh3_128 (seed 0) of its UTF-8 bytes.

mod extract;
mod file;
mod spill;
mod varint;

pub use extract::{Extractor, Mode, Ngrams, Settings};
pub use file::{KeyFile, KeyTotals, KeyWriter, Slice};
pub use varint::{put_varint, Varints};

pub type Key = u128;

/// A partition for each key of at most this many: the number is stored beside every key.
pub const MAX_PARTITIONS: u32 = 4096;

/// The partition of a key: the key space cut into `partitions` ranges of equal width, by the high 64 bits.
///
/// A filter then uses the low half for the block and the high half for the probes, of which a partition fixes at most the
/// first twelve bits.
pub fn partition_of(key: Key, partitions: u32) -> u32 {
    (((key >> 64) * u128::from(partitions)) >> 64) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_ranges_of_equal_width() {
        assert_eq!(partition_of(0, 3), 0);
        assert_eq!(partition_of(u128::MAX / 3 - (1 << 64), 3), 0);
        assert_eq!(partition_of(u128::MAX / 3 + (1 << 64), 3), 1);
        assert_eq!(partition_of(u128::MAX, 3), 2);
        assert_eq!(partition_of(u128::MAX, 1), 0);
        assert_eq!(partition_of(u128::MAX, MAX_PARTITIONS), 4095);
    }
}
