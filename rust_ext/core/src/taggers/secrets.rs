//! Credentials in source code, by a rule for each of the usual kinds. Matching is linear in the text.

use std::sync::LazyLock;

use memchr::memchr2;
use regex::Regex;

use super::column::{Column, Kind};
use super::text::{count_chars, Text};
use super::Tagger;

/// What a rule finds: group 1 of the pattern, or all of it.
struct Rule {
    attribute: &'static str,
    pattern: &'static str,
    holds: fn(&str) -> bool,
}

const fn rule(attribute: &'static str, pattern: &'static str) -> Rule {
    Rule { attribute, pattern, holds: any }
}

/// Names are those of Dolma 1.2.1 where there is such a rule; the last two (see `entropies`) have no pattern.
const RULES: [Rule; 22] = [
    rule("SECRET_AWS_Access_Key", r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}\b"),
    rule("SECRET_Artifactory_Credentials", r#"(?:[\s=:"^]|^)(AKC[a-zA-Z0-9]{10,}|AP[0-9A-F][a-zA-Z0-9]{8,})\b"#),
    rule(
        "SECRET_Azure_Storage_Account_access_key",
        r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)",
    ),
    rule("SECRET_Basic_Auth_Credentials", r#"://[^:/?#\[\]@!$&'()*+,;=\s"]{1,64}:([^:/?#\[\]@!$&'()*+,;=\s"]{1,64})@"#),
    rule("SECRET_Discord_Bot_Token", r"\b([MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38})"),
    rule("SECRET_GitHub_Token", r"\b(?:gh[pousr]_[A-Za-z0-9_]{36,251}|github_pat_[A-Za-z0-9_]{82})"),
    rule("SECRET_GitLab_Token", r"\bgl(?:pat|dt|ptt|rt)-[A-Za-z0-9_-]{20,}"),
    rule("SECRET_Google_API_Key", r"\bAIza[A-Za-z0-9_-]{35}"),
    rule("SECRET_Google_OAuth_Secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
    rule("SECRET_JSON_Web_Token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    rule("SECRET_Mailchimp_Access_Key", r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"),
    rule("SECRET_NPM_tokens", r"\bnpm_[A-Za-z0-9]{36}|//[^\s/]+/:_authToken=\s*((?:npm_)?[A-Za-z0-9_-]{20,})"),
    rule(
        "SECRET_Private_Key",
        r"-----BEGIN (?:(?:DSA|EC|OPENSSH|RSA|ENCRYPTED) )?PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]",
    ),
    rule("SECRET_PyPI_Token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    Rule {
        attribute: "SECRET_Secret_Keyword",
        pattern: concat!(
            r"(?i)(?:api_?key|auth_?key|access_?key|client_?secret|db_?pass|password|passwd|private_?key|secret_?key|",
            r#"secret|auth_?token|access_?token)["'\]]{0,2}[ \t]*(?::=|=>|==|=|:)[ \t]*["']([^"'\s]{6,128})["']"#,
        ),
        holds: is_value,
    },
    rule("SECRET_SendGrid_API_Key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    rule("SECRET_Slack_Token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|https://hooks\.slack\.com/services/T\w+/B\w+/\w+"),
    rule("SECRET_Square_OAuth_Secret", r"\bsq0(?:csp|atp)-[A-Za-z0-9_-]{22,43}"),
    rule("SECRET_Stripe_Access_Key", r"\b[rs]k_live_[A-Za-z0-9]{20,247}"),
    rule("SECRET_Twilio_API_Key", r"\b(?:AC|SK)[0-9a-f]{32}\b"),
    rule("SECRET_Base64_High_Entropy_String", ""),
    rule("SECRET_Hex_High_Entropy_String", ""),
];

/// Bits per character above which a quoted string of such characters passes for random.
const BASE64_BITS: f64 = 4.5;
const HEX_BITS: f64 = 3.0;
const SHORTEST: usize = 20;

fn any(_: &str) -> bool {
    true
}

/// More than a name, a template or a word of the keyword itself.
fn is_value(value: &str) -> bool {
    let template = value.contains("${") || value.contains("{{") || value.starts_with(['<', '%', '$', '{', '(']);
    let lowered = value.to_ascii_lowercase();
    let placeholder = ["example", "changeme", "placeholder", "your", "xxxx", "****", "password", "secret", "token"];
    let varied = value.bytes().any(|b| !b.is_ascii_lowercase() && b != b'_' && b != b'-' && b != b'.');
    !template && varied && !placeholder.iter().any(|p| lowered.contains(p))
}

/// `code_secrets_v1`: spans of credentials, an attribute for each kind, and `doc`, their number per word (-1 for none).
///
/// Dolma 1.2.1 runs detect-secrets 1.4 with all its plugins, locates a secret by the first line that reads like its
/// own, and puts the same value down once. Ours are rules of today's token formats; each occurrence has its own span.
/// Counts therefore differ, mostly by fewer high-entropy strings: those must be quoted, 20 characters or longer, and
/// of both cases and digits.
pub struct Secrets {
    patterns: &'static [Option<Regex>],
}

impl Secrets {
    pub fn new() -> Self {
        static PATTERNS: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
            let with_pattern = RULES.iter().filter(|r| !r.pattern.is_empty());
            with_pattern.map(|r| Regex::new(&r.pattern.replace(r"\b", r"(?-u:\b)")).ok()).collect()
        });
        Secrets { patterns: &PATTERNS }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Secrets::new()
    }
}

impl Tagger for Secrets {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        static ATTRIBUTES: LazyLock<Vec<(&'static str, Kind)>> = LazyLock::new(|| {
            let kinds = RULES.iter().map(|r| (r.attribute, Kind::Spans));
            kinds.chain([("doc", Kind::Document)]).collect()
        });
        &ATTRIBUTES
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let Some((doc, kinds)) = columns.split_last_mut() else { return };
        let mut count = 0;
        for ((rule, pattern), column) in RULES.iter().zip(self.patterns).zip(kinds.iter_mut()) {
            let mut spans = Spans::new(text, column);
            for hit in pattern.iter().flat_map(|p| p.captures_iter(text.str)) {
                let Some(found) = hit.get(1).or_else(|| hit.get(0)) else { continue };
                if (rule.holds)(found.as_str()) {
                    spans.add(found.start(), found.end());
                }
            }
            count += spans.count;
        }
        if let [.., base64, hex] = kinds {
            count += entropies(text, base64, hex);
        }
        let words = text.words().len();
        doc.set(if words == 0 { -1.0 } else { count as f64 / words as f64 });
    }
}

