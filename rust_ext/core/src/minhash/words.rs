//! Tokens of the unit `words`: the words of UAX #29, lower-cased.

use wide::u8x16;
use xxhash_rust::xxh3::xxh3_64;

use super::lower::push_lower;
use crate::taggers::segments::first_segment;

const SIZE: usize = 64;

/// Cuts texts, with memory that is kept between them.
///
/// Words of ASCII are found 64 bytes at a time, one bit a byte: letters, digits and `_` go together, with one of `:.'`
/// between letters or `,;.'` between digits. Segments that touch another character are cut by the rules, one at a time.
#[derive(Default)]
pub struct Words {
    /// The text, its ASCII letters lower-cased.
    lower: Vec<u8>,
    blocks: Vec<Block>,
    /// The lower case of one segment.
    segment: Vec<u8>,
}

/// Bit i tells of byte i of 64.
#[derive(Clone, Copy, Default)]
struct Block {
    letter: u64,
    digit: u64,
    underscore: u64,
    /// What may stand between letters, and between digits.
    mid_letter: u64,
    mid_digit: u64,
    /// No ASCII.
    high: u64,
    /// Bytes of words.
    word: u64,
}

impl Words {
    /// Appends the hashes of the words of `text` in order.
    pub fn push_words(&mut self, text: &str, tokens: &mut Vec<u64>) {
        self.look(text.as_bytes());
        let mut at = 0;
        // The next character that is no ASCII and the next word, each looked for once it is behind: both may be far.
        let mut high = self.next(0, |block| block.high);
        let mut start = self.next(0, |block| block.word);
        // No segment begins before this.
        let mut boundary = 0;
        loop {
            if start < at {
                start = self.next(at, |block| block.word);
            }
            let mut from = None;
            let mut end = start;
            if high < start {
                from = Some(self.before(high, boundary));
            } else if start < text.len() {
                end = self.next(start, |block| !block.word).min(text.len());
                if high <= end + 1 && (high == end || self.may_join(end)) {
                    from = Some(start);
                }
            } else {
                return;
            }
            let Some(from) = from else {
                let word = &self.lower[start..end];
                if word[0] != b'_' || word.iter().any(u8::is_ascii_alphanumeric) {
                    tokens.push(xxh3_64(word));
                }
                at = end;
                continue;
            };
            boundary = from;
            while let Some(rest) = text.get(boundary..).filter(|rest| !rest.is_empty()) {
                if boundary > high && rest.as_bytes()[0].is_ascii() {
                    break;
                }
                let segment = &rest[..first_segment(rest)];
                if segment.chars().any(is_alphanumeric) {
                    self.segment.clear();
                    push_lower(segment, &mut self.segment);
                    tokens.push(xxh3_64(&self.segment));
                }
                boundary += segment.len();
            }
            at = boundary;
            high = self.next(at, |block| block.high);
        }
    }

    /// Fills `lower` and `blocks`.
    fn look(&mut self, text: &[u8]) {
        self.lower.clear();
        self.blocks.clear();
        for chunk in text.chunks(SIZE) {
            let mut bytes = [0; SIZE];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.blocks.push(Block::of(&mut bytes));
            self.lower.extend_from_slice(&bytes);
        }
        let (mut letters, mut digits) = (0, 0);
        for at in 0..self.blocks.len() {
            let after = self.blocks.get(at + 1).copied().unwrap_or_default();
            let block = &mut self.blocks[at];
            let between = |all: u64, before: u64, after: u64| (all << 1 | before) & (all >> 1 | after << 63);
            block.word = block.letter
                | block.digit
                | block.underscore
                | block.mid_letter & between(block.letter, letters, after.letter)
                | block.mid_digit & between(block.digit, digits, after.digit);
            (letters, digits) = (block.letter >> 63, block.digit >> 63);
        }
    }

    /// The first byte from `at` on whose bit is set; where there is none, `usize::MAX`.
    #[inline(always)]
    fn next(&self, at: usize, bits: impl Fn(&Block) -> u64) -> usize {
        let mut number = at / SIZE;
        let mut mask = !0u64 << (at % SIZE);
        while let Some(block) = self.blocks.get(number) {
            let found = bits(block) & mask;
            if found != 0 {
                return number * SIZE + found.trailing_zeros() as usize;
            }
            mask = !0;
            number += 1;
        }
        usize::MAX
    }

    /// Whether the byte could join what is before it with a letter or a digit that is no ASCII.
    fn may_join(&self, at: usize) -> bool {
        self.lower.get(at).is_some_and(|byte| b":.',;".contains(byte))
    }

