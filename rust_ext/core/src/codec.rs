//! Compression: of a file that is read by its first bytes, of one that is written by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use crate::decode::{GzipReader, ZstdReader};
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
const GZIP: &[u8] = b"\x1f\x8b\x08";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const BOM: &[u8] = b"\xef\xbb\xbf";

impl Compression {
    /// By the last extension, as Dolma does, in capitals too.
    pub fn of(path: &Path) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "gz" => Compression::Gzip,
            "zst" | "zstd" => Compression::Zstd,
            _ => Compression::Plain,
        }
    }

    /// By the first bytes of a file, which count for more than its name; None if they do not belong to what the name
    /// promises, and are not text either.
    fn found(head: &[u8], name: Compression) -> Option<Self> {
        let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        let begins = |magic: &[u8]| head.starts_with(magic) || magic.starts_with(head);
        if head.starts_with(GZIP) || (name == Compression::Gzip && begins(GZIP)) {
            return Some(Compression::Gzip);
        }
        if head.starts_with(ZSTD) || skippable || (name == Compression::Zstd && begins(ZSTD)) {
            return Some(Compression::Zstd);
        }
        (name == Compression::Plain || is_text(head)).then_some(Compression::Plain)
    }

    fn name(self) -> &'static str {
        match self {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

/// Whether a line of text may begin so.
fn is_text(head: &[u8]) -> bool {
    let head = head.strip_prefix(BOM).unwrap_or(head);
    let head = head.get(..256).unwrap_or(head);
    // A character may be cut at the end.
    let whole = simdutf8::compat::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    whole && !head.iter().any(|&b| b < b' ' && !b.is_ascii_whitespace())
}

/// A file of which each read gives as much as there is room for: so what a decoder is given at a time depends on the
/// bytes of the file alone, and not on how its file system hands them out.
struct Full(File);

impl Read for Full {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(room) = into.get_mut(done..).filter(|r| !r.is_empty()) {
            match self.0.read(room) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was read must not be lost; the next call meets the error again.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// A file that is there, and its first bytes.
fn opened(path: &Path, buffer: usize) -> Result<BufReader<Full>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    if file.metadata().map_err(|e| Error::io(path, e))?.is_dir() {
        return Err(Error::data(path, "expected a file, found a directory"));
    }
    let mut reader = BufReader::with_capacity(buffer, Full(file));
    reader.fill_buf().map_err(|e| Error::io(path, e))?;
    Ok(reader)
}

/// The bytes of a file as it is stored, while it is read.
#[derive(Clone, Debug)]
pub struct Stored {
    /// How many there are.
    pub bytes: u64,
    used: Arc<AtomicU64>,
}

impl Stored {
    /// How many have been used so far.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many have not been used so far; a decoder that asks for more has used those before.
    pub fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.used())
    }

    /// What is left of a file that cannot be read on; `cut`: it ends where more was to come.
    pub fn told(&self, cut: bool) -> String {
        let bytes = self.bytes;
        match self.left() {
            0 if cut => format!("the file ends at byte {bytes}, and how much is missing is not known"),
            0 => format!("all {bytes} bytes of the file were read"),
            left => format!("{left} of the {bytes} bytes of the file are not read"),
        }
    }
}

/// Counts the bytes that are used of `inner`.
struct Counted<R> {
    inner: R,
    used: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.used.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.used.fetch_add(bytes as u64, Ordering::Relaxed);
        self.inner.consume(bytes);
    }
}

/// Opens `path` for reading its decompressed bytes. A file of no bytes is an empty one in every format.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    open_counted(path).map(|(reader, _)| reader)
}

/// The same, and how many of the bytes that are stored were used.
pub fn open_counted(path: &Path) -> Result<(Box<dyn Read + Send>, Stored)> {
    let reader = opened(path, BUFFER)?;
    let bytes = reader.get_ref().0.metadata().map_err(|e| Error::io(path, e))?.len();
    let stored = Stored { bytes, used: Arc::default() };
    if reader.buffer().is_empty() {
        return Ok((Box::new(io::empty()), stored));
    }
    let name = Compression::of(path);
    let found = Compression::found(reader.buffer(), name);
    let reader = Counted { inner: reader, used: Arc::clone(&stored.used) };
    let decoded: Box<dyn Read + Send> = match found {
        Some(Compression::Plain) => Box::new(reader),
        Some(Compression::Gzip) => Box::new(GzipReader::new(reader)),
        Some(Compression::Zstd) => Box::new(ZstdReader::new(reader).map_err(|e| Error::io(path, e))?),
        None => Box::new(Foreign(name)),
    };
    Ok((decoded, stored))
}

