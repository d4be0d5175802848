//! Words met before and their tokens: two tables of fixed size, so that memory does not grow with the words of a corpus.

/// Words up to this many bytes are keyed by their bytes alone.
const SHORT_BYTES: usize = 15;
const SHORT_IDS: usize = 3;
/// 2 MB. Twice as many were no faster on English and code.
const SHORT_SETS: usize = 1 << 15;
const LONG_BYTES: usize = 46;
const LONG_IDS: usize = 16;
/// 2 MB.
const LONG_SLOTS: usize = 1 << 14;

#[derive(Clone, Copy, Default)]
struct Short {
    /// The bytes, and their number in the highest byte; 0 where the entry is free.
    key: u128,
    ids: [u32; SHORT_IDS],
    count: u32,
}

/// Two entries, the one used last in front: a line of the processor's cache.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set([Short; 2]);

#[derive(Clone, Copy)]
struct Long {
    hash: u64,
    ids: [u32; LONG_IDS],
    bytes: [u8; LONG_BYTES],
    length: u8,
    count: u8,
}

/// Where the tokens of a word may be found, or put once they are known.
pub enum Place {
    Short {
        key: u128,
        set: usize,
    },
    Long {
        hash: u64,
        slot: usize,
    },
    /// Too long to be kept.
    Nowhere,
}

pub struct Cache {
    short: Vec<Set>,
    long: Vec<Long>,
}

impl Default for Cache {
    fn default() -> Self {
        let free = Long { hash: 0, ids: [0; LONG_IDS], bytes: [0; LONG_BYTES], length: 0, count: 0 };
        Cache { short: vec![Set::default(); SHORT_SETS], long: vec![free; LONG_SLOTS] }
    }
}

impl Cache {
    /// Appends the tokens of the word text[start..end] and returns None, or says where they would be kept.
    #[inline]
    pub fn get(&mut self, text: &[u8], start: usize, end: usize, out: &mut Vec<u32>) -> Option<Place> {
        let length = end - start;
        if length > SHORT_BYTES {
            return self.get_long(&text[start..end], out);
        }
        let key = short_key(text, start, length);
        let set = fold(key as u64, (key >> 64) as u64) as usize & (SHORT_SETS - 1);
        let Set([first, second]) = &mut self.short[set];
        if first.key != key {
            if second.key != key {
                // Short words of many tokens are kept with the long ones.
                return self.get_long(&text[start..end], out).map(|_| Place::Short { key, set });
            }
            std::mem::swap(first, second);
        }
        if first.count == 1 {
            out.push(first.ids[0]);
        } else {
            out.extend_from_slice(&first.ids[..(first.count as usize).min(SHORT_IDS)]);
        }
        None
    }

    fn get_long(&mut self, word: &[u8], out: &mut Vec<u32>) -> Option<Place> {
        if word.len() > LONG_BYTES {
            return Some(Place::Nowhere);
        }
        let hash = hash(word);
        let slot = hash as usize & (LONG_SLOTS - 1);
        let entry = &self.long[slot];
        if entry.hash == hash && usize::from(entry.length) == word.len() && &entry.bytes[..word.len()] == word {
            out.extend_from_slice(&entry.ids[..usize::from(entry.count).min(LONG_IDS)]);
            return None;
        }
        Some(Place::Long { hash, slot })
    }

    /// Keeps the tokens of `word` where `get` said, in the place of what was used longest ago there.
    pub fn put(&mut self, place: Place, word: &[u8], ids: &[u32]) {
        match place {
            Place::Short { key, set } if ids.len() <= SHORT_IDS => {
                let mut entry = Short { key, count: ids.len() as u32, ..Short::default() };
                entry.ids[..ids.len()].copy_from_slice(ids);
                let Set([first, second]) = &mut self.short[set];
                *second = std::mem::replace(first, entry);
            }
            Place::Short { .. } => {
                let hash = hash(word);
                self.put(Place::Long { hash, slot: hash as usize & (LONG_SLOTS - 1) }, word, ids);
            }
            Place::Long { hash, slot } if ids.len() <= LONG_IDS && word.len() <= LONG_BYTES => {
                let entry = &mut self.long[slot];
                entry.hash = hash;
                entry.length = word.len() as u8;
                entry.count = ids.len() as u8;
                entry.bytes[..word.len()].copy_from_slice(word);
                entry.ids[..ids.len()].copy_from_slice(ids);
            }
            Place::Long { .. } | Place::Nowhere => {}
        }
    }
}

/// Reads 16 bytes at once where the text has as many, which is nearly always.
#[inline]
fn short_key(text: &[u8], start: usize, length: usize) -> u128 {
    let bytes = match text.get(start..start + 16).and_then(|b| <[u8; 16]>::try_from(b).ok()) {
        Some(bytes) => u128::from_le_bytes(bytes) & ((1 << (8 * length)) - 1),
        None => {
            let mut padded = [0; 16];
            padded[..length].copy_from_slice(&text[start..start + length]);
            u128::from_le_bytes(padded)
        }
    };
    bytes | (length as u128) << 120
}

/// A product of 128 bits folded to 64: every bit of both hangs on it.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ (product >> 64) as u64
}

fn hash(word: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cache: &mut Cache, word: &[u8]) -> Option<Vec<u32>> {
        let mut out = vec![];
        cache.get(word, 0, word.len(), &mut out).is_none().then_some(out)
    }

    fn keep(cache: &mut Cache, word: &[u8], ids: &[u32]) {
        if let Some(place) = cache.get(word, 0, word.len(), &mut vec![]) {
            cache.put(place, word, ids);
        }
    }

    #[test]
    fn words_of_every_length_come_back_or_are_not_kept() {
        let mut cache = Cache::default();
        for length in 1..60usize {
            let word: Vec<u8> = (0..length as u8).collect();
            for count in [1, SHORT_IDS, SHORT_IDS + 1, LONG_IDS, LONG_IDS + 1] {
                let mut fresh = Cache::default();
                let ids: Vec<u32> = (0..count as u32).collect();
                assert_eq!(found(&mut fresh, &word), None);
                keep(&mut fresh, &word, &ids);
                let kept = length <= LONG_BYTES && count <= LONG_IDS;
                assert_eq!(found(&mut fresh, &word), kept.then_some(ids), "{length} bytes, {count} ids");
            }
            keep(&mut cache, &word, &[length as u32]);
        }
        for length in 1..=LONG_BYTES {
            let word: Vec<u8> = (0..length as u8).collect();
            assert_eq!(found(&mut cache, &word), Some(vec![length as u32]));
        }
    }

    #[test]
    fn a_key_holds_the_bytes_and_their_number_wherever_the_word_stands() {
        let text = b"\0\0ab\0 and enough after it";
        assert_eq!(short_key(text, 2, 2), short_key(b"ab", 0, 2));
        assert_ne!(short_key(text, 2, 2), short_key(text, 2, 3));
        assert_ne!(short_key(text, 0, 1), short_key(text, 0, 2));
    }

    #[test]
    fn memory_stays_what_it_was() {
        let mut cache = Cache::default();
        let before = (cache.short.capacity(), cache.long.capacity());
        for n in 0..200_000u32 {
            let word = format!("{n}{}", ["", "-a-word-that-is-longer"][n as usize % 2]);
            keep(&mut cache, word.as_bytes(), &[n]);
            assert_eq!(found(&mut cache, word.as_bytes()), Some(vec![n]));
        }
        assert_eq!((cache.short.capacity(), cache.long.capacity()), before);
    }
}
