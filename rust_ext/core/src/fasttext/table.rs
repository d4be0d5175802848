//! Open-addressing tables from a hash to an index, for keys that somebody else keeps.

use std::cell::Cell;

/// Marks a free slot; no index reaches it.
const FREE: u32 = u32::MAX;

/// Indices by hash: at most half full, probed linearly. The caller keeps the keys and compares them.
#[derive(Clone, Debug)]
pub(super) struct Table {
    slots: Vec<u32>,
    mask: usize,
}

impl Table {
    /// For up to `keys` keys; 8 to 16 bytes a key.
    pub fn with_keys(keys: usize) -> Self {
        let slots = keys.saturating_mul(2).max(8).next_power_of_two();
        Table { slots: vec![FREE; slots], mask: slots - 1 }
    }

    /// The first index under `hash` that `is_key` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask;
        loop {
            match self.slots.get(at) {
                Some(&FREE) | None => return None,
                Some(&index) if is_key(index) => return Some(index),
                Some(_) => at = (at + 1) & self.mask,
            }
        }
    }

    /// Puts `index` under `hash`, in the place of the one that `is_key` accepts, if any.
    pub fn insert(&mut self, hash: u64, index: u32, is_key: impl Fn(u32) -> bool) {
        let mut at = hash as usize & self.mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if *slot == FREE || is_key(*slot) {
                *slot = index;
                return;
            }
            at = (at + 1) & self.mask;
        }
    }
}

/// A finite map of u32, for the buckets that a pruned model keeps.
#[derive(Debug)]
pub(super) struct IdMap {
    slots: Vec<(u32, u32)>,
    /// One bit per hash value, of 16 for each slot: with a slot in two taken, 31 of 32 missing keys are told by it.
    bits: Vec<u64>,
    shift: u32,
    length: usize,
}

impl IdMap {
    /// For up to `keys` keys: at most half full, so that a miss is found out in one or two looks.
    pub fn with_keys(keys: usize) -> Self {
        let slots = keys.saturating_mul(2).max(8).next_power_of_two();
        IdMap {
            slots: vec![(0, FREE); slots],
            bits: vec![0; slots / 4],
            shift: u64::BITS - slots.trailing_zeros(),
            length: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// Fibonacci hashing: bucket numbers are spread already, but need not be in every model.
    #[inline]
    fn hash(key: u32) -> u64 {
        u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// The word and the bit of a key: 16 bits for each slot.
    #[inline]
    fn bit(&self, key: u32) -> (usize, u32) {
        let at = Self::hash(key) >> (self.shift - 4);
        ((at / 64) as usize, (at % 64) as u32)
    }

    #[inline]
    pub fn get(&self, key: u32) -> Option<u32> {
        let mut at = (Self::hash(key) >> self.shift) as usize;
        loop {
            match self.slots.get(at & (self.slots.len() - 1)) {
                Some(&(_, FREE)) | None => return None,
                Some(&(found, value)) if found == key => return Some(value),
                Some(_) => at += 1,
            }
        }
    }

    /// Puts the values of `keys` in their place, in order, and leaves out those that are not in the map.
    ///
    /// Whether a key is there is as good as random: a branch on it would be mispredicted every other time, and each
    /// time after a wait for memory. So missing keys are first dropped without one.
    pub fn select(&self, keys: &mut Vec<u32>, from: usize) {
        let cells = Cell::from_mut(keys.get_mut(from..).unwrap_or_default()).as_slice_of_cells();
        let mut likely = 0;
        for cell in cells {
            let (word, bit) = self.bit(cell.get());
            if let Some(to) = cells.get(likely) {
                to.set(cell.get());
            }
            likely += self.bits.get(word).map_or(0, |w| (w >> bit & 1) as usize);
        }
        let mut found = 0;
        for cell in cells.iter().take(likely) {
            if let (Some(value), Some(to)) = (self.get(cell.get()), cells.get(found)) {
                to.set(value);
                found += 1;
            }
        }
        keys.truncate(from + found);
    }

    /// Later values win. At most as many keys as the map was made for; no value is `u32::MAX`.
    pub fn insert(&mut self, key: u32, value: u32) {
        let (word, bit) = self.bit(key);
        if let Some(word) = self.bits.get_mut(word) {
            *word |= 1 << bit;
        }
        let mut at = (Self::hash(key) >> self.shift) as usize;
        let mask = self.slots.len() - 1;
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if slot.1 == FREE || slot.0 == key {
                self.length += usize::from(slot.1 == FREE);
                *slot = (key, value);
                return;
            }
            at += 1;
        }
    }
}

/// Remainders by a divisor known late, without dividing (Lemire, Kaser and Kurz 2019).
#[derive(Clone, Copy, Debug)]
pub(super) struct Modulus {
    divisor: u32,
    inverse: u64,
}

impl Modulus {
    /// A divisor of 0 is taken for 1.
    pub fn new(divisor: u32) -> Self {
        let divisor = divisor.max(1);
        Modulus { divisor, inverse: (u64::MAX / u64::from(divisor)).wrapping_add(1) }
    }

    pub fn divisor(&self) -> u32 {
        self.divisor
    }

    #[inline]
    pub fn of(&self, number: u32) -> u32 {
        let fraction = self.inverse.wrapping_mul(u64::from(number));
        ((u128::from(fraction) * u128::from(self.divisor)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_last_value_and_lacks_the_rest() {
        let mut map = IdMap::with_keys(4);
        for (key, value) in [(7, 0), (0, 1), (u32::MAX, 2), (7, 3)] {
            map.insert(key, value);
        }
        assert_eq!([7, 0, u32::MAX, 1].map(|k| map.get(k)), [Some(3), Some(1), Some(2), None]);
        assert_eq!(map.len(), 3);
        let mut keys = vec![7, 7, 1, u32::MAX, 2, 0];
        map.select(&mut keys, 1);
        assert_eq!(keys, [7, 3, 2, 1]);
    }

    proptest::proptest! {
        #[test]
        fn remainders_are_exact(number: u32, divisor in 1..u32::MAX) {
            let largest = number - number % divisor;
            for n in [number, largest, largest.wrapping_sub(1), u32::MAX] {
                proptest::prop_assert_eq!(Modulus::new(divisor).of(n), n % divisor);
            }
        }
    }
}
