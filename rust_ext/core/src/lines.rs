//! Lines of a decompressed stream, with their numbers and byte offsets, in bounded memory.

use std::io::{self, Read};

use memchr::memchr;

const BLOCK: usize = 1 << 20;

/// Where a line stood in the decompressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// 1-based.
    pub line: u64,
    /// Of the line's first byte.
    pub offset: u64,
}

pub enum Event<'a> {
    /// A line without its newline.
    Line(Position, &'a [u8]),
    /// A line longer than the limit; its first bytes, and how long it was in all.
    TooLong(Position, Vec<u8>, u64),
    /// The stream broke (truncated or corrupt): what stood after the last newline, and why.
    Damage(Position, &'a [u8], io::Error),
    End,
}

/// Reads lines from `reader`, holding one line (at most `limit` bytes) and one block.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// buffer[start..end] is read and not yet given out.
    start: usize,
    end: usize,
    limit: usize,
    next: Position,
    done: bool,
}

/// How much of a line over the limit is kept for the quarantine.
const KEPT: usize = 4096;

impl<R: Read> Lines<R> {
    pub fn new(reader: R, limit: usize) -> Self {
        Lines {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            limit: limit.max(1),
            next: Position { line: 1, offset: 0 },
            done: false,
        }
    }

    /// Decompressed bytes given out so far.
    pub fn offset(&self) -> u64 {
        self.next.offset
    }

    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Event<'_> {
        if self.done {
            return Event::End;
        }
        let mut searched = 0;
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(found) = memchr(b'\n', pending.get(searched..).unwrap_or_default()) {
                let length = searched + found;
                let at = self.advance(length as u64 + 1);
                let from = self.start;
                self.start += length + 1;
                let mut line = self.buffer.get(from..from + length).unwrap_or_default();
                if line.last() == Some(&b'\r') {
                    line = &line[..line.len() - 1];
                }
                return Event::Line(at, line);
            }
            searched = pending.len();
            if searched > self.limit {
                return self.skip_line();
            }
            match self.fill() {
                Ok(0) => {
                    self.done = true;
                    let rest = self.start..self.end;
                    if rest.is_empty() {
                        return Event::End;
                    }
                    let at = self.advance(rest.len() as u64);
                    return Event::Line(at, self.buffer.get(rest).unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) => {
                    self.done = true;
                    let rest = self.start..self.end;
                    let at = self.advance(rest.len() as u64);
                    return Event::Damage(at, self.buffer.get(rest).unwrap_or_default(), error);
                }
            }
        }
    }

    /// The position of the line that begins here, after stepping over `bytes`.
    fn advance(&mut self, bytes: u64) -> Position {
        let at = self.next;
        self.next = Position { line: at.line + 1, offset: at.offset + bytes };
        at
    }

    fn skip_line(&mut self) -> Event<'_> {
        let head = self.buffer.get(self.start..self.end).unwrap_or_default();
        let kept = head.get(..KEPT.min(head.len())).unwrap_or_default().to_vec();
        let mut length = head.len() as u64;
        self.start = 0;
        self.end = 0;
        loop {
            match self.fill() {
                Ok(0) | Err(_) => {
                    self.done = true;
                    let at = self.advance(length);
                    return Event::TooLong(at, kept, length);
                }
                Ok(n) => {
                    if let Some(found) = memchr(b'\n', self.buffer.get(..n).unwrap_or_default()) {
                        length += found as u64;
                        self.start = found + 1;
                        let at = self.advance(length + 1);
                        return Event::TooLong(at, kept, length);
                    }
                    length += n as u64;
                    self.end = 0;
                }
            }
        }
    }

    /// Reads more behind `end`, moving what is pending to the front first.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < BLOCK {
            // Doubling keeps the copying of a long line linear in its length.
            let grown = (self.end + BLOCK).max(self.buffer.len() + self.buffer.len() / 2);
            self.buffer.resize(grown, 0);
        }
        loop {
            let space = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(space) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], limit: usize) -> Vec<(u64, u64, String)> {
        let mut lines = Lines::new(bytes, limit);
        let mut out = Vec::new();
        loop {
            match lines.next() {
                Event::Line(p, l) => out.push((p.line, p.offset, String::from_utf8_lossy(l).into_owned())),
                Event::TooLong(p, _, n) => out.push((p.line, p.offset, format!("<{n}>"))),
                Event::Damage(..) => out.push((0, 0, "damage".into())),
                Event::End => return out,
            }
        }
    }

    #[test]
    fn positions_and_ends() {
        let expected = vec![(1, 0, "a".into()), (2, 2, String::new()), (3, 3, "bc".into()), (4, 7, "d".into())];
        assert_eq!(all(b"a\n\nbc\r\nd", 100), expected);
        assert_eq!(all(b"", 100), vec![]);
    }

    #[test]
    fn a_line_over_the_limit_is_stepped_over() {
        let mut text = vec![b'x'; 3 * BLOCK];
        text.extend_from_slice(b"\nnext\n");
        let n = 3 * BLOCK as u64;
        assert_eq!(all(&text, 10), vec![(1, 0, format!("<{n}>")), (2, n + 1, "next".into())]);
    }
}
