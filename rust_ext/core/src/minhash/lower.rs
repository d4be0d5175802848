//! Lower case by Unicode's full mapping, as `str.lower()` of Python has it.

/// The only letter whose lower case depends on its place: σ, and ς at the end of a word.
pub const SIGMA: char = '\u{3a3}';

/// Appends the lower case of `text`.
pub fn push_lower(text: &str, out: &mut Vec<u8>) {
    if text.contains(SIGMA) {
        out.extend_from_slice(text.to_lowercase().as_bytes());
        return;
    }
    let mut utf8 = [0; 4];
    for c in text.chars() {
        each_lower(c, |c| out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()));
    }
}

/// The lower case of a character other than [`SIGMA`]: one, or for İ two.
#[inline]
pub fn each_lower(c: char, mut push: impl FnMut(char)) {
    if c.is_ascii() {
        push(c.to_ascii_lowercase());
    } else if ('\u{3000}'..='\u{a63f}').contains(&c) {
        // Kana and Han, which have no case, without a search.
        push(c);
    } else {
        c.to_lowercase().for_each(push);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lower(text: &str) -> String {
        let mut out = Vec::new();
        push_lower(text, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn letters_with_a_lower_case_of_their_own() {
        assert_eq!(lower("ÀB İ ẞ ΟΔΟΣ"), "àb i\u{307} ß οδος");
        assert!(('\u{3000}'..='\u{a63f}').all(|c| c.to_lowercase().eq([c])));
    }

    proptest! {
        #[test]
        fn equals_that_of_the_standard_library(text in "(\\PC|[ΣΑςİ.a]){0,20}") {
            prop_assert_eq!(lower(&text), text.to_lowercase());
        }
    }
}
