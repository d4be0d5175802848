//! Personal data and secrets, each checked by the rules of its kind: check digits, issuers, ranges, prefixes.

mod addresses;
mod iban;
mod keys;
mod numbers;

use super::column::{Column, Kind};
use super::text::{count_chars, Text};
use super::Tagger;

/// What a [`Find`] is, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Email,
    Phone,
    Ipv4,
    Ipv6,
    Iban,
    Card,
    Ssn,
    Key,
}

/// Bytes `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Find {
    pub start: usize,
    pub end: usize,
    pub what: What,
}

/// `pii_v1`: spans that are exactly the address, number or key, without what surrounds them, and never overlap.
///
/// E-mail addresses (RFC 5321 without quotes, a top-level domain of letters); phone numbers, international after a plus
/// (E.164: 8 to 15 digits) or of ten digits in groups as in North America; IPv4 and IPv6 addresses; IBANs (length of the
/// country, mod 97); payment cards (issuer, length, Luhn); US social security numbers; keys with the prefix of their
/// issuer (AWS, GitHub, GitLab, Google, npm, Slack, Stripe), JSON web tokens and PEM private keys.
#[derive(Default)]
pub struct Personal {
    finds: Vec<Find>,
}

impl Tagger for Personal {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[
            ("EMAIL_ADDRESS", Kind::Spans),
            ("PHONE_NUMBER", Kind::Spans),
            ("IPV4", Kind::Spans),
            ("IPV6", Kind::Spans),
            ("IBAN", Kind::Spans),
            ("CREDIT_CARD", Kind::Spans),
            ("US_SSN", Kind::Spans),
            ("API_KEY", Kind::Spans),
            ("doc_count", Kind::Document),
            ("doc_frac", Kind::Document),
        ]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [spans @ .., doc_count, doc_frac] = columns else { return };
        self.finds.clear();
        addresses::emails(text.str, &mut self.finds);
        addresses::ipv6(text.str, &mut self.finds);
        numbers::numbers(text.str, &mut self.finds);
        keys::keys(text.str, &mut self.finds);
        // Where two overlap, the one that begins first stays, and among those the longest.
        self.finds.sort_unstable_by_key(|f| (f.start, usize::MAX - f.end, f.what));
        let (mut byte, mut char, mut count, mut covered) = (0, 0, 0u32, 0);
        for find in &self.finds {
            if find.start < byte {
                continue;
            }
            let chars = |from, to| match text.is_ascii() {
                true => to - from,
                false => text.str.get(from..to).map_or(0, count_chars),
            };
            let start = char + chars(byte, find.start);
            let end = start + chars(find.start, find.end);
            if let Some(column) = spans.get_mut(find.what as usize) {
                column.span(start, end, 1.0);
            }
            (byte, char) = (find.end, end);
            count += 1;
            covered += end - start;
        }
        doc_count.set(f64::from(count));
        doc_frac.set(if covered == 0 { 0.0 } else { covered as f64 / text.chars() as f64 });
    }
}

/// Whether the character that ends at `at` is a letter or a digit, or an underscore.
fn word_before(text: &str, at: usize) -> bool {
    match at.checked_sub(1).map(|i| text.as_bytes()[i]) {
        None => false,
        Some(byte) if byte < 128 => is_word(byte),
        Some(_) => text.get(..at).and_then(|t| t.chars().next_back()).is_some_and(char::is_alphanumeric),
    }
}

/// The same of the character at `at`.
fn word_after(text: &str, at: usize) -> bool {
    match text.as_bytes().get(at) {
        None => false,
        Some(byte) if *byte < 128 => is_word(*byte),
        Some(_) => text.get(at..).and_then(|t| t.chars().next()).is_some_and(char::is_alphanumeric),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests;
