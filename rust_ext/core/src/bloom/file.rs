//! Filter files: any of the partitions of one filter, each loadable by itself.
//!
//! Header: prefix, length of the file, partitions of the key space, entries, bits of a block. Then a sealed record per
//! entry in order of partition (partition, offset, blocks, probes, keys, capacity, xxh3_64 of its bits), then the bits.

use std::path::Path;

use xxhash_rust::xxh3::Xxh3Default;

use super::{Block, BloomFilter, BLOCK_BITS, BLOCK_BYTES, MAX_PROBES};
use crate::dedupe::sealed::{prefix, seal, sealed_size, SealedFile, PREFIX};
use crate::writer::{Writer, Written};
use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"DOLMABLM";
const HEADER: usize = PREFIX + 4;
const ENTRY: usize = 7;
/// Blocks turned into bytes at a time.
const CHUNK: usize = 4096;

/// Writes `filter` as the `partition`-th of `partitions`, atomically.
pub fn save(path: &Path, partition: u64, partitions: u64, filter: &BloomFilter) -> Result<Written> {
    let mut sum = Xxh3Default::new();
    filter.blocks.chunks(CHUNK).for_each(|blocks| sum.update(&to_bytes(blocks)));
    let entry = Entry {
        partition,
        blocks: filter.blocks(),
        probes: u64::from(filter.probes),
        keys: filter.keys,
        capacity: filter.capacity,
        sum: sum.digest(),
        offset: 0,
    };
    let mut writer = Writer::create(path, None)?;
    writer.write(&directory(partitions, &[entry]))?;
    for blocks in filter.blocks.chunks(CHUNK) {
        writer.write(&to_bytes(blocks))?;
    }
    writer.finish()
}

/// The filter of `partition`; the file must be of as many `partitions` as the keys are.
pub fn load(path: &Path, partition: u64, partitions: u64) -> Result<BloomFilter> {
    let (mut file, found, entries) = open(path)?;
    if found != partitions {
        return Err(file.bad(format!(
            "expected a filter of {partitions} partitions, found one of {found}; set `partitions: {found}`, \
             or build it anew"
        )));
    }
    let Some(entry) = entries.iter().find(|e| e.partition == partition) else {
        let listed: Vec<String> = entries.iter().map(|e| e.partition.to_string()).collect();
        return Err(file.bad(format!("expected partition {partition}, found {}", listed.join(", "))));
    };
    let mut filter = BloomFilter::new(entry.blocks, entry.probes as u32, entry.capacity)?;
    filter.keys = entry.keys;
    let mut sum = Xxh3Default::new();
    let mut offset = entry.offset;
    for blocks in filter.blocks.chunks_mut(CHUNK) {
        let bytes = file.bytes(offset, blocks.len() as u64 * BLOCK_BYTES)?;
        sum.update(&bytes);
        offset += bytes.len() as u64;
        let mut words = bytes.chunks_exact(8);
        for word in blocks.iter_mut().flat_map(|b| &mut b.0) {
            *word = words.next().map_or(0, |w| w.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)));
        }
    }
    if sum.digest() != entry.sum {
        return Err(file.bad(format!("the bits of partition {partition} are damaged: their checksum does not match")));
    }
    Ok(filter)
}

/// Joins the files of single partitions into one, which must then hold every partition once.
pub fn merge(parts: &[std::path::PathBuf], path: &Path) -> Result<Written> {
    let mut sources = Vec::new();
    let mut partitions = None;
    for part in parts {
        let (file, found, entries) = open(part)?;
        if *partitions.get_or_insert(found) != found {
            return Err(file.bad(format!("found a filter of {found} partitions among others")));
        }
        sources.extend(entries.into_iter().map(|entry| (part, entry)));
    }
    let partitions =
        partitions.ok_or_else(|| Error::invalid("expected the files of a filter's partitions, found none"))?;
    sources.sort_by_key(|(_, entry)| entry.partition);
    if !sources.iter().map(|(_, e)| e.partition).eq(0..partitions) {
        return Err(Error::invalid(format!(
            "expected each of {partitions} partitions once, found {:?}",
            sources.iter().map(|(_, e)| e.partition).collect::<Vec<_>>()
        )));
    }
    let entries: Vec<Entry> = sources.iter().map(|(_, entry)| *entry).collect();
    let mut writer = Writer::create(path, None)?;
    writer.write(&directory(partitions, &entries))?;
    for (part, entry) in sources {
        let (mut file, _, _) = open(part)?;
        let (mut offset, end) = (entry.offset, entry.offset + entry.blocks * BLOCK_BYTES);
        while offset < end {
            let bytes = file.bytes(offset, (end - offset).min(CHUNK as u64 * BLOCK_BYTES))?;
            writer.write(&bytes)?;
            offset += bytes.len() as u64;
        }
    }
    writer.finish()
}

