//! Lines of a decompressed stream, with their numbers and byte offsets, in bounded memory.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter};

const BLOCK: usize = 1 << 20;

/// Where a line stood in the decompressed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// 1-based.
    pub line: u64,
    /// Where the line's first byte is.
    pub offset: u64,
}

pub enum Event<'a> {
    /// A line without its newline.
    Line(Position, &'a [u8]),
    /// A line longer than the limit: its first bytes, and its length.
    TooLong(Position, &'a [u8], u64),
    /// The stream could not be read on: what was read of the line it broke in, how long that was, and why. Of a line
    /// over the limit only the first bytes are kept, so they are fewer than the length says.
    Damage(Position, &'a [u8], u64, io::Error),
    End,
}

/// Reads lines from `reader`, holding one line (at most `limit` bytes) and one block.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// buffer[start..end] is read and not yet given out.
    start: usize,
    end: usize,
    /// The first bytes of the last line over the limit.
    kept: Vec<u8>,
    limit: usize,
    next: Position,
    /// Whether the bytes at hand are the rest of a line that is stepped over.
    inside: bool,
    done: bool,
}

/// How far [`Lines::skip`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// There are more lines to step over.
    Some,
    /// The next line is the first that begins at the place or behind it.
    All,
    /// No line begins there.
    Ended,
}

/// How many bytes of a line over the limit are kept.
pub const KEPT: usize = 4096;
/// A buffer that a long line has made larger than this is made small again after it.
const LARGE: usize = 16 * BLOCK;

impl<R: Read> Lines<R> {
    pub fn new(reader: R, limit: usize) -> Self {
        Lines {
            reader,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            kept: Vec::new(),
            limit: limit.max(1),
            next: Position { line: 1, offset: 0 },
            inside: false,
            done: false,
        }
    }

    /// Decompressed bytes given out so far.
    pub fn offset(&self) -> u64 {
        self.next.offset
    }

