//! Numbers for things that repeat: slices of a text, and pairs of such numbers.
//!
//! Numbers are given in order of first appearance, so nothing depends on the hash. Tables keep their memory from one
//! document to the next: allocation would cost as much as the counting.

use xxhash_rust::xxh3::xxh3_64;

/// Marks an empty slot, and a position without a number.
pub const NONE: u32 = u32::MAX;

/// A slice of a text, as long as its key says.
struct Entry {
    key: Key,
    start: u32,
}

impl Entry {
    fn end(&self) -> u32 {
        self.start + self.key.length
    }
}

/// Distinct slices of one text.
#[derive(Default)]
pub struct Interner {
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// How often each was seen; apart, as some passes read nothing else.
    counts: Vec<u32>,
}

impl Interner {
    /// Empties the table and makes room for `most` slices.
    pub fn reset(&mut self, most: usize) {
        self.entries.clear();
        self.counts.clear();
        self.slots.clear();
        self.slots.resize(slots_for(most), NONE);
    }

    /// The number of `text[start..end]`; counts it once more. `reset` made room for it.
    pub fn add(&mut self, text: &[u8], start: u32, end: u32) -> u32 {
        let key = Key::of(text, start as usize, end as usize);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = key.hash() as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == NONE {
                *slot = self.entries.len() as u32;
                self.entries.push(Entry { key, start });
                self.counts.push(1);
                return *slot;
            }
            let number = *slot as usize;
            if let (Some(entry), Some(count)) = (self.entries.get(number), self.counts.get_mut(number)) {
                if entry.key == key && (key.is_whole() || same(text, (entry.start, entry.end()), (start, end))) {
                    *count += 1;
                    return *slot;
                }
            }
            at = (at + 1) & mask;
        }
        NONE
    }

    pub fn count(&self, number: u32) -> u32 {
        self.counts.get(number as usize).copied().unwrap_or_default()
    }

    /// (start, end, count) of the slices, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.entries.iter().zip(&self.counts).map(|(entry, count)| (entry.start, entry.end(), *count))
    }
}

/// How often a pair of numbers was seen, and where first.
#[derive(Clone, Copy)]
pub struct Pair {
    pub count: u32,
    pub first: u32,
}

/// Distinct pairs of numbers.
#[derive(Default)]
pub struct Pairs {
    /// The pair in each slot, or `EMPTY`, and its number: a probe reads no more.
    keys: Vec<u64>,
    numbers: Vec<u32>,
    entries: Vec<Pair>,
}

/// No pair of numbers, as NONE is none.
const EMPTY: u64 = u64::MAX;

impl Pairs {
    /// Empties the table and makes room for `most` pairs.
    pub fn reset(&mut self, most: usize) {
        self.entries.clear();
        self.keys.clear();
        self.keys.resize(slots_for(most), EMPTY);
        // What is left in it is read of no empty slot.
        self.numbers.resize(self.keys.len(), NONE);
    }

    /// The number of the pair, seen (again) at `position`. `reset` made room for it.
    pub fn add(&mut self, a: u32, b: u32, position: u32) -> u32 {
        let key = u64::from(a) << 32 | u64::from(b);
        let mask = self.keys.len().wrapping_sub(1);
        let mut at = mix(key) as usize & mask;
        while let (Some(there), Some(number)) = (self.keys.get_mut(at), self.numbers.get_mut(at)) {
            if *there == key {
                if let Some(pair) = self.entries.get_mut(*number as usize) {
                    pair.count += 1;
                }
                return *number;
            }
            if *there == EMPTY {
                (*there, *number) = (key, self.entries.len() as u32);
                self.entries.push(Pair { count: 1, first: position });
                return *number;
            }
            at = (at + 1) & mask;
        }
        NONE
    }

    /// The pairs in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = Pair> + '_ {
        self.entries.iter().copied()
    }
}

/// What tells a slice from others: its length and, up to 16 bytes, the bytes themselves, else a hash of them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    low: u64,
    high: u64,
    length: u32,
}

impl Key {
    const WHOLE: u32 = 16;

    #[inline(always)]
    fn of(text: &[u8], start: usize, end: usize) -> Key {
        let length = (end - start) as u32;
        if let Some(first) = eight(text, start).filter(|_| length <= 8) {
            // In two steps, as a shift by all 64 bits is none.
            let half = 4 * (8 - length);
            return Key { low: first << half << half, high: 0, length };
        }
        Key::of_other(text, start, end, length)
    }

