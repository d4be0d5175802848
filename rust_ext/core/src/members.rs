//! JSON objects member by member, values as they are spelled: what rewrites a document without parsing its values.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::json::{excerpt, push_string, unescape_into};
use crate::{Error, Result};

/// A key and the JSON text of its value.
pub type Member<'a> = (Cow<'a, str>, &'a str);

/// The top-level members of an object, in order, of JSON that a reader has found well-formed.
///
/// Knowing that, a value is stepped over by its quotes and brackets: three times as fast as skipping it by serde.
/// Other JSON gives an error, or members that are none.
pub struct Members<'a> {
    json: &'a str,
    /// Where the next key is, or the closing brace.
    at: usize,
}

impl<'a> Members<'a> {
    pub fn of(json: &'a str) -> Result<Self> {
        let json = json.trim_ascii();
        match (json.as_bytes(), json.len()) {
            ([b'{', .., b'}'], 2..) => Ok(Members { json, at: skip_spaces(json.as_bytes(), 1) }),
            _ => Err(Error::invalid(format!("expected a JSON object, found `{}`", excerpt(json, 40)))),
        }
    }

    fn step(&mut self) -> Option<Member<'a>> {
        let bytes = self.json.as_bytes();
        let close = string_end(bytes, self.at)?;
        let key = self.json.get(self.at..close)?;
        let colon = skip_spaces(bytes, close);
        let start = skip_spaces(bytes, colon + 1);
        let end = value_end(bytes, start)?;
        let value = self.json.get(start..end)?.trim_ascii_end();
        self.at = skip_spaces(bytes, end + usize::from(bytes.get(end) == Some(&b',')));
        let inner = key.get(1..key.len() - 1)?;
        if memchr(b'\\', inner.as_bytes()).is_none() {
            return Some((Cow::Borrowed(inner), value));
        }
        let mut plain = Vec::with_capacity(inner.len());
        unescape_into(key, &mut plain).ok()?;
        Some((Cow::Owned(String::from_utf8(plain).ok()?), value))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at + 1 >= self.json.len() {
            return None;
        }
        let found = self.step().ok_or_else(|| {
            let rest = self.json.get(self.at..).unwrap_or_default();
            Error::invalid(format!("expected a member of an object, found `{}`", excerpt(rest, 40)))
        });
        if found.is_err() {
            self.at = self.json.len();
        }
        Some(found)
    }
}

fn skip_spaces(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|b| b.is_ascii_whitespace()).count()
}

/// Behind the string whose opening quote is at `from`.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.get(from) != Some(&b'"') {
        return None;
    }
    let mut at = from + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The comma or closing brace of the object that follows the value at `from`; spaces may stand before it.
fn value_end(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    if rest.first() == Some(&b'"') {
        return Some(skip_spaces(bytes, string_end(bytes, from)?));
    }
    // A value without strings ends before the next key; the one quote that comes first is then that key's.
    let before = rest.get(..memchr(b'"', rest).unwrap_or(rest.len())).unwrap_or_default().trim_ascii_end();
    if let Some((b',' | b'}', value)) = before.split_last() {
        if depth(value) == 0 {
            return Some(from + value.len());
        }
    }
    let (mut at, mut depth) = (from, 0u32);
    loop {
        match *bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b',' | b'}' if depth == 0 => return Some(at),
            b'[' | b'{' => depth = depth.checked_add(1)?,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
}

/// Brackets opened and not closed.
fn depth(json: &[u8]) -> i64 {
    let of = |b: &u8| i64::from(matches!(b, b'[' | b'{')) - i64::from(matches!(b, b']' | b'}'));
    json.iter().map(of).sum()
}

/// Appends one object with the members of all, sorted by key; of equal keys the last one stays, as in Dolma.
pub fn merge<'a>(objects: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) -> Result<()> {
    let mut all: Vec<Member<'a>> = Vec::with_capacity(32);
    for object in objects {
        for member in Members::of(object)? {
            all.push(member?);
        }
    }
    // Stable, so that the last of equals is the one that came last.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut writer = ObjectWriter::begin(out);
    for (i, member) in all.iter().enumerate() {
        if all.get(i + 1).is_none_or(|next| next.0 != member.0) {
            writer.member(member);
        }
    }
    writer.end();
    Ok(())
}

