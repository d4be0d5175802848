//! Stretches in which a piece of text is repeated, as `(.+?)(\s?\1){3,}` finds them.
//!
//! A backtracking engine tries, at each start, each length of the group: quadratic in a line. Here each *distance* is
//! tried once over the whole text. Two copies of a group of `L` characters, with or without a space between them, agree
//! at the distance `L` or `L + 1` for at least `L` characters; a stretch as long as that has a window on a grid whose
//! step is about the distance. So the distance `p` costs `n / p` comparisons, and all of them `n log(longest line)`.
//! Only where a window agrees is the stretch measured and each start in it put to the definition. A text that agrees with
//! itself almost everywhere is measured by fingerprints instead, in `log n` steps.

mod distances;
mod near;
mod prints;
mod units;

pub use units::Views;

use near::Unit;

/// One match: units `start..end`, in which the group, `length` units long, is there `count` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    pub start: usize,
    pub end: usize,
    pub length: usize,
    pub count: usize,
}

/// A text as units of one width, one per character; `space` and `newline` say which they are.
pub struct Line<'a, T, F> {
    pub units: &'a [T],
    pub space: F,
    pub newline: T,
}

/// Calls `found` for each match of `(.+?)(\s?\1){3,}`, from left to right. `shortest` is working memory.
pub fn repeats<T: Unit, F: Fn(T) -> bool>(
    line: &Line<'_, T, F>,
    shortest: &mut Vec<u32>,
    mut found: impl FnMut(Repeat),
) {
    // A match has four copies at least.
    if line.units.len() < 4 {
        return;
    }
    shortest.clear();
    shortest.resize(line.units.len(), 0);
    line.near(shortest);
    line.far(shortest);
    let mut at = 0;
    while let Some(start) = shortest[at..].iter().position(|l| *l != 0).map(|gap| at + gap) {
        let length = shortest[start] as usize;
        let (end, copies) = line.all_copies(start, length);
        // `str.count` finds no more than the copies, unless the group is itself a space: then each of its kind counts.
        let group = line.units[start];
        let count = if length == 1 && (line.space)(group) {
            line.units[start..end].iter().filter(|u| **u == group).count()
        } else {
            copies
        };
        found(Repeat { start, end, length, count });
        at = end;
    }
}

impl<T: Unit, F: Fn(T) -> bool> Line<'_, T, F> {
    fn is_space(&self, at: usize) -> bool {
        self.units.get(at).is_some_and(|u| (self.space)(*u))
    }

    /// Whether the `length` units at `a` and at `b > a` are there and the same. The last are compared first: stretches
    /// that agree for long and then part are the costly ones.
    fn same(&self, a: usize, b: usize, length: usize) -> bool {
        let (Some(last), Some(x), Some(y)) =
            (self.units.get(b + length - 1), self.units.get(a..a + length), self.units.get(b..b + length))
        else {
            return false;
        };
        x.last() == Some(last) && x == y
    }

    /// Where the next copy of the group at `start` may end, when the last one ended at `at`: with a space between them,
    /// which is preferred, and without.
    fn next(&self, start: usize, length: usize, at: usize) -> [Option<usize>; 2] {
        let spaced = self.is_space(at) && self.same(start, at + 1, length);
        let joined = self.same(start, at, length);
        [spaced.then_some(at + 1 + length), joined.then_some(at + length)]
    }

    /// Whether `more` copies follow at `at`, and where they end: the first way in the order of preference.
    fn copies(&self, start: usize, length: usize, at: usize, more: usize) -> Option<usize> {
        if more == 0 {
            return Some(at);
        }
        self.next(start, length, at).into_iter().flatten().find_map(|next| self.copies(start, length, next, more - 1))
    }

    /// Where the match ends whose group of `length` is at `start`, and its copies: three by preference, then all that
    /// follow.
    fn all_copies(&self, start: usize, length: usize) -> (usize, usize) {
        let mut end = self.copies(start, length, start + length, 3).unwrap_or(start + length);
        let mut copies = 4;
        while let Some(next) = self.next(start, length, end).into_iter().flatten().next() {
            end = next;
            copies += 1;
        }
        (end, copies)
    }
}

#[cfg(test)]
mod tests;
