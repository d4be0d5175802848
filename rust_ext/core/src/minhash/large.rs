//! Groups of many texts: which of those kept a text is compared with, so that the cost stays far from quadratic.

use std::collections::HashMap;

use super::band_key;
use super::permute::Permutations;
use super::resolve::Rule;
use super::sets::Ngrams;
use super::shingles::each_ngram;

/// Bands and rows by which AI2 hashed large clusters of Dolma 3 again (200 x 31): of pairs with a similarity of 0.8
/// 18 % share a band, of 0.85 73 %, of 0.9 99.9 %, of 0.7 0.3 %.
const BANDS: usize = 200;
const ROWS: usize = 31;
/// Bands that are hashed at a time, so that memory holds no more keys than these.
const AT_ONCE: usize = 25;
const SEED: u64 = 0x6c61_7267_6500_0001;

/// Finds the kept texts to compare a text with.
///
/// For a Jaccard similarity those that share the key of a band with it. For containment those that have the rarest of
/// its n-grams: they are all that can contain it, so nothing is missed. Memory is linear in the n-grams of the group.
///
/// To find bands takes 0.17 ms for a text of 300 tokens, to tell two of them apart by their bitmaps 0.04 µs: of some
/// 8,000 texts all pairs take as long.
pub enum Finder {
    Banded(Banded),
    Rarest(Rarest),
}

impl Finder {
    /// For the texts of a group, no two of the same tokens.
    pub fn new(rule: Rule, texts: &[&[u64]], ngram: usize) -> Self {
        match rule {
            Rule::Jaccard(_) => Finder::Banded(Banded::new(texts, ngram)),
            Rule::Contained => Finder::Rarest(Rarest::new(texts, ngram)),
        }
    }

    /// Replaces `places` by those of the kept texts to compare text `number` with, in the order in which they were kept.
    pub fn candidates(&self, number: usize, places: &mut Vec<u32>) {
        places.clear();
        match self {
            Finder::Banded(banded) => {
                let buckets = banded.buckets(number).iter().filter_map(|(_, bucket)| banded.kept.get(*bucket as usize));
                buckets.for_each(|kept| places.extend_from_slice(kept));
                places.sort_unstable();
                places.dedup();
            }
            Finder::Rarest(rarest) => {
                let kept = rarest.keys.get(number).and_then(|key| rarest.kept.get(key));
                places.extend_from_slice(kept.map_or(&[], Vec::as_slice));
            }
        }
    }

    /// Says that text `number` is kept, at `place` among the kept.
    pub fn keep(&mut self, number: usize, ngrams: &Ngrams, place: u32) {
        match self {
            Finder::Banded(banded) => {
                let (start, end) = banded.bounds(number);
                for (_, bucket) in &banded.entries[start..end] {
                    banded.kept[*bucket as usize].push(place);
                }
            }
            Finder::Rarest(rarest) => {
                for hash in &ngrams.distinct {
                    if let Some(kept) = rarest.kept.get_mut(hash) {
                        kept.push(place);
                    }
                }
            }
        }
    }
}

pub struct Banded {
    /// (text, bucket) for each band that a text shares with another, sorted.
    entries: Vec<(u32, u32)>,
    /// Places of the kept texts in each bucket.
    kept: Vec<Vec<u32>>,
}

impl Banded {
    fn new(texts: &[&[u64]], ngram: usize) -> Self {
        let (mut entries, mut buckets) = (Vec::new(), 0);
        let (mut hashes, mut signature, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let mut keys: Vec<Vec<(u64, u32)>> = vec![Vec::new(); AT_ONCE];
        for pass in 0..BANDS.div_ceil(AT_ONCE) {
            let permutations = Permutations::new(AT_ONCE * ROWS, SEED + pass as u64);
            keys.iter_mut().for_each(Vec::clear);
            for (text, tokens) in (0u32..).zip(texts) {
                hashes.clear();
                each_ngram(tokens, ngram, |hash| hashes.push((hash >> 32) as u32));
                permutations.signature(&hashes, &mut signature);
                for ((band, rows), keys) in (0u32..).zip(signature.chunks_exact(ROWS)).zip(&mut keys) {
                    keys.push((band_key(band, rows, &mut bytes), text));
                }
            }
            for keys in &mut keys {
                keys.sort_unstable();
                for bucket in keys.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1) {
                    entries.extend(bucket.iter().map(|(_, text)| (*text, buckets)));
                    buckets += 1;
                }
            }
        }
        entries.sort_unstable();
        Banded { entries, kept: vec![Vec::new(); buckets as usize] }
    }

    fn bounds(&self, number: usize) -> (usize, usize) {
        let before = |limit: usize| self.entries.partition_point(|(text, _)| (*text as usize) < limit);
        (before(number), before(number + 1))
    }

    fn buckets(&self, number: usize) -> &[(u32, u32)] {
        let (start, end) = self.bounds(number);
        &self.entries[start..end]
    }
}

pub struct Rarest {
    /// The n-gram of each text that the fewest texts have.
    keys: Vec<u64>,
    /// Places of the kept texts that have an n-gram which is the rarest of some text.
    kept: HashMap<u64, Vec<u32>>,
}

impl Rarest {
    fn new(texts: &[&[u64]], ngram: usize) -> Self {
        let all: usize = texts.iter().map(|tokens| tokens.len()).sum();
        // N-grams of one remainder are counted together: a wrong count costs time and changes no result.
        let mut counts = vec![0u32; all.next_power_of_two()];
        let mask = counts.len() as u64 - 1;
        let mut ngrams = Ngrams::default();
        for tokens in texts {
            ngrams.renew(tokens, ngram);
            for hash in &ngrams.distinct {
                counts[(hash & mask) as usize] += 1;
            }
        }
        let (mut keys, mut kept) = (Vec::with_capacity(texts.len()), HashMap::new());
        for tokens in texts {
            ngrams.renew(tokens, ngram);
            let count = |hash: &u64| counts[(hash & mask) as usize];
            let rarest = ngrams.distinct.iter().min_by_key(|hash| count(hash)).copied().unwrap_or_default();
            if count(&rarest) > 1 {
                kept.insert(rarest, Vec::new());
            }
            keys.push(rarest);
        }
        Rarest { keys, kept }
    }
}
