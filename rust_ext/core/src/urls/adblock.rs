//! The part of Adblock's rules that can speak of a page: `||domain^`, `||domain/path*`, `@@` before either, plain
//! domains and hosts-file lines.
//!
//! Options are those of a page that is opened: rules for parts of pages (`$script`, `$image`, ...), for some sites
//! only (`$domain=`) and for a site's own requests (`$~third-party`) are left out, `$third-party` is not asked for, and
//! `$document`, `$all` and `$popup` do hit, which in Dolma 1.2.1 never do. Left out too, and counted: rules that hide
//! elements, regular expressions, and patterns without `||`, which look for pieces of addresses.

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3Builder;

use super::address::{canonical_host, without_www, Address};
use super::lines::{domains, is_name};

/// What a rule says of the addresses below its domain.
#[derive(Default)]
struct Of {
    block: Vec<Pattern>,
    allow: Vec<Pattern>,
    /// Blocks whatever is allowed.
    important: Vec<Pattern>,
}

/// What follows the domain in a rule: `*` stands for anything, `^` for a separator or the end. Empty: every address.
type Pattern = Box<str>;

#[derive(Default)]
pub struct Rules {
    by_domain: HashMap<Box<str>, Of, Xxh3Builder>,
    count: usize,
}

impl Rules {
    pub fn len(&self) -> usize {
        self.count
    }

    /// Adds the rule of a line; false where it is none of those above.
    pub fn add(&mut self, line: &str) -> bool {
        if ["##", "#@#", "#?#", "#$#", "#%#"].iter().any(|mark| line.contains(mark)) {
            return false;
        }
        let (allows, rule) = match line.strip_prefix("@@") {
            Some(rule) => (true, rule),
            None => (false, line),
        };
        let (rule, options) = match rule.rsplit_once('$') {
            Some((rule, options)) if !rule.is_empty() => (rule, options),
            _ => (rule, ""),
        };
        let Some(important) = page_options(options) else { return false };
        let lowered = rule.to_lowercase();
        let Some(anchored) = lowered.strip_prefix("||") else {
            let mut names = Vec::new();
            let known = options.is_empty() && !lowered.contains('/') && domains(&lowered, |n| names.push(n.to_owned()));
            for name in names {
                self.insert(&name, "", allows, important);
            }
            return known;
        };
        let end = anchored.find(['^', '/', '*', '|', ':', '?']).unwrap_or(anchored.len());
        let (name, rest) = anchored.split_at(end);
        if !is_name(name) || rest.starts_with('*') && rest.len() > 1 {
            return false;
        }
        let rest = if matches!(rest, "^" | "^|" | "^*" | "*" | "/" | "/*" | "|") { "" } else { rest };
        self.insert(name, rest, allows, important);
        true
    }

    fn insert(&mut self, name: &str, rest: &str, allows: bool, important: bool) {
        let of = self.by_domain.entry(without_www(&canonical_host(name)).into()).or_default();
        let rules = match (allows, important) {
            (true, _) => &mut of.allow,
            (false, true) => &mut of.important,
            (false, false) => &mut of.block,
        };
        rules.push(rest.into());
        self.count += 1;
    }

    /// Whether a rule blocks the page at `address` and none allows it.
    pub fn block(&self, address: &Address) -> bool {
        // With the end in sight, `^` is one more separator.
        let rest = format!("{}/", address.path());
        let rest = rest.as_bytes();
        let (mut blocked, mut allowed) = (false, false);
        for of in address.domains().filter_map(|name| self.by_domain.get(name)) {
            let any = |rules: &[Pattern]| rules.iter().any(|p| p.is_empty() || fits(p.as_bytes(), rest));
            if any(&of.important) {
                return true;
            }
            blocked |= any(&of.block);
            allowed |= any(&of.allow);
        }
        blocked && !allowed
    }
}

