//! Other people's names for the fields of a document: a line is rewritten so that `id`, `text` and the rest stand where
//! every later stage looks for them. All other fields survive as they are spelled.

use memchr::memmem;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

use crate::documents::{describe, kind};
use crate::json::{at_path, excerpt, unescape_into};
use crate::members::{Member, Members, ObjectWriter};
use crate::{Error, Result};

/// Fields that a mapping may name, in the order in which they are written.
pub const TARGETS: [&str; 8] = ["id", "text", "source", "added", "created", "version", "metadata", "url"];

/// Where a value is found: the field of exactly this name, else the members of nested objects that the dots separate.
#[derive(Clone, Debug)]
struct Path {
    whole: String,
    parts: Vec<String>,
}

impl Path {
    fn new(whole: &str) -> Self {
        let whole = whole.strip_prefix("$.").unwrap_or(whole).to_owned();
        let parts = whole.split('.').map(str::to_owned).collect();
        Path { whole, parts }
    }

    /// The value, and whether it is a top-level field; None where there is none, or null.
    fn find<'a>(&self, line: &'a str, members: &[Member<'a>]) -> Option<(&'a str, bool)> {
        let (value, top) = match members.iter().find(|(key, _)| *key == self.whole) {
            Some((_, value)) => (*value, true),
            None => {
                let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
                (at_path(line, &parts)?.trim_ascii(), false)
            }
        };
        (value != "null").then_some((value, top))
    }
}

/// Where the fields of a document are found in a line.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Target and path, in the order of `TARGETS`.
    rules: Vec<(&'static str, Path)>,
    url: Option<Path>,
    invent: bool,
}

impl Mapping {
    /// `columns`: target and path. An `id` of None is always made from the text; without an entry for `id` it is made
    /// where a line has none. `text` stands under its own name unless a path is given.
    pub fn new(columns: &[(String, Option<String>)]) -> Result<Self> {
        let of = |target: &str| columns.iter().find(|(name, _)| name == target).map(|(_, path)| path.as_deref());
        if let Some((name, _)) = columns.iter().find(|(name, _)| !TARGETS.contains(&name.as_str())) {
            return Err(Error::invalid(format!("expected one of {}, found `{name}`", TARGETS.join(", "))));
        }
        let mut rules = Vec::new();
        for target in TARGETS.into_iter().filter(|t| *t != "url") {
            match (target, of(target)) {
                (_, Some(Some(path))) => rules.push((target, Path::new(path))),
                ("id", None) | ("text", _) => rules.push((target, Path::new(target))),
                _ => {}
            }
        }
        let url = of("url").flatten().filter(|path| *path != "metadata.url").map(Path::new);
        Ok(Mapping { rules, url, invent: !matches!(of("id"), Some(Some(_))) })
    }

