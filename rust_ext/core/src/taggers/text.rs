//! One document's text with the views that taggers share.

use std::cell::{Cell, OnceCell};

use super::blocks::blocks;
use super::chars::{is_python_space, LETTER, NUMBER, SYMBOL};
use super::segments::{segments, Segments};

/// A word of `str.split()`: bytes `start..end`, its code points, and whether it has a `LETTER`, a `NUMBER` or a
/// `SYMBOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub start: u32,
    pub end: u32,
    pub chars: u32,
    pub classes: u8,
}

/// A line with its line break: bytes `start..end`, code points `first..last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paragraph {
    pub start: u32,
    pub end: u32,
    pub first: u32,
    pub last: u32,
    /// Nothing but white space.
    pub blank: bool,
}

/// What one look at all bytes of a text gives.
#[derive(Default)]
struct Cut {
    words: Vec<Word>,
    newlines: Vec<u32>,
    token_starts: Vec<u64>,
}

/// Buffers of a text that is done with, for the next one.
#[derive(Default)]
pub struct Spare(Cut);

/// A text and its lazily computed, shared views. Offsets in the public format count Unicode code points.
pub struct Text<'a> {
    pub str: &'a str,
    ascii: OnceCell<bool>,
    chars: OnceCell<usize>,
    cut: OnceCell<Cut>,
    paragraphs: OnceCell<Vec<Paragraph>>,
    segments: OnceCell<Vec<Segments>>,
    spare: Cell<Spare>,
}

impl<'a> Text<'a> {
    /// At most 4 GiB (see `tag_texts`): offsets of words are 32-bit.
    pub fn new(str: &'a str) -> Self {
        Text::reusing(str, Spare::default())
    }

    pub fn reusing(str: &'a str, spare: Spare) -> Self {
        let spare = Cell::new(spare);
        Text {
            str,
            ascii: OnceCell::new(),
            chars: OnceCell::new(),
            cut: OnceCell::new(),
            paragraphs: OnceCell::new(),
            segments: OnceCell::new(),
            spare,
        }
    }

    pub fn into_spare(self) -> Spare {
        let spare = self.spare.into_inner();
        self.cut.into_inner().map_or(spare, Spare)
    }

    /// Length in code points.
    pub fn chars(&self) -> usize {
        *self.chars.get_or_init(|| if self.is_ascii() { self.str.len() } else { count_chars(self.str) })
    }

    /// One byte per character: byte offsets are code point offsets.
    pub fn is_ascii(&self) -> bool {
        *self.ascii.get_or_init(|| self.str.is_ascii())
    }

    fn cut(&self) -> &Cut {
        self.cut.get_or_init(|| {
            let Spare(mut cut) = self.spare.take();
            cut.renew(self.str);
            cut
        })
    }

    /// `str.split()`.
    pub fn words(&self) -> &[Word] {
        &self.cut().words
    }

    /// Byte offsets of the line breaks (U+000A alone).
    pub fn newlines(&self) -> &[u32] {
        &self.cut().newlines
    }

    /// For each 64 bytes of the text, a bit where a token begins: a run of word characters (`\w+`), or of what is
    /// neither word character nor white space.
    pub fn token_starts(&self) -> &[u64] {
        &self.cut().token_starts
    }

    /// The bytes of a word of this text.
    pub fn bytes(&self, word: &Word) -> &'a [u8] {
        self.str.as_bytes().get(word.start as usize..word.end as usize).unwrap_or_default()
    }

    /// Lines with their line breaks, blank ones too; none of an empty text.
    pub fn paragraphs(&self) -> &[Paragraph] {
        self.paragraphs.get_or_init(|| {
            let (mut start, mut first) = (0, 0);
            let mut paragraphs = Vec::new();
            for (at, line) in self.lines() {
                let newline = usize::from(at + line.len() < self.str.len());
                let line = self.str.get(at..at + line.len() + newline).unwrap_or_default();
                if line.is_empty() {
                    break;
                }
                let chars = if self.is_ascii() { line.len() } else { count_chars(line) };
                let (end, last) = (start + line.len() as u32, first + chars as u32);
                let blank = line.chars().all(is_python_space);
                paragraphs.push(Paragraph { start, end, first, last, blank });
                (start, first) = (end, last);
            }
            paragraphs
        })
    }

    /// Words and what is between them (UAX 29) in each of the paragraphs.
    pub fn segments(&self) -> &[Segments] {
        self.segments.get_or_init(|| self.paragraphs().iter().map(|p| segments(self.paragraph(p))).collect())
    }

    /// The text of a paragraph of this text.
    pub fn paragraph(&self, paragraph: &Paragraph) -> &'a str {
        self.str.get(paragraph.start as usize..paragraph.end as usize).unwrap_or_default()
    }

    /// Lines as `str.split("\n")` gives them, with the byte offset of each; an empty text has one empty line.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + '_ {
        let ends = self.newlines().iter().map(|at| *at as usize).chain([self.str.len()]);
        let mut start = 0;
        ends.map(move |end| {
            let line = (start, self.str.get(start..end).unwrap_or_default());
            start = end + 1;
            line
        })
    }
}