/// Writes byte ranges, which come in order, as spans of code points.
struct Spans<'t, 'c> {
    text: &'t Text<'t>,
    column: &'c mut Column,
    byte: usize,
    char: usize,
    count: usize,
}

impl<'t, 'c> Spans<'t, 'c> {
    fn new(text: &'t Text<'t>, column: &'c mut Column) -> Self {
        Spans { text, column, byte: 0, char: 0, count: 0 }
    }

    fn add(&mut self, start: usize, end: usize) {
        let start_char = self.advance(start);
        let end_char = self.advance(end);
        self.column.span(start_char, end_char, 1.0);
        self.count += 1;
    }

    fn advance(&mut self, to: usize) -> usize {
        let part = self.text.str.get(self.byte..to).unwrap_or_default();
        self.char += if self.text.is_ascii() { part.len() } else { count_chars(part) };
        self.byte = to;
        self.char
    }
}

/// Quoted strings on one line that look random.
fn entropies(text: &Text<'_>, base64: &mut Column, hex: &mut Column) -> usize {
    let bytes = text.str.as_bytes();
    let (mut base64, mut hex) = (Spans::new(text, base64), Spans::new(text, hex));
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\'', rest)) {
        let start = at + found + 1;
        let length = bytes.get(start..).unwrap_or_default().iter().take_while(|b| is_base64(**b)).count();
        let end = start + length;
        at = end;
        if bytes.get(end) != bytes.get(start - 1) {
            continue;
        }
        // The closing quote opens nothing.
        at += 1;
        if length < SHORTEST {
            continue;
        }
        let value = bytes.get(start..end).unwrap_or_default();
        if value.iter().all(u8::is_ascii_digit) {
            continue;
        }
        if value.iter().all(u8::is_ascii_hexdigit) {
            if entropy(value) > HEX_BITS {
                hex.add(start, end);
            }
        } else if is_mixed(value) && entropy(value) > BASE64_BITS {
            base64.add(start, end);
        }
    }
    base64.count + hex.count
}

