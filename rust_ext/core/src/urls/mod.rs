//! Lists of domains, addresses and Adblock rules, and whether a URL is on one.

mod adblock;
mod address;
mod lines;

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

use arrow_array::{Float64Array, LargeStringArray};
use xxhash_rust::xxh3::Xxh3Builder;

use crate::{codec, Error, Result};
use adblock::Rules;
pub use address::Address;

type Names = HashSet<Box<str>, Xxh3Builder>;

/// What the lines of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Domains, in any of the forms of `lines::domains`; a subdomain of one that is listed is listed too.
    Domain,
    /// Addresses, compared without scheme and query.
    Url,
    /// The rules of Adblock lists that can speak of a page; see `adblock`.
    Adblock,
}

impl Mode {
    pub fn named(name: &str) -> Result<Mode> {
        Ok(match name {
            "domain" => Mode::Domain,
            "url" => Mode::Url,
            "adblock" => Mode::Adblock,
            _ => return Err(Error::invalid(format!("expected `domain`, `url` or `adblock`, found `{name}`"))),
        })
    }
}

/// A list in memory: about 60 bytes and the name for each entry.
pub struct UrlList {
    mode: Mode,
    names: Names,
    rules: Rules,
    ignored: usize,
}

impl UrlList {
    pub fn new(mode: Mode) -> Self {
        UrlList { mode, names: Names::default(), rules: Rules::default(), ignored: 0 }
    }

    /// Adds the lines of a file (`.gz` and `.zst` by extension); bytes that are not UTF-8 make their line an ignored one.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let mut reader = BufReader::new(codec::open(path)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(|e| Error::io(path, e))? == 0 {
                return Ok(());
            }
            match std::str::from_utf8(&line) {
                Ok(line) => self.add(line),
                Err(_) => self.ignored += 1,
            }
        }
    }

    /// Adds a line of a list; one that is neither an entry nor a comment counts as ignored.
    pub fn add(&mut self, line: &str) {
        let line = line.trim().trim_start_matches('\u{feff}');
        if lines::is_comment(line) {
            return;
        }
        let before = self.len();
        let known = match self.mode {
            Mode::Domain => lines::domains(line, |name| {
                self.names.insert(name.into());
            }),
            Mode::Url => {
                let address = Address::parse(line);
                address.map(|a| self.names.insert(a.without_query().into())).is_some()
            }
            Mode::Adblock => self.rules.add(line),
        };
        debug_assert!(known || self.len() == before);
        self.ignored += usize::from(!known);
    }

    /// Entries, equal ones once.
    pub fn len(&self) -> usize {
        self.names.len() + self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines that say nothing this list can use.
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    pub fn has(&self, url: &str) -> bool {
        let Some(address) = Address::parse(url) else { return false };
        match self.mode {
            Mode::Domain => address.domains().any(|name| self.names.contains(name)),
            Mode::Url => self.names.contains(address.without_query().as_str()),
            Mode::Adblock => self.rules.block(&address),
        }
    }

    /// 1 for each URL that is on the list, null for the others and for null.
    pub fn hits(&self, urls: &LargeStringArray) -> Float64Array {
        urls.iter().map(|url| url.filter(|u| self.has(u)).map(|_| 1.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(mode: Mode, lines: &str) -> UrlList {
        let mut list = UrlList::new(mode);
        lines.lines().for_each(|l| list.add(l));
        list
    }

    #[test]
    fn a_domain_stands_for_those_below_it() {
        let list =
            list(Mode::Domain, "# ads\nweb.de\n0.0.0.0 Ads.Example.com # why\n||x.org^\nhttp://www.y.net/z\n?!\n");
        assert_eq!((list.len(), list.ignored()), (4, 1));
        for url in
            ["web.de", "http://www.web.de/a?b#c", "HTTPS://A.b.WEB.de:8080", "ads.example.com", "//q.x.org/", "y.net"]
        {
            assert!(list.has(url), "{url}");
        }
        for url in ["eb.de", "myweb.de", "example.com", "de", "0.0.0.0", "", "http://", "mailto:a@web.de2", "/web.de"] {
            assert!(!list.has(url), "{url}");
        }
    }

    #[test]
    fn addresses_are_compared_without_scheme_and_query() {
        let list = list(Mode::Url, "http://Bad.example/Path/?q=1\nbad.example:80/x\n\n! no\n");
        assert_eq!(list.len(), 2);
        assert!(list.has("https://user@bad.example/path#there"));
        assert!(list.has("bad.example:80/x/"));
        assert!(!list.has("bad.example/"));
        assert!(!list.has("www.bad.example/path"));
    }

    #[test]
    fn hits_are_one_or_absent() {
        let list = list(Mode::Domain, "a.b");
        let urls = LargeStringArray::from(vec![Some("a.b/x"), None, Some("b.a")]);
        assert_eq!(list.hits(&urls).iter().collect::<Vec<_>>(), [Some(1.0), None, None]);
    }

    #[test]
    fn a_file_that_is_not_text_is_a_list_of_nothing() {
        let path = tempfile::tempdir().unwrap();
        let file = path.path().join("list.txt");
        std::fs::write(&file, b"a.b\n\xff\xfe.c\nc.d").unwrap();
        let mut list = UrlList::new(Mode::Domain);
        list.read(&file).unwrap();
        assert_eq!((list.len(), list.ignored()), (2, 1));
        assert!(list.read(&path.path().join("none")).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(line in "(\\PC|[|@^*$/.:?#~,=\\[\\]a-c]){0,40}", url in "(\\PC|[/.:?#@\\[\\]a-c]|://){0,40}") {
            for mode in [Mode::Domain, Mode::Url, Mode::Adblock] {
                let mut list = UrlList::new(mode);
                list.add(&line);
                list.has(&url);
                list.has(&line);
            }
        }
    }
}