/// Whether a rule with these options applies to a page, and if so whether it is important; None where it does not.
fn page_options(options: &str) -> Option<bool> {
    let mut important = false;
    let (mut typed, mut page) = (false, false);
    for option in options.split(',').map(str::trim).filter(|o| !o.is_empty()) {
        match option {
            "important" => important = true,
            "third-party" | "3p" | "match-case" => {}
            "document" | "doc" | "all" | "popup" | "other" => page = true,
            "script" | "image" | "stylesheet" | "css" | "object" | "xmlhttprequest" | "xhr" | "subdocument"
            | "frame" | "ping" | "websocket" | "font" | "media" | "webrtc" => typed = true,
            _ if option.starts_with('~') && !matches!(option, "~third-party" | "~3p" | "~document" | "~other") => {}
            _ => return None,
        }
    }
    (page || !typed).then_some(important)
}

/// Whether `text` begins with what `pattern` describes. It goes back to the last `*` only: at worst their product.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let one = match (pattern.get(p), text.get(t)) {
            (None, _) => return true,
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            (Some(b'|'), _) if p + 1 == pattern.len() && t + 1 >= text.len() => return true,
            (Some(b'^'), Some(c)) => {
                !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b'%')) && *c < 0x80
            }
            (Some(want), Some(c)) => want == c,
            (Some(_), None) => return false,
        };
        if one {
            p += 1;
            t += 1;
        } else if let Some((after, from)) = star {
            p = after;
            t = from + 1;
            star = Some((after, t));
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &str) -> Rules {
        let mut rules = Rules::default();
        lines.lines().for_each(|l| {
            rules.add(l);
        });
        rules
    }

    fn blocks(rules: &Rules, url: &str) -> bool {
        rules.block(&Address::parse(url).unwrap())
    }

    #[test]
    fn domains_exceptions_and_important_rules() {
        let rules =
            rules("||bad.com^\n@@||ok.bad.com^\nplain.org\n0.0.0.0 host.net\n@@||notimp.com^\n||notimp.com^$important");
        for url in ["bad.com", "http://www.bad.com:80/x?y", "a.plain.org/z", "host.net", "notimp.com"] {
            assert!(blocks(&rules, url), "{url}");
        }
        for url in ["ok.bad.com/x", "mybad.com", "org", "a.com/plain.org"] {
            assert!(!blocks(&rules, url), "{url}");
        }
    }

    #[test]
    fn paths() {
        let rules = rules("||a.com/ads/*\n||b.com/ads^\n||c.com/x*/y^z\n||d.com/end|\n||e.com^*/track/");
        for url in
            ["a.com/ads/1", "x.a.com/ads", "b.com/ads", "b.com/ads/1", "c.com/x1/2/y/z", "e.com/q/track/9", "d.com/end"]
        {
            assert!(blocks(&rules, url), "{url}");
        }
        for url in ["a.com", "a.com/ad", "b.com/adsx", "c.com/x1/y", "d.com/endless", "e.com/trackx"] {
            assert!(!blocks(&rules, url), "{url}");
        }
    }

    #[test]
    fn rules_that_speak_of_no_page_are_left_out() {
        let mut rules = Rules::default();
        for rule in
            ["||a.com^$third-party", "||a.com^$document", "||a.com^$~script", "||a.com^$popup,image", "||a.com^$other"]
        {
            assert!(rules.add(rule), "{rule}");
        }
        for rule in [
            "||a.com^$script",
            "||a.com^$domain=b.com",
            "||a.com^$~third-party",
            "||a.com^$badfilter",
            "a.com##.ad",
            "/banner/*",
            "|http://a.com/",
            "||wild*.com^",
            "/ad[0-9]/",
            "&ad=",
            "||*.com^",
        ] {
            assert!(!rules.add(rule), "{rule}");
        }
        assert_eq!(rules.len(), 5);
    }

    #[test]
    fn patterns_with_many_stars_take_no_longer() {
        let pattern = "/*a".repeat(30);
        assert!(!fits(format!("{pattern}b").as_bytes(), "/a".repeat(5_000).as_bytes()));
    }
}
