//! Documents to tokens, a batch at a time.

use arrow_array::{Array, LargeStringArray};

use super::words::class_edges;
use super::Encoder;
use crate::taggers::chars::python_strip;

/// The tokens of all documents one after the other and, for each document, how many they are and the UTF-8 bytes of
/// its text as it was encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub ids: Vec<u32>,
    pub lengths: Vec<i64>,
    pub text_bytes: Vec<i64>,
}

/// What is done with a text besides encoding it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edges {
    /// As Python's `str.strip`.
    pub strip: bool,
    /// Put before and after a document, unless it begins or ends with them already.
    pub bos: Option<u32>,
    pub eos: Option<u32>,
}

/// Encodes each text. One of which nothing remains, like a null, has no token at all.
pub fn encode(encoder: &mut Encoder, texts: &LargeStringArray, edges: Edges) -> Encoded {
    let Edges { strip, bos, eos } = edges;
    let mut out = Encoded {
        // English has about 4.5 bytes a token, code 3.
        ids: Vec::with_capacity(texts.value_data().len() / 3),
        lengths: Vec::with_capacity(texts.len()),
        text_bytes: Vec::with_capacity(texts.len()),
    };
    for text in texts.iter() {
        let text = text.unwrap_or_default();
        let text = if strip { python_strip(text) } else { text };
        let start = out.ids.len();
        out.ids.extend(bos);
        let first = out.ids.len();
        encoder.encode(text, &mut out.ids);
        if out.ids.len() == first {
            out.ids.truncate(start);
        } else {
            if eos.is_some() && out.ids.last().copied() != eos {
                out.ids.extend(eos);
            }
            if bos.is_some() && out.ids.get(first).copied() == bos {
                out.ids.remove(start);
            }
        }
        out.lengths.push((out.ids.len() - start) as i64);
        out.text_bytes.push(text.len() as i64);
    }
    out
}

/// A text with every character at which a class begins or ends, in the company of a letter, a digit and a space: an
/// engine whose tables are of another Unicode version cuts it differently. About 50 kB.
pub fn probe() -> String {
    let mut text = String::new();
    for c in class_edges() {
        text.extend(['a', c, '1', c, ' ', c]);
    }
    text
}
