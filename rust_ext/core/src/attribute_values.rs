//! A value in an attribute row, and the kind that its JSON shows.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{excerpt, unescape_into};
use crate::kinds::Kind;

#[derive(Deserialize)]
pub struct Row<'a> {
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub attributes: &'a RawValue,
    #[serde(borrow, default)]
    kinds: Option<&'a RawValue>,
}

/// What a row says of the kinds of its values, where their JSON alone does not tell.
pub type Marks<'a> = HashMap<Cow<'a, str>, Cow<'a, str>>;

impl<'a> Row<'a> {
    pub fn marks(&self) -> std::result::Result<Option<Marks<'a>>, String> {
        let read = |json: &'a RawValue| serde_json::from_str(json.get());
        self.kinds.map(read).transpose().map_err(|e| format!("`kinds`: expected an object of strings: {e}"))
    }
}

/// `[start, end, score]` as it stands in a row; a score that is null there is not a number here.
pub type Span = (f64, f64, f64);

/// From here on a float64 does not hold every whole number.
const LARGE: f64 = (1_u64 << 53) as f64;

/// The spans that `json` is; fails for a whole number as a score that a float64 does not hold, as it would be another.
fn spans(json: &str) -> std::result::Result<Vec<Span>, String> {
    let wrong = |e: serde_json::Error| format!("expected [[start, end, score], ...]: {e}");
    let found: Vec<Span> = match serde_json::from_str(json) {
        Ok(found) => found,
        Err(_) => {
            let found: Vec<(f64, f64, Option<f64>)> = serde_json::from_str(json).map_err(wrong)?;
            found.into_iter().map(|(start, end, score)| (start, end, score.unwrap_or(f64::NAN))).collect()
        }
    };
    if found.iter().any(|(_, _, score)| score.abs() >= LARGE) {
        let spelled: Vec<(f64, f64, &RawValue)> = serde_json::from_str(json).map_err(wrong)?;
        for ((_, _, score), (_, _, digits)) in found.iter().zip(spelled) {
            if digits.get().parse::<i128>().is_ok_and(|exact| exact != *score as i128) {
                return Err(format!(
                    "expected a score that a float64 holds, found {digits}; an int64 attribute is a plain integer, or \
                     has `\"kinds\":{{KEY:\"int64\"}}` beside the `attributes` of its row"
                ));
            }
        }
    }
    Ok(found)
}

/// A value of an attribute.
#[derive(Debug, PartialEq)]
pub enum Value {
    Number(f64),
    Integer(i64),
    Text(String),
    Flag(bool),
    Spans(Vec<Span>),
}

impl Value {
    pub fn kind(&self) -> Kind {
        match self {
            Value::Number(_) => Kind::Document,
            Value::Integer(_) => Kind::Int64,
            Value::Text(_) => Kind::String,
            Value::Flag(_) => Kind::Bool,
            Value::Spans(_) => Kind::Spans,
        }
    }
}

/// The kind of an attribute in a file, and the line that showed it.
#[derive(Clone, Copy)]
pub struct Known {
    pub kind: Kind,
    pub line: Option<u64>,
}

impl Known {
    /// Why a value of another kind is refused.
    pub fn refuse(self, key: &str, found: Kind, json: &str) -> String {
        let before = self.line.map_or(String::new(), |line| format!(" as in line {line}"));
        format!(
            "`{key}`: expected {} ({}){before}, found {} `{}`; the values of an attribute are of one kind",
            self.kind.name(),
            shape(self.kind),
            found.name(),
            excerpt(json, 40)
        )
    }
}

/// How a value of a kind is written.
fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Document => "a number",
        Kind::Int64 => "a whole number",
        Kind::String => "a text in quotes",
        Kind::Bool => "true or false",
        Kind::Spans => "[[start, end, score], ...]",
    }
}

/// The value that `json` is, None for null; `marked` is the kind that its row gives it.
pub fn read(json: &str, marked: Option<&str>) -> std::result::Result<Option<Value>, String> {
    if json == "null" {
        return Ok(None);
    }
    if let Some(name) = marked {
        if name != Kind::Int64.name() {
            return Err(format!("expected the kind `int64`, found `{name}`; rows say it of whole numbers alone"));
        }
        return integer(json).map(|n| Some(Value::Integer(n)));
    }
    Ok(Some(match json.as_bytes().first() {
        Some(b'[') => Value::Spans(spans(json)?),
        Some(b'"') => {
            let mut text = Vec::new();
            unescape_into(json, &mut text)?;
            Value::Text(String::from_utf8(text).map_err(|e| e.to_string())?)
        }
        Some(b't') => Value::Flag(true),
        Some(b'f') => Value::Flag(false),
        Some(b'{') => {
            return Err(format!(
                "expected [[start, end, score], ...], a text, true, false or a number, found the object `{}`",
                excerpt(json, 40)
            ))
        }
        _ if json.bytes().any(|b| matches!(b, b'.' | b'e' | b'E')) => {
            Value::Number(json.parse().map_err(|_| format!("expected a number, found `{}`", excerpt(json, 40)))?)
        }
        _ => Value::Integer(integer(json)?),
    }))
}

/// A plain integer, or the score of the one span `[[start, end, score]]`.
fn integer(json: &str) -> std::result::Result<i64, String> {
    let wrong = || {
        format!("expected a whole number of 64 bits, alone or as [[0, length, number]], found `{}`", excerpt(json, 40))
    };
    if json.starts_with('[') {
        let [(_, _, number)]: [(f64, f64, i64); 1] = serde_json::from_str(json).map_err(|_| wrong())?;
        return Ok(number);
    }
    json.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_shows_the_kind() {
        let cases = [
            ("[[0,3,1],[3,4,0.5]]", None, Some(Value::Spans(vec![(0.0, 3.0, 1.0), (3.0, 4.0, 0.5)]))),
            ("[]", None, Some(Value::Spans(Vec::new()))),
            ("[[0,3,9007199254740993]]", Some("int64"), Some(Value::Integer(9_007_199_254_740_993))),
            ("-9223372036854775808", None, Some(Value::Integer(i64::MIN))),
            ("1e3", None, Some(Value::Number(1000.0))),
            ("\"a\\u00e9\"", None, Some(Value::Text("aé".to_owned()))),
            ("\"\"", None, Some(Value::Text(String::new()))),
            ("true", None, Some(Value::Flag(true))),
            ("null", None, None),
        ];
        for (json, marked, expected) in cases {
            assert_eq!(read(json, marked).unwrap(), expected, "{json}");
        }
        let refused = [
            ("[[0,3,9007199254740993]]", None, "expected a score that a float64 holds, found 9007199254740993"),
            ("9223372036854775808", None, "expected a whole number of 64 bits"),
            ("[[0,3,1.5]]", Some("int64"), "expected a whole number of 64 bits"),
            ("[[0,3,1],[3,4,1]]", Some("int64"), "expected a whole number of 64 bits"),
            ("\"a\"", Some("string"), "expected the kind `int64`, found `string`"),
            ("{}", None, "expected [[start, end, score], ...], a text, true, false or a number, found the object `{}`"),
        ];
        for (json, marked, reason) in refused {
            let error = read(json, marked).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
