//! Pieces of JSON that serde has checked, turned into bytes without intermediate values.

use std::io::Write;

use arrow_array::builder::LargeStringBuilder;
use arrow_array::{Array, LargeBinaryArray, LargeStringArray};
use memchr::memchr;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use wide::u8x16;

use crate::{Error, Result};

/// Appends the characters of a JSON string (quotes included, already known to be well-formed) to `out`.
///
/// Fails on what JSON lets pass and Unicode does not: a surrogate without its other half.
pub fn unescape_into(json: &str, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let inner = json.strip_prefix('"').and_then(|s| s.strip_suffix('"')).ok_or("expected a string")?;
    let mut rest = inner.as_bytes();
    out.reserve(rest.len());
    while let Some(at) = memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let code = escape.get(1).copied().ok_or("a backslash at the end")?;
        let mut used = 2;
        match code {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'"' | b'\\' | b'/' => out.push(code),
            b'u' => {
                let first = hex4(escape.get(2..6))?;
                used = 6;
                let scalar = match first {
                    0xD800..=0xDBFF => {
                        let low = match escape.get(6..8) {
                            Some(b"\\u") => hex4(escape.get(8..12))?,
                            _ => 0,
                        };
                        if !(0xDC00..=0xDFFF).contains(&low) {
                            return Err(format!("a lone surrogate \\u{first:04x}"));
                        }
                        used = 12;
                        0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00)
                    }
                    _ => first,
                };
                let c = char::from_u32(scalar).ok_or_else(|| format!("a lone surrogate \\u{scalar:04x}"))?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err(format!("an unknown escape \\{}", code as char)),
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn hex4(digits: Option<&[u8]>) -> std::result::Result<u32, String> {
    let digits = digits.and_then(|d| std::str::from_utf8(d).ok()).ok_or("a short \\u escape")?;
    u32::from_str_radix(digits, 16).map_err(|_| format!("a bad \\u escape `{digits}`"))
}

/// How many bytes stand before the first that a JSON string has only as an escape, or that ends it.
#[inline]
pub fn plain_bytes(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    for (n, chunk) in chunks.iter().enumerate() {
        let v = u8x16::new(*chunk);
        let is = |byte: u8| v.simd_eq(u8x16::splat(byte));
        let found = (is(b'"') | is(b'\\') | v.simd_le(u8x16::splat(0x1f))).to_bitmask();
        if found != 0 {
            return 16 * n + found.trailing_zeros() as usize;
        }
    }
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    found.map_or(bytes.len(), |at| bytes.len() - rest.len() + at)
}

/// Appends `text` as a JSON string.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, from) = rest.split_at(plain_bytes(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = from.split_first() else { break };
        let short = match byte {
            b'"' | b'\\' => *byte,
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            _ => b'u',
        };
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            // Writing into a Vec cannot fail.
            let _ = write!(out, "{byte:04x}");
        }
        rest = after;
    }
    out.push(b'"');
}

/// Appends a number the way Python's `repr` spells a float: shortest, with a point or an exponent.
pub fn push_float(value: f64, out: &mut Vec<u8>) {
    let shifted = (value.abs() * DECIMALS + 0.5) as u64;
    if shifted < 1_000_000_000_000_000 && shifted as f64 / DECIMALS == value.abs() {
        push_decimal(value.is_sign_negative(), shifted, out);
    } else if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else {
        let _ = write!(out, "null");
    }
}

/// Five of them, as attributes are rounded: such a number is a whole one shifted, whose digits take a third of the time
/// that the shortest ones of any number do.
const DECIMALS: f64 = 1e5;

fn push_decimal(negative: bool, shifted: u64, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    let (whole, mut rest) = (shifted / 100_000, shifted % 100_000);
    if whole < 10 {
        out.extend_from_slice(&[b'0' + whole as u8, b'.']);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        out.push(b'.');
    }
    for place in [10_000, 1000, 100, 10, 1] {
        out.push(b'0' + (rest / place) as u8);
        rest %= place;
        if rest == 0 {
            break;
        }
    }
}

