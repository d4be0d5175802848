//! MinHash signatures, band keys, and the comparison of the texts that share a key.
//!
//! What the hashes are, all of it fixed by [`VERSION`]:
//!
//! 1. Tokens. `words` ([`words`]): the segments of UAX #29 that hold a letter or a digit, each lower-cased by Unicode's
//!    full mapping. `chars` ([`chars`]): the code points of the lower-cased text in which every run of white space is one
//!    blank, without those at its ends. No other normalisation: accents and composed characters stay as they are.
//! 2. The hash of a token is xxh3_64 of its UTF-8, seed 0.
//! 3. The hash of n tokens ([`shingles`]) is a polynomial of their hashes, with a murmur finaliser; a text of fewer than n
//!    tokens has one shingle, all of it. Its upper 32 bits go into the permutations.
//! 4. A permutation ([`permute`]) is `a * x + b` modulo 2^32, its numbers drawn by splitmix64; a signature has the least
//!    value of each.
//! 5. The key of a band is xxh3_64, seed [`BAND_SEED`], of the number of the band and its values, little endian, 32 bits
//!    each.
//!
//! Letters and word boundaries are those of the tables that were compiled in (Unicode 16 and later), so the tokens of
//! characters that a later version of Unicode adds may change with it.

mod avx2;
mod chars;
mod compare;
mod kernel;
mod large;
mod lists;
mod lower;
mod permute;
mod resolve;
mod sets;
mod shingles;
mod words;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Error, Result};

pub use compare::compare;
pub use kernel::{bands, signatures, tokens, Scheme};
pub use lists::TokenRows;
pub use resolve::{resolve, Resolved, Rule};

/// Raised whenever a hash of the above changes: signatures and keys of different versions cannot be compared.
pub const VERSION: u32 = 1;

pub const BAND_SEED: u64 = 0x6d69_6e68_6173_6801;

/// The most values of a signature.
pub const MOST_PERMUTATIONS: usize = 4096;

/// What the tokens of a text are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Words,
    Chars,
}

impl Unit {
    pub fn named(name: &str) -> Result<Unit> {
        match name {
            "words" => Ok(Unit::Words),
            "chars" => Ok(Unit::Chars),
            _ => Err(Error::invalid(format!("expected unit `words` or `chars`, found `{name}`"))),
        }
    }
}

/// The key of band `number`, whose values are `rows`; `bytes` is room to write in.
fn band_key(number: u32, rows: &[u32], bytes: &mut Vec<u8>) -> u64 {
    bytes.clear();
    bytes.extend_from_slice(&number.to_le_bytes());
    rows.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    xxh3_64_with_seed(bytes, BAND_SEED)
}
