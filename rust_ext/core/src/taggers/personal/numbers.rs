//! Phone numbers, IPv4 addresses, payment cards, social security numbers and IBANs: whatever has digits.

use super::{iban, word_after, word_before, Find, What};

/// More groups of digits than any number has.
const GROUPS: usize = 8;
const DIGITS: usize = 19;

/// Digits in groups, as they stand from one digit on.
#[derive(Default)]
struct Number {
    digits: [u8; DIGITS],
    count: usize,
    /// For each group: digits up to its end, the byte after it, and what stands before it: a parenthesis if there is one.
    groups: [(usize, usize, u8); GROUPS],
    parts: usize,
}

pub fn numbers(text: &str, finds: &mut Vec<Find>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(gap) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let digit = at + gap;
        match number(text, digit) {
            Some(find) => {
                at = find.end;
                finds.push(find);
            }
            None => at = digit + bytes[digit..].iter().take_while(|b| b.is_ascii_digit()).count(),
        }
    }
}

/// What begins with the run of digits at `at`.
fn number(text: &str, at: usize) -> Option<Find> {
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).map_or(b' ', |i| bytes[i]);
    if before.is_ascii_uppercase() {
        let start = at.checked_sub(2).filter(|s| bytes[*s].is_ascii_uppercase() && !word_before(text, *s))?;
        return iban::end(text, start).map(|end| Find { start, end, what: What::Iban });
    }
    // Attached to what stands before: part of a longer number, a name, a decimal.
    let attached = matches!(before, b'.' | b'-' | b'/' | b',') && word_before(text, at - 1);
    if word_before(text, at) || attached {
        return None;
    }
    let number = Number::read(bytes, at)?;
    let found = |start, parts: usize, what| {
        let end = number.groups[parts - 1].1;
        // A number that goes on after a dot or a dash is another one.
        let more = matches!(bytes.get(end), Some(b'.' | b'-')) && {
            bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric)
        };
        (!word_after(text, end) && !more).then_some(Find { start, end, what })
    };
    if before == b'+' {
        let attached = word_before(text, at - 1);
        return (!attached).then(|| number.international()).flatten().and_then(|p| found(at - 1, p, What::Phone));
    }
    let card = number.card().and_then(|parts| found(at, parts, What::Card));
    let ssn = || number.ssn().and_then(|parts| found(at, parts, What::Ssn));
    let ipv4 = || number.ipv4().and_then(|parts| found(at, parts, What::Ipv4));
    let phone = || {
        let start = at - usize::from(before == b'(');
        number.american(before == b'(').and_then(|parts| found(start, parts, What::Phone))
    };
    card.or_else(ssn).or_else(ipv4).or_else(phone)
}

