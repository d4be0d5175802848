//! Numbers for things that repeat: slices of a text, and pairs of such numbers.
//!
//! Numbers are given in order of first appearance, so nothing depends on the hash. Tables keep their memory from one
//! document to the next: allocation would cost as much as the counting.

use xxhash_rust::xxh3::xxh3_64;

/// Marks an empty slot, and a position without a number.
pub const NONE: u32 = u32::MAX;

/// A slice of a text and how often it was seen.
struct Entry {
    hash: u64,
    start: u32,
    end: u32,
    count: u32,
}

/// Distinct slices of one text.
#[derive(Default)]
pub struct Interner {
    slots: Vec<u32>,
    entries: Vec<Entry>,
}

impl Interner {
    /// Empties the table and makes room for `most` slices.
    pub fn reset(&mut self, most: usize) {
        self.entries.clear();
        clear_slots(&mut self.slots, most);
    }

    /// The number of `text[start..end]`; counts it once more. `reset` made room for it.
    pub fn add(&mut self, text: &[u8], start: u32, end: u32) -> u32 {
        let slice = |from: u32, to: u32| text.get(from as usize..to as usize).unwrap_or_default();
        let bytes = slice(start, end);
        let hash = xxh3_64(bytes);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == NONE {
                *slot = self.entries.len() as u32;
                self.entries.push(Entry { hash, start, end, count: 1 });
                return *slot;
            }
            if let Some(entry) = self.entries.get_mut(*slot as usize) {
                if entry.hash == hash && slice(entry.start, entry.end) == bytes {
                    entry.count += 1;
                    return *slot;
                }
            }
            at = (at + 1) & mask;
        }
        NONE
    }

    pub fn count(&self, number: u32) -> u32 {
        self.entries.get(number as usize).map_or(0, |e| e.count)
    }

    /// (start, end, count) of the slices, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        self.entries.iter().map(|e| (e.start, e.end, e.count))
    }
}

/// A pair of numbers, how often it was seen, and where first.
#[derive(Clone, Copy)]
pub struct Pair {
    key: u64,
    pub count: u32,
    pub first: u32,
}

/// Distinct pairs of numbers.
#[derive(Default)]
pub struct Pairs {
    slots: Vec<u32>,
    entries: Vec<Pair>,
}

impl Pairs {
    /// Empties the table and makes room for `most` pairs.
    pub fn reset(&mut self, most: usize) {
        self.entries.clear();
        clear_slots(&mut self.slots, most);
    }

    /// The number of the pair, seen (again) at `position`. `reset` made room for it.
    pub fn add(&mut self, a: u32, b: u32, position: u32) -> u32 {
        let key = u64::from(a) << 32 | u64::from(b);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = mix(key) as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == NONE {
                *slot = self.entries.len() as u32;
                self.entries.push(Pair { key, count: 1, first: position });
                return *slot;
            }
            if let Some(pair) = self.entries.get_mut(*slot as usize) {
                if pair.key == key {
                    pair.count += 1;
                    return *slot;
                }
            }
            at = (at + 1) & mask;
        }
        NONE
    }

    pub fn get(&self, number: u32) -> Option<Pair> {
        self.entries.get(number as usize).copied()
    }

    /// The pairs in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = Pair> + '_ {
        self.entries.iter().copied()
    }
}

/// At most half full, so that a probe sequence stays short.
fn clear_slots(slots: &mut Vec<u32>, most: usize) {
    slots.clear();
    slots.resize((most.max(1) * 2).next_power_of_two(), NONE);
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
