//! One text at a time through a model, with the memory that is used again.

use std::sync::Arc;

use super::cache::{Cache, Entry, Key};
use super::dictionary::{Token, END};
use super::loss::Best;
use super::Model;
use crate::Result;

/// How a text is brought into the form that a model was trained on. A line break always counts as a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reading {
    /// Lower-case as Python's `str.lower` does (final sigma too; newer letters as this build's Unicode version has them).
    pub lower: bool,
    /// Drop what Python's `str.strip` drops at both ends; fastText itself takes Unicode spaces for letters.
    pub strip: bool,
}

/// Reads texts with one model. Not shared between threads: its cache of words (up to 26 MB) grows as it reads.
#[derive(Debug)]
pub struct Predictor {
    model: Arc<Model>,
    reading: Reading,
    cache: Cache,
    hidden: Vec<f32>,
    hashes: Vec<u32>,
    rows: Vec<u32>,
    lowered: String,
    padded: Vec<u8>,
    best: Best,
    probabilities: Vec<f32>,
    found: Vec<Option<f32>>,
}

/// Where fastText splits: space, \t, \n, \v, \f, \r and NUL; no other Unicode space.
const SPACES: [bool; 256] = {
    let mut spaces = [false; 256];
    let mut i = 9;
    while i <= 13 {
        spaces[i] = true;
        i += 1;
    }
    spaces[0] = true;
    spaces[32] = true;
    spaces
};

fn is_space(byte: u8) -> bool {
    SPACES.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Tokens looked up in the cache before the first of them is added.
const AHEAD: usize = 16;

/// The tokens of a text, each with the bytes from its start to the end of the text.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (&'a str, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let start = self.at + rest.iter().position(|&b| !is_space(b))?;
        let rest = self.text.as_bytes().get(start..)?;
        self.at = start + rest.iter().position(|&b| is_space(b)).unwrap_or(rest.len());
        Some((self.text.get(start..self.at)?, rest))
    }
}

/// What Python's `str.isspace` is true of: also the four separators that Unicode does not call white space.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

impl Predictor {
    pub fn new(model: Arc<Model>, reading: Reading) -> Self {
        let hidden = vec![0.0; model.width()];
        Predictor {
            model,
            reading,
            cache: Cache::new(),
            hidden,
            hashes: Vec::new(),
            rows: Vec::new(),
            lowered: String::new(),
            padded: Vec::new(),
            best: Best::default(),
            probabilities: Vec::new(),
            found: Vec::new(),
        }
    }

    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// Appends the `k` best labels of `text` with their scores, best first, of those whose probability is `threshold`
    /// or more. None for a text without any known word or n-gram.
    ///
    /// Labels are indices into [`Model::labels`]. Among equal scores the one with the higher index comes first.
    pub fn predict(&mut self, text: &str, k: usize, threshold: f32, out: &mut Vec<(u32, f32)>) {
        if !self.read(text) {
            return;
        }
        self.best.reset(k, threshold);
        self.model.loss.predict(&self.model.output, &self.hidden, &mut self.best, &mut self.probabilities);
        self.best.drain(out);
    }

    /// The score of each of `labels`, none where [`Predictor::predict`] with all labels would leave it out.
    ///
    /// Hierarchical softmax leaves out what is below 1e-5, and costs one path of its tree per label.
    pub fn scores(&mut self, text: &str, labels: &[u32], out: &mut Vec<Option<f32>>) {
        if !self.read(text) {
            out.clear();
            out.resize(labels.len(), None);
            return;
        }
        self.model.loss.scores(&self.model.output, &self.hidden, labels, &mut self.probabilities, out);
    }

    /// The score of one label, as [`Predictor::scores`] gives it.
    pub fn score(&mut self, text: &str, label: u32) -> Option<f32> {
        let mut found = std::mem::take(&mut self.found);
        self.scores(text, &[label], &mut found);
        let score = found.first().copied().flatten();
        self.found = found;
        score
    }