/// An integer.
pub fn push_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// At most `limit` characters of `text`, for a message.
pub fn excerpt(text: &str, limit: usize) -> String {
    let mut short: String = text.chars().take(limit).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// `text` for a message, of which only the part around the character `place` is shown if it is long.
pub fn around(text: &str, place: usize) -> String {
    const SIDE: usize = 300;
    let first = place.saturating_sub(SIDE);
    let mut characters = text.chars().skip(first);
    let shown: String = characters.by_ref().take(place - first + SIDE).collect();
    let (before, behind) = (if first > 0 { "… " } else { "" }, if characters.next().is_some() { " …" } else { "" });
    format!("{before}{shown}{behind}")
}

/// The JSON text of the value at a dotted path (`metadata.url`, with or without a leading `$.`), if there is one.
pub fn at_path<'a>(json: &'a str, path: &[&str]) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    AtPath { path }.deserialize(&mut deserializer).ok().flatten().map(RawValue::get)
}

/// The string at a dotted path of each document (JSON lines); null where it is missing or no string.
pub fn string_field(lines: &LargeBinaryArray, path: &str) -> Result<LargeStringArray> {
    let parts = path_parts(path);
    let mut out = LargeStringBuilder::with_capacity(lines.len(), 0);
    let mut value = Vec::new();
    for line in lines.iter() {
        let json = line.and_then(|l| std::str::from_utf8(l).ok()).and_then(|l| at_path(l, &parts));
        value.clear();
        match json.filter(|j| j.starts_with('"')) {
            Some(json) if unescape_into(json, &mut value).is_ok() => {
                out.append_value(std::str::from_utf8(&value).map_err(|e| Error::invalid(e.to_string()))?);
            }
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// The JSON text of the value at a dotted path of each document (JSON lines); null where it is missing or null.
pub fn json_field(lines: &LargeBinaryArray, path: &str) -> LargeStringArray {
    let parts = path_parts(path);
    let value = |line: &'_ [u8]| -> Option<String> {
        let json = at_path(std::str::from_utf8(line).ok()?, &parts)?;
        (json != "null").then(|| json.to_owned())
    };
    lines.iter().map(|line| line.and_then(value)).collect()
}

/// `$.metadata.url` to its parts.
pub fn path_parts(path: &str) -> Vec<&str> {
    let path = path.strip_prefix("$.").unwrap_or(path);
    path.split('.').filter(|p| !p.is_empty()).collect()
}

struct AtPath<'p> {
    path: &'p [&'p str],
}

impl<'de> DeserializeSeed<'de> for AtPath<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        if self.path.is_empty() {
            return <&RawValue as serde::Deserialize>::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtPath<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut found = None;
        let (first, rest) = match self.path.split_first() {
            Some(parts) => parts,
            None => return Ok(None),
        };
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == *first {
                found = map.next_value_seed(AtPath { path: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        push_float(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_found_by_path_as_they_are_spelled() {
        let lines: LargeBinaryArray =
            [&b"{\"a\":{\"b\":1.50}}"[..], b"{\"a\":null}", b"{\"a\":{\"b\":null}}", b"{\"a\":{\"b\":\"x\"}}"]
                .into_iter()
                .map(Some)
                .collect();
        let found = json_field(&lines, "a.b");
        assert_eq!(found.iter().collect::<Vec<_>>(), [Some("1.50"), None, None, Some("\"x\"")]);
    }

    #[test]
    fn floats_are_spelled_shortest() {
        let all = [0.0, -0.0, 1.0, -2.5, 0.1, 0.00123, 0.001, 0.00099, 1e-5, 123456.78901, 1e15, 1e16, f64::NAN];
        let spelled = ["0.0", "-0.0", "1.0", "-2.5", "0.1", "0.00123", "0.001", "0.00099"];
        let long = ["0.00001", "123456.78901", "1000000000000000.0", "1e+16", "null"];
        assert_eq!(all.map(float)[..8], spelled);
        assert_eq!(all.map(float)[8..], long);
    }

    proptest! {
        #[test]
        fn strings_are_spelled_as_by_serde(text in "([a-z ]{0,20}|[\"\\\\/\\x00-\\x1f\\x7f]|é|𝄞|\u{2028}){0,12}") {
            let mut out = Vec::new();
            push_string(&text, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            let special = |b: &u8| *b < 0x20 || b"\"\\".contains(b);
            prop_assert_eq!(plain_bytes(text.as_bytes()), text.bytes().position(|b| special(&b)).unwrap_or(text.len()));
        }

        #[test]
        fn the_fast_way_spells_as_the_slow_one(shifted in -2_000_000_000_000_000i64..2_000_000_000_000_000, small in -2_000_000i64..2_000_000, any: f64) {
            for value in [shifted as f64 / 1e5, small as f64 / 1e5, small as f64, shifted as f64, any] {
                if value.is_finite() {
                    prop_assert_eq!(float(value), serde_json::to_string(&value).unwrap());
                }
            }
        }
    }
}
