//! What the tokens of a text come to, remembered from one text to the next.
//!
//! Words repeat: nine of ten tokens of ordinary text are found here, which saves lower-casing, hashing every n-gram and
//! looking it up. Entries hold row numbers, not sums, so a score does not depend on what was read before.

use super::dictionary::Token;

/// Slots at first and at most (8 MB); all is forgotten when more than three of four of these are taken.
const FEWEST: usize = 1 << 12;
const MOST: usize = 1 << 18;
/// Row numbers beyond which all is forgotten; those of the tokens put before that is looked at again stay within 16 MB.
const ROWS: usize = (1 << 22) - (1 << 16);
/// Slots looked at for one token. A text made to collide gains nothing: its tokens are worked out each time.
const PROBES: usize = 8;

/// A token of up to 24 bytes in registers; longer ones hardly come again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    words: [u64; 3],
    length: u8,
}

impl Key {
    /// The first `length` bytes of `text`, at least one.
    #[inline]
    pub fn new(text: &[u8], length: usize) -> Option<Self> {
        if length == 0 || length > 24 {
            return None;
        }
        let mut padded = [0; 24];
        let bytes = match text.first_chunk::<24>() {
            Some(bytes) => bytes,
            None => {
                padded.iter_mut().zip(text).for_each(|(p, &b)| *p = b);
                &padded
            }
        };
        let mut words = [0; 3];
        for (i, (word, bytes)) in words.iter_mut().zip(bytes.as_chunks::<8>().0).enumerate() {
            let bits = 8 * length.saturating_sub(8 * i).min(8) as u32;
            *word = u64::from_le_bytes(*bytes) & u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        }
        Some(Key { words, length: length as u8 })
    }

    #[inline]
    fn hash(&self) -> usize {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let [first, second, third] = self.words;
        let front = fold(first ^ 0x9E37_79B9_7F4A_7C15, second ^ 0xD1B5_4A32_D192_ED03);
        let back = third.wrapping_add(u64::from(self.length));
        fold(front ^ back, 0xA076_1D64_78BD_642F) as usize
    }
}

/// Half a cache line; `length` is 0 in a free slot. The first of its rows is the hash of the word.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
pub(super) struct Entry {
    words: [u64; 3],
    start: u32,
    rows: u16,
    length: u8,
    kind: u8,
}

impl Entry {
    #[inline]
    fn is_of(&self, key: Key) -> bool {
        self.words == key.words && self.length == key.length
    }
}

#[derive(Debug)]
pub(super) struct Cache {
    slots: Vec<Entry>,
    taken: usize,
    rows: Vec<u32>,
}

impl Cache {
    pub fn new() -> Self {
        Cache { slots: vec![Entry::default(); FEWEST], taken: 0, rows: Vec::new() }
    }

    /// The number of the first slot of `key`.
    #[inline]
    pub fn home(&self, key: Key) -> usize {
        key.hash() & (self.slots.len() - 1)
    }

    /// What stands in slot `home`, to be handed to `get`. Called for some tokens ahead with nothing between, it lets the
    /// waits for memory, which are most of the cost, overlap.
    #[inline]
    pub fn peek(&self, home: usize) -> Entry {
        self.slots.get(home).copied().unwrap_or_default()
    }

    /// The token of `key` with its rows, if remembered. A `peeked` entry may be out of date, but slots are
    /// only filled until `make_room`.
    #[inline]
    pub fn get(&self, key: Key, peeked: &Entry) -> Option<(Token, &[u32])> {
        if peeked.is_of(key) {
            return self.open(peeked);
        }
        let home = key.hash();
        let slots = (0..PROBES).map_while(|i| self.slots.get(home.wrapping_add(i) & (self.slots.len() - 1)));
        let mut taken = slots.take_while(|entry| entry.length > 0);
        self.open(taken.find(|entry| entry.is_of(key))?)
    }

    #[inline]
    fn open(&self, entry: &Entry) -> Option<(Token, &[u32])> {
        let start = entry.start as usize;
        let (&hash, rows) = self.rows.get(start..start + 1 + usize::from(entry.rows))?.split_first()?;
        let token = match entry.kind {
            0 => Token::Word(hash),
            1 => Token::Label,
            _ => Token::End(hash),
        };
        Some((token, rows))
    }