impl Number {
    /// None with fewer than four digits.
    fn read(bytes: &[u8], start: usize) -> Option<Number> {
        let mut number = Number::default();
        let (mut at, mut separator) = (start, 0);
        while number.parts < GROUPS {
            let first = number.count;
            while let Some(digit) = bytes.get(at).filter(|b| b.is_ascii_digit()) {
                let Some(place) = number.digits.get_mut(number.count) else {
                    // Too long a number, or what is before it is one.
                    number.count = first;
                    return (first >= 4).then_some(number);
                };
                *place = digit - b'0';
                number.count += 1;
                at += 1;
            }
            number.groups[number.parts] = (number.count, at, separator);
            number.parts += 1;
            let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
            // Between groups: one character, or a parenthesis with a space or a dash.
            let width = match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b' ' | b'-' | b'.' | b'(' | b')'), _) if digit(at + 1) => 1,
                (Some(b')'), Some(b' ' | b'-')) | (Some(b' '), Some(b'(')) if digit(at + 2) => 2,
                _ => break,
            };
            separator = if bytes[at..at + width].contains(&b'(') { b'(' } else { bytes[at] };
            at += width;
        }
        (number.count >= 4).then_some(number)
    }

    /// Digits and separators of the first groups.
    fn shape(&self) -> impl Iterator<Item = (usize, u8)> + '_ {
        let before = |i: usize| i.checked_sub(1).map_or(0, |i| self.groups[i].0);
        self.groups[..self.parts].iter().enumerate().map(move |(i, g)| (g.0 - before(i), g.2))
    }

    /// Whether the first groups have these lengths.
    fn starts_with(&self, lengths: &[usize]) -> bool {
        self.parts >= lengths.len() && self.shape().zip(lengths).all(|((found, _), length)| found == *length)
    }

    fn value(&self, from: usize, to: usize) -> u32 {
        self.digits[from..to].iter().fold(0, |value, digit| value * 10 + u32::from(*digit))
    }

    /// Separators after the first group, up to `parts`.
    fn separated_by(&self, parts: usize, allowed: &[u8]) -> bool {
        let separators = || self.groups[1..parts].iter().map(|g| g.2);
        separators().all(|s| allowed.contains(&s)) && separators().all(|s| s == self.groups[1].2)
    }

    fn ipv4(&self) -> Option<usize> {
        let dotted = self.parts >= 4 && self.separated_by(4, b".");
        let bytes = || {
            let mut start = 0;
            self.groups[..4].iter().all(|(end, ..)| {
                let from = std::mem::replace(&mut start, *end);
                let length = end - from;
                length <= 3 && self.value(from, *end) <= 255 && (length == 1 || self.digits[from] != 0)
            })
        };
        (dotted && bytes()).then_some(4)
    }

    fn ssn(&self) -> Option<usize> {
        let shaped = self.starts_with(&[3, 2, 4]) && self.separated_by(3, b"-");
        let area = || self.value(0, 3);
        let valid = || !matches!(area(), 0 | 666 | 900..) && self.value(3, 5) != 0 && self.value(5, 9) != 0;
        (shaped && valid()).then_some(3)
    }

    /// Ten digits in groups of 3, 3 and 4, the first two not below 200; a 1 may come first, the first three may stand in
    /// parentheses.
    fn american(&self, opened: bool) -> Option<usize> {
        let one = self.starts_with(&[1, 3, 3, 4]) && self.digits[0] == 1;
        let (lengths, first): (&[usize], usize) = if one { (&[1, 3, 3, 4], 1) } else { (&[3, 3, 4], 0) };
        let plain = |group: usize| matches!(self.groups[group].2, b' ' | b'.' | b'-');
        let closed = self.groups[first + 1].2 == b')';
        let open = if one { self.groups[1].2 == b'(' } else { opened };
        let valid = self.starts_with(lengths)
            && self.value(first, first + 3) >= 200
            && self.value(first + 3, first + 6) >= 200
            && open == closed
            && (closed || plain(first + 1))
            && plain(first + 2)
            && (!one || (!opened && (open || plain(1))));
        valid.then_some(lengths.len())
    }

    /// After a plus: as many groups as make 8 to 15 digits, the first of them not 0; after +1 eleven.
    fn international(&self) -> Option<usize> {
        let (least, most) = if self.digits[0] == 1 { (11, 11) } else { (8, 15) };
        let parts = self.groups[..self.parts].iter().take_while(|(end, ..)| *end <= most).count();
        (parts > 0 && self.digits[0] != 0 && self.groups[parts - 1].0 >= least).then_some(parts)
    }

    fn card(&self) -> Option<usize> {
        let parts = [&[4, 4, 4, 4][..], &[4, 6, 5], &[4, 6, 4]]
            .into_iter()
            .find(|lengths| self.starts_with(lengths) && self.separated_by(lengths.len(), b" -"))
            .map_or(1, <[usize]>::len);
        let count = self.groups[parts - 1].0;
        let prefix = |digits: usize| self.value(0, digits);
        if count < 13 {
            return None;
        }
        let issued = match count {
            13 => prefix(1) == 4,
            14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
            15 => matches!(prefix(2), 34 | 37),
            16 => {
                prefix(1) == 4
                    || matches!(prefix(2), 51..=55 | 62 | 65)
                    || matches!(prefix(3), 644..=649)
                    || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
            }
            _ => (prefix(1) == 4 && count == 19) || matches!(prefix(2), 62 | 65),
        };
        (issued && luhn(&self.digits[..count])).then_some(parts)
    }
}

/// Every second digit from the right doubled, its digits added: the sum ends in 0.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match i % 2 {
            0 => u32::from(*digit),
            _ => u32::from(digit / 5 + digit * 2 % 10),
        })
        .sum();
    sum.is_multiple_of(10)
}
