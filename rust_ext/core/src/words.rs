//! Where the words of texts are.

use arrow_array::builder::Int64Builder;
use arrow_array::{Array, Int64Array, LargeStringArray};
use unicode_segmentation::UnicodeSegmentation;

/// Words in texts that stand one after the other.
pub struct WordSpans {
    /// Words of each text.
    pub counts: Int64Array,
    /// Bytes from the beginning of the first text to that of each word, and to its end.
    pub starts: Int64Array,
    pub ends: Int64Array,
}

/// The segments of UAX #29 that hold a letter or a number.
pub fn word_spans(texts: &LargeStringArray) -> WordSpans {
    let mut counts = Int64Builder::with_capacity(texts.len());
    let (mut starts, mut ends) = (Int64Builder::new(), Int64Builder::new());
    let mut base = 0;
    for text in texts {
        let text = text.unwrap_or_default();
        let mut count = 0;
        let mut word = |start: usize, end: usize| {
            starts.append_value(base + start as i64);
            ends.append_value(base + end as i64);
            count += 1;
        };
        if text.is_ascii() {
            ascii(text.as_bytes(), &mut word);
        } else {
            text.unicode_word_indices().for_each(|(start, found)| word(start, start + found.len()));
        }
        counts.append_value(count);
        base += text.len() as i64;
    }
    WordSpans { counts: counts.finish(), starts: starts.finish(), ends: ends.finish() }
}

/// Letters, digits and `_` go together, with one of `:.'` between letters or `,;.'` between digits.
fn ascii(text: &[u8], word: &mut impl FnMut(usize, usize)) {
    let at = |i: usize| text.get(i).copied().unwrap_or(0);
    let mut i = 0;
    while i < text.len() {
        let start = i;
        let mut alphanumeric = false;
        loop {
            let byte = at(i);
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                alphanumeric |= byte != b'_';
                i += 1;
            } else if i > start && joins(at(i - 1), byte, at(i + 1)) {
                i += 1;
            } else {
                break;
            }
        }
        if alphanumeric {
            word(start, i);
        }
        i = i.max(start + 1);
    }
}

fn joins(before: u8, middle: u8, after: u8) -> bool {
    match middle {
        b'.' | b'\'' => {
            (before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
                || (before.is_ascii_digit() && after.is_ascii_digit())
        }
        b':' => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        b',' | b';' => before.is_ascii_digit() && after.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(texts: &[&str]) -> (Vec<i64>, Vec<String>) {
        let spans = word_spans(&LargeStringArray::from(texts.to_vec()));
        let all = texts.concat();
        let words = spans.starts.values().iter().zip(spans.ends.values());
        (spans.counts.values().to_vec(), words.map(|(s, e)| all[*s as usize..*e as usize].to_owned()).collect())
    }

    #[test]
    fn words_of_texts_in_a_row() {
        let (counts, words) = found(&["Don't stop: 3.14, a_b!", "", "naïve 字字 — ", "..."]);
        assert_eq!(counts, [4, 0, 3, 0]);
        assert_eq!(words, ["Don't", "stop", "3.14", "a_b", "naïve", "字", "字"]);
    }

    proptest! {
        #[test]
        fn ascii_words_are_those_of_the_crate(text in "[a-zA-C0-9_.,:;'\" \r\n\t$-]{0,40}") {
            let expected: Vec<&str> = text.unicode_words().collect();
            prop_assert_eq!(found(&[&text]).1, expected);
        }
    }
}
