//! Secrets that their issuers mark with a prefix.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;

use super::{word_before, Find, What};

/// What follows a prefix.
enum Body {
    /// So many characters of the alphabet, no more.
    Exactly(usize, fn(u8) -> bool),
    AtLeast(usize, fn(u8) -> bool),
    /// Three parts of base64 with dots between them, the second one JSON too.
    WebToken,
    /// Up to the line that ends it, if there is one.
    Pem,
}

use Body::{AtLeast, Exactly, Pem, WebToken};

const PREFIXES: [(&str, Body); 20] = [
    ("AKIA", Exactly(16, is_capital)),
    ("ASIA", Exactly(16, is_capital)),
    ("ghp_", Exactly(36, is_alphanumeric)),
    ("gho_", Exactly(36, is_alphanumeric)),
    ("ghu_", Exactly(36, is_alphanumeric)),
    ("ghs_", Exactly(36, is_alphanumeric)),
    ("ghr_", Exactly(36, is_alphanumeric)),
    ("github_pat_", Exactly(82, super::is_word)),
    ("glpat-", Exactly(20, is_url_safe)),
    ("npm_", Exactly(36, is_alphanumeric)),
    ("AIza", Exactly(35, is_url_safe)),
    ("sk_live_", AtLeast(16, is_alphanumeric)),
    ("rk_live_", AtLeast(16, is_alphanumeric)),
    ("xoxa-", AtLeast(10, is_dashed)),
    ("xoxb-", AtLeast(10, is_dashed)),
    ("xoxp-", AtLeast(10, is_dashed)),
    ("xoxr-", AtLeast(10, is_dashed)),
    ("xoxs-", AtLeast(10, is_dashed)),
    ("eyJ", WebToken),
    ("-----BEGIN ", Pem),
];

/// More bytes than what stands between the dashes of a first line, and those after it.
const PEM_NAME: usize = 48;

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_url_safe(byte: u8) -> bool {
    super::is_word(byte) || byte == b'-'
}

fn is_dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

pub fn keys(text: &str, finds: &mut Vec<Find>) {
    static SEARCH: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::new(PREFIXES.iter().map(|(prefix, _)| prefix)).ok());
    let mut done = 0;
    for hit in SEARCH.iter().flat_map(|s| s.find_iter(text)) {
        let Some((_, body)) = PREFIXES.get(hit.pattern().as_usize()) else { continue };
        let begins = match body {
            Pem => true,
            // It may have dashes in it: one that begins after a dash is looked at once, from the front.
            WebToken => !word_before(text, hit.start()) && !text[..hit.start()].ends_with('-'),
            _ => !word_before(text, hit.start()),
        };
        if hit.start() < done || !begins {
            continue;
        }
        if let Some(end) = body.end(text.as_bytes(), hit.end()) {
            done = end;
            finds.push(Find { start: hit.start(), end, what: What::Key });
        }
    }
}

fn run(bytes: &[u8], at: usize, holds: fn(u8) -> bool) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|b| holds(**b)).count()
}

impl Body {
    /// Where the secret ends whose prefix ends at `at`.
    fn end(&self, bytes: &[u8], at: usize) -> Option<usize> {
        match self {
            Exactly(length, holds) => {
                let run = bytes.get(at..)?.iter().take(length + 1).take_while(|b| holds(**b)).count();
                let more = bytes.get(at + run).is_some_and(|b| super::is_word(*b));
                (run == *length && !more).then_some(at + run)
            }
            AtLeast(length, holds) => {
                let mut run = run(bytes, at, *holds);
                while run > 0 && bytes[at + run - 1] == b'-' {
                    run -= 1;
                }
                (run >= *length).then_some(at + run)
            }
            WebToken => {
                let first = at + run(bytes, at, is_url_safe);
                let second = bytes.get(first..)?.strip_prefix(b".eyJ").map(|_| first + 4)?;
                let third = second + run(bytes, second, is_url_safe);
                let length = bytes.get(third..)?.strip_prefix(b".").map(|_| run(bytes, third + 1, is_url_safe))?;
                (length > 0 && third > second && first > at).then_some(third + 1 + length)
            }
            Pem => {
                let rest = bytes.get(at..)?;
                let line = rest.get(..PEM_NAME).unwrap_or(rest);
                let name = line.get(..memmem::find(line, b"-----")?)?;
                if !(name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK")) {
                    return None;
                }
                let header = at + name.len() + 5;
                let last = [b"-----END ".as_slice(), name, b"-----"].concat();
                let begin =
                    memmem::find(&bytes[header..], b"-----").filter(|gap| bytes[header + gap..].starts_with(&last));
                Some(begin.map_or(header, |gap| header + gap + last.len()))
            }
        }
    }
}