    /// The key of a longer slice, or of one that is close to the end of the text.
    fn of_other(text: &[u8], start: usize, end: usize, length: u32) -> Key {
        let (low, high) = match (eight(text, start), end.checked_sub(8).and_then(|at| eight(text, at))) {
            (Some(first), Some(last)) if (9..=Self::WHOLE).contains(&length) => (first, last),
            _ if length <= 8 => {
                let rest = text.get(start..end).unwrap_or_default();
                (rest.iter().fold(0, |low, byte| low >> 8 | u64::from(*byte) << 56), 0)
            }
            _ => (xxh3_64(text.get(start..end).unwrap_or_default()), 0),
        };
        Key { low, high, length }
    }

    /// Whether equal keys are equal slices.
    fn is_whole(self) -> bool {
        self.length <= Self::WHOLE
    }

    #[inline]
    fn hash(self) -> u64 {
        let high = self.high ^ u64::from(self.length) ^ 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.low ^ 0xbf58_476d_1ce4_e5b9) * u128::from(high);
        (product ^ product >> 64) as u64
    }
}

fn eight(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// Whether two slices of equal length are equal.
fn same(text: &[u8], a: (u32, u32), b: (u32, u32)) -> bool {
    text.get(a.0 as usize..a.1 as usize) == text.get(b.0 as usize..b.1 as usize)
}

/// At most half full, so that a probe sequence stays short.
fn slots_for(most: usize) -> usize {
    (most.max(1) * 2).next_power_of_two()
}

/// Spreads the bits of a pair of small numbers over the whole word.
fn mix(key: u64) -> u64 {
    let x = (key ^ key >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 29 ^ key >> 32).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ x >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_numbered_by_first_appearance() {
        let text = b"b a b c a b";
        let mut table = Interner::default();
        for _ in 0..2 {
            table.reset(6);
            let numbers: Vec<u32> = (0..6).map(|i| table.add(text, 2 * i, 2 * i + 1)).collect();
            assert_eq!(numbers, [0, 1, 0, 2, 1, 0]);
            assert_eq!(table.iter().collect::<Vec<_>>(), [(0, 1, 3), (2, 3, 2), (6, 7, 1)]);
            assert_eq!(table.count(0), 3);
        }
    }

    #[test]
    fn pairs_keep_their_first_position() {
        let mut table = Pairs::default();
        table.reset(4);
        let numbers = [(1, 2), (2, 1), (1, 2), (0, 0)].map(|(a, b)| table.add(a, b, a * 10 + b));
        assert_eq!(numbers, [0, 1, 0, 2]);
        let found: Vec<_> = table.iter().map(|p| (p.count, p.first)).collect();
        assert_eq!(found, [(2, 12), (1, 21), (1, 0)]);
    }

    #[test]
    fn slices_of_any_length_and_place_are_told_apart() {
        let distinct = "\0 \0\0 abcdefgh abcdefghi xbcdefghi abcdefghijklmnop abcdefgXijklmnop abcdefghXjklmnop \
                        abcdefghijklmnopq abcdefghijklmnopqr abcdefghijklmnopqrstuvwxyz0 h";
        let text = format!("{distinct} {distinct}").into_bytes();
        let mut table = Interner::default();
        table.reset(24);
        let mut start = 0;
        let numbers: Vec<u32> = text
            .split(|b| *b == b' ')
            .map(|word| {
                let end = start + word.len() as u32;
                let number = table.add(&text, start, end);
                start = end + 1;
                number
            })
            .collect();
        assert_eq!(numbers, (0..12).chain(0..12).collect::<Vec<_>>());
        assert!((0..12).all(|number| table.count(number) == 2));
    }

    #[test]
    fn a_table_without_room_gives_no_number() {
        let mut table = Interner::default();
        assert_eq!(table.add(b"a", 0, 1), NONE);
    }

    #[test]
    fn many_regular_pairs_stay_apart() {
        let mut table = Pairs::default();
        table.reset(40_000);
        for i in 0..40_000 {
            assert_eq!(table.add(i / 200, i % 200, i), i);
        }
    }
}