    /// Where the segment begins that the character at `high`, which is no ASCII, may belong to.
    fn before(&self, high: usize, boundary: usize) -> usize {
        let mut from = high;
        if from > boundary {
            from -= 1;
            // Blanks in a row are one segment.
            while from > boundary && self.lower[from] == b' ' && self.lower[from - 1] == b' ' {
                from -= 1;
            }
        }
        from
    }
}

impl Block {
    /// Lower-cases the bytes.
    #[inline(always)]
    fn of(bytes: &mut [u8; SIZE]) -> Block {
        let mut block = Block::default();
        for (n, sixteen) in bytes.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let v = u8x16::new(*sixteen);
            let bits = |v: u8x16| u64::from(v.to_bitmask()) << (16 * n);
            let is = |byte: u8| v.simd_eq(u8x16::splat(byte));
            let within = |v: u8x16, from: u8, to: u8| (v - u8x16::splat(from)).simd_le(u8x16::splat(to - from));
            let both = is(b'.') | is(b'\'');
            block.letter |= bits(within(v | u8x16::splat(0x20), b'a', b'z'));
            block.digit |= bits(within(v, b'0', b'9'));
            block.underscore |= bits(is(b'_'));
            block.mid_letter |= bits(both | is(b':'));
            block.mid_digit |= bits(both | is(b',') | is(b';'));
            block.high |= bits(v);
            *sixteen = (v | (within(v, b'A', b'Z') & u8x16::splat(0x20))).to_array();
        }
        block
    }
}

/// Whether a character is a letter or a digit; dashes and quotation marks without a search.
fn is_alphanumeric(c: char) -> bool {
    !('\u{2000}'..='\u{206f}').contains(&c) && c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;

    fn hashes(text: &str) -> Vec<u64> {
        let mut words = Words::default();
        let mut tokens = Vec::new();
        words.push_words("Left_over from é", &mut tokens);
        tokens.clear();
        words.push_words(text, &mut tokens);
        tokens
    }

    fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<u64> {
        words.into_iter().map(|word| xxh3_64(word.as_bytes())).collect()
    }

    #[test]
    fn no_letter_is_taken_for_punctuation() {
        assert!(('\0'..=char::MAX).all(|c| is_alphanumeric(c) == c.is_alphanumeric()));
    }

    #[test]
    fn words_are_lower_cased() {
        assert_eq!(hashes("Don't STOP: 3.14, a_b! __ x. y"), of(["don't", "stop", "3.14", "a_b", "x", "y"]));
        assert_eq!(hashes("NAÏVE 字字—İ ΟΔΟΣ."), of(["naïve", "字", "字", "i\u{307}", "οδος"]));
        assert_eq!(hashes("a.é b’C …"), of(["a.é", "b’c"]));
        assert_eq!(hashes("..."), [0u64; 0]);
        assert_eq!(hashes(""), [0u64; 0]);
        let long = "x".repeat(200) + "'" + &"Y".repeat(63);
        assert_eq!(hashes(&long), of([long.to_lowercase().as_str()]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn words_are_those_of_the_crate(
            text in "([a1B_:.,;'\" \r\n\tא’\u{301}\u{200d}👩🇫ア\u{ad}\u{3000}\u{85}\u{2028}$]\
                |[\u{c0}-\u{24f}א-תؠ-يऄ-हก-ฮ\u{2000}-\u{206f}\u{3040}-\u{30ff}一-丟🇦-🇿😀-🙏]| {1,3}|[a-zA-Z]{20,70}){0,30}",
        ) {
            // The crate joins what the rules do not, see the tests of segments.
            let solid: Vec<char> = text.chars().filter(|c| !matches!(c, '\u{301}' | '\u{ad}')).collect();
            prop_assume!(!solid.windows(2).any(|w| ":.,;'\"’".contains(w[0]) && w[1] == '\u{200d}'));
            let expected: Vec<String> = text.unicode_words().map(str::to_lowercase).collect();
            prop_assert_eq!(hashes(&text), of(expected.iter().map(String::as_str)), "{:?}", text);
        }

        #[test]
        fn words_of_ascii(text in "[a-zA-C0-9_.,:;'\" \r\n\t$-]{0,200}") {
            let expected: Vec<String> = text.unicode_words().map(str::to_lowercase).collect();
            prop_assert_eq!(hashes(&text), of(expected.iter().map(String::as_str)), "{:?}", text);
        }
    }
}
