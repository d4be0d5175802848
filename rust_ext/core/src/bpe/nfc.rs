//! Normalization form C as the reference has it: by the tables of Unicode 9.

use std::borrow::Cow;
use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::LazyLock;

use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{is_nfc_quick, IsNormalized, UnicodeNormalization};

/// Characters that combine, decompose, or compose with the next since a later Unicode. The reference takes each for one
/// that does not, so that a text falls apart before and after it.
#[rustfmt::skip]
const LATER: &[(u32, u32)] = &[
    (0x5c8, 0x5c9), (0x7fd, 0x7fd), (0x897, 0x89f), (0x8ca, 0x8d3), (0x9fe, 0x9fe), (0xc3c, 0xc3c), (0xd3b, 0xd3c),
    (0xeba, 0xeba), (0x1715, 0x1715), (0x1abf, 0x1af0), (0x1df6, 0x1dfa), (0xa82c, 0xa82c), (0x105c9, 0x105c9),
    (0x105d2, 0x105d2), (0x105da, 0x105da), (0x105e4, 0x105e4), (0x10d24, 0x10d27), (0x10d69, 0x10d6d),
    (0x10eab, 0x10eac), (0x10ecb, 0x10ecf), (0x10ef0, 0x10efb), (0x10efd, 0x10eff), (0x10f46, 0x10f50),
    (0x10f82, 0x10f85), (0x11070, 0x11070), (0x1133b, 0x1133b), (0x11382, 0x11385), (0x1138b, 0x1138b),
    (0x1138e, 0x1138e), (0x11390, 0x11391), (0x113b8, 0x113b8), (0x113bb, 0x113bb), (0x113c2, 0x113c2),
    (0x113c5, 0x113c5), (0x113c7, 0x113c9), (0x113ce, 0x113d0), (0x1145e, 0x1145e), (0x11839, 0x1183a),
    (0x11930, 0x11930), (0x11935, 0x11935), (0x11938, 0x11938), (0x1193d, 0x1193e), (0x11943, 0x11943),
    (0x119e0, 0x119e0), (0x11a34, 0x11a34), (0x11a47, 0x11a47), (0x11a99, 0x11a99), (0x11d42, 0x11d42),
    (0x11d44, 0x11d45), (0x11d97, 0x11d97), (0x11f41, 0x11f42), (0x1611e, 0x16129), (0x1612f, 0x1612f),
    (0x16d63, 0x16d63), (0x16d67, 0x16d6a), (0x16ff0, 0x16ff1), (0x1d127, 0x1d128), (0x1d250, 0x1d252),
    (0x1d25b, 0x1d25c), (0x1d25f, 0x1d25f), (0x1d280, 0x1d281), (0x1e08f, 0x1e08f), (0x1e130, 0x1e136),
    (0x1e2ae, 0x1e2ae), (0x1e2ec, 0x1e2ef), (0x1e4ec, 0x1e4ef), (0x1e5ee, 0x1e5ef), (0x1e6e3, 0x1e6e3),
    (0x1e6e6, 0x1e6e6), (0x1e6ee, 0x1e6ef), (0x1e6f5, 0x1e6f5),
];

/// Lead bytes below this one are of characters below U+0300, all inert.
const FIRST_LEAD: u8 = 0xcc;
/// Code points with a bit of their own; those beyond are rare enough for a search.
const TABLE: usize = 0x2_0000;

/// A bit for each code point below TABLE that is not inert: 16 kB, made in 3 ms.
struct Active(Vec<u64>);

impl Active {
    fn get() -> &'static Active {
        static ACTIVE: LazyLock<Active> = LazyLock::new(|| {
            let mut bits = vec![0; TABLE / 64];
            for c in (0..TABLE as u32).filter_map(char::from_u32).filter(|c| is_active(*c)) {
                bits[c as usize / 64] |= 1 << (c as usize % 64);
            }
            Active(bits)
        });
        &ACTIVE
    }

    fn has(&self, c: char) -> bool {
        match self.0.get(c as usize / 64) {
            Some(bits) => bits >> (c as usize % 64) & 1 == 1,
            None => is_active(c),
        }
    }
}

fn is_later(c: char) -> bool {
    let c = c as u32;
    LATER
        .binary_search_by(|(low, high)| {
            if *high < c {
                Less
            } else if *low > c {
                Greater
            } else {
                Equal
            }
        })
        .is_ok()
}

/// Whether a character may change, or change what is before it. Before one that may not, a text can be cut.
fn is_active(c: char) -> bool {
    is_later(c) || canonical_combining_class(c) != 0 || is_nfc_quick(std::iter::once(c)) != IsNormalized::Yes
}

/// `text` in form C. Only active characters are looked at, with the one before them.
pub fn nfc(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let active = Active::get();
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(next) = bytes[at..].iter().position(|b| *b >= FIRST_LEAD) {
        at += next;
        let (first, length) = first_char(text, at);
        if !active.has(first) {
            at += length;
            continue;
        }
        let start = text[copied..at].char_indices().next_back().map_or(at, |(i, _)| copied + i);
        at += length;
        while at < text.len() {
            let (c, length) = first_char(text, at);
            if !active.has(c) {
                break;
            }
            at += length;
        }
        out.push_str(&text[copied..start]);
        push_nfc(&text[start..at], &mut out);
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

fn first_char(text: &str, at: usize) -> (char, usize) {
    text[at..].chars().next().map_or(('\0', 1), |c| (c, c.len_utf8()))
}

fn push_nfc(text: &str, out: &mut String) {
    let mut from = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| is_later(*c)) {
        out.extend(text[from..at].nfc());
        out.push(c);
        from = at + c.len_utf8();
    }
    out.extend(text[from..].nfc());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> String {
        let mut out = String::new();
        push_nfc(text, &mut out);
        out
    }

    #[test]
    fn marks_join_what_is_before_them() {
        assert_eq!(nfc("cafe\u{301} e\u{301}\u{323}"), "caf\u{e9} \u{1eb9}\u{301}");
        assert_eq!(nfc("\u{1112}\u{1161}\u{11ab} \u{ac00}\u{11a8}"), "\u{d55c} \u{ac01}");
        assert_eq!(nfc("\u{212b}\u{2000}\u{301}"), "\u{c5}\u{2002}\u{301}");
        assert_eq!(nfc("\u{301}a\u{301}"), "\u{301}\u{e1}");
    }

    #[test]
    fn what_is_in_form_c_is_not_copied() {
        for text in ["", "plain", "\u{2019}\u{e9}\u{4e2d}\u{ac00}\u{1f600}"] {
            assert!(matches!(nfc(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn what_came_after_unicode_9_stays_as_it_is() {
        for text in ["\u{105d2}\u{307}", "\u{11935}\u{11930}", "a\u{897}\u{323}", "\u{1611e}\u{1611e}\u{1611f}"] {
            assert_eq!(nfc(text), text);
        }
        assert_eq!(nfc("e\u{301}\u{897}e\u{301}"), "\u{e9}\u{897}\u{e9}");
    }

    #[test]
    fn parts_make_the_same_as_the_whole() {
        let some = [
            'a', ' ', '\u{e9}', '\u{301}', '\u{323}', '\u{1100}', '\u{1161}', '\u{11a8}', '\u{ac00}', '\u{897}',
            '\u{2126}', '\u{4e2d}',
        ];
        let mut seed = 7u64;
        for _ in 0..20_000 {
            let text: String = (0..8)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    some[(seed >> 33) as usize % some.len()]
                })
                .collect();
            assert_eq!(nfc(&text), whole(&text), "{text:?}");
        }
    }
}
