//! Verdict files: for each key of a partition, one bit: whether it was there before.
//!
//! Header: prefix, length of the file, mode, partitions, partition, key files. Then a sealed record per key file (offset
//! of its bits, keys, xxh3_64 of the keys, xxh3_64 of the bits), then the bits, lowest first, each key file's from a new
//! byte.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::sealed::{prefix, seal, sealed_size, Kind, SealedFile, PREFIX};
use crate::keys::{KeyFile, Mode, Slice};
use crate::writer::{Writer, Written};
use crate::Result;

const KIND: Kind = Kind {
    magic: b"DOLMAVRD",
    version: 1,
    what: "a verdict file",
    remedy: "remove the `scratch` directory it is in, and run again",
};
const HEADER: usize = PREFIX + 5;
const ENTRY: usize = 4;

/// Gathers the bits of a partition: an eighth of a byte per key, beside a filter of several.
pub struct VerdictWriter {
    bits: Vec<u8>,
    /// (offset into `bits`, keys, sum of the keys)
    files: Vec<(u64, u64, u64)>,
    count: u64,
}

impl VerdictWriter {
    pub fn new() -> Self {
        VerdictWriter { bits: Vec::new(), files: Vec::new(), count: 0 }
    }

    /// The keys that follow are those of `slice`.
    pub fn begin(&mut self, slice: Slice) {
        self.files.push((self.bits.len() as u64, slice.keys, slice.sum));
        self.count = 0;
    }

    pub fn push(&mut self, duplicate: bool) {
        let bit = self.count % 8;
        if bit == 0 {
            self.bits.push(0);
        }
        if let Some(last) = self.bits.last_mut() {
            *last |= u8::from(duplicate) << bit;
        }
        self.count += 1;
    }

    pub fn write(&self, path: &Path, mode: Mode, partitions: u32, partition: u32) -> Result<Written> {
        let start = sealed_size(HEADER) + self.files.len() as u64 * sealed_size(ENTRY);
        let length = start + self.bits.len() as u64;
        let [a, b, c, d] = prefix(&KIND);
        let mut out = Vec::new();
        let (partitions, partition) = (u64::from(partitions), u64::from(partition));
        seal(&[a, b, c, d, length, mode as u64, partitions, partition, self.files.len() as u64], &mut out);
        for &(offset, keys, sum) in &self.files {
            let from = offset as usize;
            let bits = self.bits.get(from..from + keys.div_ceil(8) as usize).unwrap_or_default();
            seal(&[start + offset, keys, sum, xxh3_64(bits)], &mut out);
        }
        let mut writer = Writer::create(path, None)?;
        writer.write(&out)?;
        writer.write(&self.bits)?;
        writer.finish()
    }
}

/// The verdicts on the keys that one shard has in one partition, in order.
pub struct Verdicts {
    bits: Vec<u8>,
    next: u64,
    keys: u64,
}

impl Verdicts {
    /// The verdicts of `path`, which must be of `partition`, on the keys of the `shard`-th key file: `keys`.
    pub fn read(path: &Path, keys: &mut KeyFile, partition: u32, shard: u64) -> Result<Self> {
        let slice = keys.slice(partition)?;
        let (mut file, header) = SealedFile::open::<HEADER>(path, &KIND)?;
        let [_, _, _, _, _, mode, partitions, found, files] = header;
        if (mode, partitions, found) != (keys.mode as u64, u64::from(keys.partitions), u64::from(partition)) {
            return Err(file.bad(format!(
                "expected the verdicts on {} of partition {partition} of {}, found {} of partition {found} of {partitions}",
                keys.mode.name(),
                keys.partitions,
                Mode::from_word(mode).map_or("an unknown mode", Mode::name),
            )));
        }
        if shard >= files {
            return Err(file.bad(format!("expected the verdicts on key file {shard}, found those on {files} files")));
        }
        let at = shard.saturating_mul(sealed_size(ENTRY)).saturating_add(sealed_size(HEADER));
        let [offset, count, keys_sum, bits_sum] = file.words::<ENTRY>(at)?;
        if (count, keys_sum) != (slice.keys, slice.sum) {
            return Err(file.bad(format!(
                "the verdicts on key file {shard} are those on other keys than in {}: the key files were reduced in \
                 another order, or have changed since",
                keys.path().display()
            )));
        }
        let bits = file.checked_bytes(offset, count.div_ceil(8), bits_sum, "the verdicts")?;
        Ok(Verdicts { bits, next: 0, keys: count })
    }

    pub fn all_used(&self) -> bool {
        self.next == self.keys
    }
}

impl Iterator for Verdicts {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        if self.next >= self.keys {
            return None;
        }
        let byte = self.bits.get((self.next / 8) as usize)?;
        let bit = byte >> (self.next % 8) & 1;
        self.next += 1;
        Some(bit == 1)
    }
}
