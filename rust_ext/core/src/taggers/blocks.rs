//! A text 64 bytes at a time, each class of characters as one bit a byte: what words and tokens are cut with.

use super::chars::{Classes, BLANK, LETTER, NUMBER, SPACE, SYMBOL, WORD};

/// Bit i tells of byte i of the block; those beyond the end of the text are white space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// White space of `str.split()`, every byte of it.
    pub space: u64,
    /// `\s`, every byte of it.
    pub blank: u64,
    /// `\w`, every byte of it.
    pub word: u64,
    /// First bytes of letters, numbers and symbols.
    pub letter: u64,
    pub number: u64,
    pub symbol: u64,
    pub newline: u64,
    /// Bytes that begin no character.
    pub rest: u64,
}

const SIZE: usize = 64;

/// The blocks of a text, in order.
pub fn blocks(text: &str) -> impl Iterator<Item = Block> + '_ {
    let classes = Classes::get();
    // What a character that began in the block before has in this one.
    let mut over = Block::default();
    text.as_bytes().chunks(SIZE).enumerate().map(move |(n, chunk)| {
        let mut padded = [b' '; SIZE];
        let whole = chunk.try_into().unwrap_or_else(|_| {
            padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            &padded
        });
        let (mut block, high) = ascii(whole);
        if high == 0 {
            return block;
        }
        block.space |= over.space;
        block.blank |= over.blank;
        block.word |= over.word;
        over = Block::default();
        let mut first = high & !block.rest;
        while first != 0 {
            let bit = first.trailing_zeros();
            first &= first - 1;
            let Some(c) = text.get(n * SIZE + bit as usize..).and_then(|rest| rest.chars().next()) else { break };
            let class = classes.of(c);
            let bytes = (1u128 << c.len_utf8()) - 1 << bit;
            let (here, there) = (bytes as u64, (bytes >> SIZE) as u64);
            let set = |of: u8, bits: u64| if class & of != 0 { bits } else { 0 };
            block.space |= set(SPACE, here);
            block.blank |= set(BLANK, here);
            block.word |= set(WORD, here);
            block.letter |= set(LETTER, 1 << bit);
            block.number |= set(NUMBER, 1 << bit);
            block.symbol |= set(SYMBOL, 1 << bit);
            over.space |= set(SPACE, there);
            over.blank |= set(BLANK, there);
            over.word |= set(WORD, there);
        }
        block
    })
}

/// The bits of the ASCII characters, those of the bytes that continue others, and which bytes are not ASCII.
#[cfg(target_arch = "x86_64")]
#[inline]
fn ascii(bytes: &[u8; SIZE]) -> (Block, u64) {
    // SAFETY: every x86_64 has SSE2, and nothing is read by address.
    unsafe { sse2(bytes) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2(bytes: &[u8; SIZE]) -> (Block, u64) {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
        _mm_set_epi64x,
    };

    let all = |byte: u8| _mm_set1_epi8(byte as i8);
    // Shifted so that the range begins at the least number there is.
    let within = |v: __m128i, from: u8, to: u8| {
        let shifted = _mm_add_epi8(v, all(0x80u8.wrapping_sub(from)));
        _mm_cmplt_epi8(shifted, all(0x80u8.wrapping_add(to - from + 1)))
    };
    let (mut block, mut high) = (Block::default(), 0);
    for (n, sixteen) in bytes.chunks_exact(16).enumerate() {
        let half = |at: usize| sixteen.get(at..at + 8).and_then(|e| e.try_into().ok()).map_or(0, i64::from_le_bytes);
        let v = _mm_set_epi64x(half(8), half(0));
        let bits = |v: __m128i| u64::from(_mm_movemask_epi8(v) as u16) << (16 * n);
        let letter = within(_mm_or_si128(v, all(0x20)), b'a', b'z');
        let number = within(v, b'0', b'9');
        let blank = _mm_or_si128(within(v, b'\t', b'\r'), _mm_cmpeq_epi8(v, all(b' ')));
        block.letter |= bits(letter);
        block.number |= bits(number);
        block.word |= bits(_mm_or_si128(_mm_or_si128(letter, number), _mm_cmpeq_epi8(v, all(b'_'))));
        block.blank |= bits(blank);
        block.space |= bits(_mm_or_si128(blank, within(v, 0x1c, 0x1f)));
        block.symbol |= bits(_mm_cmpeq_epi8(v, all(b'#')));
        block.newline |= bits(_mm_cmpeq_epi8(v, all(b'\n')));
        block.rest |= bits(within(v, 0x80, 0xbf));
        high |= bits(v);
    }
    (block, high)
}

#[cfg(not(target_arch = "x86_64"))]
use slow as ascii;

/// The same by the table of classes.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn slow(bytes: &[u8; SIZE]) -> (Block, u64) {
    let classes = Classes::get().ascii();
    let (mut block, mut high) = (Block::default(), 0);
    for (bit, byte) in bytes.iter().enumerate() {
        let class = classes.get(usize::from(*byte)).copied().unwrap_or_default();
        let has = |of: u8| u64::from(class & of != 0) << bit;
        block.space |= has(SPACE);
        block.blank |= has(BLANK);
        block.word |= has(WORD);
        block.letter |= has(LETTER);
        block.number |= has(NUMBER);
        block.symbol |= has(SYMBOL);
        block.newline |= u64::from(*byte == b'\n') << bit;
        block.rest |= u64::from(*byte & 0xc0 == 0x80) << bit;
        high |= u64::from(*byte >= 0x80) << bit;
    }
    (block, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_table_gives_the_same(bytes: [u8; 32], other: [u8; 32]) {
            let mut both = [0; SIZE];
            both[..32].copy_from_slice(&bytes);
            both[32..].copy_from_slice(&other);
            prop_assert_eq!(ascii(&both), slow(&both));
        }

        #[test]
        fn every_character_has_its_bits(text in "(\\PC|[ -~\\n\\t\\x1c\u{85}\u{2003}\u{3000}…é字٣Ⅷ👩_]){0,150}") {
            let classes = Classes::get();
            let found: Vec<Block> = blocks(&text).collect();
            prop_assert_eq!(found.len(), text.len().div_ceil(SIZE));
            for (at, c) in text.char_indices() {
                let class = classes.of(c);
                for byte in at..at + c.len_utf8() {
                    let block = &found[byte / SIZE];
                    let here = |bits: u64| bits >> (byte % SIZE) & 1 == 1;
                    prop_assert_eq!(here(block.space), class & SPACE != 0);
                    prop_assert_eq!(here(block.blank), class & BLANK != 0);
                    prop_assert_eq!(here(block.word), class & WORD != 0);
                    prop_assert_eq!(here(block.rest), byte != at);
                    prop_assert_eq!(here(block.letter), byte == at && class & LETTER != 0);
                    prop_assert_eq!(here(block.number), byte == at && class & NUMBER != 0);
                    prop_assert_eq!(here(block.symbol), byte == at && class & SYMBOL != 0);
                    prop_assert_eq!(here(block.newline), c == '\n');
                }
            }
            if let Some(last) = found.last().filter(|_| text.len() % SIZE != 0) {
                let beyond = !0u64 << (text.len() % SIZE);
                prop_assert_eq!((last.space & beyond, last.word & beyond), (beyond, 0));
            }
        }
    }
}
