//! JSON objects member by member, values as they are spelled: what rewrites a document without parsing its values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::push_string;
use crate::{Error, Result};

/// A key borrows from the line unless it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

pub type Member<'a> = (Cow<'a, str>, &'a RawValue);

struct Members<'a>(Vec<Member<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The top-level members of an object in order.
pub fn members(json: &str) -> Result<Vec<Member<'_>>> {
    serde_json::from_str::<Members<'_>>(json).map(|m| m.0).map_err(|e| Error::invalid(e.to_string()))
}

/// Appends one object with the members of all, sorted by key; of equal keys the last one stays, as in Dolma.
pub fn merge<'a>(objects: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) -> Result<()> {
    let mut all: Vec<Member<'a>> = Vec::new();
    for object in objects {
        if all.is_empty() {
            all = members(object)?;
        } else {
            all.append(&mut members(object)?);
        }
    }
    // Stable, so that the last of equals is the one that came last.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut writer = ObjectWriter::begin(out);
    for (i, (key, value)) in all.iter().enumerate() {
        if all.get(i + 1).is_none_or(|next| next.0 != *key) {
            writer.member(key, value.get());
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
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        push_string(key, self.out);
        self.out.push(b':');
    }

    /// A key and the JSON text of its value.
    pub fn member(&mut self, key: &str, json: &str) {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
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
        assert!(merge(["[1]"], &mut Vec::new()).unwrap_err().to_string().contains("expected a JSON object"));
    }
}
