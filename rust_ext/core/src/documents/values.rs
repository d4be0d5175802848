//! The values of a document on their way into columns.

use std::collections::HashMap;
use std::fmt::Write;

use arrow_array::builder::LargeStringBuilder;
use serde_json::value::RawValue;

use super::split::Escapes;
use super::{describe, kind};
use crate::json::unescape_into;
use crate::members::{Member, Members, ObjectWriter};

/// The line with each key once, with the value that it was given last.
pub(super) fn last_of_each(line: &str) -> std::result::Result<Vec<u8>, String> {
    serde_json::from_str::<&RawValue>(line).map_err(|e| describe(&e))?;
    let members: Vec<Member<'_>> =
        Members::of(line).and_then(Iterator::collect).map_err(|e| format!("malformed JSON: {e}"))?;
    let last: HashMap<&str, usize> = members.iter().enumerate().map(|(i, (key, _))| (key.as_ref(), i)).collect();
    let mut out = Vec::with_capacity(line.len());
    let mut object = ObjectWriter::begin(&mut out);
    for (i, member) in members.iter().enumerate() {
        if last.get(member.0.as_ref()) == Some(&i) {
            object.member(member);
        }
    }
    object.end();
    Ok(out)
}

/// Appends a string whose escapes are known, each of one character.
pub(super) fn push_text(value: &str, escapes: &Escapes, out: &mut LargeStringBuilder) {
    let mut done = 1;
    let mut push = |text: &str| {
        // Writing into a column cannot fail.
        let _ = out.write_str(text);
    };
    for at in &escapes.at {
        let at = *at as usize;
        push(value.get(done..at).unwrap_or_default());
        push(match value.as_bytes().get(at + 1) {
            Some(b'n') => "\n",
            Some(b't') => "\t",
            Some(b'r') => "\r",
            Some(b'b') => "\u{8}",
            Some(b'f') => "\u{c}",
            _ => value.get(at + 1..at + 2).unwrap_or_default(),
        });
        done = at + 2;
    }
    push(value.get(done..value.len() - 1).unwrap_or_default());
    out.append_value("");
}

pub(super) fn string_field(value: Option<&str>, name: &str, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let json = value.ok_or_else(|| format!("missing field `{name}`"))?;
    if !json.starts_with('"') {
        return Err(format!("expected a string for `{name}`, found {}", kind(json)));
    }
    unescape_into(json, out).map_err(|e| format!("`{name}`: {e}"))
}

/// `source` is nobody's key: anything but a string is left where it is.
pub(super) fn optional_string(value: Option<&str>, out: &mut Vec<u8>) -> std::result::Result<bool, String> {
    match value {
        Some(json) if json.starts_with('"') => {
            unescape_into(json, out).map_err(|e| format!("`source`: {e}"))?;
            Ok(true)
        }
        _ => Ok(false),
    }
}
