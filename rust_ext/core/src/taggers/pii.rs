//! Personal data by regular expression, with the definitions of Dolma 1.2.1's `pii_regex_v1`, `pii_regex_v2` and
//! `pii_regex_with_counts_v2`.

use std::sync::LazyLock;

use memchr::{memchr, memmem};
use regex::Regex;

use super::column::{Column, Kind};
use super::text::{count_chars, Text};
use super::Tagger;

/// Code points on either side of a number in which a word may show that it is no personal one.
const WINDOW: usize = 100;

/// E-mail addresses, US phone numbers and IPv4 addresses; `doc` is their number per word, -1 without words.
///
/// A span holds the white space and punctuation that its pattern needs around it, so an address at the very end of a
/// text is not found. An address needs a dot in its domain; `isbn`, `doi` or `#` close to a number rule it out. The
/// rule against phone numbers in documents with a URL never applies in Dolma 1.2.1, nor does it here. Of a text without
/// words Dolma's `pii_regex_v1` and `pii_regex_with_counts_v2` make a division by zero.
pub struct Pii {
    counted: bool,
    email: Option<Regex>,
    phone: Option<Regex>,
    ip: Option<Regex>,
}

/// Python's `\s` has four characters more than that of this engine. Matching is linear in the text all the same.
pub(super) const EMAIL: &str =
    r"[.\s\x1c-\x1f@,?!;:)(]*([^\s\x1c-\x1f@]+)@([^\s\x1c-\x1f@,?!;:)(]+?)[.\s\x1c-\x1f@,?!;:)(]?[\s\x1c-\x1f]";
pub(super) const PHONE: &str = r"[\s\x1c-\x1f]+\(?\d{3}\)?[-. ]*\d{3}[-. ]?\d{4}";
pub(super) const IP: &str =
    r"(?:(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)";

impl Pii {
    pub fn new() -> Self {
        let [email, phone, ip] = patterns();
        Pii { counted: false, email, phone, ip }
    }

    /// The number of spans as `doc_count`, too.
    pub fn with_counts() -> Self {
        Pii { counted: true, ..Pii::new() }
    }
}

/// Compiled once; the copies have working memory of their own.
pub(super) fn patterns() -> [Option<Regex>; 3] {
    static COMPILED: LazyLock<[Option<Regex>; 3]> = LazyLock::new(|| [EMAIL, PHONE, IP].map(|p| Regex::new(p).ok()));
    COMPILED.clone()
}

impl Tagger for Pii {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        const ALL: &[(&str, Kind)] = &[
            ("EMAIL_ADDRESS", Kind::Spans),
            ("PHONE_NUMBER", Kind::Spans),
            ("IP_ADDRESS", Kind::Spans),
            ("doc", Kind::Document),
            ("doc_count", Kind::Document),
        ];
        &ALL[..if self.counted { 5 } else { 4 }]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [emails, phones, ips, doc, doc_count @ ..] = columns else { return };
        let bytes = text.str.as_bytes();
        let mut count = 0;
        if memchr(b'@', bytes).is_some() {
            count += find(&self.email, text, emails, is_email);
        }
        let ascii_digit = bytes.iter().any(u8::is_ascii_digit);
        if ascii_digit || !text.is_ascii() {
            count += find(&self.phone, text, phones, is_personal);
        }
        if ascii_digit && memchr(b'.', bytes).is_some() {
            count += find(&self.ip, text, ips, is_personal);
        }
        let words = text.words().len();
        doc.set(if words == 0 { -1.0 } else { count as f64 / words as f64 });
        if let [column] = doc_count {
            column.set(count as f64);
        }
    }
}

/// Writes the matches that `holds(text, start, end)` lets pass; how many.
fn find(pattern: &Option<Regex>, text: &Text<'_>, out: &mut Column, holds: fn(&str, usize, usize) -> bool) -> usize {
    let (mut count, mut byte, mut char) = (0, 0, 0);
    for hit in pattern.iter().flat_map(|p| p.find_iter(text.str)) {
        if !holds(text.str, hit.start(), hit.end()) {
            continue;
        }
        char += chars_between(text, byte, hit.start());
        let length = chars_between(text, hit.start(), hit.end());
        out.span(char, char + length, 1.0);
        (byte, char) = (hit.end(), char + length);
        count += 1;
    }
    count
}

fn chars_between(text: &Text<'_>, from: usize, to: usize) -> usize {
    if text.is_ascii() {
        return to - from;
    }
    text.str.get(from..to).map_or(0, count_chars)
}

/// Of the pieces between `@`, the first is more than an opening parenthesis and the second has a dot.
fn is_email(text: &str, start: usize, end: usize) -> bool {
    let mut pieces = text.get(start..end).unwrap_or_default().split('@');
    let name = pieces.next().unwrap_or_default();
    let domain = pieces.next().unwrap_or_default();
    super::chars::python_strip(name) != "(" && domain.contains('.')
}

fn is_personal(text: &str, start: usize, end: usize) -> bool {
    let (before, after) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let from = before.char_indices().rev().nth(WINDOW - 1).map_or(0, |(at, _)| at);
    let to = after.char_indices().nth(WINDOW).map_or(text.len(), |(at, _)| end + at);
    let context = text.get(from..to).unwrap_or_default().as_bytes();
    memchr(b'#', context).is_none() && ["isbn", "doi"].iter().all(|w| memmem::find(context, w.as_bytes()).is_none())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::LargeStringArray;

    use super::super::tag_texts;
    use super::*;

    /// (start, end) of e-mail addresses, phone numbers and IP addresses, and the score of the document.
    fn tag(text: &str) -> ([Vec<(i64, i64)>; 3], f64) {
        let texts = LargeStringArray::from(vec![text]);
        let columns = tag_texts(&mut [Box::new(Pii::new())], &texts).unwrap();
        let spans = [0, 1, 2].map(|i| {
            let fields = columns[0][i].as_list::<i32>().value(0);
            let of = |j| fields.as_struct().column(j).as_primitive::<Int64Type>().values().to_vec();
            of(0).into_iter().zip(of(1)).collect()
        });
        (spans, columns[0][3].as_primitive::<Float64Type>().value(0))
    }

    #[test]
    fn finds_each_kind_with_what_surrounds_it() {
        let text = "é ask (a.b@c.org) or 555-123-4567 or 10.0.0.1 now";
        assert_eq!(tag(text), ([vec![(5, 18)], vec![(20, 33)], vec![(37, 45)]], 0.375));
        assert_eq!(tag("a@b.c"), ([vec![], vec![], vec![]], 0.0));
        assert_eq!(tag("a@b.c\u{1c}"), ([vec![(0, 6)], vec![], vec![]], 1.0));
        assert_eq!(tag(" \n").1, -1.0);
    }

    #[test]
    fn addresses_without_a_dot_or_a_name_do_not_count() {
        assert_eq!(tag("a@b c").1, 0.0);
        assert_eq!(tag("@a@b.c ").1, 0.0);
        assert_eq!(tag("x ( @b.c ").1, 0.0);
    }

    #[test]
    fn what_stands_near_a_number_counts_to_the_character() {
        let far = |gap: usize| format!("#{} 555 123 4567", "é".repeat(gap));
        assert_eq!(tag(&far(99)).1, 0.0);
        assert_eq!(tag(&far(100)).0[1], [(101, 114)]);
        let after = |gap: usize| format!("1.2.3.4{}doi", " ".repeat(gap));
        assert_eq!(tag(&after(97)).0[2], []);
        assert_eq!(tag(&after(98)).0[2], [(0, 7)]);
    }
}
