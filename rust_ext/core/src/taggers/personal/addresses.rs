//! E-mail and IPv6 addresses, from the `@` or the `:` outwards.

use std::net::Ipv6Addr;

use memchr::memchr_iter;

use super::{word_after, word_before, Find, What};

/// RFC 5321, 4.5.3.1: of the part before the `@`, of a domain, and of one of its labels.
const LOCAL: usize = 64;
const DOMAIN: usize = 253;
const LABEL: usize = 63;
/// The longest form, `ffff:...:255.255.255.255`.
const IPV6: usize = 45;

pub fn emails(text: &str, finds: &mut Vec<Find>) {
    let bytes = text.as_bytes();
    for at in memchr_iter(b'@', bytes) {
        let before = bytes[..at].iter().rev().take(LOCAL + 1).take_while(|b| is_local(**b)).count();
        let mut start = at - before;
        // A quote or a dot before an address is not of it.
        while start < at && matches!(bytes[start], b'.' | b'\'' | b'-') {
            start += 1;
        }
        let local = &bytes[start..at];
        let fits = (1..=LOCAL).contains(&local.len())
            && !local.ends_with(b".")
            && !local.windows(2).any(|w| w == b"..")
            && !word_before(text, start)
            && start.checked_sub(1).is_none_or(|i| bytes[i] != b'@');
        if !fits {
            continue;
        }
        if let Some(end) = domain(text, at + 1) {
            finds.push(Find { start, end, what: What::Email });
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'')
}

/// Where the domain at `start` ends: labels up to the last one of letters, at least two of them.
fn domain(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let length = bytes[start..].iter().take(DOMAIN + 2).take_while(|b| name(b)).count();
    let mut end = start + length;
    while end > start && matches!(bytes[end - 1], b'-' | b'.') {
        end -= 1;
    }
    let labels: Vec<&[u8]> = bytes[start..end].split(|b| *b == b'.').collect();
    let whole = labels.iter().all(|l| (1..=LABEL).contains(&l.len()) && !l.starts_with(b"-") && !l.ends_with(b"-"));
    let top = labels.last().is_some_and(|l| l.len() >= 2 && l.iter().all(u8::is_ascii_alphabetic));
    let ends = end != start + length || (!word_after(text, end) && bytes.get(end) != Some(&b'@'));
    (labels.len() >= 2 && length <= DOMAIN && whole && top && ends).then_some(end)
}

pub fn ipv6(text: &str, finds: &mut Vec<Find>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr_iter(b':', bytes) {
        let next = bytes.get(at + 1).is_some_and(|b| b.is_ascii_hexdigit() || *b == b':');
        if at < done || !next {
            continue;
        }
        let part = |b: &&u8| b.is_ascii_hexdigit() || **b == b':';
        let start = at - bytes[..at].iter().rev().take(IPV6).take_while(part).count();
        let mut end = at;
        end += bytes[at..].iter().take(IPV6 + 1).take_while(|b| part(b) || **b == b'.').count();
        done = end;
        while end > at && (bytes[end - 1] == b'.' || (bytes[end - 1] == b':' && bytes[end - 2] != b':')) {
            end -= 1;
        }
        let address = text.get(start..end).unwrap_or_default();
        if address.len() <= IPV6 && !word_before(text, start) && !word_after(text, end) && is_ipv6(address) {
            finds.push(Find { start, end, what: What::Ipv6 });
        }
    }
}

/// An address that is not `a::b` of a program, nor one of the machine itself: three groups, or a first one of four with
/// a digit in it.
fn is_ipv6(address: &str) -> bool {
    let groups = address.split(':').filter(|g| !g.is_empty());
    let first = address.split(':').next().unwrap_or_default();
    address.parse::<Ipv6Addr>().is_ok()
        && (groups.count() >= 3 || (first.len() == 4 && first.bytes().any(|b| b.is_ascii_digit())))
}