    /// Appends the standard form of `line`, or says why it is no document. Without `whole` only id, text and source
    /// are written; which lines are refused does not depend on it.
    pub fn rewrite(&self, line: &str, whole: bool, out: &mut Vec<u8>) -> std::result::Result<(), String> {
        if !line.trim_start().starts_with('{') {
            return Err(format!("expected a JSON object, found `{}`", excerpt(line, 40)));
        }
        serde_json::from_str::<&RawValue>(line).map_err(|e| describe(&e))?;
        let members = Members::of(line)
            .and_then(Iterator::collect::<Result<Vec<Member<'_>>>>)
            .map_err(|e| format!("malformed JSON: {e}"))?;
        self.no_key_twice(&members)?;
        let mut found: Vec<Found<'_>> = Vec::with_capacity(self.rules.len() + 1);
        let mut text = None;
        let mut id = None;
        for (target, path) in &self.rules {
            let value = path.find(line, &members);
            match *target {
                "text" => text = Some(string(value.map(|v| v.0), &path.whole, "a string")?),
                "id" => id = value.map(|v| identifier(v.0, &path.whole)).transpose()?,
                _ => {}
            }
            if let Some((value, top)) = value {
                found.push(Found { target, path, value, top });
            } else if *target == "id" && !self.invent {
                return Err(format!("missing field `{}`", path.whole));
            }
        }
        let text = text.ok_or("missing field `text`")?;
        let mut plain = Vec::new();
        unescape_into(text, &mut plain).map_err(|e| format!("`{}`: {e}", self.name("text")))?;
        let id = match id {
            Some(id) => id,
            None => format!("\"{:032x}\"", xxh3_128(&plain)),
        };
        let mut object = ObjectWriter::begin(out);
        object.key("id");
        object.out.extend_from_slice(id.as_bytes());
        object.key("text");
        object.out.extend_from_slice(text.as_bytes());
        if whole {
            self.write_others(line, &members, found, &mut object)?;
        } else {
            let mapped = found.iter().find(|f| f.target == "source").map(|f| f.value);
            let own = || members.iter().find(|(key, _)| key == "source").map(|(_, value)| *value);
            let asked = self.rules.iter().any(|(target, _)| *target == "source");
            if let Some(value) = if asked { mapped } else { own() } {
                object.key("source");
                object.out.extend_from_slice(value.as_bytes());
            }
        }
        object.end();
        Ok(())
    }

    /// What the user calls a field.
    fn name(&self, target: &'static str) -> &str {
        self.rules.iter().find(|(t, _)| *t == target).map_or(target, |(_, path)| path.whole.as_str())
    }

    /// Refuses a key that appears twice, because neither value is the right one. Keys that no rule names may repeat.
    fn no_key_twice(&self, members: &[Member<'_>]) -> std::result::Result<(), String> {
        let paths = self.rules.iter().map(|(_, path)| path).chain(&self.url);
        let names = paths.flat_map(|p| [p.whole.as_str(), p.parts[0].as_str()]).chain(TARGETS);
        for name in names {
            if members.iter().filter(|(key, _)| key == name).count() > 1 {
                return Err(format!("duplicate field `{name}`"));
            }
        }
        Ok(())
    }

    fn write_others<'a>(
        &'a self,
        line: &'a str,
        members: &[Member<'a>],
        mut found: Vec<Found<'a>>,
        object: &mut ObjectWriter<'_>,
    ) -> std::result::Result<(), String> {
        let url = self.url.as_ref().and_then(|path| {
            let (value, top) = path.find(line, members)?;
            Some(Found { target: "url", path, value, top })
        });
        found.extend(url);
        let mut metadata: Option<String> = None;
        for f in found.iter().filter(|f| !matches!(f.target, "id" | "text" | "url")) {
            let value = without(f.value, &below(&found, f))?;
            if f.target == "metadata" {
                metadata = Some(value);
            } else {
                object.key(f.target);
                object.out.extend_from_slice(value.as_bytes());
            }
        }
        // An id that is made from the text has no rule, and takes the place of another one all the same.
        let targets: Vec<&str> = self.rules.iter().map(|(target, _)| *target).chain(["id"]).collect();
        for (key, value) in members {
            if found.iter().any(|f| f.top && f.path.whole == *key) {
                continue;
            }
            let taken: Vec<&[String]> =
                found.iter().filter(|f| f.moves() && f.path.parts[0] == *key).map(|f| &f.path.parts[1..]).collect();
            let value = without(value, &taken)?;
            if targets.contains(&key.as_ref()) {
                // What stood where a mapped field goes is kept beside it.
                object.key(&unused(key, members.iter().map(|(k, _)| k.as_ref())));
                object.out.extend_from_slice(value.as_bytes());
            } else if key == "metadata" {
                metadata = Some(value);
            } else {
                object.key(key);
                object.out.extend_from_slice(value.as_bytes());
            }
        }
        let url = found.iter().find(|f| f.target == "url").map(|f| f.value);
        match (metadata, url) {
            (None, None) => {}
            (Some(value), None) => {
                object.key("metadata");
                object.out.extend_from_slice(value.as_bytes());
            }
            (old, Some(url)) => {
                let old = old.filter(|m| m != "null");
                if let Some(value) = old.as_deref().filter(|m| !m.starts_with('{')) {
                    object.key(&unused("metadata", members.iter().map(|(k, _)| k.as_ref())));
                    object.out.extend_from_slice(value.as_bytes());
                }
                object.key("metadata");
                with_url(old.as_deref().filter(|m| m.starts_with('{')), url, object.out)?;
            }
        }
        Ok(())
    }
}

/// A value that the mapping takes from a line.
struct Found<'a> {
    target: &'static str,
    path: &'a Path,
    value: &'a str,
    top: bool,
}

impl Found<'_> {
    /// Whether it is taken out of an object: a text is not left behind unedited, while an id may well be a URL.
    fn moves(&self) -> bool {
        !self.top && self.target != "id"
    }
}

