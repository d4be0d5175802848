//! Byte-level BPE: texts to the ids that the `tokenizers` library gives, for the tokenizer.json files it can do exactly.
//!
//! A text is searched for added tokens, normalized, cut into words, and the words into tokens by merging. Words are
//! looked up in a cache of fixed size first. What a file asks for beyond that is refused with a reason.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

mod added;
pub mod batch;
mod cache;
pub mod file;
mod merges;
mod nfc;
#[cfg(test)]
mod tests;
pub mod words;

use added::{AddedTokens, Piece};
use cache::Cache;
use merges::{byte_characters, token_bytes, Merges};
use words::Words;

use crate::Result;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Special tokens that stand in a text are text.
    pub encode_special_tokens: bool,
    /// Lines are texts of their own, each with the line breaks before it.
    pub segment: bool,
}

/// A loaded tokenizer.json; threads share it, each with an [`Encoder`] of its own.
pub struct Tokenizer {
    as_written: AddedTokens,
    normalized: AddedTokens,
    nfc: bool,
    words: Words,
    merges: Merges,
    /// Words that are tokens whatever the merges say.
    whole: HashMap<Vec<u8>, u32>,
    added: Vec<(String, u32)>,
    options: Options,
}

impl Tokenizer {
    /// `Error::Invalid` is the reason why the file is not supported.
    pub fn load(path: &Path, options: Options) -> Result<Self> {
        let parts = file::read(path)?;
        let merges = Merges::new(&parts)?;
        let mut whole = HashMap::new();
        if parts.ignore_merges {
            let characters = byte_characters();
            let bytes: HashMap<char, u8> = characters.iter().enumerate().map(|(i, c)| (*c, i as u8)).collect();
            whole.extend(parts.vocabulary.iter().filter_map(|(t, id)| Some((token_bytes(t, &bytes)?, *id))));
        }
        let (normalized, as_written): (Vec<_>, Vec<_>) = parts.added.iter().partition(|t| t.normalized);
        let spelt = |t: &&file::Added| if parts.nfc { nfc::nfc(&t.content).into_owned() } else { t.content.clone() };
        let contents: Vec<String> = normalized.iter().map(spelt).collect();
        let exact: Vec<String> = as_written.iter().map(|t| t.content.clone()).collect();
        Ok(Tokenizer {
            as_written: AddedTokens::new(&as_written, &exact, options.encode_special_tokens)?,
            normalized: AddedTokens::new(&normalized, &contents, options.encode_special_tokens)?,
            nfc: parts.nfc,
            words: parts.words,
            merges,
            whole,
            added: parts.added.iter().map(|t| (t.content.clone(), t.id)).collect(),
            options,
        })
    }

    /// The added tokens as the file has them.
    pub fn added(&self) -> &[(String, u32)] {
        &self.added
    }
}

/// Encodes one text after another; what it keeps between them is bounded (4 MB).
pub struct Encoder {
    tokenizer: Arc<Tokenizer>,
    cache: Cache,
}

impl Encoder {
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Encoder { tokenizer, cache: Cache::default() }
    }

    /// Appends the ids of `text`.
    pub fn encode(&mut self, text: &str, out: &mut Vec<u32>) {
        if !self.tokenizer.options.segment {
            return self.encode_segment(text, out);
        }
        let mut rest = text;
        while !rest.is_empty() {
            let line = rest.len() - rest.trim_start_matches('\n').len();
            let end = rest[line..].find('\n').map_or(rest.len(), |i| line + i);
            self.encode_segment(&rest[..end], out);
            rest = &rest[end..];
        }
    }

    fn encode_segment(&mut self, text: &str, out: &mut Vec<u32>) {
        let Encoder { tokenizer, cache } = self;
        let tokenizer = &**tokenizer;
        tokenizer.as_written.split(text, |piece| match piece {
            Piece::Token(id) => out.push(id),
            Piece::Text(text) => {
                let text = if tokenizer.nfc { nfc::nfc(text) } else { text.into() };
                tokenizer.normalized.split(&text, |piece| match piece {
                    Piece::Token(id) => out.push(id),
                    Piece::Text(text) => tokenizer.encode_words(text, cache, out),
                });
            }
        });
    }
}

impl Tokenizer {
    fn encode_words(&self, text: &str, cache: &mut Cache, out: &mut Vec<u32>) {
        let bytes = text.as_bytes();
        self.words.each(text, |start, end| {
            let Some(place) = cache.get(bytes, start, end, out) else { return };
            let (word, first) = (&bytes[start..end], out.len());
            match self.whole.get(word) {
                Some(id) => out.push(*id),
                None => self.merges.encode(word, out),
            }
            cache.put(place, word, &out[first..]);
        });
    }
}
