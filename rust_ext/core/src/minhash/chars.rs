//! Tokens of the unit `chars`: code points.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

use super::lower::{each_lower, SIGMA};
use crate::taggers::chars::is_python_space;

/// Appends the hashes of the code points of the lower-cased `text`, every run of white space (that of Python's
/// `str.split()`) as one blank and none at its ends.
pub fn push_chars(text: &str, tokens: &mut Vec<u64>) {
    if text.contains(SIGMA) {
        push(&text.to_lowercase(), tokens);
    } else {
        push(text, tokens);
    }
}

fn push(text: &str, tokens: &mut Vec<u64>) {
    static ASCII: LazyLock<[u64; 128]> = LazyLock::new(|| std::array::from_fn(|c| xxh3_64(&[c as u8])));
    let ascii = &*ASCII;
    let (mut blank, mut begun, mut utf8) = (false, false, [0; 4]);
    for c in text.chars() {
        if is_python_space(c) {
            blank = begun;
            continue;
        }
        if blank {
            tokens.push(ascii[usize::from(b' ')]);
        }
        (blank, begun) = (false, true);
        each_lower(c, |c| {
            let hash = ascii.get(c as usize).copied();
            tokens.push(hash.unwrap_or_else(|| xxh3_64(c.encode_utf8(&mut utf8).as_bytes())));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &str) -> Vec<u64> {
        let mut tokens = Vec::new();
        push_chars(text, &mut tokens);
        tokens
    }

    #[test]
    fn white_space_is_one_blank() {
        let of = |chars: &str| chars.chars().map(|c| xxh3_64(c.to_string().as_bytes())).collect::<Vec<_>>();
        assert_eq!(hashes(" \u{3000}A\r\n\t b\u{1c}É字 "), of("a b é字"));
        assert_eq!(hashes("ΟΔΟΣ Σ"), of("οδος σ"));
        assert_eq!(hashes(" \n"), [0u64; 0]);
        assert_eq!(hashes(""), [0u64; 0]);
    }
}
