//! URLs taken apart.

use std::borrow::Cow;
use std::net::IpAddr;

/// Host, port and path of a URL, lower-cased; the query is kept apart, the fragment dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: String,
    /// From its first slash, without one at the end.
    path: String,
}

impl Address {
    /// The address of a URL with or without scheme. None without a host.
    pub fn parse(url: &str) -> Option<Address> {
        let url = url.trim();
        let rest = match url.find("://").filter(|at| is_scheme(url.get(..*at).unwrap_or_default())) {
            Some(at) => url.get(at + 3..)?,
            None => url.strip_prefix("//").unwrap_or(url),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or_default()),
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let host = canonical_host(host.trim_end_matches(['.', '。'])).into_owned();
        let is_port = port.bytes().all(|b| b.is_ascii_digit());
        if host.is_empty() || !is_port || host.contains(char::is_whitespace) {
            return None;
        }
        Some(Address { host, port: port.to_owned(), path: path.trim_end_matches('/').to_lowercase() })
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host:port/path`.
    pub fn without_query(&self) -> String {
        let colon = if self.port.is_empty() { "" } else { ":" };
        format!("{}{colon}{}{}", self.host, self.port, self.path)
    }

    /// The host without `www.`, and the domains it is below; an IP address is below none.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        let name = without_www(&self.host);
        let is_ip = name.parse::<IpAddr>().is_ok();
        std::iter::successors(Some(name), move |name: &&str| {
            let (_, parent) = name.split_once('.').filter(|_| !is_ip)?;
            Some(parent)
        })
    }
}

/// One spelling for each host: lower case, `xn--` labels as the letters they stand for (UTS 46), and IP addresses in
/// their shortest form. A name that is not valid stays as it is.
pub fn canonical_host(host: &str) -> Cow<'_, str> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Cow::Owned(address.to_string());
    }
    let lower = host.to_lowercase();
    if lower.is_ascii() && !lower.contains("xn--") {
        return if lower == host { Cow::Borrowed(host) } else { Cow::Owned(lower) };
    }
    match idna::domain_to_unicode(&lower) {
        (name, Ok(())) => Cow::Owned(name),
        _ => Cow::Owned(lower),
    }
}

/// Only the prefix: `web.de` and `wired.com` begin with letters of it, and stay as they are.
pub fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (url, whole) in [
            ("https://WWW.Example.com:443/A/B/?q#f", Some("www.example.com:443/a/b")),
            ("example.com.", Some("example.com")),
            ("//me:pw@example.com/x", Some("example.com/x")),
            ("[::1]:80/a", Some("::1:80/a")),
            ("example.com?u=http://x.y/", Some("example.com")),
            ("münchen.de/ß", Some("münchen.de/ß")),
            ("http://xn--bcher-kva.example/", Some("bücher.example")),
            ("http://BÜCHER.example/", Some("bücher.example")),
            ("http://bücher。example。/", Some("bücher.example")),
            ("http://xn--a.example/", Some("xn--a.example")),
            ("http://[2001:DB8:0:0::1]:80/", Some("2001:db8::1:80")),
            ("/just/a/path", None),
            ("a b.com", None),
            ("x.com:port", None),
        ] {
            assert_eq!(Address::parse(url).map(|a| a.without_query()).as_deref(), whole, "{url}");
        }
    }

    #[test]
    fn domains_from_the_host_up() {
        let of = |url| Address::parse(url).unwrap().domains().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("www.a.b.com/x"), ["a.b.com", "b.com", "com"]);
        assert_eq!(of("wired.com"), ["wired.com", "com"]);
        assert_eq!(of("10.0.0.1"), ["10.0.0.1"]);
    }
}