    /// Remembers a token that `get` did not find, if there is a slot for it. Peeked entries stay good.
    pub fn put(&mut self, key: Key, token: Token, rows: &[u32]) {
        let (kind, hash) = match token {
            Token::Word(hash) => (0, hash),
            Token::Label => (1, 0),
            Token::End(hash) => (2, hash),
        };
        let Ok(count) = u16::try_from(rows.len()) else { return };
        let start = self.rows.len() as u32;
        let entry = Entry { words: key.words, start, rows: count, length: key.length, kind };
        if place(&mut self.slots, entry) {
            self.taken += 1;
            self.rows.push(hash);
            self.rows.extend_from_slice(rows);
        }
    }

    /// Doubles the slots, or forgets everything, when it is full. To be called while no peeked entry is in use.
    pub fn make_room(&mut self) {
        let is_full = self.taken * 4 > self.slots.len() * 3;
        if self.rows.len() > ROWS || (is_full && self.slots.len() >= MOST) {
            self.slots.fill(Entry::default());
            self.rows.clear();
            self.taken = 0;
        } else if is_full {
            let mut slots = vec![Entry::default(); self.slots.len() * 2];
            self.taken = self.slots.iter().filter(|e| e.length > 0 && place(&mut slots, **e)).count();
            self.slots = slots;
        }
    }
}

fn place(slots: &mut [Entry], entry: Entry) -> bool {
    let mask = slots.len() - 1;
    let home = Key { words: entry.words, length: entry.length }.hash();
    for at in (0..PROBES).map(|i| home.wrapping_add(i)) {
        if let Some(slot) = slots.get_mut(at & mask).filter(|s| s.length == 0) {
            *slot = entry;
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text.as_bytes(), text.len()).unwrap()
    }

    #[test]
    fn a_key_is_its_bytes_and_nothing_after() {
        let long = "abcdefghijklmnopqrstuvwxyz and more";
        for length in 1..=24 {
            assert_eq!(Key::new(long.as_bytes(), length), Some(key(&long[..length])));
        }
        assert_ne!(key("a"), key("a\0"));
        assert_eq!(Key::new(long.as_bytes(), 25), None);
        assert_eq!(Key::new(long.as_bytes(), 0), None);
    }

    fn get(cache: &Cache, text: &str) -> Option<(Token, Vec<u32>)> {
        let key = key(text);
        cache.get(key, &cache.peek(cache.home(key))).map(|(token, rows)| (token, rows.to_vec()))
    }

    #[test]
    fn what_was_put_is_found() {
        let mut cache = Cache::new();
        let early = cache.peek(cache.home(key("a")));
        cache.put(key("a"), Token::Word(1), &[10, 11]);
        cache.put(key("b"), Token::Label, &[]);
        cache.put(key("</s>"), Token::End(7), &[3]);
        assert_eq!(get(&cache, "a"), Some((Token::Word(1), vec![10, 11])));
        assert_eq!(get(&cache, "b"), Some((Token::Label, vec![])));
        assert_eq!(get(&cache, "</s>"), Some((Token::End(7), vec![3])));
        assert_eq!(get(&cache, "c"), None);
        assert_eq!(cache.get(key("a"), &early), Some((Token::Word(1), &[10, 11][..])));
    }

    #[test]
    fn it_grows_and_a_full_one_starts_over() {
        let mut cache = Cache::new();
        let most = MOST * 3 / 4;
        for i in 0..most {
            cache.make_room();
            cache.put(key(&i.to_string()), Token::Word(i as u32), &[i as u32]);
        }
        assert_eq!(cache.slots.len(), MOST);
        let found = (0..most).filter_map(|i| Some((i as u32, get(&cache, &i.to_string())?)));
        let right = found.filter(|(i, found)| *found == (Token::Word(*i), vec![*i]));
        assert!(right.count() > most * 9 / 10);
        let mut more = most;
        while cache.taken > 1 {
            cache.make_room();
            cache.put(key(&more.to_string()), Token::Label, &[]);
            more += 1;
        }
        assert_eq!((cache.rows.len(), get(&cache, "0")), (1, None));
    }
}