#[derive(Clone, Copy)]
struct Entry {
    partition: u64,
    offset: u64,
    blocks: u64,
    probes: u64,
    keys: u64,
    capacity: u64,
    sum: u64,
}

/// Header and entries, with the offsets that follow from the sizes.
fn directory(partitions: u64, entries: &[Entry]) -> Vec<u8> {
    let start = sealed_size(HEADER) + entries.len() as u64 * sealed_size(ENTRY);
    let length = entries.iter().fold(start, |sum, e| sum + e.blocks * BLOCK_BYTES);
    let [a, b, c, d] = prefix(MAGIC);
    let mut out = Vec::new();
    seal(&[a, b, c, d, length, partitions, entries.len() as u64, BLOCK_BITS as u64], &mut out);
    let mut offset = start;
    for e in entries {
        seal(&[e.partition, offset, e.blocks, e.probes, e.keys, e.capacity, e.sum], &mut out);
        offset += e.blocks * BLOCK_BYTES;
    }
    out
}

fn open(path: &Path) -> Result<(SealedFile, u64, Vec<Entry>)> {
    let (mut file, header) = SealedFile::open::<HEADER>(path, MAGIC, "a filter file")?;
    let [_, _, _, _, length, partitions, count, bits] = header;
    if bits != BLOCK_BITS as u64 {
        return Err(file.bad(format!("expected blocks of {BLOCK_BITS} bits, found {bits}")));
    }
    let mut entries = Vec::new();
    for i in 0..count {
        let [partition, offset, blocks, probes, keys, capacity, sum] =
            file.words::<ENTRY>(sealed_size(HEADER) + i * sealed_size(ENTRY))?;
        let inside = blocks.checked_mul(BLOCK_BYTES).and_then(|n| n.checked_add(offset)).is_some_and(|n| n <= length);
        if !inside || blocks == 0 || !(1..=u64::from(MAX_PROBES)).contains(&probes) || partition >= partitions {
            return Err(file.bad(format!("the entry of partition {partition} does not describe a filter")));
        }
        entries.push(Entry { partition, offset, blocks, probes, keys, capacity, sum });
    }
    Ok((file, partitions, entries))
}

fn to_bytes(blocks: &[Block]) -> Vec<u8> {
    blocks.iter().flat_map(|b| b.0).flat_map(u64::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(keys: std::ops::Range<u128>) -> BloomFilter {
        let mut filter = BloomFilter::new(5, 3, 40).unwrap();
        for i in keys {
            filter.insert(i * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        }
        filter
    }

    fn bits(filter: &BloomFilter) -> Vec<u8> {
        to_bytes(&filter.blocks)
    }

    #[test]
    fn partitions_are_saved_merged_and_loaded() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        save(&path("1"), 1, 2, &filter(0..10)).unwrap();
        save(&path("0"), 0, 2, &filter(10..15)).unwrap();
        merge(&[path("1"), path("0")], &path("both")).unwrap();
        for (partition, expected) in [(0, filter(10..15)), (1, filter(0..10))] {
            let found = load(&path("both"), partition, 2).unwrap();
            assert_eq!(bits(&found), bits(&expected));
            assert_eq!((found.keys, found.probes, found.capacity), (expected.keys, 3, 40));
        }
        assert!(merge(&[path("1")], &path("one")).unwrap_err().to_string().contains("found [1]"));
        assert!(!path("one").exists());
        let error = load(&path("1"), 0, 2).err().unwrap().to_string();
        assert!(error.ends_with("expected partition 0, found 1"), "{error}");
        let error = load(&path("both"), 0, 3).err().unwrap().to_string();
        assert!(error.contains("set `partitions: 2`"), "{error}");
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        save(&path, 0, 1, &filter(0..10)).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(load(&path, 0, 1), Err(Error::Data { .. })), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(matches!(load(&path, 0, 1), Err(Error::Data { .. })), "cut at {at}");
        }
    }
}
