//! Decoders of gzip and zstd that give out everything they could decode before they say what is wrong.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::{get_dict_id_from_frame, DParameter};

fn damage(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

fn cut(format: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("incomplete {format}"))
}

/// Where a gzip stream stands.
enum State {
    /// Before a member; `first`: before the first one.
    Between {
        first: bool,
    },
    Body,
    Trailer,
    End,
}

/// Reads the text of gzip members that follow one another (RFC 1952, section 2.2), with zero bytes after any of them,
/// as tapes and block devices add them.
pub struct GzipReader<R> {
    inner: R,
    inflate: Decompress,
    crc: Crc,
    state: State,
    /// What is wrong with the stream, until it has been said.
    broken: Option<io::Error>,
}

impl<R: BufRead> GzipReader<R> {
    pub fn new(inner: R) -> Self {
        let state = State::Between { first: true };
        GzipReader { inner, inflate: Decompress::new(false), crc: Crc::new(), state, broken: None }
    }

    /// Goes to the body of the next member; false at the end of the stream.
    fn next_member(&mut self, first: bool) -> io::Result<bool> {
        if !first {
            loop {
                let rest = filled(&mut self.inner)?;
                let zeros = rest.iter().take_while(|&&b| b == 0).count();
                let all = zeros == rest.len();
                if rest.is_empty() {
                    return Ok(false);
                }
                self.inner.consume(zeros);
                if !all {
                    break;
                }
            }
        }
        let mut start = [0; 10];
        for (i, byte) in start.iter_mut().enumerate() {
            match self.byte() {
                Ok(read) => *byte = read,
                Err(error) if !first && i < 2 && error.kind() == io::ErrorKind::UnexpectedEof => return Err(trailing()),
                Err(error) => return Err(error),
            }
            if !first && i < 2 && *byte != MAGIC[i] {
                return Err(trailing());
            }
        }
        let flags = start[3];
        if start[..2] != MAGIC {
            return Err(damage("invalid gzip header"));
        }
        if start[2] != 8 || flags & 0xe0 != 0 {
            return Err(damage("a gzip header of an unknown form"));
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
            for _ in 0..length {
                self.byte()?;
            }
        }
        for text in [8, 16] {
            while flags & text != 0 && self.byte()? != 0 {}
        }
        if flags & 2 != 0 {
            self.byte()?;
            self.byte()?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        Ok(true)
    }

    fn byte(&mut self) -> io::Result<u8> {
        let byte = filled(&mut self.inner)?.first().copied().ok_or_else(|| cut("gzip stream"))?;
        self.inner.consume(1);
        Ok(byte)
    }

    /// Decodes some bytes of the body; 0 at its end.
    fn body(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = filled(&mut self.inner)?;
            let ended = input.is_empty();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let done = self.inflate.decompress(input, into, FlushDecompress::None);
            let used = (self.inflate.total_in() - before.0) as usize;
            let written = (self.inflate.total_out() - before.1) as usize;
            self.inner.consume(used);
            self.crc.update(into.get(..written).unwrap_or_default());
            match done {
                Ok(Status::StreamEnd) => self.state = State::Trailer,
                Ok(_) if written > 0 => {}
                Ok(_) if ended => return Err(cut("gzip stream")),
                Ok(_) => continue,
                Err(_) => {
                    let error = damage("corrupt deflate stream");
                    if written == 0 {
                        return Err(error);
                    }
                    self.broken = Some(error);
                }
            }
            return Ok(written);
        }
    }