/// The paths, below the field that is `whole`, of what goes elsewhere.
fn below<'f>(found: &'f [Found<'_>], whole: &Found<'_>) -> Vec<&'f [String]> {
    let depth = if whole.top { 1 } else { whole.path.parts.len() };
    let head = if whole.top { std::slice::from_ref(&whole.path.whole) } else { &whole.path.parts[..] };
    found
        .iter()
        .filter(|f| f.moves() && f.path.parts.len() > depth && f.path.parts.starts_with(head))
        .map(|f| &f.path.parts[depth..])
        .collect()
}

/// `json` less the members at `paths`; as it is spelled where there are none.
fn without(json: &str, paths: &[&[String]]) -> std::result::Result<String, String> {
    if paths.is_empty() || !json.starts_with('{') {
        return Ok(json.to_owned());
    }
    let mut out = Vec::with_capacity(json.len());
    let mut object = ObjectWriter::begin(&mut out);
    for member in Members::of(json).map_err(|e| e.to_string())? {
        let member = member.map_err(|e| e.to_string())?;
        let here = paths.iter().filter(|p| p.first().is_some_and(|first| *first == member.0));
        let deeper: Vec<&[String]> = here.clone().filter(|p| p.len() > 1).map(|p| &p[1..]).collect();
        if here.count() > deeper.len() {
            continue;
        }
        let value = without(member.1, &deeper)?;
        object.member(&(member.0, &value));
    }
    object.end();
    String::from_utf8(out).map_err(|e| e.to_string())
}

/// A metadata object with `url`; one that it had is kept beside it.
fn with_url(metadata: Option<&str>, url: &str, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let members = match metadata {
        Some(json) => Members::of(json).and_then(Iterator::collect::<Result<Vec<Member<'_>>>>),
        None => Ok(Vec::new()),
    }
    .map_err(|e| e.to_string())?;
    let mut object = ObjectWriter::begin(out);
    for (key, value) in &members {
        if key == "url" {
            object.key(&unused("url", members.iter().map(|(k, _)| k.as_ref())));
            object.out.extend_from_slice(value.as_bytes());
        } else {
            object.member(&(key.clone(), value));
        }
    }
    object.key("url");
    object.out.extend_from_slice(url.as_bytes());
    object.end();
    Ok(())
}

/// `original_<key>`, with as many `original_` as it takes to be a new one.
fn unused<'k>(key: &str, taken: impl Iterator<Item = &'k str> + Clone) -> String {
    let mut name = format!("original_{key}");
    while taken.clone().any(|t| t == name) {
        name.insert_str(0, "original_");
    }
    name
}

fn string<'a>(value: Option<&'a str>, name: &str, wanted: &str) -> std::result::Result<&'a str, String> {
    match value {
        None => Err(format!("missing field `{name}`")),
        Some(json) if json.starts_with('"') => Ok(json),
        Some(json) => Err(format!("expected {wanted} for `{name}`, found {}", kind(json))),
    }
}

