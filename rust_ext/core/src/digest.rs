//! BLAKE3 of files and of byte streams on their way, and keyed hashes of strings.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use arrow_array::{Array, LargeStringArray, UInt64Array};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Error, Result};

/// BLAKE3 of a file's bytes, in hex.
pub fn blake3_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(|e| Error::io(path, e))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A BLAKE3 of bytes that come piece by piece.
///
/// They are hashed in whole blocks: pieces that begin anywhere leave the vector units half idle.
#[derive(Default)]
pub struct Growing {
    hasher: blake3::Hasher,
    rest: Vec<u8>,
}

const BLOCK: usize = 64 << 10;

impl Growing {
    pub fn update(&mut self, data: &[u8]) {
        let missing = if self.rest.is_empty() { 0 } else { BLOCK - self.rest.len() };
        let (first, others) = data.split_at(missing.min(data.len()));
        self.rest.extend_from_slice(first);
        if self.rest.len() == BLOCK {
            self.hasher.update(&self.rest);
            self.rest.clear();
        }
        if others.is_empty() {
            return;
        }
        let (whole, rest) = others.split_at(others.len() - others.len() % BLOCK);
        self.hasher.update(whole);
        self.rest.extend_from_slice(rest);
    }

    /// The BLAKE3 of all bytes so far, in hex.
    pub fn hex(&self) -> String {
        self.hasher.clone().update(&self.rest).finalize().to_hex().to_string()
    }
}

/// xxh3_64 of each string under `seed`: the source of every random choice, so that a choice depends on the document
/// alone. A null hashes as the empty string.
pub fn keyed_hash(values: &LargeStringArray, seed: u64) -> UInt64Array {
    (0..values.len())
        .map(|i| Some(xxh3_64_with_seed(if values.is_null(i) { b"" } else { values.value(i).as_bytes() }, seed)))
        .collect()
}

/// Hashes what passes through, so that a file's digest costs no second reading.
pub struct Hashing<T> {
    inner: T,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<T> Hashing<T> {
    pub fn new(inner: T) -> Self {
        Hashing { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// Bytes that have passed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn hex(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    pub fn into_inner(self) -> T {
        self.inner
    }

    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_length_hash_as_the_whole() {
        let data: Vec<u8> = (0..5 * BLOCK + 77).map(|i| (i % 251) as u8).collect();
        let whole = blake3::hash(&data).to_hex().to_string();
        for length in [1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5, data.len()] {
            let mut grown = Growing::default();
            data.chunks(length).for_each(|piece| grown.update(piece));
            assert_eq!(grown.hex(), whole, "pieces of {length}");
            assert_eq!(grown.hex(), whole, "asked twice");
        }
        assert_eq!(Growing::default().hex(), blake3::hash(b"").to_hex().to_string());
    }
}
