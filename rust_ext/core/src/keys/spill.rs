//! Many byte streams, appended to a little at a time and read back one after the other, in bounded memory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3Default;

use crate::writer::{temporary_path, Writer};
use crate::{Error, Result};

/// One unnamed file takes the buffers of all streams whenever together they exceed `limit`.
pub struct Spill {
    beside: PathBuf,
    limit: usize,
    buffered: usize,
    streams: Vec<Stream>,
    file: Option<File>,
    written: u64,
}

#[derive(Default)]
struct Stream {
    buffer: Vec<u8>,
    sum: Xxh3Default,
    length: u64,
    /// (offset, length) of what is in the file.
    chunks: Vec<(u64, u64)>,
}

impl Spill {
    /// `streams` empty streams that may buffer `limit` bytes; the file lies in the directory of `beside`.
    pub fn new(beside: &Path, streams: usize, limit: usize) -> Self {
        let streams = (0..streams).map(|_| Stream::default()).collect();
        Spill { beside: beside.to_path_buf(), limit, buffered: 0, streams, file: None, written: 0 }
    }

    pub fn append(&mut self, stream: usize, bytes: &[u8]) -> Result<()> {
        if let Some(s) = self.streams.get_mut(stream) {
            s.buffer.extend_from_slice(bytes);
            s.length += bytes.len() as u64;
        }
        self.buffered += bytes.len();
        if self.buffered > self.limit {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(unnamed(&self.beside)?);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        for stream in self.streams.iter_mut().filter(|s| !s.buffer.is_empty()) {
            file.write_all(&stream.buffer).map_err(|e| Error::io(&self.beside, e))?;
            let length = stream.buffer.len() as u64;
            stream.sum.update(&stream.buffer);
            stream.chunks.push((self.written, length));
            self.written += length;
            stream.buffer = Vec::new();
        }
        self.buffered = 0;
        Ok(())
    }

    /// (length in bytes, xxh3_64) of each stream.
    pub fn totals(&self) -> Vec<(u64, u64)> {
        let total = |s: &Stream| {
            let mut sum = s.sum.clone();
            sum.update(&s.buffer);
            (s.length, sum.digest())
        };
        self.streams.iter().map(total).collect()
    }

    /// Writes all streams to `writer`, one after the other.
    pub fn copy_to(&mut self, writer: &mut Writer) -> Result<()> {
        for stream in &self.streams {
            if let Some(file) = &mut self.file {
                for &(offset, length) in &stream.chunks {
                    let mut bytes = vec![0; length as usize];
                    file.seek(SeekFrom::Start(offset))
                        .and_then(|_| file.read_exact(&mut bytes))
                        .map_err(|e| Error::io(&self.beside, e))?;
                    writer.write(&bytes)?;
                }
            }
            writer.write(&stream.buffer)?;
        }
        Ok(())
    }
}

/// A file that loses its name at once, so that nothing of it stays however the process ends.
fn unnamed(beside: &Path) -> Result<File> {
    let path = temporary_path(beside, Some("spill"));
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(true).open(&path).map_err(|e| Error::io(beside, e))?;
    fs::remove_file(&path).map_err(|e| Error::io(beside, e))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    #[test]
    fn streams_come_back_whole_whatever_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        for limit in [0, 1, 7, 50, 1 << 20] {
            let path = directory.path().join(format!("out{limit}"));
            let mut spill = Spill::new(&path, 3, limit);
            let mut expected = [Vec::new(), Vec::new(), Vec::new()];
            for i in 0..100u8 {
                let bytes = vec![i; usize::from(i) % 4];
                spill.append(usize::from(i) % 3, &bytes).unwrap();
                expected[usize::from(i) % 3].extend(bytes);
            }
            let sums: Vec<_> = expected.iter().map(|e| (e.len() as u64, xxh3_64(e))).collect();
            assert_eq!(spill.totals(), sums);
            let mut writer = Writer::create(&path, None).unwrap();
            spill.copy_to(&mut writer).unwrap();
            writer.finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), expected.concat());
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 5);
    }
}
