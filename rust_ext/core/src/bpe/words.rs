//! Cutting a text into words, exactly as the patterns of GPT-2, Llama 3 and Qwen 2 do, in one pass without a regex.

use crate::taggers::chars::{Classes, BLANK, LETTER, NUMBER};

/// Which pattern cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    Gpt2,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    /// with at most so many digits.
    Llama3 { digits: usize },
    /// The text is one word.
    Whole,
}

/// Whether numbers are cut out of a text before the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    Together,
    Apart,
    Single,
}

#[derive(Clone, Copy, Debug)]
pub struct Words {
    pub digits: Digits,
    pub rule: Rule,
}

const L: u8 = 1;
const N: u8 = 2;
/// White space.
const S: u8 = 4;
const OTHER: u8 = 8;
/// A byte of a character beyond ASCII.
const HIGH: u8 = 16;
/// Past the end: no class.
const END: u8 = 0;

const ASCII: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => L,
            b'0'..=b'9' => N,
            b' ' | 9..=13 => S,
            128.. => HIGH,
            _ => OTHER,
        };
        byte += 1;
    }
    table
};

impl Words {
    /// Calls `word` with the range of each word of `text`, in order; together they are the text.
    pub fn each(&self, text: &str, mut word: impl FnMut(usize, usize)) {
        match self.digits {
            Digits::Together => self.rule.each(text, 0, text.len(), &mut word),
            Digits::Apart | Digits::Single => {
                let (mut from, mut at) = (0, 0);
                let mut rest = text.char_indices().peekable();
                while let Some((start, c)) = rest.next() {
                    if !c.is_numeric() {
                        continue;
                    }
                    at = start + c.len_utf8();
                    while self.digits == Digits::Apart && rest.peek().is_some_and(|(_, c)| c.is_numeric()) {
                        at += rest.next().map_or(0, |(_, c)| c.len_utf8());
                    }
                    self.rule.each(text, from, start, &mut word);
                    self.rule.each(text, start, at, &mut word);
                    from = at;
                }
                self.rule.each(text, from.max(at), text.len(), &mut word);
            }
        }
    }
}

impl Rule {
    fn each(self, text: &str, start: usize, end: usize, word: &mut impl FnMut(usize, usize)) {
        let reader = Reader { text: &text.as_bytes()[..end], classes: Classes::get() };
        let mut at = start;
        while at < end {
            let next = match self {
                Rule::Gpt2 => reader.gpt2(at),
                Rule::Llama3 { digits } => reader.llama3(at, digits),
                Rule::Whole => end,
            };
            word(at, next);
            at = next;
        }
    }
}

fn class_of(classes: &Classes, c: char) -> u8 {
    match classes.of(c) & (LETTER | NUMBER | BLANK) {
        LETTER => L,
        NUMBER => N,
        BLANK => S,
        _ => OTHER,
    }
}

/// The characters on both sides of each change of class, in order.
pub fn class_edges() -> Vec<char> {
    let classes = Classes::get();
    let mut edges: Vec<char> = Vec::new();
    let (mut last, mut class) = ('\0', OTHER);
    for c in (1..0x11_0000).filter_map(char::from_u32) {
        let next = class_of(classes, c);
        if class != next {
            edges.extend([last, c]);
        }
        (last, class) = (c, next);
    }
    edges.dedup();
    edges
}

/// A valid UTF-8 text; places are of first bytes of characters.
struct Reader<'a> {
    text: &'a [u8],
    classes: &'static Classes,
}

impl Reader<'_> {
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The class of the character at `at` and its length in bytes.
    #[inline]
    fn class(&self, at: usize) -> (u8, usize) {
        match self.text.get(at) {
            None => (END, 0),
            Some(byte) => match ASCII[usize::from(*byte)] {
                HIGH => self.high_class(at),
                class => (class, 1),
            },
        }
    }

    fn high_class(&self, at: usize) -> (u8, usize) {
        let (c, length) = self.decode(at);
        (class_of(self.classes, c), length)
    }

    fn decode(&self, at: usize) -> (char, usize) {
        let tail = |i: usize| u32::from(self.byte(at + i) & 0x3f);
        let lead = u32::from(self.byte(at));
        let (scalar, length) = match lead {
            0xf0.. => ((lead & 7) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4),
            0xe0.. => ((lead & 15) << 12 | tail(1) << 6 | tail(2), 3),
            0xc0.. => ((lead & 31) << 6 | tail(1), 2),
            _ => (lead, 1),
        };
        (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), length)
    }

    /// Past the characters of `class` from `at` on.
    #[inline]
    fn run(&self, mut at: usize, class: u8) -> usize {
        loop {
            while let Some(byte) = self.text.get(at) {
                if ASCII[usize::from(*byte)] != class {
                    break;
                }
                at += 1;
            }
            if self.byte(at) < 0x80 {
                return at;
            }
            let (found, length) = self.high_class(at);
            if found != class {
                return at;
            }
            at += length;
        }
    }

    fn gpt2(&self, at: usize) -> usize {
        let first = self.byte(at);
        if first == b'\'' {
            let length = match (self.byte(at + 1), self.byte(at + 2)) {
                (b's' | b't' | b'm' | b'd', _) => 2,
                (b'r' | b'v', b'e') | (b'l', b'l') => 3,
                _ => 0,
            };
            if length > 0 {
                return at + length;
            }
        }
        let (class, length) = if first == b' ' { self.class(at + 1) } else { self.class(at) };
        let start = at + usize::from(first == b' ') + length;
        match class {
            L | N | OTHER => self.run(start, class),
            _ => self.space(at, false),
        }
    }

    fn llama3(&self, at: usize, digits: usize) -> usize {
        let first = self.byte(at);
        if first == b'\'' {
            let length = match (self.byte(at + 1) | 0x20, self.byte(at + 2) | 0x20) {
                (b's' | b't' | b'm' | b'd', _) => 2,
                (b'r' | b'v', b'e') | (b'l', b'l') => 3,
                // U+017F, which is an s but for its case.
                (0xe5, 0xbf) if self.byte(at + 1) == 0xc5 => 3,
                _ => 0,
            };
            if length > 0 {
                return at + length;
            }
        }
        let (class, length) = self.class(at);
        match class {
            L => return self.run(at + length, L),
            N => {
                let mut end = at + length;
                for _ in 1..digits {
                    match self.class(end) {
                        (N, length) => end += length,
                        _ => break,
                    }
                }
                return end;
            }
            _ => {}
        }
        let (second, second_length) = self.class(at + length);
        if second == L && first != b'\r' && first != b'\n' {
            return self.run(at + length + second_length, L);
        }
        let marks = match (class, second) {
            (OTHER, _) => at + length,
            (S, OTHER) if first == b' ' => at + length + second_length,
            _ => return self.space(at, true),
        };
        let mut end = self.run(marks, OTHER);
        while matches!(self.byte(end), b'\r' | b'\n') && end < self.text.len() {
            end += 1;
        }
        end
    }

    /// White space from `at` on: up to its last line break (`lines`), else all but the character before a word.
    fn space(&self, at: usize, lines: bool) -> usize {
        let (mut end, mut last, mut line) = (at, at, at);
        loop {
            let (class, length) = self.class(end);
            if class != S {
                break;
            }
            last = end;
            end += length;
            if matches!(self.byte(last), b'\r' | b'\n') {
                line = end;
            }
        }
        if lines && line > at {
            line
        } else if end == self.text.len() || last == at {
            end
        } else {
            last
        }
    }
}
