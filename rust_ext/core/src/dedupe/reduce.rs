//! One partition of the key space: every shard's keys, in order, against a filter or an exact set.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::{Path, PathBuf};

use super::verdicts::VerdictWriter;
use crate::bloom::{self, best_probes, BloomFilter, Plan, BLOCK_BYTES};
use crate::keys::{Key, KeyFile};
use crate::writer::Written;
use crate::{Error, Result};

/// How large a partition's Bloom filter is, and where it is kept. Sizes are of all partitions.
#[derive(Clone, Debug)]
pub struct Bloom {
    pub rate: f64,
    /// 0: as large as `rate` asks for.
    pub size_in_bytes: u64,
    /// 0: the exact count of the keys of the partition.
    pub estimated_keys: u64,
    pub load: Option<PathBuf>,
    pub save: Option<PathBuf>,
    /// What the keys are, for the file that is saved (see `bloom::describe`).
    pub keys: String,
    /// Marks what the loaded filter holds, and inserts nothing.
    pub read_only: bool,
}

#[derive(Clone, Debug)]
pub struct FilterReport {
    pub bytes: u64,
    pub probes: u32,
    pub capacity: u64,
    /// Keys in the filter, those loaded with it included.
    pub held: u64,
    /// Keys that were loaded with it.
    pub loaded: u64,
    pub fill: f64,
    pub false_positive_rate: f64,
    pub saved: Option<Written>,
}

#[derive(Clone, Debug)]
pub struct Reduced {
    pub keys: u64,
    pub duplicates: u64,
    pub verdicts: Written,
    pub filter: Option<FilterReport>,
}

/// Writes to `out` the verdicts on the keys that `key_files` have in `partition`, in the order given.
///
/// Without `bloom` a set of the keys themselves decides: 17 to 34 bytes of memory per distinct key.
pub fn reduce_keys(key_files: &[PathBuf], partition: u32, out: &Path, bloom: Option<&Bloom>) -> Result<Reduced> {
    let Some(first) = key_files.first() else {
        return Err(Error::invalid("expected at least one key file, found none"));
    };
    let KeyFile { mode, partitions, .. } = KeyFile::open(first)?;
    // Opened twice rather than held open: there may be more shards than a process may have files.
    let mut slices = Vec::with_capacity(key_files.len());
    for path in key_files {
        let mut file = KeyFile::open(path)?;
        if (file.mode, file.partitions) != (mode, partitions) {
            return Err(file.bad(format!(
                "expected {} in {partitions} partitions as in {}, found {} in {}",
                mode.name(),
                first.display(),
                file.mode.name(),
                file.partitions
            )));
        }
        slices.push(file.slice(partition)?);
    }
    let keys = slices.iter().map(|s| s.keys).sum();
    let mut seen = match bloom {
        None => Seen::Exact(HashSet::default()),
        Some(b) if b.read_only => Seen::Fixed(open_filter(b, partition, partitions, keys)?),
        Some(b) => Seen::Bloom(open_filter(b, partition, partitions, keys)?),
    };
    let loaded = match &seen {
        Seen::Exact(_) => 0,
        Seen::Bloom(filter) | Seen::Fixed(filter) => filter.keys(),
    };
    let mut writer = VerdictWriter::new();
    let mut duplicates = 0;
    for (path, slice) in key_files.iter().zip(slices) {
        writer.begin(slice);
        KeyFile::open(path)?.for_each(slice, |key| {
            let duplicate = seen.test(key);
            duplicates += u64::from(duplicate);
            writer.push(duplicate);
        })?;
    }
    let filter = match (&seen, bloom) {
        (Seen::Fixed(filter), _) => Some(report(filter, loaded, None)),
        (Seen::Bloom(filter), Some(Bloom { save: Some(path), keys, .. })) => {
            let saved = bloom::save(path, u64::from(partition), u64::from(partitions), filter, keys)?;
            Some(report(filter, loaded, Some(saved)))
        }
        (Seen::Bloom(filter), _) => Some(report(filter, loaded, None)),
        (Seen::Exact(_), _) => None,
    };
    let verdicts = writer.write(out, mode, partitions, partition)?;
    Ok(Reduced { keys, duplicates, verdicts, filter })
}

fn report(filter: &BloomFilter, loaded: u64, saved: Option<Written>) -> FilterReport {
    FilterReport {
        bytes: filter.blocks() * BLOCK_BYTES,
        probes: filter.probes(),
        capacity: filter.capacity(),
        held: filter.keys(),
        loaded,
        fill: filter.fill(),
        false_positive_rate: filter.false_positive_rate(),
        saved,
    }
}

fn open_filter(bloom: &Bloom, partition: u32, partitions: u32, keys: u64) -> Result<BloomFilter> {
    match &bloom.load {
        Some(path) => bloom::load(path, u64::from(partition), u64::from(partitions)),
        None if bloom.read_only => Err(Error::invalid("expected a filter to load: a read-only one starts empty")),
        None => new_filter(bloom, partitions, keys),
    }
}

fn new_filter(bloom: &Bloom, partitions: u32, keys: u64) -> Result<BloomFilter> {
    let plan = Plan::new(bloom.rate)?;
    let keys = match bloom.estimated_keys {
        0 => keys,
        estimated => estimated.div_ceil(u64::from(partitions)),
    };
    if bloom.size_in_bytes == 0 {
        let blocks = plan.blocks(keys);
        return BloomFilter::new(blocks, plan.probes, plan.capacity(blocks).max(keys));
    }
    let blocks = (bloom.size_in_bytes / u64::from(partitions) / BLOCK_BYTES).max(1);
    let capacity = plan.capacity(blocks);
    // Fuller than the rate allows: the fewest false positives that this size can have.
    let probes = if keys > capacity { best_probes(keys, blocks) } else { plan.probes };
    BloomFilter::new(blocks, probes, capacity)
}

/// What has been there before.
enum Seen {
    Exact(HashSet<Key, BuildHasherDefault<LowHalf>>),
    Bloom(BloomFilter),
    Fixed(BloomFilter),
}

impl Seen {
    fn test(&mut self, key: Key) -> bool {
        match self {
            Seen::Exact(set) => !set.insert(key),
            Seen::Bloom(filter) => filter.insert(key),
            Seen::Fixed(filter) => filter.contains(key),
        }
    }
}

/// A key is a hash already; its low half is the one that the partition does not narrow.
#[derive(Default)]
struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |h, b| h.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}
