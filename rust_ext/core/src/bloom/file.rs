//! Filter files: any of the partitions of one filter, each loadable by itself.
//!
//! Header: prefix, length of the file, partitions of the key space, entries, bits of a block, bytes and xxh3_64 of the
//! description. Then a sealed record per entry in order of partition (partition, offset, blocks, probes, keys, capacity,
//! xxh3_64 of its bits), then the description, then the bits.
//!
//! The description is text that says what the keys are. It is kept as it was given, for whoever makes keys to compare
//! with theirs: a filter of other keys answers every question, and every answer is wrong.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, Xxh3Default};

use super::{Block, BloomFilter, BLOCK_BITS, BLOCK_BYTES, MAX_PROBES};
use crate::dedupe::sealed::{prefix, seal, sealed_size, Kind, SealedFile, PREFIX};
use crate::writer::{Writer, Written};
use crate::{Error, Result};

const KIND: Kind = Kind {
    magic: b"DOLMABLM",
    version: 2,
    what: "a filter file",
    remedy: "remove it, or name another file, and run the deduplication of its texts again to build it anew",
};
/// The first word of the filters that Dolma itself writes, in 32 bits.
const MAGIC_OF_DOLMA: u32 = 0x81F0_F117;
const HEADER: usize = PREFIX + 6;
const ENTRY: usize = 7;
/// Blocks turned into bytes at a time.
const CHUNK: usize = 4096;

/// What a filter file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What its keys are, as it was given to [`save`].
    pub keys: String,
    /// Ranges that the key space was cut into.
    pub partitions: u64,
    /// Number of keys held, in all partitions that the file has.
    pub held: u64,
    /// Number of keys planned for, likewise.
    pub capacity: u64,
}

/// Reads what a filter file says of itself, without its bits.
pub fn describe(path: &Path) -> Result<Description> {
    let opened = open(path)?;
    let sum = |count: fn(&Entry) -> u64| opened.entries.iter().map(count).fold(0, u64::saturating_add);
    let (held, capacity) = (sum(|e| e.keys), sum(|e| e.capacity));
    Ok(Description { keys: opened.keys, partitions: opened.partitions, held, capacity })
}

/// Writes `filter` as the `partition`-th of `partitions`, atomically; `keys` says what its keys are.
pub fn save(path: &Path, partition: u64, partitions: u64, filter: &BloomFilter, keys: &str) -> Result<Written> {
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
    writer.write(&directory(partitions, &[entry], keys))?;
    for blocks in filter.blocks.chunks(CHUNK) {
        writer.write(&to_bytes(blocks))?;
    }
    writer.finish()
}

