//! Key files: the keys of a shard by partition, and its items in order of document.
//!
//! Header: prefix, length of the file, mode, partitions, rows, items, keys, bytes and xxh3_64 of the item table. Then a
//! sealed record per partition (offset, keys, xxh3_64 of them), the keys of each partition in item order (16 bytes each,
//! little-endian), and the item table, in varints, row after row:
//!
//! ```text
//! documents:   0 without a key, else partition + 1
//! paragraphs:  number of items; for each: start - end of the item before, end - start, partition
//! ngrams:      number of items; for each: start - end of the item before, end - start,
//!              2 * n-grams + (1 where it is compared as a whole), the partition of each n-gram, of the whole
//! ```

use std::fs::File;
use std::io::{Read, Take};
use std::path::{Path, PathBuf};

use arrow_array::{Array, LargeStringArray};

use super::spill::Spill;
use super::varint::{put_varint, Varints};
use super::{partition_of, Extractor, Key, Mode, Settings, MAX_PARTITIONS};
use crate::dedupe::sealed::{prefix, seal, sealed_size, Kind, SealedFile, PREFIX};
use crate::writer::{Writer, Written};
use crate::{Error, Result};

const KIND: Kind = Kind {
    magic: b"DOLMAKEY",
    version: 1,
    what: "a key file",
    remedy: "remove the `scratch` directory it is in, and run again",
};
const HEADER: usize = PREFIX + 8;
const ENTRY: usize = 3;
const KEY_BYTES: u64 = 16;
/// Bytes of keys read at a time.
const CHUNK: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyTotals {
    pub rows: u64,
    /// Documents, or paragraphs, that take part.
    pub items: u64,
    pub keys: u64,
}

/// Writes the keys of a shard, batch after batch, in memory bounded by a buffer.
pub struct KeyWriter {
    path: PathBuf,
    extractor: Extractor,
    /// The keys of each partition, and last the item table.
    spill: Spill,
    totals: KeyTotals,
    row: Vec<u8>,
    keys: Vec<Key>,
}

impl KeyWriter {
    /// `buffer_bytes` of keys and items are held before they are spilled to disk.
    pub fn create(path: &Path, settings: Settings, buffer_bytes: usize) -> Result<Self> {
        settings.check()?;
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        Ok(KeyWriter {
            path: path.to_path_buf(),
            spill: Spill::new(path, settings.partitions as usize + 1, buffer_bytes),
            extractor: Extractor::new(settings),
            totals: KeyTotals::default(),
            row: Vec::new(),
            keys: Vec::new(),
        })
    }

    /// The next documents: their keys in document mode (null: no key, never a duplicate), else their texts.
    pub fn add(&mut self, texts: &LargeStringArray) -> Result<()> {
        let mode = self.extractor.settings().mode;
        if mode != Mode::Documents && texts.null_count() > 0 {
            return Err(Error::invalid("expected texts without nulls"));
        }
        for i in 0..texts.len() {
            match mode {
                Mode::Documents => self.add_document((!texts.is_null(i)).then(|| texts.value(i)))?,
                Mode::Paragraphs => self.add_paragraphs(texts.value(i))?,
                Mode::Ngrams => self.add_ngrams(texts.value(i))?,
            }
            self.totals.rows += 1;
        }
        Ok(())
    }

    fn add_document(&mut self, key: Option<&str>) -> Result<()> {
        self.row.clear();
        match key.and_then(|text| self.extractor.settings().document(text)) {
            None => self.row.push(0),
            Some(key) => {
                let partition = partition_of(key, self.extractor.settings().partitions);
                put_varint(u64::from(partition) + 1, &mut self.row);
                self.spill.append(partition as usize, &key.to_le_bytes())?;
                self.totals.items += 1;
                self.totals.keys += 1;
            }
        }
        self.end_row()
    }

    fn add_paragraphs(&mut self, text: &str) -> Result<()> {
        let KeyWriter { extractor, spill, row, totals, .. } = self;
        let wanted = extractor.settings();
        let partitions = wanted.partitions;
        let (mut items, mut last) = (0, 0);
        row.clear();
        extractor.paragraphs(text, |start, end, paragraph| {
            let key = xxhash_rust::xxh3::xxh3_128(paragraph.as_bytes());
            if !wanted.holds(key) {
                return Ok(());
            }
            put_varint(start - last, row);
            put_varint(end - start, row);
            put_key(key, partitions, row, spill)?;
            items += 1;
            last = end;
            Ok(())
        })?;
        totals.keys += items;
        self.end_items(items)
    }

    fn add_ngrams(&mut self, text: &str) -> Result<()> {
        let partitions = self.extractor.settings().partitions;
        let mut paragraphs = Vec::new();
        self.extractor.paragraphs(text, |start, end, paragraph| {
            paragraphs.push((start, end, paragraph));
            Ok(())
        })?;
        let (mut items, mut last) = (0, 0);
        self.row.clear();
        for (start, end, paragraph) in paragraphs {
            self.keys.clear();
            let whole = self.extractor.ngrams(paragraph, &mut self.keys);
            if self.keys.is_empty() && !whole {
                continue;
            }
            put_varint(start - last, &mut self.row);
            put_varint(end - start, &mut self.row);
            put_varint(self.keys.len() as u64 * 2 + u64::from(whole), &mut self.row);
            if whole {
                self.keys.push(xxhash_rust::xxh3::xxh3_128(paragraph.as_bytes()));
            }
            for &key in &self.keys {
                put_key(key, partitions, &mut self.row, &mut self.spill)?;
            }
            self.totals.keys += self.keys.len() as u64;
            items += 1;
            last = end;
        }
        self.end_items(items)
    }

