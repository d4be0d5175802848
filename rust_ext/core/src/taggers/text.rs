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

/// A line break (U+000A alone) at byte `at`, with `chars` code points before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newline {
    pub at: u32,
    pub chars: u32,
}

/// What one look at all bytes of a text gives.
#[derive(Default)]
struct Cut {
    words: Vec<Word>,
    newlines: Vec<Newline>,
    token_starts: Vec<u64>,
    /// Bytes that begin no character.
    rest: u32,
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
    word_chars: OnceCell<u64>,
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
            word_chars: OnceCell::new(),
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
        *self.chars.get_or_init(|| match self.cut.get() {
            Some(cut) => self.str.len() - cut.rest as usize,
            None => count_chars(self.str),
        })
    }

    /// One byte per character: byte offsets are code point offsets.
    pub fn is_ascii(&self) -> bool {
        *self.ascii.get_or_init(|| self.cut.get().map_or_else(|| self.str.is_ascii(), |cut| cut.rest == 0))
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

    /// Code points of all words.
    pub fn word_chars(&self) -> u64 {
        *self.word_chars.get_or_init(|| self.words().iter().map(|w| u64::from(w.chars)).sum())
    }

    pub fn newlines(&self) -> &[Newline] {
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
            let ends = self.newlines().iter().map(|n| (n.at + 1, n.chars + 1));
            let (mut start, mut first) = (0, 0);
            let mut paragraphs = Vec::with_capacity(self.newlines().len() + 1);
            for (end, last) in ends.chain([(self.str.len() as u32, self.chars() as u32)]) {
                if end > start {
                    let paragraph = Paragraph { start, end, first, last, blank: false };
                    paragraphs.push(Paragraph { blank: is_blank(self.paragraph(&paragraph)), ..paragraph });
                }
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
}

/// Nothing but white space. Most lines begin with something else, which the first byte tells.
fn is_blank(line: &str) -> bool {
    !matches!(line.as_bytes().first(), Some(b'!'..=b'~')) && line.chars().all(is_python_space)
}

/// Code points: the bytes that do not continue a character.
pub fn count_chars(text: &str) -> usize {
    // No byte can overflow in so few, and whole vectors of them are compared at once.
    let begins = |chunk: &[u8]| chunk.iter().fold(0u8, |sum, byte| sum + u8::from(byte & 0xc0 != 0x80));
    text.as_bytes().chunks(192).map(|chunk| usize::from(begins(chunk))).sum()
}

impl Cut {
    fn renew(&mut self, text: &str) {
        const NONE: Word = Word { start: 0, end: 0, chars: 0, classes: 0 };
        let Cut { words, newlines, token_starts, rest } = self;
        words.clear();
        newlines.clear();
        token_starts.clear();
        let (mut word, mut open) = (NONE, false);
        // The last bytes of the block before, as lowest bits.
        let (mut wordy, mut other) = (0, 0);
        *rest = 0;
        for (base, block) in (0u32..).step_by(64).zip(blocks(text)) {
            let neither = !(block.word | block.blank);
            token_starts.push(block.word & !(block.word << 1 | wordy) | neither & !(neither << 1 | other));
            (wordy, other) = (block.word >> 63, neither >> 63);
            let mut breaks = block.newline;
            while breaks != 0 {
                let bit = breaks.trailing_zeros();
                let within = if block.rest != 0 { (block.rest & !(!0 << bit)).count_ones() } else { 0 };
                newlines.push(Newline { at: base + bit, chars: base + bit - *rest - within });
                breaks &= breaks - 1;
            }
            *rest += if block.rest != 0 { block.rest.count_ones() } else { 0 };
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
    fn paragraphs_keep_blank_ones() {
        let paragraphs = |t| {
            let text = Text::new(t);
            text.paragraphs().iter().map(|p| (p.start, p.end, p.first, p.last, p.blank)).collect::<Vec<_>>()
        };
        assert_eq!(paragraphs("é\n \u{3000}\nb\n"), [(0, 3, 0, 2, false), (3, 8, 2, 5, true), (8, 10, 5, 7, false)]);
        assert_eq!(paragraphs("\na"), [(0, 1, 0, 1, true), (1, 2, 1, 2, false)]);
        assert_eq!(paragraphs(""), []);
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
            let breaks = text.match_indices('\n').map(|(at, _)| (at as u32, text[..at].chars().count() as u32));
            let found = Text::new(&text).newlines().iter().map(|n| (n.at, n.chars)).collect::<Vec<_>>();
            prop_assert_eq!(found, breaks.collect::<Vec<_>>());
            let used = Text::new("left over");
            used.words();
            let (fresh, reused) = (Text::new(&text), Text::reusing(&text, used.into_spare()));
            prop_assert_eq!(count_chars(&text), text.chars().count());
            prop_assert_eq!(reused.words(), fresh.words());
            prop_assert_eq!((reused.chars(), reused.is_ascii()), (text.chars().count(), text.is_ascii()));
            prop_assert_eq!((Text::new(&text).chars(), Text::new(&text).is_ascii()), (reused.chars(), reused.is_ascii()));
        }
    }
}
