//! Texts with one unit per character, in bytes wherever that is possible.

use super::super::chars::is_python_space;
use super::super::text::Text;
use super::{repeats, Line, Repeat};

/// Characters below this are looked up in a table: all of Europe's and the usual symbols.
const TABLE: usize = 0x3000;

/// Working memory for the texts of a batch.
#[derive(Default)]
pub struct Views {
    /// Character -> byte of this text, 0 for those that it has not had yet.
    ids: Vec<u8>,
    bytes: Vec<u8>,
    wide: Vec<u32>,
    /// Which bytes are white space.
    spaces: Vec<bool>,
    shortest: Vec<u32>,
}

/// A text: ASCII as it is; with up to 255 different characters below U+3000, a byte for each; code points else.
pub enum Units<'a> {
    Bytes { units: &'a [u8], spaces: &'a [bool], newline: u8 },
    Wide(&'a [u32]),
}

impl Views {
    /// The view of `text`, and the memory that [`Units::each`] works in.
    pub fn of<'a>(&'a mut self, text: &Text<'a>) -> (Units<'a>, &'a mut Vec<u32>) {
        self.spaces.clear();
        self.spaces.resize(256, false);
        if text.is_ascii() {
            for (byte, space) in self.spaces.iter_mut().enumerate().take(128) {
                *space = is_python_space(char::from(byte as u8));
            }
            return (
                Units::Bytes { units: text.str.as_bytes(), spaces: &self.spaces, newline: b'\n' },
                &mut self.shortest,
            );
        }
        let known = self.number(text.str);
        if known.len() < 256 {
            for (id, c) in known.iter().enumerate() {
                self.spaces[id] = is_python_space(*c);
            }
            // 0 is the character of no text.
            let newline = known.iter().position(|c| *c == '\n').unwrap_or(0) as u8;
            return (Units::Bytes { units: &self.bytes, spaces: &self.spaces, newline }, &mut self.shortest);
        }
        self.wide.clear();
        self.wide.extend(text.str.chars().map(u32::from));
        (Units::Wide(&self.wide), &mut self.shortest)
    }

    /// Writes a byte per character to `bytes`. Gives the characters by their byte, or 256 of them if that cannot be.
    fn number(&mut self, text: &str) -> Vec<char> {
        self.ids.resize(TABLE, 0);
        self.bytes.clear();
        let mut known = vec!['\u{10ffff}'];
        for c in text.chars() {
            let id = match self.ids.get_mut(c as usize) {
                Some(id) if *id != 0 => *id,
                Some(id) if known.len() < 256 => {
                    *id = known.len() as u8;
                    known.push(c);
                    *id
                }
                _ => {
                    self.forget(&known);
                    return vec![' '; 256];
                }
            };
            self.bytes.push(id);
        }
        self.forget(&known);
        known
    }

    fn forget(&mut self, known: &[char]) {
        for c in known {
            if let Some(id) = self.ids.get_mut(*c as usize) {
                *id = 0;
            }
        }
    }
}

impl Units<'_> {
    pub fn len(&self) -> usize {
        match self {
            Units::Bytes { units, .. } => units.len(),
            Units::Wide(units) => units.len(),
        }
    }

    /// Calls `found` for each match in the whole text, or in each of its lines (line break included).
    pub fn each(&self, by_line: bool, shortest: &mut Vec<u32>, found: impl FnMut(Repeat)) {
        match self {
            Units::Bytes { units, spaces, newline } => {
                let space = |u: u8| spaces[usize::from(u)];
                in_lines(Line { units, space, newline: *newline }, by_line, shortest, found);
            }
            Units::Wide(units) => {
                let space = |u: u32| char::from_u32(u).is_some_and(is_python_space);
                in_lines(Line { units, space, newline: u32::from('\n') }, by_line, shortest, found);
            }
        }
    }
}

fn in_lines<T: super::near::Unit, F: Fn(T) -> bool>(
    text: Line<'_, T, F>,
    by_line: bool,
    shortest: &mut Vec<u32>,
    mut found: impl FnMut(Repeat),
) {
    if !by_line {
        return repeats(&text, shortest, found);
    }
    let mut offset = 0;
    for units in text.units.split_inclusive(|u| *u == text.newline) {
        let line = Line { units, space: &text.space, newline: text.newline };
        repeats(&line, shortest, |r| found(Repeat { start: r.start + offset, end: r.end + offset, ..r }));
        offset += units.len();
    }
}