    /// Whether the stream has ended, well or badly.
    pub fn is_done(&self) -> bool {
        self.done
    }

    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Steps over the lines that begin before the offset that `place` tells, which may be known only once the reader has
    /// come there; they are counted and not looked at. It returns after about `most` bytes, so that it can be stopped.
    ///
    /// What ends the stream before a line begins there belongs to the lines before, and is not told here.
    pub fn skip(&mut self, place: impl Fn(&R) -> Option<u64>, most: u64) -> io::Result<Skipped> {
        let started = self.next.offset;
        while !self.done {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            let place = place(&self.reader);
            let before = match place {
                Some(at) => usize::try_from(at.saturating_sub(self.next.offset)).unwrap_or(usize::MAX),
                None => usize::MAX,
            };
            let mut stepped = pending.get(..before).unwrap_or(pending);
            if !stepped.is_empty() {
                self.inside = stepped.last() != Some(&b'\n');
            }
            if stepped.len() < pending.len() && self.inside {
                // The rest of the last line before the place.
                let rest = pending.get(stepped.len()..).unwrap_or_default();
                let length = memchr(b'\n', rest).map(|found| found + 1);
                self.inside = length.is_none();
                stepped = pending.get(..stepped.len() + length.unwrap_or(rest.len())).unwrap_or(pending);
            }
            self.next.line += memchr_iter(b'\n', stepped).count() as u64;
            self.next.offset += stepped.len() as u64;
            self.start += stepped.len();
            if place.is_some_and(|at| self.next.offset >= at) && !self.inside {
                return Ok(Skipped::All);
            }
            if self.next.offset - started >= most {
                return Ok(Skipped::Some);
            }
            match self.fill() {
                Ok(0) => self.done = true,
                Ok(_) => {}
                Err(error) => {
                    self.done = true;
                    if is_outside(&error) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(Skipped::Ended)
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
                if length > self.limit {
                    return self.too_long(at, from..from + length);
                }
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
                    if rest.len() > self.limit {
                        return self.too_long(at, rest);
                    }
                    return Event::Line(at, self.buffer.get(rest).unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) => {
                    self.done = true;
                    let rest = self.start..self.end;
                    let length = rest.len() as u64;
                    let at = self.advance(length);
                    return Event::Damage(at, self.buffer.get(rest).unwrap_or_default(), length, error);
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

    /// The line at `range` of the buffer, which is longer than the limit.
    fn too_long(&self, at: Position, range: Range<usize>) -> Event<'_> {
        let length = range.len() as u64;
        let line = self.buffer.get(range).unwrap_or_default();
        Event::TooLong(at, line.get(..KEPT).unwrap_or(line), length)
    }

    /// Steps over a line longer than the limit, of which `buffer[start..end]` is read.
    fn skip_line(&mut self) -> Event<'_> {
        let head = self.buffer.get(self.start..self.end).unwrap_or_default();
        self.kept.clear();
        self.kept.extend_from_slice(head.get(..KEPT).unwrap_or(head));
        let mut length = head.len() as u64;
        loop {
            self.start = 0;
            self.end = 0;
            match self.fill() {
                Ok(0) => {
                    self.done = true;
                    let at = self.advance(length);
                    return Event::TooLong(at, &self.kept, length);
                }
                Ok(n) => {
                    if let Some(found) = memchr(b'\n', self.buffer.get(..n).unwrap_or_default()) {
                        length += found as u64;
                        self.start = found + 1;
                        let at = self.advance(length + 1);
                        return Event::TooLong(at, &self.kept, length);
                    }
                    length += n as u64;
                }
                Err(error) => {
                    self.done = true;
                    let at = self.advance(length);
                    return Event::Damage(at, &self.kept, length, error);
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
        if self.buffer.len() > LARGE && self.end < BLOCK {
            self.buffer.truncate(2 * BLOCK);
            self.buffer.shrink_to_fit();
        }
        if self.buffer.len() - self.end < BLOCK {
            // Growing by half keeps the copying of a long line linear in its length.
            let grown = self.buffer.len() + self.buffer.len() / 2;
            let grown = grown.min(self.limit.saturating_add(2 * BLOCK)).max(self.end + BLOCK);
            self.buffer.try_reserve_exact(grown - self.buffer.len()).map_err(|_| no_room(grown))?;
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

/// There is not enough memory for a line.
pub fn no_room(bytes: usize) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, format!("not enough memory for a line of {bytes} bytes"))
}

/// Whether reading failed for a reason that lies outside the file: what the system refuses, or a lack of memory.
///
/// Such a failure says nothing about the bytes of the file, and must not pass for damage to them.
pub fn is_outside(error: &io::Error) -> bool {
    error.raw_os_error().is_some() || error.kind() == io::ErrorKind::OutOfMemory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: impl Read, limit: usize) -> Vec<(u64, u64, String)> {
        let mut lines = Lines::new(bytes, limit);
        let mut out = Vec::new();
        loop {
            match lines.next() {
                Event::Line(p, l) => out.push((p.line, p.offset, String::from_utf8_lossy(l).into_owned())),
                Event::TooLong(p, _, n) => out.push((p.line, p.offset, format!("<{n}>"))),
                Event::Damage(p, rest, n, e) => {
                    out.push((p.line, p.offset, format!("{} of {n}: {e}", rest.len())));
                }
                Event::End => return out,
            }
        }
    }

    #[test]
    fn positions_and_ends() {
        let expected = vec![(1, 0, "a".into()), (2, 2, String::new()), (3, 3, "bc".into()), (4, 7, "d".into())];
        assert_eq!(all(&b"a\n\nbc\r\nd"[..], 100), expected);
        assert_eq!(all(io::empty(), 100), vec![]);
    }

    #[test]
    fn a_line_over_the_limit_is_stepped_over() {
        let mut text = vec![b'x'; 3 * BLOCK];
        text.extend_from_slice(b"\nnext\n");
        let n = 3 * BLOCK as u64;
        assert_eq!(all(&text[..], 10), vec![(1, 0, format!("<{n}>")), (2, n + 1, "next".into())]);
    }

    #[test]
    fn the_limit_does_not_depend_on_where_a_block_ends() {
        let expected = vec![(1, 0, "<11>".into()), (2, 12, "0123456789".into()), (3, 23, "<11>".into())];
        assert_eq!(all(&b"0123456789a\n0123456789\n0123456789b"[..], 10), expected);
    }

    /// Some bytes, and then an error.
    fn broken(bytes: &[u8]) -> impl Read + '_ {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        bytes.chain(Broken)
    }

    #[test]
    fn damage_is_told_wherever_the_stream_breaks() {
        assert_eq!(all(broken(b"a\nbc"), 10), vec![(1, 0, "a".into()), (2, 2, "2 of 2: broken".into())]);
        assert_eq!(all(broken(b"a\n"), 10), vec![(1, 0, "a".into()), (2, 2, "0 of 0: broken".into())]);
        let mut text = b"a\n".to_vec();
        text.resize(2 + 3 * BLOCK, b'x');
        let expected = format!("{KEPT} of {}: broken", 3 * BLOCK);
        assert_eq!(all(broken(&text), 10), vec![(1, 0, "a".into()), (2, 2, expected)]);
    }

    #[test]
    fn a_long_line_does_not_keep_its_memory() {
        let mut text = vec![b'x'; 2 * LARGE];
        text.push(b'\n');
        text.extend(b"short\n".repeat(BLOCK));
        let mut lines = Lines::new(&text[..], 4 * LARGE);
        assert!(matches!(lines.next(), Event::Line(_, line) if line.len() == 2 * LARGE));
        assert!(lines.buffer.len() >= 2 * LARGE);
        while !matches!(lines.next(), Event::End) {}
        assert!(lines.buffer.capacity() <= 4 * BLOCK, "{}", lines.buffer.capacity());
    }

    #[test]
    fn what_the_system_refuses_is_not_damage() {
        assert!(is_outside(&io::Error::from_raw_os_error(5)));
        assert!(is_outside(&no_room(1)));
        assert!(!is_outside(&io::ErrorKind::UnexpectedEof.into()));
        assert!(!is_outside(&io::Error::other("corrupt")));
    }
}
