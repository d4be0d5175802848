//! Added tokens: found in a text as they stand, the leftmost first and of these the longest.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::file::Added;
use crate::{Error, Result};

/// A stretch of a text, or a token found in it.
pub enum Piece<'a> {
    Text(&'a str),
    Token(u32),
}

/// Tokens that are looked for in one pass.
pub struct AddedTokens {
    matcher: Option<AhoCorasick>,
    /// By pattern: the id, None for a token that is taken as text.
    ids: Vec<Option<u32>>,
}

impl AddedTokens {
    /// `contents`: how each of `tokens` is spelt in the text. `as_text`: special tokens are, though they still end a match.
    pub fn new(tokens: &[&Added], contents: &[String], as_text: bool) -> Result<Self> {
        let matcher = if tokens.is_empty() {
            None
        } else {
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .kind(Some(AhoCorasickKind::DFA))
                .build(contents)
                .map_err(|e| Error::invalid(format!("added tokens: {e}")))?;
            Some(built)
        };
        let ids = tokens.iter().map(|t| (!(as_text && t.special)).then_some(t.id)).collect();
        Ok(AddedTokens { matcher, ids })
    }

    /// Calls `piece` with the stretches between tokens (none of them empty) and the tokens, in order.
    pub fn split<'a>(&self, text: &'a str, mut piece: impl FnMut(Piece<'a>)) {
        let mut from = 0;
        if let Some(matcher) = &self.matcher {
            for found in matcher.find_iter(text) {
                let Some(Some(id)) = self.ids.get(found.pattern().as_usize()) else { continue };
                if from < found.start() {
                    piece(Piece::Text(&text[from..found.start()]));
                }
                piece(Piece::Token(*id));
                from = found.end();
            }
        }
        if from < text.len() {
            piece(Piece::Text(&text[from..]));
        }
    }
}
