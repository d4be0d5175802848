//! Ids as Dolma's mixer and deduper take them: any JSON value, or none at all.
//!
//! A column of ids holds strings. A value that is no string stands in it as [`MARK`] and its JSON, in one spelling for
//! all values that Dolma takes for equal; a string that begins with the mark stands there the same way.

use serde_json::{Number, Value};

use crate::json::{push_string, unescape_into};

/// What an id begins with whose JSON follows.
pub const MARK: u8 = 0;

/// Appends `id` as it stands in a column; without one it is `null`.
pub fn push_any(id: Option<&str>, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let json = id.unwrap_or("null");
    if !json.starts_with('"') {
        let value: Value = serde_json::from_str(json).map_err(|e| format!("`id`: {e}"))?;
        out.push(MARK);
        return push_value(&value, out);
    }
    let start = out.len();
    unescape_into(json, out).map_err(|e| format!("`id`: {e}"))?;
    if out.get(start) == Some(&MARK) {
        let plain = String::from_utf8_lossy(out.get(start..).unwrap_or_default()).into_owned();
        out.truncate(start + 1);
        push_string(&plain, out);
    }
    Ok(())
}

/// Appends the JSON of an id that stands in a column.
pub fn push_json(id: &str, out: &mut Vec<u8>) {
    match id.as_bytes().split_first() {
        Some((&MARK, json)) => out.extend_from_slice(json),
        _ => push_string(id, out),
    }
}

/// Appends a value with the keys of its objects sorted and its numbers as integers of 64 bits or floats.
fn push_value(value: &Value, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::String(s) => push_string(s, out),
        Value::Number(n) => push_number(n, out)?,
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_value(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, item)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_string(key, out);
                out.push(b':');
                push_value(item, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn push_number(number: &Number, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let spelled = number.to_string();
    if spelled != "-0" && (spelled.parse::<u64>().is_ok() || spelled.parse::<i64>().is_ok()) {
        out.extend_from_slice(spelled.as_bytes());
        return Ok(());
    }
    match spelled.parse::<f64>() {
        Ok(float) if float.is_finite() => serde_json::to_writer(out, &float).map_err(|e| format!("`id`: {e}")),
        _ => Err(format!("`id`: the number {spelled} is out of range")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(json: &str) -> std::result::Result<String, String> {
        let mut out = Vec::new();
        push_any(Some(json), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn equal_values_have_one_spelling() {
        for (json, expected) in [
            (r#""a\u0062""#, "ab"),
            (r#""7""#, "7"),
            ("7", "\u{0}7"),
            ("7.0", "\u{0}7.0"),
            ("1e2", "\u{0}100.0"),
            ("-0", "\u{0}-0.0"),
            ("18446744073709551615", "\u{0}18446744073709551615"),
            ("123456789012345678901234567890", "\u{0}1.2345678901234568e+29"),
            (r#"{ "y": 1, "x": [2, null], "y": true }"#, "\u{0}{\"x\":[2,null],\"y\":true}"),
            (r#""\u0000x""#, "\u{0}\"\\u0000x\""),
        ] {
            assert_eq!(column(json).unwrap(), expected, "{json}");
        }
        assert_eq!(column("1e400").unwrap_err(), "`id`: the number 1e+400 is out of range");
        let mut none = Vec::new();
        push_any(None, &mut none).unwrap();
        assert_eq!(none, b"\0null");
    }

    #[test]
    fn every_id_is_written_as_it_was_read() {
        for json in [r#""a\"b""#, "7", "7.0", "null", r#"{"x":[2],"y":1}"#, r#""\u0000x""#] {
            let mut out = Vec::new();
            push_json(&column(json).unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }
}
