//! Best-fit-decreasing packing of documents into training instances.
//!
//! "Fewer Truncations Improve Language Modeling" (arXiv 2404.10830), as OLMo-core's loader packs: the longest first, each
//! into the fullest instance that still has room, of equally full ones into the one that has waited longest. Room is a
//! whole number below the length of an instance, so that the fullest one is found in a bit set: the whole is linear.

use std::collections::VecDeque;

use arrow_array::{Array, Int64Array};

use crate::{Error, Result};

/// Longest instance: a queue for each room is kept.
pub const MOST_CAPACITY: usize = 1 << 20;

/// Where each item went. Instances are numbered in the order in which they were opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// The instance of each item.
    pub instances: Vec<i64>,
    /// Its place there: items of an instance follow one another in the order in which they were given.
    pub offsets: Vec<i64>,
    /// The item that opened each instance, which is its longest.
    pub openers: Vec<i64>,
}

/// Packs items of 1 to `capacity` into instances of `capacity`; of equally long items the first goes first.
pub fn best_fit(lengths: &Int64Array, capacity: usize) -> Result<Packing> {
    let (items, starts) = longest_first(lengths, capacity)?;
    let mut spaces = Spaces::new(capacity);
    let mut instance_of = vec![0u32; items.len()];
    let mut openers: Vec<u32> = Vec::new();
    let mut left = items.as_slice();
    for length in (1..=capacity).rev() {
        let class = left.split_off(..starts[capacity - length + 1] - starts[capacity - length]);
        let mut class = class.unwrap_or_default();
        while let Some(&first) = class.first() {
            let (instance, room) = spaces.pop(length).unwrap_or_else(|| {
                openers.push(first);
                (openers.len() as u32 - 1, capacity)
            });
            // What is left of the smallest room is smaller yet, so that the instance takes items of this length until
            // it has no room for another.
            let taken = (room / length).min(class.len());
            for item in &class[..taken] {
                instance_of[*item as usize] = instance;
            }
            class = &class[taken..];
            spaces.push(room - taken * length, instance);
        }
    }
    let mut fill = vec![0u32; openers.len()];
    let mut offsets = Vec::with_capacity(items.len());
    for (instance, length) in instance_of.iter().zip(lengths.values()) {
        let taken = &mut fill[*instance as usize];
        offsets.push(i64::from(*taken));
        *taken += *length as u32;
    }
    Ok(Packing {
        instances: instance_of.into_iter().map(i64::from).collect(),
        offsets,
        openers: openers.into_iter().map(i64::from).collect(),
    })
}

