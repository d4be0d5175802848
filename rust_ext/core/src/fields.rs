//! What kinds of values the fields of JSON lines have: which type a column for each of them would need.

use std::collections::HashMap;

use arrow_array::{Array, LargeBinaryArray};

use memchr::memmem;

use crate::json::unescape_into;
use crate::members::Members;
use crate::{Error, Result};

pub const STRING: u32 = 1;
pub const BOOLEAN: u32 = 2;
/// An integer that both an int64 and a float64 hold.
pub const INTEGER: u32 = 4;
/// An integer that an int64 holds and a float64 does not.
pub const LONG: u32 = 8;
/// A number that a float64 holds to its last digit.
pub const FLOAT: u32 = 16;
/// An object, an array, a number that neither type holds, or a string that is no Unicode.
pub const OTHER: u32 = 32;

const EXACT: u64 = 1 << 53;

/// The top-level fields of `lines` in order of appearance, each with the kinds of its values; null is of no kind.
pub fn field_kinds(lines: &LargeBinaryArray) -> Result<Vec<(String, u32)>> {
    let mut kinds: Vec<(String, u32)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for row in 0..lines.len() {
        let line = simdutf8::basic::from_utf8(lines.value(row)).map_err(|e| Error::invalid(e.to_string()))?;
        for member in Members::of(line)? {
            let (key, value) = member?;
            let place = match places.get(key.as_ref()) {
                Some(place) => *place,
                None => {
                    kinds.push((key.clone().into_owned(), 0));
                    places.insert(key.into_owned(), kinds.len() - 1);
                    kinds.len() - 1
                }
            };
            if let Some(found) = kinds.get_mut(place) {
                found.1 |= kind(value);
            }
        }
    }
    Ok(kinds)
}

fn kind(json: &str) -> u32 {
    match json.as_bytes().first() {
        Some(b'"') if is_unicode(json) => STRING,
        Some(b'"') => OTHER,
        Some(b't' | b'f') => BOOLEAN,
        Some(b'n') | None => 0,
        Some(b'{' | b'[') => OTHER,
        Some(_) => number(json),
    }
}

/// Whether a string has no lone surrogate, which JSON can spell and no column can hold.
fn is_unicode(json: &str) -> bool {
    memmem::find(json.as_bytes(), b"\\u").is_none() || unescape_into(json, &mut Vec::new()).is_ok()
}

fn number(json: &str) -> u32 {
    if !json.contains(['.', 'e', 'E']) {
        if let Ok(value) = json.parse::<i64>() {
            return if value.unsigned_abs() <= EXACT { INTEGER } else { LONG };
        }
    }
    match json.parse::<f64>() {
        Ok(value) if value.is_finite() && digits(json) == digits(&format!("{value:e}")) => FLOAT,
        _ => OTHER,
    }
}

/// The significant digits of a number, and the power of ten of the first one: equal for equal numbers.
pub(crate) fn digits(json: &str) -> (bool, String, i64) {
    let (negative, rest) = json.strip_prefix('-').map_or((false, json), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    // An exponent that no i64 holds belongs to no finite number other than zero.
    let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX / 4);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let trimmed = all.trim_start_matches('0');
    let first = exponent + whole.len() as i64 - (all.len() - trimmed.len()) as i64;
    let significant = trimmed.trim_end_matches('0').to_owned();
    let first = if significant.is_empty() { 0 } else { first };
    (negative, significant, first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds_of(lines: &[&str]) -> Vec<(String, u32)> {
        let lines: LargeBinaryArray = lines.iter().map(|l| Some(l.as_bytes())).collect();
        field_kinds(&lines).unwrap()
    }

    #[test]
    fn kinds_of_all_rows_are_joined() {
        let found = kinds_of(&[
            r#"{"s":"x","b":true,"i":1,"n":null,"m":1}"#,
            r#"{"u":"\ud800","m":2.50,"o":[1],"l":9007199254740993,"i":-2}"#,
        ]);
        let expected = [
            ("s", STRING),
            ("b", BOOLEAN),
            ("i", INTEGER),
            ("n", 0),
            ("m", INTEGER | FLOAT),
            ("u", OTHER),
            ("o", OTHER),
            ("l", LONG),
        ];
        assert_eq!(found, expected.map(|(name, kinds)| (name.to_owned(), kinds)));
    }

    #[test]
    fn a_number_that_a_float_does_not_hold_is_told() {
        for json in ["0.65", "1.10", "-0.0", "1e5", "1E+05", "0.30000000000000004", "120.50e-3", "5e-324", "0e999"] {
            assert_eq!(number(json), FLOAT, "{json}");
        }
        for json in ["0.1234567890123456789", "12345678901234567890", "1e400", "1.00000000000000000001"] {
            assert_eq!(number(json), OTHER, "{json}");
        }
    }

    proptest! {
        #[test]
        fn every_float_as_it_is_spelled_is_held(value: f64) {
            if value.is_finite() {
                // The shortest spelling. Where there are two, a writer may choose the other one, which is not held.
                prop_assert_eq!(number(&format!("{value:e}")), FLOAT);
            }
        }
    }
}
