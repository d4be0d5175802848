//! The merges of a BPE, and merging the bytes of one word.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::file::Parts;
use crate::{Error, Result};

/// Words up to this many bytes are searched for their lowest rank each time, which beats a heap.
const SHORT: usize = 48;
const NONE: u32 = u32::MAX;
const EMPTY: u64 = u64::MAX;

#[derive(Clone, Copy)]
struct Slot {
    pair: u64,
    rank: u32,
    id: u32,
}

/// Pairs of tokens that merge, by open addressing; at most half full.
pub struct Merges {
    bytes: [u32; 256],
    slots: Vec<Slot>,
    shift: u32,
    /// Four bits for each slot, one set for each pair: 128 kB that tell of most pairs that they do not merge, where the
    /// slots (4 MB for 100,000 merges) would have to come from the third-level cache.
    filter: Vec<u64>,
}

impl Merges {
    pub fn new(parts: &Parts) -> Result<Self> {
        let id = |token: &str| {
            parts.vocabulary.get(token).copied().ok_or_else(|| {
                Error::invalid(format!("expected a vocabulary of all bytes and merges, found no `{token}` in it"))
            })
        };
        let mut bytes = [NONE; 256];
        for (byte, c) in byte_characters().iter().enumerate() {
            // No UTF-8 has them, and vocabularies that were made from text (GPT-NeoX) neither.
            if !matches!(byte, 0xc0 | 0xc1 | 0xf5..) {
                bytes[byte] = id(c.encode_utf8(&mut [0; 4]))?;
            }
        }
        let size = (2 * parts.merges.len()).next_power_of_two().max(64);
        let mut merges = Merges {
            bytes,
            slots: vec![Slot { pair: EMPTY, rank: NONE, id: NONE }; size],
            shift: 64 - size.trailing_zeros(),
            filter: vec![0; size / 16],
        };
        for (rank, (left, right)) in parts.merges.iter().enumerate() {
            let joined = id(&format!("{left}{right}"))?;
            merges.insert(Slot { pair: pair(id(left)?, id(right)?), rank: rank as u32, id: joined });
        }
        Ok(merges)
    }

    /// The later of two merges of one pair counts, as in the reference.
    fn insert(&mut self, slot: Slot) {
        let hash = hash(slot.pair);
        let (word, bit) = self.filter_bit(hash);
        self.filter[word] |= bit;
        let mut at = self.home(hash);
        while self.slots[at].pair != EMPTY && self.slots[at].pair != slot.pair {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn home(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    fn filter_bit(&self, hash: u64) -> (usize, u64) {
        let bit = hash >> (self.shift - 2);
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    /// (rank, id) of what two tokens merge to; rank NONE where they do not.
    #[inline]
    fn find(&self, left: u32, right: u32) -> (u32, u32) {
        let wanted = pair(left, right);
        let hash = hash(wanted);
        let (word, bit) = self.filter_bit(hash);
        if self.filter[word] & bit == 0 {
            return (NONE, NONE);
        }
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.pair == wanted || slot.pair == EMPTY {
                return (slot.rank, slot.id);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Appends the tokens of `word`: always the leftmost pair of the lowest rank merges first.
    pub fn encode(&self, word: &[u8], out: &mut Vec<u32>) {
        if word.len() <= SHORT {
            self.encode_short(word, out);
        } else {
            self.encode_long(word, out);
        }
    }

    fn encode_short(&self, word: &[u8], out: &mut Vec<u32>) {
        let mut ids = [0u32; SHORT + 1];
        // The ranks of each token and its right neighbour; NONE at the end.
        let mut ranks = [NONE; SHORT + 1];
        let mut joined = [NONE; SHORT + 1];
        let mut count = word.len();
        for (id, byte) in ids.iter_mut().zip(word) {
            *id = self.bytes[usize::from(*byte)];
        }
        for i in 1..count {
            (ranks[i - 1], joined[i - 1]) = self.find(ids[i - 1], ids[i]);
        }
        loop {
            let mut best = NONE;
            let mut at = 0;
            for (i, rank) in ranks[..count].iter().enumerate() {
                if *rank < best {
                    (best, at) = (*rank, i);
                }
            }
            if best == NONE {
                break;
            }
            ids[at] = joined[at];
            ids.copy_within(at + 2..count, at + 1);
            ranks.copy_within(at + 2..count, at + 1);
            joined.copy_within(at + 2..count, at + 1);
            count -= 1;
            (ranks[at], joined[at]) = if at + 1 < count { self.find(ids[at], ids[at + 1]) } else { (NONE, NONE) };
            if at > 0 {
                (ranks[at - 1], joined[at - 1]) = self.find(ids[at - 1], ids[at]);
            }
        }
        out.extend_from_slice(&ids[..count]);
    }

    /// A heap of (rank, place) over a linked list: n log n, whatever the word.
    fn encode_long(&self, word: &[u8], out: &mut Vec<u32>) {
        let count = word.len();
        let mut ids: Vec<u32> = word.iter().map(|b| self.bytes[usize::from(*b)]).collect();
        let mut next: Vec<u32> = (1..=count as u32).collect();
        let mut previous: Vec<u32> = (0..count as u32).map(|i| i.wrapping_sub(1)).collect();
        let entry = |rank: u32, at: usize| Reverse(u64::from(rank) << 32 | at as u64);
        let mut heap: BinaryHeap<Reverse<u64>> = (1..count)
            .filter_map(|i| {
                let (rank, _) = self.find(ids[i - 1], ids[i]);
                (rank != NONE).then(|| entry(rank, i - 1))
            })
            .collect();
        while let Some(Reverse(top)) = heap.pop() {
            let (rank, at) = ((top >> 32) as u32, (top & 0xffff_ffff) as usize);
            let right = next[at] as usize;
            // A token that was merged into its neighbour is NONE; one that grew since has another rank.
            if ids[at] == NONE || right >= count {
                continue;
            }
            let (current, id) = self.find(ids[at], ids[right]);
            if current != rank {
                continue;
            }
            ids[at] = id;
            ids[right] = NONE;
            let after = next[right] as usize;
            next[at] = after as u32;
            if after < count {
                previous[after] = at as u32;
                let (rank, _) = self.find(id, ids[after]);
                if rank != NONE {
                    heap.push(entry(rank, at));
                }
            }
            let before = previous[at];
            if before != NONE {
                let (rank, _) = self.find(ids[before as usize], id);
                if rank != NONE {
                    heap.push(entry(rank, before as usize));
                }
            }
        }
        out.extend(ids.into_iter().filter(|id| *id != NONE));
    }
}

#[inline]
fn hash(pair: u64) -> u64 {
    pair.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// The character that stands for each byte in a byte-level vocabulary: itself where it shows, else one from U+0100 on.
pub fn byte_characters() -> [char; 256] {
    let mut characters = ['\0'; 256];
    let mut others = 0x100..0x200u32;
    for (byte, c) in characters.iter_mut().enumerate() {
        let own = char::from(byte as u8);
        let shows = matches!(own, '!'..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}');
        *c = if shows { own } else { others.next().and_then(char::from_u32).unwrap_or(own) };
    }
    characters
}

/// The bytes that a token of a byte-level vocabulary stands for; None where it has other characters.
pub fn token_bytes(token: &str, bytes: &HashMap<char, u8>) -> Option<Vec<u8>> {
    token.chars().map(|c| bytes.get(&c).copied()).collect()
}