    fn trailer(&mut self) -> io::Result<()> {
        let mut trailer = [0; 8];
        for byte in &mut trailer {
            *byte = self.byte()?;
        }
        let [a, b, c, d, e, f, g, h] = trailer;
        if u32::from_le_bytes([a, b, c, d]) != self.crc.sum() {
            return Err(damage("the text of a gzip member does not have the CRC that the file gives"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.crc.amount() {
            return Err(damage("the text of a gzip member does not have the length that the file gives"));
        }
        Ok(())
    }

    fn step(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state {
                State::Between { first } => {
                    self.state = if self.next_member(first)? { State::Body } else { State::End };
                }
                State::Body => match self.body(into)? {
                    0 => {}
                    n => return Ok(n),
                },
                State::Trailer => {
                    self.trailer()?;
                    self.state = State::Between { first: false };
                }
                State::End => return Ok(0),
            }
        }
    }
}

const MAGIC: [u8; 2] = [0x1f, 0x8b];

fn trailing() -> io::Error {
    damage("bytes that are not gzip follow the last gzip member")
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let done = match self.broken.take() {
            Some(error) => Err(error),
            None => self.step(into),
        };
        if done.is_err() {
            self.state = State::End;
        }
        done
    }
}

/// The greatest window of a frame that zstd itself can read: 2 GiB, which `zstd --long=31` writes.
const WINDOW_LOG: u32 = 31;
/// Bytes before each block of a zstd frame.
const BLOCK_HEADER: usize = 3;
/// Bytes of the longest header of a zstd frame.
const HEADER: usize = 18;

/// Reads the text of zstd frames that follow one another. It takes as much memory as the window of a frame.
pub struct ZstdReader<R> {
    inner: R,
    decoder: Decoder<'static>,
    /// How many bytes the decoder can use now: those of one block, so that a bad one takes none before it along.
    wanted: usize,
    /// Nothing of a frame has been read.
    between: bool,
    /// The decoder may hold text that there was no room for.
    pending: bool,
    /// The dictionary that the frame names.
    dictionary: Option<u32>,
    done: bool,
}

impl<R: BufRead> ZstdReader<R> {
    pub fn new(inner: R) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
        Ok(ZstdReader { inner, decoder, wanted: 1, between: true, pending: false, dictionary: None, done: false })
    }

    fn step(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = filled(&mut self.inner)?;
            let ended = input.is_empty();
            if self.between {
                if ended {
                    return Ok(0);
                }
                self.decoder.reinit()?;
                self.dictionary = get_dict_id_from_frame(input.get(..HEADER).unwrap_or(input)).map(u32::from);
            }
            // Text that is decoded already must not be lost with a block that cannot be.
            let most = if self.pending { 0 } else { self.wanted };
            let mut source = InBuffer::around(input.get(..most).unwrap_or(input));
            let room = into.len();
            let mut target = OutBuffer::around(&mut *into);
            let hint = self.decoder.run(&mut source, &mut target).map_err(|e| named(&e, self.dictionary))?;
            let (used, written) = (source.pos(), target.pos());
            self.inner.consume(used);
            self.between = hint == 0;
            self.wanted = one_block(hint);
            if written > 0 {
                self.pending = written == room && !self.between;
                return Ok(written);
            }
            if ended && !self.between {
                return Err(cut("zstd frame"));
            }
            self.pending = false;
        }
    }
}

/// Bytes to give the decoder, which asks for a block and the header of the next one together. The header is left out:
/// a bad one would take the block along.
fn one_block(hint: usize) -> usize {
    match hint {
        0..=4 => hint.max(1),
        _ => hint - BLOCK_HEADER,
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.done {
            return Ok(0);
        }
        let read = self.step(into);
        self.done = read.is_err();
        read
    }
}

/// What zstd says, in words that tell the user what to do.
fn named(error: &io::Error, dictionary: Option<u32>) -> io::Error {
    let text = error.to_string();
    if text.contains("Dictionary mismatch") {
        let which = dictionary.map_or("a dictionary".to_owned(), |id| format!("the dictionary {id}"));
        return unsupported(format!("the zstd frame needs {which}; decompress it with `zstd -d -D DICTIONARY`"));
    }
    if text.contains("too much memory") {
        return unsupported(
            "the zstd frame has a window over 2 GiB, the greatest that zstd reads; compress the text again with \
             `--long=31` at most",
        );
    }
    if text.contains("not enough memory") {
        return io::Error::new(io::ErrorKind::OutOfMemory, "not enough memory for the window of a zstd frame");
    }
    if text.contains("Unknown frame descriptor") {
        return damage("bytes that are not zstd follow the last zstd frame");
    }
    damage(text)
}

/// The file is as its writer meant it, and cannot be read here.
fn unsupported(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason.into())
}

/// `fill_buf` that goes on after an interruption.
fn filled<R: BufRead>(reader: &mut R) -> io::Result<&[u8]> {
    while let Err(error) = reader.fill_buf() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // What is buffered is given without a further read.
    reader.fill_buf()
}

#[cfg(test)]
mod tests;
