//! Groups of more than eight units, by the distance of their copies.

use std::collections::HashSet;

use super::near::{Unit, NEAR};
use super::prints::Prints;
use super::Line;

/// Units compared at once.
const WINDOW: usize = 8;
const SHORT_WINDOW: usize = 4;

/// A longest stretch `start..end` of units that are the same as those `distance` on.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    end: usize,
    distance: usize,
}

/// Comparisons per unit of a text after which fingerprints are worth their making: ordinary texts need one or two.
const PATIENCE: usize = 16;

/// What the search for distances keeps from one to the next.
struct Search<'a> {
    shortest: &'a mut [u32],
    /// First unit of a stretch, and last unit of its copy.
    seen: HashSet<(usize, usize)>,
    /// Comparisons that may still be made one by one.
    patience: usize,
    prints: Option<Prints>,
}

impl<T: Unit, F: Fn(T) -> bool> Line<'_, T, F> {
    /// Writes the length of the shortest group of each start that has none yet.
    pub(super) fn far(&self, shortest: &mut [u32]) {
        self.far_with(None, shortest);
    }

    pub(super) fn far_with(&self, prints: Option<Prints>, shortest: &mut [u32]) {
        let longest = self.units.split(|u| *u == self.newline).map(<[T]>::len).max().unwrap_or(0);
        let longest = longest.min(self.units.len() / 4);
        let patience = PATIENCE * self.units.len();
        let mut search = Search { shortest, seen: HashSet::new(), patience, prints };
        for distance in NEAR + 1..=longest + 1 {
            if distance < 2 * WINDOW {
                self.at_distance::<SHORT_WINDOW>(distance, &mut search);
            } else {
                self.at_distance::<WINDOW>(distance, &mut search);
            }
            if search.patience == 0 && search.prints.is_none() {
                search.prints = Some(Prints::new(self.units));
            }
        }
    }

    /// A stretch of `distance - 1` units holds a whole window of a grid with a step of `distance - W`.
    fn at_distance<const W: usize>(&self, distance: usize, search: &mut Search<'_>) {
        let Some(ahead) = self.units.get(distance..) else { return };
        let step = match search.prints {
            None => distance - W,
            Some(_) => (distance - W) / 2,
        };
        let mut at = 0;
        while let (Some(here), Some(there)) = (window::<T, W>(self.units, at), window::<T, W>(ahead, at)) {
            // Half of a stretch is before the next window but one: one look at the fingerprints says if it is there.
            let likely =
                here == there && search.prints.as_ref().is_none_or(|p| p.same(at, at + distance, distance - step));
            if !likely {
                at += step;
                continue;
            }
            let (back, on) = match &search.prints {
                Some(prints) => (prints.agreeing_before(at, at + distance), prints.agreeing(at, at + distance)),
                None => (agreeing_before(&self.units[..at], &ahead[..at]), agreeing(&self.units[at..], &ahead[at..])),
            };
            search.patience = search.patience.saturating_sub(back + on);
            let (start, end) = (at - back, at + on);
            // The same stretch at a shorter distance: both are multiples of one that is half as long at most, so that
            // four copies of the shorter group stand wherever two of this one do.
            if end - start >= distance - 1 && search.seen.insert((start, end + distance)) {
                self.starts(Stretch { start, end, distance }, search.shortest);
            }
            at = (end / step + 1) * step;
        }
    }

    /// Puts each start in a stretch to the definition.
    fn starts(&self, stretch: Stretch, shortest: &mut [u32]) {
        let Stretch { start, end, distance } = stretch;
        let mut newline = 0;
        for (at, length) in shortest.iter_mut().enumerate().take(end + 2 - distance).skip(start) {
            if *length != 0 {
                continue;
            }
            if newline <= at {
                newline = self.units[at..].iter().position(|u| *u == self.newline).map_or(usize::MAX, |n| at + n);
            }
            // With a space between the copies, then without; a group has no line break in it. What the stretch itself
            // holds needs no comparison.
            let spaced = newline >= at + distance - 1
                && self.is_space(at + distance - 1)
                && (at + 3 * distance - 1 <= end || self.copies(at, distance - 1, at + 2 * distance - 1, 2).is_some());
            if spaced {
                *length = (distance - 1) as u32;
                continue;
            }
            let joined = at + distance <= end
                && newline >= at + distance
                && (at + 3 * distance <= end || self.copies(at, distance, at + 2 * distance, 2).is_some());
            if joined {
                *length = distance as u32;
            }
        }
    }
}

fn window<T, const W: usize>(units: &[T], at: usize) -> Option<&[T; W]> {
    units.get(at..)?.first_chunk()
}

/// How many units from the beginning are the same.
fn agreeing<T: Unit>(a: &[T], b: &[T]) -> usize {
    let whole = a.as_chunks::<WINDOW>().0.iter().zip(b.as_chunks::<WINDOW>().0).take_while(|(x, y)| x == y).count();
    let done = whole * WINDOW;
    let rest = a.iter().zip(b).skip(done).take_while(|(x, y)| x == y).count();
    done + rest
}

/// How many units up to the end are the same.
fn agreeing_before<T: Unit>(a: &[T], b: &[T]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count()
}