/// The filter of `partition`; the file must be of as many `partitions` as the keys are.
pub fn load(path: &Path, partition: u64, partitions: u64) -> Result<BloomFilter> {
    let Opened { mut file, partitions: found, entries, .. } = open(path)?;
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

/// Joins the files of single partitions into one, which must then hold every partition once, all of the same kind of keys.
pub fn merge(parts: &[std::path::PathBuf], path: &Path) -> Result<Written> {
    let mut sources = Vec::new();
    let mut first = None;
    for part in parts {
        let Opened { file, keys, partitions: found, entries } = open(part)?;
        let (partitions, expected) = first.get_or_insert((found, keys.clone()));
        if *partitions != found {
            return Err(file.bad(format!("found a filter of {found} partitions among others")));
        }
        if *expected != keys {
            return Err(file.bad(format!("expected a filter of the keys {expected}, as the first has, found {keys}")));
        }
        sources.extend(entries.into_iter().map(|entry| (part, entry)));
    }
    let (partitions, keys) =
        first.ok_or_else(|| Error::invalid("expected the files of a filter's partitions, found none"))?;
    sources.sort_by_key(|(_, entry)| entry.partition);
    if !sources.iter().map(|(_, e)| e.partition).eq(0..partitions) {
        return Err(Error::invalid(format!(
            "expected each of {partitions} partitions once, found {:?}",
            sources.iter().map(|(_, e)| e.partition).collect::<Vec<_>>()
        )));
    }
    let entries: Vec<Entry> = sources.iter().map(|(_, entry)| *entry).collect();
    let mut writer = Writer::create(path, None)?;
    writer.write(&directory(partitions, &entries, &keys))?;
    for (part, entry) in sources {
        let Opened { mut file, .. } = open(part)?;
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

/// Header, entries and description, with the offsets that follow from the sizes.
fn directory(partitions: u64, entries: &[Entry], keys: &str) -> Vec<u8> {
    let start = sealed_size(HEADER) + entries.len() as u64 * sealed_size(ENTRY) + keys.len() as u64;
    let length = entries.iter().fold(start, |sum, e| sum + e.blocks * BLOCK_BYTES);
    let [a, b, c, d] = prefix(&KIND);
    let mut out = Vec::new();
    let (count, size, sum) = (entries.len() as u64, keys.len() as u64, xxh3_64(keys.as_bytes()));
    seal(&[a, b, c, d, length, partitions, count, BLOCK_BITS as u64, size, sum], &mut out);
    let mut offset = start;
    for e in entries {
        seal(&[e.partition, offset, e.blocks, e.probes, e.keys, e.capacity, e.sum], &mut out);
        offset += e.blocks * BLOCK_BYTES;
    }
    out.extend(keys.as_bytes());
    out
}

/// A filter file, open for reading its bits.
struct Opened {
    file: SealedFile,
    keys: String,
    partitions: u64,
    entries: Vec<Entry>,
}

fn open(path: &Path) -> Result<Opened> {
    refuse_dolma(path)?;
    let (mut file, header) = SealedFile::open::<HEADER>(path, &KIND)?;
    let [_, _, _, _, length, partitions, count, bits, size, sum] = header;
    if bits != BLOCK_BITS as u64 {
        return Err(file.bad(format!("expected blocks of {BLOCK_BITS} bits, found {bits}")));
    }
    if count > length / sealed_size(ENTRY) {
        return Err(file.bad(format!("{count} entries do not fit in {length} bytes")));
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
    let keys = file.checked_bytes(sealed_size(HEADER) + count * sealed_size(ENTRY), size, sum, "the description")?;
    let keys = String::from_utf8(keys).map_err(|_| file.bad("expected a description in UTF-8, found other bytes"))?;
    Ok(Opened { file, keys, partitions, entries })
}

/// An error for a filter that Dolma itself wrote: its hash is that of one build of one library, and cannot be had here.
fn refuse_dolma(path: &Path) -> Result<()> {
    let mut start = [0u8; 8];
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    if file.read_exact(&mut start).is_err() {
        return Ok(());
    }
    let word = |at: usize| start.iter().skip(at).take(4).rev().fold(0u32, |v, b| v << 8 | u32::from(*b));
    if word(0) != MAGIC_OF_DOLMA {
        return Ok(());
    }
    Err(Error::data(
        path,
        format!(
            "expected a filter file of dolma_pipeline, found one of Dolma (version {}), whose keys are hashed in a way \
             that only the program that wrote it knows; name another file, and run the deduplication of its texts again \
             to build it anew",
            word(4)
        ),
    ))
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
        save(&path("1"), 1, 2, &filter(0..10), "{k}").unwrap();
        save(&path("0"), 0, 2, &filter(10..15), "{k}").unwrap();
        merge(&[path("1"), path("0")], &path("both")).unwrap();
        let described = Description { keys: "{k}".to_owned(), partitions: 2, held: 15, capacity: 80 };
        assert_eq!(describe(&path("both")).unwrap(), described);
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
    fn filters_of_other_keys_are_not_merged() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        save(&path("0"), 0, 2, &filter(0..1), "{a}").unwrap();
        save(&path("1"), 1, 2, &filter(1..2), "{b}").unwrap();
        let error = merge(&[path("0"), path("1")], &path("both")).unwrap_err().to_string();
        assert!(error.ends_with("/1: expected a filter of the keys {a}, as the first has, found {b}"), "{error}");
        assert!(!path("both").exists());
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let reason = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = describe(&path).unwrap_err().to_string();
            error.rsplit("/f: ").next().unwrap().to_owned()
        };
        let mut dolma = 0x81F0_F117u32.to_le_bytes().to_vec();
        dolma.extend(1u32.to_le_bytes());
        assert!(
            reason(&dolma).starts_with("expected a filter file of dolma_pipeline, found one of Dolma (version 1), ")
        );
        assert_eq!(reason(b""), "expected a filter file, found an empty file");
        assert_eq!(reason(b"text of another kind"), "expected a filter file, found other bytes at its start");
        let mut older = Vec::new();
        let [a, _, c, d] = prefix(&KIND);
        seal(&[a, 1, c, d, 72, 1, 0, BLOCK_BITS as u64], &mut older);
        let expected = format!("expected a filter file of version 2, found version 1; {}", KIND.remedy);
        assert_eq!(reason(&older), expected);
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        save(&path, 0, 1, &filter(0..10), "{keys}").unwrap();
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
