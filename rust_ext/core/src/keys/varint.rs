//! Unsigned LEB128: seven bits a byte, the lowest first, the eighth bit set while more follow.

use std::io::{BufRead, BufReader, Read};

use crate::dedupe::sealed::Summed;

pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Numbers from a stream, and the checksum of its bytes.
pub struct Varints<R> {
    inner: BufReader<Summed<R>>,
}

impl<R: Read> Varints<R> {
    pub fn new(inner: Summed<R>) -> Self {
        Varints { inner: BufReader::with_capacity(64 * 1024, inner) }
    }

    /// The next number; None where the stream ends, or holds one of more than 64 bits.
    pub fn next_number(&mut self) -> std::io::Result<Option<u64>> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.inner.fill_buf()?.first() else {
                return Ok(None);
            };
            self.inner.consume(1);
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Ok(None);
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// xxh3_64 of the whole stream, where nothing of it is left.
    pub fn end(&mut self) -> std::io::Result<Option<u64>> {
        let ended = self.inner.fill_buf()?.is_empty();
        Ok(ended.then(|| self.inner.get_ref().sum()))
    }
}