/// An id as a JSON string; an integer becomes its digits.
fn identifier(json: &str, name: &str) -> std::result::Result<String, String> {
    let digits = json.strip_prefix('-').unwrap_or(json);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(format!("\"{json}\""));
    }
    let found = string(Some(json), name, "a string or an integer")?;
    if memmem::find(found.as_bytes(), b"\\u").is_some() {
        let mut plain = Vec::new();
        unescape_into(found, &mut plain).map_err(|e| format!("`{name}`: {e}"))?;
    }
    Ok(found.to_owned())
}

/// `missing field`, and where another field of the line looks like it, how to say so.
pub fn missing(name: &str, line: &str) -> String {
    const KNOWN: [&str; 8] = ["id", "text", "source", "added", "created", "version", "metadata", "attributes"];
    let reason = format!("missing field `{name}`");
    let members: Vec<Member<'_>> = Members::of(line).into_iter().flatten().flatten().collect();
    let others: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).filter(|k| !KNOWN.contains(k)).collect();
    if others.is_empty() {
        return reason;
    }
    let shown: Vec<String> = members.iter().take(20).map(|(key, _)| format!("`{}`", excerpt(key, 40))).collect();
    let likely = |(key, value): &&Member<'_>| !KNOWN.contains(&key.as_ref()) && value.starts_with('"');
    let longest = members.iter().filter(likely).max_by_key(|(_, value)| value.len());
    let example = match (name, longest) {
        ("text", Some((key, _))) => excerpt(key, 40),
        ("id", _) => "null".to_owned(),
        _ => return format!("{reason}; the line has {}", shown.join(", ")),
    };
    let what = if name == "id" { "makes one of the text" } else { "says where it is" };
    format!("{reason}; the line has {}; `columns: {{{name}: {example}}}` {what}", shown.join(", "))
}