    fn end_items(&mut self, items: u64) -> Result<()> {
        self.totals.items += items;
        let mut count = Vec::new();
        put_varint(items, &mut count);
        self.spill.append(self.extractor.settings().partitions as usize, &count)?;
        self.end_row()
    }

    fn end_row(&mut self) -> Result<()> {
        self.spill.append(self.extractor.settings().partitions as usize, &self.row)
    }

    /// Writes the file and gives it its name.
    pub fn finish(&mut self) -> Result<(Written, KeyTotals)> {
        let settings = self.extractor.settings();
        let mut streams = self.spill.totals();
        let (table_bytes, table_sum) = streams.pop().unwrap_or_default();
        let start = sealed_size(HEADER) + streams.len() as u64 * sealed_size(ENTRY);
        let length = start + self.totals.keys * KEY_BYTES + table_bytes;
        let KeyTotals { rows, items, keys } = self.totals;
        let [a, b, c, d] = prefix(&KIND);
        let mut directory = Vec::new();
        let (mode, partitions) = (settings.mode as u64, u64::from(settings.partitions));
        seal(&[a, b, c, d, length, mode, partitions, rows, items, keys, table_bytes, table_sum], &mut directory);
        let mut offset = start;
        for (bytes, sum) in streams {
            seal(&[offset, bytes / KEY_BYTES, sum], &mut directory);
            offset += bytes;
        }
        let mut writer = Writer::create(&self.path, None)?;
        writer.write(&directory)?;
        self.spill.copy_to(&mut writer)?;
        Ok((writer.finish()?, self.totals))
    }
}

fn put_key(key: Key, partitions: u32, row: &mut Vec<u8>, spill: &mut Spill) -> Result<()> {
    let partition = partition_of(key, partitions);
    put_varint(u64::from(partition), row);
    spill.append(partition as usize, &key.to_le_bytes())
}

/// The keys of one partition: where they are, how many, and their checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    offset: u64,
    pub keys: u64,
    pub sum: u64,
}

/// A key file, open for reading.
pub struct KeyFile {
    file: SealedFile,
    pub mode: Mode,
    pub partitions: u32,
    pub totals: KeyTotals,
    table_bytes: u64,
    table_sum: u64,
}

impl KeyFile {
    pub fn open(path: &Path) -> Result<Self> {
        let (file, header) = SealedFile::open::<HEADER>(path, &KIND)?;
        let [_, _, _, _, length, mode, partitions, rows, items, keys, table_bytes, table_sum] = header;
        let Some(mode) = Mode::from_word(mode) else {
            return Err(file.bad(format!("expected mode 0, 1 or 2, found {mode}")));
        };
        if !(1..=u64::from(MAX_PARTITIONS)).contains(&partitions) {
            return Err(file.bad(format!("expected 1 to {MAX_PARTITIONS} partitions, found {partitions}")));
        }
        let start = sealed_size(HEADER) + partitions * sealed_size(ENTRY);
        let expected = keys.checked_mul(KEY_BYTES).and_then(|n| n.checked_add(start)?.checked_add(table_bytes));
        if expected != Some(length) {
            return Err(file.bad(format!("{keys} keys and {table_bytes} bytes of items do not make {length} bytes")));
        }
        let totals = KeyTotals { rows, items, keys };
        Ok(KeyFile { file, mode, partitions: partitions as u32, totals, table_bytes, table_sum })
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub fn bad(&self, reason: impl Into<String>) -> Error {
        self.file.bad(reason)
    }

    /// Where the keys of `partition` are.
    pub fn slice(&mut self, partition: u32) -> Result<Slice> {
        if partition >= self.partitions {
            let found = self.partitions;
            return Err(self.bad(format!("expected partition {partition}, found {found} of them")));
        }
        let at = sealed_size(HEADER) + u64::from(partition) * sealed_size(ENTRY);
        let [offset, keys, sum] = self.file.words::<ENTRY>(at)?;
        if keys > self.totals.keys {
            return Err(self.bad(format!("partition {partition} has {keys} keys of {}", self.totals.keys)));
        }
        Ok(Slice { offset, keys, sum })
    }

    /// Calls `each` for the keys of a slice in order; an error, after the last of them, where they are damaged.
    pub fn for_each(&mut self, slice: Slice, mut each: impl FnMut(Key)) -> Result<()> {
        let path = self.file.path().to_path_buf();
        let mut stream = self.file.stream(slice.offset, slice.keys * KEY_BYTES)?;
        let mut left = slice.keys * KEY_BYTES;
        let mut buffer = vec![0u8; left.min(CHUNK) as usize];
        while left > 0 {
            let bytes = buffer.get_mut(..left.min(CHUNK) as usize).unwrap_or_default();
            stream.read_exact(bytes).map_err(|e| Error::io(&path, e))?;
            left -= bytes.len() as u64;
            for bytes in bytes.chunks_exact(KEY_BYTES as usize) {
                each(bytes.try_into().map_or(0, Key::from_le_bytes));
            }
        }
        if stream.sum() != slice.sum {
            return Err(Error::data(&path, "the keys are damaged: their checksum does not match"));
        }
        Ok(())
    }

    /// The item table, and the checksum that its stream must end with.
    pub fn into_items(self) -> Result<(Varints<Take<File>>, u64)> {
        let KeyFile { file, totals, partitions, table_bytes, table_sum, .. } = self;
        let start = sealed_size(HEADER) + u64::from(partitions) * sealed_size(ENTRY) + totals.keys * KEY_BYTES;
        Ok((Varints::new(file.into_stream(start, table_bytes)?), table_sum))
    }
}
