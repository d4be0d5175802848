//! Fingerprints of all beginnings of a text, which tell in one step whether two stretches of it are the same.

use super::near::Unit;

/// A Mersenne prime: two stretches of `n` units that differ have the same fingerprint for at most `n` of so many bases.
const PRIME: u64 = (1 << 61) - 1;
const BASE: u64 = 0x0b50_4f33_3f9d_e648;

pub struct Prints {
    /// Fingerprint of the first `i` units.
    until: Vec<u64>,
    /// The base to the power of `i`.
    power: Vec<u64>,
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    reduced((product as u64 & PRIME) + (product >> 61) as u64)
}

fn reduced(sum: u64) -> u64 {
    if sum >= PRIME {
        sum - PRIME
    } else {
        sum
    }
}

impl Prints {
    pub fn new<T: Unit>(units: &[T]) -> Self {
        let (mut until, mut power) = (vec![0], vec![1]);
        let (mut print, mut factor) = (0, 1);
        for unit in units {
            print = reduced(times(print, BASE) + unit.number() + 1);
            factor = times(factor, BASE);
            until.push(print);
            power.push(factor);
        }
        Prints { until, power }
    }

    fn of(&self, start: usize, length: usize) -> Option<u64> {
        let (before, all) = (self.until.get(start)?, self.until.get(start + length)?);
        Some(reduced(all + PRIME - times(*before, *self.power.get(length)?)))
    }

    /// Whether the `length` units at `a` and at `b` are there and the same.
    pub fn same(&self, a: usize, b: usize, length: usize) -> bool {
        self.of(a, length).is_some_and(|print| self.of(b, length) == Some(print))
    }

    /// How many units from `a` and from `b > a` on are the same.
    pub fn agreeing(&self, a: usize, b: usize) -> usize {
        most(self.until.len() - 1 - b, |length| self.same(a, b, length))
    }

    /// How many units before `a` and before `b > a` are the same.
    pub fn agreeing_before(&self, a: usize, b: usize) -> usize {
        most(a, |length| self.same(a - length, b - length, length))
    }
}

/// The largest number up to `limit` that holds, where all below one that holds do so too.
fn most(limit: usize, holds: impl Fn(usize) -> bool) -> usize {
    let mut step = 1;
    while step <= limit && holds(step) {
        step *= 2;
    }
    let (mut low, mut high) = (step / 2, limit.min(step - 1));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_measured_to_the_unit() {
        for length in 0..40 {
            let text = "ab".repeat(length) + "x" + &"ab".repeat(length) + "y";
            let prints = Prints::new(text.as_bytes());
            let gap = 2 * length + 1;
            assert_eq!(prints.agreeing(0, gap), 2 * length);
            assert_eq!(prints.agreeing_before(gap - 1, 2 * gap - 1), 2 * length);
            assert!(!prints.same(0, gap, 2 * length + 1));
            assert!(!prints.same(0, gap, 2 * length + 2));
        }
        assert_eq!(Prints::new(b"aaa").agreeing(0, 1), 2);
    }
}