/// Whether it has both cases and digits, as random strings have and the paths of packages have not.
fn is_mixed(value: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| value.iter().any(kind);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// Shannon's, in bits per byte.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / total).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::LargeStringArray;

    use super::super::tag_texts;
    use super::*;

    /// (attribute, what it covers) of each span, and the score of the document.
    fn tag(text: &str) -> (Vec<(&'static str, String)>, f64) {
        let texts = LargeStringArray::from(vec![text]);
        let columns = tag_texts(&mut [Box::new(Secrets::new())], &texts).unwrap();
        let mut found = Vec::new();
        for (rule, column) in RULES.iter().zip(&columns[0]) {
            let fields = column.as_list::<i32>().value(0);
            let of = |j| fields.as_struct().column(j).as_primitive::<Int64Type>().values().to_vec();
            for (start, end) in of(0).into_iter().zip(of(1)) {
                let covered = text.chars().skip(start as usize).take((end - start) as usize).collect();
                found.push((rule.attribute, covered));
            }
        }
        (found, columns[0][RULES.len()].as_primitive::<Float64Type>().value(0))
    }

    /// Put together here so that no scanner takes this file for a leak.
    fn token(head: &str, length: usize) -> String {
        let body = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ".chars().cycle().take(length);
        format!("{head}{}", body.collect::<String>())
    }

    #[test]
    fn every_pattern_compiles_and_finds_its_kind() {
        assert_eq!(Secrets::new().patterns.iter().flatten().count(), RULES.len() - 2);
        let lower = |head: &str| token(head, 32).to_lowercase().replace(|c: char| !c.is_ascii_hexdigit(), "0");
        for (attribute, secret) in [
            ("SECRET_AWS_Access_Key", token("AKIA", 16).to_uppercase()),
            ("SECRET_GitHub_Token", token("ghp_", 36)),
            ("SECRET_GitLab_Token", token("glpat-", 20)),
            ("SECRET_Google_API_Key", token("AIza", 35)),
            ("SECRET_Google_OAuth_Secret", token("GOCSPX-", 28)),
            ("SECRET_NPM_tokens", token("npm_", 36)),
            ("SECRET_Private_Key", ["-----BEGIN RSA ", "PRIVATE KEY-----"].concat()),
            ("SECRET_PyPI_Token", token("pypi-AgEIcHlwaS5vcmc", 60)),
            ("SECRET_SendGrid_API_Key", format!("{}.{}", token("SG.", 22), token("", 43))),
            ("SECRET_Slack_Token", token("xoxb-", 24)),
            ("SECRET_Square_OAuth_Secret", token("sq0csp-", 43)),
            ("SECRET_Stripe_Access_Key", token("sk_live_", 24)),
            ("SECRET_Mailchimp_Access_Key", format!("{}-us4", lower(""))),
            ("SECRET_Twilio_API_Key", format!("SK{}", lower(""))),
            ("SECRET_JSON_Web_Token", format!("{}.{}.{}", token("eyJ", 20), token("eyJ", 20), token("", 20))),
        ] {
            assert_eq!(tag(&format!("é = {secret} .")).0, [(attribute, secret.clone())]);
        }
    }

    #[test]
    fn values_are_found_where_something_is_said_of_them() {
        let text = "password = \"S3cr1tish\"\nurl: http://me:Pa55w0rd@host/\nAccountKey=";
        let found = tag(text);
        assert_eq!(
            found.0,
            [
                ("SECRET_Basic_Auth_Credentials", "Pa55w0rd".to_owned()),
                ("SECRET_Secret_Keyword", "S3cr1tish".to_owned())
            ]
        );
        assert_eq!(found.1, 0.33333);
        for harmless in ["password = \"${PASSWORD}\"", "token: 'your-token-1'", "secret = 'lower_case'", "api_key = 5"]
        {
            assert_eq!(tag(harmless), (vec![], 0.0), "{harmless}");
        }
        assert_eq!(tag("").1, -1.0);
    }

    #[test]
    fn random_strings_are_quoted_long_and_no_numbers() {
        let random = "q9Zk3LxV7tYb2NfW8hJc5RmD";
        assert_eq!(tag(&format!("x = '{random}'")).0, [("SECRET_Base64_High_Entropy_String", random.to_owned())]);
        let hex = "9f86d081884c7d659a2feaa0c55ad015";
        assert_eq!(tag(&format!("x = \"{hex}\"")).0, [("SECRET_Hex_High_Entropy_String", hex.to_owned())]);
        let path = "'x-k9/qz3/lvt/ybnf2/whjcr/mdpgs'";
        for harmless in [random, &format!("'{random}\""), "'12345678901234567890123'", path] {
            assert_eq!(tag(harmless), (vec![], 0.0), "{harmless}");
        }
    }
}