/// The id of a text that has none: the 128 bits of its xxh3, in hexadecimal.
pub fn content_id(text: &str) -> String {
    format!("{:032x}", xxh3_128(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(columns: &[(&str, Option<&str>)]) -> Mapping {
        let owned: Vec<_> = columns.iter().map(|(t, p)| ((*t).to_owned(), p.map(str::to_owned))).collect();
        Mapping::new(&owned).unwrap()
    }

    fn rewritten(columns: &[(&str, Option<&str>)], line: &str) -> std::result::Result<String, String> {
        let mut out = Vec::new();
        mapping(columns).rewrite(line, true, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn fields_are_renamed_and_others_stay_as_spelled() {
        let line = r#"{ "uid" : "a", "n": 1.50, "content":"x\u00e9", "metadata":{ "k":1e3 } }"#;
        let columns = [("id", Some("uid")), ("text", Some("content"))];
        assert_eq!(
            rewritten(&columns, line).unwrap(),
            r#"{"id":"a","text":"x\u00e9","n":1.50,"metadata":{ "k":1e3 }}"#
        );
    }

    #[test]
    fn a_nested_text_is_moved_and_what_it_displaces_is_kept() {
        let line = r#"{"id":7,"text":"-","metadata":{"body":"b","k":[1]}}"#;
        let columns = [("text", Some("metadata.body"))];
        assert_eq!(
            rewritten(&columns, line).unwrap(),
            r#"{"id":"7","text":"b","original_text":"-","metadata":{"k":[1]}}"#
        );
        let mut short = Vec::new();
        mapping(&columns).rewrite(line, false, &mut short).unwrap();
        assert_eq!(String::from_utf8(short).unwrap(), r#"{"id":"7","text":"b"}"#);
    }

    #[test]
    fn a_field_of_the_whole_name_goes_before_a_nested_one() {
        let line = r#"{"id":"a","metadata.body":"whole","metadata":{"body":"nested"}}"#;
        let found = rewritten(&[("text", Some("metadata.body"))], line).unwrap();
        assert_eq!(found, r#"{"id":"a","text":"whole","metadata":{"body":"nested"}}"#);
    }

    #[test]
    fn ids_are_made_of_the_text_and_integers_become_digits() {
        let id = format!("{:032x}", xxh3_128("xé".as_bytes()));
        assert_eq!(content_id("xé"), id);
        assert_eq!(rewritten(&[], r#"{"text":"x\u00e9"}"#).unwrap(), format!(r#"{{"id":"{id}","text":"x\u00e9"}}"#));
        let old = rewritten(&[("id", None)], r#"{"id":"old","text":"xé"}"#).unwrap();
        assert_eq!(old, format!(r#"{{"id":"{id}","text":"xé","original_id":"old"}}"#));
        let big = rewritten(&[("id", Some("n"))], r#"{"n":-123456789012345678901,"text":""}"#).unwrap();
        assert_eq!(big, r#"{"id":"-123456789012345678901","text":""}"#);
    }

    #[test]
    fn an_id_may_be_a_url_too() {
        let line = r#"{"url":"u","text":"","metadata":{"k":1}}"#;
        let both = [("id", Some("url")), ("url", Some("url"))];
        assert_eq!(rewritten(&both, line).unwrap(), r#"{"id":"u","text":"","metadata":{"k":1,"url":"u"}}"#);
        let nested = r#"{"text":"","metadata":{"url":"u"}}"#;
        let found = rewritten(&[("id", Some("metadata.url"))], nested).unwrap();
        assert_eq!(found, r#"{"id":"u","text":"","metadata":{"url":"u"}}"#);
    }

    #[test]
    fn a_url_goes_into_the_metadata() {
        let columns = [("url", Some("link"))];
        let of = |line: &str| rewritten(&columns, line).unwrap();
        assert_eq!(of(r#"{"id":"a","text":"","link":"u"}"#), r#"{"id":"a","text":"","metadata":{"url":"u"}}"#);
        assert_eq!(
            of(r#"{"id":"a","text":"","metadata":{"url":"old","k":1},"link":"u"}"#),
            r#"{"id":"a","text":"","metadata":{"original_url":"old","k":1,"url":"u"}}"#
        );
        assert_eq!(
            of(r#"{"id":"a","text":"","metadata":"s","link":"u"}"#),
            r#"{"id":"a","text":"","original_metadata":"s","metadata":{"url":"u"}}"#
        );
    }

    #[test]
    fn what_is_no_document_is_refused_by_the_name_that_was_given() {
        let columns = [("id", Some("uid")), ("text", Some("content"))];
        let of = |line: &str| rewritten(&columns, line).unwrap_err();
        assert_eq!(of(r#"{"uid":"a","text":"x"}"#), "missing field `content`");
        assert_eq!(of(r#"{"content":"x"}"#), "missing field `uid`");
        assert_eq!(of(r#"{"uid":1.5,"content":"x"}"#), "expected a string or an integer for `uid`, found a number");
        assert_eq!(of(r#"{"uid":"a","content":["x"]}"#), "expected a string for `content`, found an array");
        assert_eq!(of(r#"{"uid":"a","content":"x","content":"y"}"#), "duplicate field `content`");
        assert_eq!(of(r#"{"uid":"a","content":"\ud800"}"#), "`content`: a lone surrogate \\ud800");
        assert_eq!(of("[1]"), "expected a JSON object, found `[1]`");
        assert!(of(r#"{"uid":"#).starts_with("malformed JSON at byte 7"));
        let unknown = Mapping::new(&[("body".to_owned(), None)]).unwrap_err().to_string();
        assert_eq!(unknown, "expected one of id, text, source, added, created, version, metadata, url, found `body`");
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_there() {
        assert_eq!(missing("text", r#"{"id":"a"}"#), "missing field `text`");
        assert_eq!(
            missing("text", r#"{"id":"a","n":"b","content":"long"}"#),
            "missing field `text`; the line has `id`, `n`, `content`; `columns: {text: content}` says where it is"
        );
        assert_eq!(
            missing("id", r#"{"text":"a","uid":"b"}"#),
            "missing field `id`; the line has `text`, `uid`; `columns: {id: null}` makes one of the text"
        );
    }
}
