//! Compression by file name: `.gz` (any number of members), `.zst` (any number of frames), anything else plain.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::gzip::GzipWriter;
use crate::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// zstd's own default: a level lower writes 1.7 times as fast and 5 % larger.
const ZSTD_LEVEL: i32 = 3;
const BUFFER: usize = 256 * 1024;

impl Compression {
    /// By the last extension, as Dolma does.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("zst") | Some("zstd") => Compression::Zstd,
            _ => Compression::Plain,
        }
    }
}

/// Opens `path` for reading its decompressed bytes. A file of no bytes is an empty one in every format.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let meta = file.metadata().map_err(|e| Error::io(path, e))?;
    if meta.is_dir() {
        return Err(Error::data(path, "expected a file, found a directory"));
    }
    if meta.len() == 0 {
        return Ok(Box::new(io::empty()));
    }
    let reader = BufReader::with_capacity(BUFFER, file);
    Ok(match Compression::of(path) {
        Compression::Plain => Box::new(reader),
        Compression::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Compression::Zstd => {
            Box::new(zstd::stream::read::Decoder::with_buffer(reader).map_err(|e| Error::io(path, e))?)
        }
    })
}

/// Compresses into `inner`; [`Encoder::finish`] writes the trailer and gives `inner` back.
pub enum Encoder<W: Write> {
    Plain(W),
    Gzip(GzipWriter<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// `level`: of the format's own scale; None for the default.
    pub fn new(compression: Compression, level: Option<i32>, inner: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::Plain => Encoder::Plain(inner),
            Compression::Gzip => Encoder::Gzip(GzipWriter::new(level, inner)),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(inner, level.unwrap_or(ZSTD_LEVEL))?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Plain(w) => Ok(w),
            Encoder::Gzip(e) => e.finish(),
            Encoder::Zstd(e) => e.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Plain(w) => w.write(buffer),
            Encoder::Gzip(e) => e.write(buffer),
            Encoder::Zstd(e) => e.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Plain(w) => w.flush(),
            Encoder::Gzip(e) => e.flush(),
            Encoder::Zstd(e) => e.flush(),
        }
    }
}
