//! A text 64 bytes at a time, each class of characters as one bit a byte: what words and tokens are cut with.

use wide::u8x16;

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
            let bytes = ((1u128 << c.len_utf8()) - 1) << bit;
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
#[inline]
fn ascii(bytes: &[u8; SIZE]) -> (Block, u64) {
    let (mut block, mut high) = (Block::default(), 0);
    for (n, sixteen) in bytes.as_chunks::<16>().0.iter().enumerate() {
        let v = u8x16::new(*sixteen);
        let bits = |v: u8x16| u64::from(v.to_bitmask()) << (16 * n);
        let is = |byte: u8| v.simd_eq(u8x16::splat(byte));
        let within = |v: u8x16, from: u8, to: u8| (v - u8x16::splat(from)).simd_le(u8x16::splat(to - from));
        let letter = within(v | u8x16::splat(0x20), b'a', b'z');
        let number = within(v, b'0', b'9');
        let blank = within(v, b'\t', b'\r') | is(b' ');
        block.letter |= bits(letter);
        block.number |= bits(number);
        block.word |= bits(letter | number | is(b'_'));
        block.blank |= bits(blank);
        block.space |= bits(blank | within(v, 0x1c, 0x1f));
        block.symbol |= bits(is(b'#'));
        block.newline |= bits(is(b'\n'));
        block.rest |= bits(within(v, 0x80, 0xbf));
        high |= bits(within(v, 0x80, 0xff));
    }
    (block, high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