    /// The index of a label by its name; `Error::Invalid` names labels that there are.
    pub fn label(&self, name: &str) -> Result<u32> {
        self.model.label(name)
    }

    /// Makes `hidden` the average of the text's rows; false if there are none.
    fn read(&mut self, text: &str) -> bool {
        let text = if self.reading.strip { text.trim_matches(is_python_space) } else { text };
        self.hidden.fill(0.0);
        self.hashes.clear();
        let (mut count, mut ended) = (0, false);
        let mut tokens = Tokens { text, at: 0 };
        while !ended {
            self.cache.make_room();
            let mut ahead = [("", None); AHEAD];
            let (mut homes, mut filled) = ([0; AHEAD], 0);
            for ((slot, home), (token, rest)) in ahead.iter_mut().zip(&mut homes).zip(&mut tokens) {
                let key = Key::new(rest, token.len());
                *slot = (token, key.map(|k| (k, Entry::default())));
                *home = key.map_or(0, |k| self.cache.home(k));
                filled += 1;
            }
            // A loop of its own: the processor sees no further ahead than a few hundred instructions.
            for ((_, key), home) in ahead.iter_mut().zip(homes) {
                if let Some((_, entry)) = key {
                    *entry = self.cache.peek(home);
                }
            }
            if filled == 0 {
                count += self.add_token(END, None).1;
                break;
            }
            for (token, key) in ahead.iter().take(filled) {
                let (token, rows) = self.add_token(token, key.as_ref());
                count += rows;
                ended = matches!(token, Token::End(_));
                if ended {
                    break;
                }
            }
        }
        count += self.add_word_ngrams();
        if count > 0 {
            let share = (1.0 / count as f64) as f32;
            self.hidden.iter_mut().for_each(|x| *x *= share);
        }
        count > 0
    }

    /// Adds the rows of `token`; their number with what the token is. `peeked`: its key, if it is short enough for one,
    /// and the entry that the cache had for it.
    #[inline]
    fn add_token(&mut self, token: &str, peeked: Option<&(Key, Entry)>) -> (Token, usize) {
        let (token, count) = if let Some((token, rows)) = peeked.and_then(|(key, entry)| self.cache.get(*key, entry)) {
            self.model.input.add_rows(rows, &mut self.hidden);
            (token, rows.len())
        } else {
            let token = self.resolve(token);
            self.model.input.add_rows(&self.rows, &mut self.hidden);
            if let Some(&(key, _)) = peeked {
                self.cache.put(key, token, &self.rows);
            }
            (token, self.rows.len())
        };
        if let (Token::Word(hash) | Token::End(hash), true) = (token, self.model.dictionary.has_word_ngrams()) {
            self.hashes.push(hash);
        }
        (token, count)
    }

    /// What `token` is; its rows go to `self.rows`.
    fn resolve(&mut self, token: &str) -> Token {
        self.rows.clear();
        let dictionary = &self.model.dictionary;
        if !self.reading.lower {
            return dictionary.resolve(token.as_bytes(), &mut self.padded, &mut self.rows);
        }
        self.lowered.clear();
        if token.is_ascii() {
            self.lowered.push_str(token);
            self.lowered.make_ascii_lowercase();
        } else {
            // Word by word is the same as the whole text: white space is neither cased nor skipped when a sigma is
            // looked at, and no letter becomes a space.
            self.lowered.push_str(&token.to_lowercase());
        }
        dictionary.resolve(self.lowered.as_bytes(), &mut self.padded, &mut self.rows)
    }

    fn add_word_ngrams(&mut self) -> usize {
        if self.hashes.len() < 2 {
            return 0;
        }
        self.rows.clear();
        self.model.dictionary.word_ngrams(&self.hashes, &mut self.rows);
        self.model.input.add_rows(&self.rows, &mut self.hidden);
        self.rows.len()
    }
}
