//! The same patterns paragraph by paragraph, as Dolma 1.2.1's `pii_regex_with_counts_fast_v2` applies them.

use memchr::{memchr, memchr_iter};
use regex::Regex;

use super::column::{Column, Kind};
use super::pii::patterns;
use super::text::{count_chars, Text};
use super::Tagger;

/// A text with more question marks than this is not looked at.
const QUESTION_MARKS: usize = 10_000;

/// E-mail addresses, US phone numbers and IPv4 addresses within a paragraph; nothing near a number rules it out.
///
/// `doc_count` is their number and `doc_frac` their share of the characters, -1 without characters. Dolma counts the
/// whole document as one of the spans, so that its `doc_frac` is 1 too high.
pub struct PiiParagraphs {
    email: Option<Regex>,
    phone: Option<Regex>,
    ip: Option<Regex>,
}

impl PiiParagraphs {
    pub fn new() -> Self {
        let [email, phone, ip] = patterns();
        PiiParagraphs { email, phone, ip }
    }
}

impl Tagger for PiiParagraphs {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &[
            ("EMAIL_ADDRESS", Kind::Spans),
            ("PHONE_NUMBER", Kind::Spans),
            ("IP_ADDRESS", Kind::Spans),
            ("doc_count", Kind::Document),
            ("doc_frac", Kind::Document),
        ]
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let [emails, phones, ips, doc_count, doc_frac] = columns else { return };
        let bytes = text.str.as_bytes();
        let (mut count, mut covered) = (0, 0);
        let at_signs = memchr(b'@', bytes).is_some();
        let digits = !text.is_ascii() || bytes.iter().any(u8::is_ascii_digit);
        let looked_at = (at_signs || digits) && memchr_iter(b'?', bytes).count() <= QUESTION_MARKS;
        for paragraph in text.paragraphs().iter().filter(|p| looked_at && !p.blank) {
            let line = text.paragraph(paragraph);
            let mut write = |column: &mut Column, start: usize, end: usize| {
                let chars = |from: usize, to: usize| match text.is_ascii() {
                    true => to - from,
                    false => line.get(from..to).map_or(0, count_chars),
                };
                let first = paragraph.first as usize + chars(0, start);
                let length = chars(start, end);
                column.span(first, first + length, 1.0);
                count += 1;
                covered += length;
            };
            if at_signs && memchr(b'@', line.as_bytes()).is_some() {
                for hit in self.email.iter().flat_map(|p| p.captures_iter(line)) {
                    let [Some(whole), Some(name), Some(domain)] = [hit.get(0), hit.get(1), hit.get(2)] else {
                        continue;
                    };
                    if name.as_str() != "(" && domain.as_str().contains('.') {
                        write(emails, whole.start(), whole.end());
                    }
                }
            }
            if !digits || !may_hold_numbers(line) {
                continue;
            }
            for hit in self.phone.iter().flat_map(|p| p.find_iter(line)) {
                write(phones, hit.start(), hit.end());
            }
            if memchr(b'.', line.as_bytes()).is_some() {
                for hit in self.ip.iter().flat_map(|p| p.find_iter(line)) {
                    write(ips, hit.start(), hit.end());
                }
            }
        }
        doc_count.set(f64::from(count));
        let length = text.chars();
        doc_frac.set(if length == 0 { -1.0 } else { covered as f64 / length as f64 });
    }
}

fn may_hold_numbers(line: &str) -> bool {
    line.bytes().any(|b| b.is_ascii_digit() || b >= 128)
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::LargeStringArray;

    use super::super::tag_texts;
    use super::*;

    fn scores(text: &str) -> (f64, f64) {
        let columns = tag_texts(&mut [Box::new(PiiParagraphs::new())], &LargeStringArray::from(vec![text])).unwrap();
        let score = |i: usize| columns[0][i].as_primitive::<Float64Type>().value(0);
        (score(3), score(4))
    }

    #[test]
    fn the_share_is_that_of_the_spans_alone() {
        assert_eq!(scores("mail a@b.org now"), (1.0, 0.5625));
        assert_eq!(scores(""), (0.0, -1.0));
        assert_eq!(scores("isbn 555 123 4567\n1.2.3.4"), (2.0, 0.8));
    }

    #[test]
    fn a_paragraph_ends_a_pattern_and_question_marks_end_the_search() {
        assert_eq!(scores("x\n555 123 4567"), (0.0, 0.0));
        assert_eq!(scores("z@localhost. "), (0.0, 0.0));
        assert_eq!(scores(&format!("a@b.org {}", "?".repeat(10_000))).0, 1.0);
        assert_eq!(scores(&format!("a@b.org {}", "?".repeat(10_001))).0, 0.0);
    }
}