/// Code points: the bytes that do not continue a character.
pub fn count_chars(text: &str) -> usize {
    text.chars().count()
}

impl Cut {
    fn renew(&mut self, text: &str) {
        const NONE: Word = Word { start: 0, end: 0, chars: 0, classes: 0 };
        let Cut { words, newlines, token_starts } = self;
        words.clear();
        newlines.clear();
        token_starts.clear();
        let (mut word, mut open) = (NONE, false);
        // The last bytes of the block before, as lowest bits.
        let (mut wordy, mut other) = (0, 0);
        for (base, block) in (0u32..).step_by(64).zip(blocks(text)) {
            let neither = !(block.word | block.blank);
            token_starts.push(block.word & !(block.word << 1 | wordy) | neither & !(neither << 1 | other));
            (wordy, other) = (block.word >> 63, neither >> 63);
            let mut breaks = block.newline;
            while breaks != 0 {
                newlines.push(base + breaks.trailing_zeros());
                breaks &= breaks - 1;
            }
            let mut solid = !block.space;
            if open && solid & 1 == 0 {
                words.push(Word { end: base, ..word });
                open = false;
            }
            while solid != 0 {
                let first = solid.trailing_zeros();
                let length = (!(solid >> first)).trailing_zeros();
                let bits = (!0u64 >> (64 - length)) << first;
                if !open {
                    word = Word { start: base + first, ..NONE };
                }
                word.chars += length;
                if block.rest != 0 {
                    word.chars -= (block.rest & bits).count_ones();
                }
                let has = |of: u64, class: u8| if of & bits != 0 { class } else { 0 };
                word.classes |= has(block.letter, LETTER) | has(block.number, NUMBER) | has(block.symbol, SYMBOL);
                solid &= !bits;
                open = first + length == 64;
                if !open {
                    words.push(Word { end: base + first + length, ..word });
                }
            }
        }
        if open {
            words.push(Word { end: text.len() as u32, ..word });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chars::Classes;
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let view = Text::new(text);
        view.words().iter().map(|w| &text[w.start as usize..w.end as usize]).collect()
    }

    #[test]
    fn words_are_those_of_str_split() {
        assert_eq!(words("  one\ttwo\u{1c}three\u{85}four\u{3000}\u{a0}"), ["one", "two", "three", "four"]);
        assert_eq!(words("a\0b \u{200b}"), ["a\0b", "\u{200b}"]);
        assert_eq!(words(" \n"), Vec::<&str>::new());
        let text = Text::new("né #1 …");
        let found: Vec<_> = text.words().iter().map(|w| (w.chars, w.classes & (LETTER | SYMBOL))).collect();
        assert_eq!(found, [(2, LETTER), (2, SYMBOL), (1, SYMBOL)]);
    }

    #[test]
    fn lines_keep_empty_ones() {
        let lines = |t| Text::new(t).lines().collect::<Vec<_>>();
        assert_eq!(lines("a\n\nb\n"), [(0, "a"), (2, ""), (3, "b"), (5, "")]);
        assert_eq!(lines(""), [(0, "")]);
    }

    proptest! {
        #[test]
        fn words_are_what_a_split_gives(text in "([a-c #\\x1c\\n…é\u{2003}٣]|a{50,70}|é{30,40}| {60,70}){0,9}") {
            let expected: Vec<&str> = text.split(is_python_space).filter(|w| !w.is_empty()).collect();
            prop_assert_eq!(words(&text), &expected[..]);
            for (word, of_word) in Text::new(&text).words().iter().zip(expected) {
                let has = |class: u8| of_word.chars().any(|c| Classes::get().of(c) & class != 0);
                let classes = [LETTER, NUMBER, SYMBOL].into_iter().filter(|class| has(*class)).sum::<u8>();
                prop_assert_eq!((word.chars as usize, word.classes), (of_word.chars().count(), classes));
            }
            let used = Text::new("left over");
            used.words();
            let (fresh, reused) = (Text::new(&text), Text::reusing(&text, used.into_spare()));
            prop_assert_eq!(reused.words(), fresh.words());
            prop_assert_eq!(reused.chars(), text.chars().count());
        }
    }
}
