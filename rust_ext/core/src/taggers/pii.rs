//! Personal data by regular expression, with the definitions of Dolma 1.2.1's `pii_regex_v1`, `pii_regex_v2` and
//! `pii_regex_with_counts_v2`.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr, memchr_iter, memmem};
use regex::Regex;

use super::chars::NUMBER;
use super::column::{Column, Kind};
use super::text::{count_chars, Text, Word};
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
        let mut count = find(&self.email, text, email_places(text.str), emails, is_email);
        count += find(&self.phone, text, phone_places(text), phones, is_personal);
        count += find(&self.ip, text, ip_places(text), ips, is_personal);
        let words = text.words().len();
        doc.set(if words == 0 { -1.0 } else { count as f64 / words as f64 });
        if let [column] = doc_count {
            column.set(count as f64);
        }
    }
}

/// Writes the matches in `places` that `holds(text, start, end)` lets pass; how many.
fn find(
    pattern: &Option<Regex>,
    text: &Text<'_>,
    places: impl Iterator<Item = Range<usize>>,
    out: &mut Column,
    holds: fn(&str, usize, usize) -> bool,
) -> usize {
    let Some(pattern) = pattern else { return 0 };
    let (mut count, mut byte, mut char) = (0, 0, 0);
    for hit in hits(pattern, text.str, places).filter(|hit| holds(text.str, hit.start, hit.end)) {
        char += chars_between(text, byte, hit.start);
        let length = chars_between(text, hit.start, hit.end);
        out.span(char, char + length, 1.0);
        (byte, char) = (hit.end, char + length);
        count += 1;
    }
    count
}

/// Matches within each of `places`, which ascend and do not overlap.
fn hits<'a>(
    pattern: &'a Regex,
    text: &'a str,
    places: impl Iterator<Item = Range<usize>> + 'a,
) -> impl Iterator<Item = Range<usize>> + 'a {
    places.flat_map(move |place| {
        let found = pattern.find_iter(text.get(place.clone()).unwrap_or_default());
        found.map(move |hit| place.start + hit.start()..place.start + hit.end())
    })
}

/// Where an e-mail address may be: around each `@`, to the left the characters of a name and all that [`EMAIL`] takes
/// before it, to the right all up to two characters of white space. Places that touch are one, so that what the
/// pattern would choose in the whole text lies in one of them. Searching the whole text takes five times as long.
fn email_places(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut ats = memchr_iter(b'@', text.as_bytes()).peekable();
    let mut before = 0;
    std::iter::from_fn(move || {
        let first = ats.next()?;
        let start = start_of_email(text, before, first);
        let mut end = end_of_email(text, first);
        while let Some(at) = ats.peek().copied() {
            if at >= end {
                if start_of_email(text, end, at) > end {
                    break;
                }
                end = end_of_email(text, at);
            }
            ats.next();
        }
        before = end;
        Some(start..end)
    })
}

/// The first byte, `from` or later, of what may be the beginning of a match whose name ends at `at`.
fn start_of_email(text: &str, from: usize, at: usize) -> usize {
    let before = text.get(from..at).unwrap_or_default();
    let unnamed = before.trim_end_matches(|c| !is_blank(c) && c != '@');
    from + unnamed.trim_end_matches(|c| is_blank(c) || ".@,?!;:)(".contains(c)).len()
}

/// After the first white space that follows `at`, and one character more.
fn end_of_email(text: &str, at: usize) -> usize {
    let after = text.get(at..).unwrap_or_default();
    match after.find(is_blank) {
        Some(blank) => at + blank + after.get(blank..).map_or(0, |rest| rest.chars().take(2).map(char::len_utf8).sum()),
        None => text.len(),
    }
}

/// White space of [`EMAIL`].
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Where a phone number may be: the digits, white space and punctuation around seven digits that stand as [`PHONE`] has
/// its last seven. Where a word has letters or digits beyond ASCII beside digits, the whole text.
fn phone_places<'a>(text: &'a Text<'_>) -> impl Iterator<Item = Range<usize>> + 'a {
    let bytes = text.str.as_bytes();
    let numbers = || text.words().iter().filter(|w| w.classes & NUMBER != 0);
    let whole = numbers().any(|w| !is_short(w)).then_some(0..text.str.len());
    let mut before = 0;
    let places = numbers().filter_map(move |word| {
        let at = seven_digits(bytes, word)?;
        if at < before {
            return None;
        }
        let of_number = |c: char| c.is_ascii_digit() || "()-. ".contains(c) || is_blank(c);
        let left = text.str.get(before..at)?.trim_end_matches(of_number).len();
        let right = text.str.get(at..)?.find(|c| !of_number(c)).map_or(text.str.len(), |length| at + length);
        let place = before + left..right;
        before = right;
        Some(place)
    });
    let some = if whole.is_none() { usize::MAX } else { 0 };
    whole.into_iter().chain(places.take(some))
}

/// A place in `word` where four digits begin that three others precede, as close as a number has them.
fn seven_digits(bytes: &[u8], word: &Word) -> Option<usize> {
    let mut digits = 0;
    for (at, byte) in bytes.iter().enumerate().take(word.end as usize).skip(word.start as usize) {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        if digits >= 7 || (digits == 4 && three_digits_before(bytes, at - 3)) {
            return Some(at - 3);
        }
    }
    None
}

fn three_digits_before(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(4).and_then(|from| bytes.get(from..at));
    matches!(before, Some([a, b, c, b'-' | b'.' | b' ']) if [a, b, c].into_iter().all(u8::is_ascii_digit))
}

/// One byte per character.
fn is_short(word: &Word) -> bool {
    word.chars == word.end - word.start
}

/// Words with digits and three dots: no address goes beyond a word.
fn ip_places<'a>(text: &'a Text<'_>) -> impl Iterator<Item = Range<usize>> + 'a {
    let numbers = text.words().iter().filter(|w| w.classes & NUMBER != 0 && w.end - w.start >= 7);
    numbers.filter(|w| memchr_iter(b'.', text.bytes(w)).nth(2).is_some()).map(|w| w.start as usize..w.end as usize)
}

fn chars_between(text: &Text<'_>, from: usize, to: usize) -> usize {
    if text.is_ascii() {
        return to - from;
    }
    text.str.get(from..to).map_or(0, count_chars)
}

/// The first piece between `@` is more than an opening parenthesis, and the second has a dot.
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
    use proptest::prelude::*;

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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Looking at some places only finds what looking everywhere does.
        #[test]
        fn places_hold_every_match(
            text in "([ab.@,?(): \n\x1c#é٣0-9]|\\.@\\. | \\(?555\\)? ?[-.]?[0-9٣]{3}[-. ]?[0-9]{4}|é?a@b\\.c|1?10\\.0\\.255\\.[0-9]{1,3}|doi){0,25}",
        ) {
            let view = Text::new(&text);
            let [email, phone, ip] = patterns().map(Option::unwrap);
            let whole = |pattern: &Regex| pattern.find_iter(&text).map(|hit| hit.range()).collect::<Vec<_>>();
            let within = |pattern: &Regex, places: Vec<Range<usize>>| hits(pattern, &text, places.into_iter()).collect::<Vec<_>>();
            let places: Vec<_> = email_places(&text).collect();
            prop_assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", places);
            prop_assert_eq!(within(&email, places), whole(&email));
            prop_assert_eq!(within(&ip, ip_places(&view).collect()), whole(&ip));
            prop_assert_eq!(within(&phone, phone_places(&view).collect()), whole(&phone));
        }
    }
}