/// The text of a file whose first bytes are neither what its name promises nor text: none.
struct Foreign(Compression);

impl Read for Foreign {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        let expected = self.0.name();
        let reason = format!("expected {expected}, as the name ends, found neither {expected} nor text");
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

/// The beginning of a file.
#[derive(Debug)]
pub struct Head {
    /// `plain`, `gzip` or `zstd`.
    pub compression: &'static str,
    /// The first decompressed bytes.
    pub bytes: Vec<u8>,
    /// Whether the file ends there.
    pub whole: bool,
    /// Why there are no more, if the file cannot be read on.
    pub damage: Option<io::Error>,
}

/// The first `limit` decompressed bytes of `path`. A file that is not what its name promises is given as it is.
pub fn head(path: &Path, limit: usize) -> Result<Head> {
    let reader = opened(path, BUFFER.min(limit.max(512)))?;
    let found = match reader.buffer() {
        [] => Compression::Plain,
        bytes => Compression::found(bytes, Compression::of(path)).unwrap_or(Compression::Plain),
    };
    let decoded: Box<dyn Read> = match found {
        Compression::Plain => Box::new(reader),
        Compression::Gzip => Box::new(GzipReader::new(reader)),
        Compression::Zstd => Box::new(ZstdReader::new(reader).map_err(|e| Error::io(path, e))?),
    };
    let mut bytes = Vec::new();
    // One byte more tells whether the file goes on.
    let damage = decoded.take(limit as u64 + 1).read_to_end(&mut bytes).err();
    let whole = bytes.len() <= limit && damage.is_none();
    bytes.truncate(limit);
    Ok(Head { compression: found.name(), bytes, whole, damage })
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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"{\"id\":\"a\",\"text\":\"b\"}\n";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(Compression::Gzip, None, Vec::new()).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: &[u8]) -> (Vec<u8>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut text = Vec::new();
        let error = open(&path).unwrap().read_to_end(&mut text).err();
        (text, error.map(|e| e.to_string()))
    }

    #[test]
    fn the_bytes_count_for_more_than_the_name() {
        let zstd = zstd::encode_all(TEXT, 3).unwrap();
        for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.GZ", "a.jsonl.zst", "a.ZSTD", "a"] {
            for bytes in [TEXT, &gzip(TEXT), &zstd] {
                assert_eq!(read(name, bytes), (TEXT.to_vec(), None), "{name}");
            }
            assert_eq!(read(name, b""), (vec![], None), "{name}");
        }
    }

    #[test]
    fn what_is_neither_is_named() {
        let xz = b"\xfd7zXZ\0\0\x04";
        let said = |c| Some(format!("expected {c}, as the name ends, found neither {c} nor text"));
        assert_eq!(read("a.gz", xz), (vec![], said("gzip")));
        assert_eq!(read("a.jsonl.zst", b"{\0\"\0"), (vec![], said("zstd")));
        assert_eq!(read("a.jsonl", xz), (xz.to_vec(), None));
        assert_eq!(read("a.gz", &GZIP[..1]), (vec![], Some("incomplete gzip stream".to_owned())));
        assert_eq!(read("a.zst", &ZSTD[..1]), (vec![], Some("incomplete zstd frame".to_owned())));
    }

    #[test]
    fn names_of_what_is_written_may_be_in_capitals() {
        assert_eq!(Compression::of(Path::new("a/b.JSONL.GZ")), Compression::Gzip);
        assert_eq!(Compression::of(Path::new("b.Zst")), Compression::Zstd);
        assert_eq!(Compression::of(Path::new("gz")), Compression::Plain);
    }

    #[test]
    fn a_head_is_the_beginning_of_the_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.gz");
        std::fs::write(&path, gzip(TEXT)).unwrap();
        let of = |limit| head(&path, limit).map(|h| (h.compression, h.bytes, h.whole, h.damage.is_some())).unwrap();
        assert_eq!(of(5), ("gzip", TEXT[..5].to_vec(), false, false));
        assert_eq!(of(TEXT.len()), ("gzip", TEXT.to_vec(), true, false));
        let packed = gzip(TEXT);
        std::fs::write(&path, &packed[..packed.len() - 1]).unwrap();
        assert_eq!(of(99), ("gzip", TEXT.to_vec(), false, true));
        std::fs::write(&path, b"BZh91AY&SY\0").unwrap();
        assert_eq!(of(3), ("plain", b"BZh".to_vec(), false, false));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(of(3), ("plain", vec![], true, false));
    }
}
