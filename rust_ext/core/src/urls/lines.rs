//! The lines of lists of domains: plain names, hosts files, Adblock's `||name^`, URLs.

use std::net::IpAddr;

use super::address::{canonical_host, without_www, Address};

/// Names that every hosts file gives addresses to.
const LOCAL: [&str; 8] = [
    "localhost",
    "localhost.localdomain",
    "local",
    "localdomain",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-allnodes",
];

/// Empty lines, headers, and what `#`, `;` or `!` begins. Not `##`, which hides elements in Adblock's lists.
pub fn is_comment(line: &str) -> bool {
    let mark = line.starts_with([';', '!']) || (line.starts_with('#') && !line.starts_with("##"));
    line.is_empty() || mark || (line.starts_with('[') && line.ends_with(']') && !line.contains(':'))
}

/// Gives each domain of a line, lower-cased and without `www.`, to `found`; whether the line has the form of one.
///
/// In `0.0.0.0 name name` the address says where the names lead: it is not listed, whichever it is. A line of an
/// address alone lists that, unless it is one of the machine itself.
pub fn domains(line: &str, mut found: impl FnMut(&str)) -> bool {
    let line = line.split(" #").next().unwrap_or_default().to_lowercase();
    if let Some(rule) = line.strip_prefix("||") {
        let (name, rest) = rule.split_at(rule.find('^').unwrap_or(rule.len()));
        let whole = rest.is_empty() || rest == "^" || rest.starts_with("^$");
        return whole && is_name(name) && {
            found(without_www(&canonical_host(name)));
            true
        };
    }
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return false };
    let mut words = words.peekable();
    if words.peek().is_none() {
        return single(first, found);
    }
    if first.parse::<IpAddr>().is_err() {
        return false;
    }
    let mut known = true;
    for name in words.take_while(|w| !w.starts_with('#')) {
        if is_name(name) {
            found(without_www(&canonical_host(name)));
        } else {
            known &= LOCAL.contains(&name) || name.parse::<IpAddr>().is_ok();
        }
    }
    known
}

fn single(word: &str, mut found: impl FnMut(&str)) -> bool {
    let word = word.strip_prefix("*.").or_else(|| word.strip_prefix('.')).unwrap_or(word);
    let bare = word.parse::<IpAddr>().ok().map(|ip| (ip, ip.to_string()));
    let bare = bare.or_else(|| {
        let host = Address::parse(word)?.host().to_owned();
        Some((host.parse::<IpAddr>().ok()?, host))
    });
    if let Some((ip, text)) = bare {
        if !(ip.is_loopback() || ip.is_unspecified()) {
            found(&text);
        }
        return true;
    }
    match Address::parse(word) {
        Some(address) if is_name(address.host()) => {
            found(without_www(address.host()));
            true
        }
        _ => LOCAL.contains(&word),
    }
}

/// Labels of letters, digits, `-` and `_` with dots between them, two or more; the last one is no number.
pub fn is_name(name: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    let last = name.rsplit('.').next().unwrap_or_default();
    name.contains('.')
        && name.split('.').all(label)
        && !last.bytes().all(|b| b.is_ascii_digit())
        && !LOCAL.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line() {
        for (line, expected) in [
            ("Example.com", Some(vec!["example.com"])),
            ("www.example.com # seen 2020", Some(vec!["example.com"])),
            ("127.0.0.1 localhost", Some(vec![])),
            ("0.0.0.0 a.com www.b.com #c.com", Some(vec!["a.com", "b.com"])),
            ("::1\tip6-localhost ip6-loopback", Some(vec![])),
            ("10.1.2.3 a.com", Some(vec!["a.com"])),
            ("0.0.0.0 0.0.0.0", Some(vec![])),
            ("127.0.0.1", Some(vec![])),
            ("8.8.8.8", Some(vec!["8.8.8.8"])),
            ("http://8.8.8.8:80/x", Some(vec!["8.8.8.8"])),
            ("*.wild.org", Some(vec!["wild.org"])),
            ("xn--bcher-kva.example", Some(vec!["bücher.example"])),
            ("0.0.0.0 xn--bcher-kva.example", Some(vec!["bücher.example"])),
            ("||xn--bcher-kva.example^", Some(vec!["bücher.example"])),
            ("2001:0db8::0:1", Some(vec!["2001:db8::1"])),
            ("||a.com^$third-party", Some(vec!["a.com"])),
            ("||a.com/path^", None),
            ("@@||a.com^", None),
            ("http://a.com/b?c", Some(vec!["a.com"])),
            ("not a list", None),
            ("word", None),
            ("a..b", None),
        ] {
            let mut found = Vec::new();
            let known = domains(line, |name| found.push(name.to_owned()));
            assert_eq!(known.then_some(found), expected.map(|e| e.into_iter().map(str::to_owned).collect()), "{line}");
        }
    }

    #[test]
    fn comments() {
        for line in ["", "# a", "#a", "; a", "! a", "[Adblock Plus 2.0]"] {
            assert!(is_comment(line), "{line}");
        }
        for line in ["a.com", "##.ad", "a.com##.ad", "[::1]:80"] {
            assert!(!is_comment(line), "{line}");
        }
    }
}