/// Writes an object without spaces between its members.
pub struct ObjectWriter<'o> {
    pub out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> ObjectWriter<'o> {
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        ObjectWriter { out, first: true }
    }

    /// A key; its value is then written to `out`.
    pub fn key(&mut self, key: &str) {
        self.comma();
        push_string(key, self.out);
        self.out.push(b':');
    }

    /// A member as it was read.
    pub fn member(&mut self, (key, value): &Member<'_>) {
        match key {
            // What is borrowed had no escapes, so it needs none.
            Cow::Borrowed(key) => {
                self.comma();
                self.out.push(b'"');
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            Cow::Owned(key) => self.key(key),
        }
        self.out.extend_from_slice(value.as_bytes());
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(objects: &[&str]) -> String {
        let mut out = Vec::new();
        merge(objects.iter().copied(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_last_of_equal_keys_stays_and_keys_are_sorted() {
        let objects = [r#"{"b": 1.50 ,"é":[1e400],"a":{ }}"#, r#"{"a":[],"B":12345678901234567890.10}"#, "{ }"];
        assert_eq!(merged(&objects), r#"{"B":12345678901234567890.10,"a":[],"b":1.50,"é":[1e400]}"#);
        assert_eq!(merged(&[r#"{"a":1,"\u0061":2}"#, r#"{"q\"":"\u00e9"}"#]), r#"{"a":2,"q\"":"\u00e9"}"#);
        assert_eq!(merged(&[]), "{}");
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bad in ["[1]", "", "}", "{", "null"] {
            let error = merge([bad], &mut Vec::new()).unwrap_err().to_string();
            assert_eq!(error, format!("expected a JSON object, found `{bad}`"));
        }
        let error = merge([r#"{"a":1,"b}"#], &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "expected a member of an object, found `\"b}`");
    }

    /// JSON values as somebody might spell them: spaces, strings that look like structure, nested empties.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-1.50e+3".to_owned()),
            Just("[[0, 5,0.25],[6,11,1e-5]]".to_owned()),
            "[\\[\\]{},:a \"\\\\é]{0,6}".prop_map(|s| serde_json::to_string(&s).unwrap()),
            Just(r#""\u0022]""#.to_owned()),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let space = prop_oneof![Just(""), Just(" "), Just("\t ")];
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..4), space.clone())
                    .prop_map(|(items, s)| format!("[{s}{}{s}]", items.join(&format!("{s},{s}")))),
                object(inner, space),
            ]
        })
    }

    fn object(
        inner: impl Strategy<Value = String> + Clone,
        space: impl Strategy<Value = &'static str>,
    ) -> impl Strategy<Value = String> {
        (prop::collection::vec(("[a-c\"\\\\{,é]{0,3}", inner), 0..4), space).prop_map(|(members, s)| {
            let members: Vec<String> =
                members.iter().map(|(k, v)| format!("{}{s}:{s}{v}", serde_json::to_string(k).unwrap())).collect();
            format!("{{{s}{}{s}}}", members.join(&format!("{s},{s}")))
        })
    }

    proptest! {
        #[test]
        fn members_are_those_of_serde(json in object(value().boxed(), prop_oneof![Just(""), Just(" ")])) {
            struct InOrder(Vec<(String, String)>);
            impl<'de> serde::Deserialize<'de> for InOrder {
                fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
                    struct Collect;
                    impl<'de> serde::de::Visitor<'de> for Collect {
                        type Value = InOrder;
                        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                            f.write_str("an object")
                        }
                        fn visit_map<A: serde::de::MapAccess<'de>>(
                            self,
                            mut map: A,
                        ) -> std::result::Result<InOrder, A::Error> {
                            let mut found = Vec::new();
                            while let Some((k, v)) = map.next_entry::<String, &serde_json::value::RawValue>()? {
                                found.push((k, v.get().to_owned()));
                            }
                            Ok(InOrder(found))
                        }
                    }
                    d.deserialize_map(Collect)
                }
            }
            let expected: InOrder = serde_json::from_str(&json).unwrap();
            let found: Vec<_> =
                Members::of(&json).unwrap().map(|m| m.map(|(k, v)| (k.into_owned(), v.to_owned())).unwrap()).collect();
            prop_assert_eq!(found, expected.0);
        }

        #[test]
        fn nothing_panics(json in "[\\[\\]{}\",:a1 \\\\é]{0,12}") {
            if let Ok(members) = Members::of(&format!("{{{json}}}")) {
                members.for_each(drop);
            }
        }
    }
}