/// Items by decreasing length, equal ones as they came, and where those of length `capacity - i` start: a counting sort.
fn longest_first(lengths: &Int64Array, capacity: usize) -> Result<(Vec<u32>, Vec<usize>)> {
    if capacity == 0 || capacity > MOST_CAPACITY {
        return Err(Error::invalid(format!("expected instances of 1 to {MOST_CAPACITY} tokens, found {capacity}")));
    }
    if lengths.null_count() > 0 || lengths.len() > u32::MAX as usize {
        return Err(Error::invalid(format!("expected at most {} lengths, none of them null", u32::MAX)));
    }
    let mut starts = vec![0usize; capacity + 1];
    for (i, length) in lengths.values().iter().enumerate() {
        match usize::try_from(*length) {
            Ok(n) if n >= 1 && n <= capacity => starts[capacity - n + 1] += 1,
            _ => {
                return Err(Error::invalid(format!("expected lengths from 1 to {capacity}, found {length} at {i}")));
            }
        }
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut next = starts.clone();
    let mut items = vec![0u32; lengths.len()];
    for (i, length) in lengths.values().iter().enumerate() {
        let place = &mut next[capacity - *length as usize];
        items[*place] = i as u32;
        *place += 1;
    }
    Ok((items, starts))
}

/// Instances by the room they have, first in, first out; and which rooms there are.
struct Spaces {
    queues: Vec<VecDeque<u32>>,
    /// A bit for each room; on the levels above one for each word that is not zero.
    levels: Vec<Vec<u64>>,
}

impl Spaces {
    fn new(capacity: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = capacity + 1;
        while bits > 1 || levels.is_empty() {
            bits = bits.div_ceil(64);
            levels.push(vec![0u64; bits]);
        }
        Spaces { queues: vec![VecDeque::new(); capacity + 1], levels }
    }

    /// The smallest room of at least `length` that any instance has.
    fn smallest(&self, length: usize) -> Option<usize> {
        let mut at = length;
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get(at / 64)? >> (at % 64);
            if word != 0 {
                at += word.trailing_zeros() as usize;
                for below in self.levels[..height].iter().rev() {
                    at = at * 64 + below[at].trailing_zeros() as usize;
                }
                return Some(at);
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The instance of the smallest room of at least `length`, and that room.
    fn pop(&mut self, length: usize) -> Option<(u32, usize)> {
        let room = self.smallest(length)?;
        let queue = &mut self.queues[room];
        let instance = queue.pop_front()?;
        if queue.is_empty() {
            let mut at = room;
            for level in &mut self.levels {
                level[at / 64] &= !(1 << (at % 64));
                if level[at / 64] != 0 {
                    break;
                }
                at /= 64;
            }
        }
        Some((instance, room))
    }

    fn push(&mut self, room: usize, instance: u32) {
        if room == 0 {
            return;
        }
        self.queues[room].push_back(instance);
        let mut at = room;
        for level in &mut self.levels {
            level[at / 64] |= 1 << (at % 64);
            at /= 64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(lengths: &[i64], capacity: usize) -> Packing {
        best_fit(&Int64Array::from(lengths.to_vec()), capacity).unwrap()
    }

    #[test]
    fn the_fullest_instance_with_room_takes_it() {
        // By length: 7 opens 0, 6 opens 1, 5 opens 2, 4 fills 1 (room 4), 3 fills 0 (room 3, not 2's 5), 2 goes to 2.
        let packed = pack(&[4, 2, 7, 5, 6, 3], 10);
        assert_eq!(packed.openers, [2, 4, 3]);
        assert_eq!(packed.instances, [1, 2, 0, 2, 1, 0]);
        assert_eq!(packed.offsets, [0, 0, 0, 2, 4, 7]);
    }

    #[test]
    fn of_equally_full_instances_the_one_that_waited_longest() {
        let packed = pack(&[6, 6, 6, 2, 2, 2, 2], 10);
        assert_eq!(packed.instances, [0, 1, 2, 0, 0, 1, 1]);
        assert_eq!(packed.openers, [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_packed_is_said() {
        let error = |lengths: Vec<i64>| best_fit(&Int64Array::from(lengths), 8).unwrap_err().to_string();
        assert_eq!(error(vec![1, 9]), "expected lengths from 1 to 8, found 9 at 1");
        assert_eq!(error(vec![0]), "expected lengths from 1 to 8, found 0 at 0");
        assert_eq!(error(vec![-1]), "expected lengths from 1 to 8, found -1 at 0");
        assert!(best_fit(&Int64Array::from(vec![1]), 0).is_err());
        assert!(best_fit(&Int64Array::from(vec![Some(1), None]), 8).is_err());
        assert_eq!(pack(&[], 8), Packing::default());
    }

    /// The same by looking at every instance for every item.
    fn plainly(lengths: &[i64], capacity: i64) -> Vec<i64> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&i| -lengths[i]);
        // (room, since when, instance)
        let mut open: Vec<(i64, usize, i64)> = vec![];
        let mut instances = vec![0; lengths.len()];
        let mut opened = 0;
        for (turn, i) in order.into_iter().enumerate() {
            let best = open.iter().filter(|o| o.0 >= lengths[i]).min().copied();
            let (room, _, instance) = best.unwrap_or((capacity, 0, opened));
            open.retain(|o| o.2 != instance);
            opened += i64::from(best.is_none());
            if room > lengths[i] {
                open.push((room - lengths[i], turn, instance));
            }
            instances[i] = instance;
        }
        instances
    }

    proptest! {
        #[test]
        fn as_when_every_instance_is_looked_at(
            capacity in prop_oneof![1..70i64, 60..70i64, 4090..4100i64, 262_140..262_150i64],
            shares in prop::collection::vec(0.0..1.0f64, 0..200),
        ) {
            let lengths: Vec<i64> = shares.iter().map(|s| 1 + ((capacity as f64) * s * s) as i64).collect();
            let lengths: Vec<i64> = lengths.into_iter().map(|n| n.min(capacity)).collect();
            prop_assert_eq!(pack(&lengths, capacity as usize).instances, plainly(&lengths, capacity));
        }
    }
}
