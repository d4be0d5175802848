//! Groups of up to eight units: which of the eight units after each one are the same, eight at a time.

use super::Line;

/// Distances of this module; `distances` takes the longer ones.
pub const NEAR: usize = 8;

/// What a text is made of.
pub trait Unit: Copy + Eq {
    /// For each of the `next` units whether it is `self`: bit `7 + 8 * i`.
    fn among(self, next: &[Self; NEAR]) -> u64;

    fn number(self) -> u64;
}

const HIGH: u64 = 0x8080_8080_8080_8080;

impl Unit for u8 {
    fn number(self) -> u64 {
        self.into()
    }

    fn among(self, next: &[u8; NEAR]) -> u64 {
        let different = u64::from_le_bytes(*next) ^ (u64::from(self) * 0x0101_0101_0101_0101);
        // The high bit of each byte that is zero, without a borrow from its neighbour.
        !(((different & !HIGH) + !HIGH) | different) & HIGH
    }
}

impl Unit for u32 {
    fn number(self) -> u64 {
        self.into()
    }

    fn among(self, next: &[u32; NEAR]) -> u64 {
        next.iter().rev().fold(0, |bits, unit| (bits << 8) | (u64::from(*unit == self) << 7))
    }
}

/// Bits of the distances from `from` to [`NEAR`].
const fn from(from: u32) -> u64 {
    HIGH << (8 * (from - 1))
}

impl<T: Unit, F: Fn(T) -> bool> Line<'_, T, F> {
    /// Writes the length of the shortest group of each start, if it is found at a distance of up to [`NEAR`].
    ///
    /// A group of `L` at the distance `L` or `L + 1` has its first units again at that distance: one if the distance is
    /// 1 or 2, two if it is 2 or 3, three if it is longer.
    pub(super) fn near(&self, shortest: &mut [u32]) {
        let mask = |at: usize| match self.units.get(at + 1..).and_then(|u| u.first_chunk()) {
            Some(next) => self.units[at].among(next),
            // The last few: a distance that leaves the text is refused by the definition.
            None => HIGH,
        };
        let count = self.units.len();
        let (mut first, mut second) = (mask(0), mask(1));
        for (start, length) in shortest.iter_mut().enumerate().take(count - 3) {
            let third = mask(start + 2);
            let two = first & second;
            let mut likely = (first & !from(3)) | (two & !from(4)) | (two & third);
            while likely != 0 {
                let distance = likely.trailing_zeros() / 8 + 1;
                likely &= likely - 1;
                if let Some(found) = self.shortest_at(start, distance as usize) {
                    *length = found;
                    break;
                }
            }
            (first, second) = (second, third);
        }
    }

    /// The length of the group at `start` whose second copy is `distance` on: one less, with a space between them, or
    /// just that.
    fn shortest_at(&self, start: usize, distance: usize) -> Option<u32> {
        [distance - 1, distance].into_iter().filter(|l| *l > 0).find_map(|length| self.group(start, length))
    }

    fn group(&self, start: usize, length: usize) -> Option<u32> {
        let group = self.units.get(start..start + length)?;
        if group.contains(&self.newline) {
            return None;
        }
        self.copies(start, length, start + length, 3).map(|_| length as u32)
    }
}
