//! A line that is an object, taken apart in one look at its bytes. Whatever is unusual is left to serde, which says what
//! is wrong with it.

use crate::json::plain_bytes;

/// The values of a document as they are spelled: quotes included, from the first byte to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) text: Option<&'a str>,
    pub(super) source: Option<&'a str>,
    pub(super) metadata: Option<&'a str>,
}

/// The escapes of a text.
#[derive(Default)]
pub(super) struct Escapes {
    /// Where their backslashes stand, counted from the first quote.
    pub(super) at: Vec<u32>,
    /// Whether one of them spells a code unit, as `\u00e9` does.
    pub(super) units: bool,
}

/// Objects and arrays within each other, beyond which serde is asked.
const DEEPEST: usize = 32;

/// The fields of an object; None where serde may see another thing in the line: a key given twice or spelled with an
/// escape, a null, or bytes that are no JSON. `escapes` are those of the text.
pub(super) fn split<'a>(line: &'a str, escapes: &mut Escapes) -> Option<Fields<'a>> {
    u32::try_from(line.len()).ok()?;
    let mut fields = Fields::default();
    let mut rest = Rest { bytes: line.as_bytes(), at: 0 };
    rest.space();
    rest.byte(b'{')?;
    loop {
        rest.space();
        let name = rest.plain_string()?;
        rest.space();
        rest.byte(b':')?;
        rest.space();
        let start = rest.at;
        let field = match name {
            b"id" => Some(&mut fields.id),
            b"text" => Some(&mut fields.text),
            b"source" => Some(&mut fields.source),
            b"metadata" => Some(&mut fields.metadata),
            _ => None,
        };
        if name == b"text" && rest.bytes.get(start) == Some(&b'"') {
            escapes.at.clear();
            escapes.units = false;
            rest.string(|place, unit| {
                escapes.at.push((place - start) as u32);
                escapes.units |= unit;
            })?;
        } else {
            rest.value(DEEPEST)?;
        }
        if let Some(field) = field {
            let value = line.get(start..rest.at)?;
            if value == "null" || field.replace(value).is_some() {
                return None;
            }
        }
        rest.space();
        if rest.byte(b',').is_none() {
            break;
        }
    }
    rest.byte(b'}')?;
    rest.space();
    (rest.at == line.len()).then_some(fields)
}

/// What of a line is not read yet. Each method steps over something, or says None where it is not there.
struct Rest<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline]
    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    /// A string without escapes, which is given without its quotes.
    fn plain_string(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let found = self.bytes.get(self.at..)?;
        let found = found.get(..plain_bytes(found))?;
        self.at += found.len();
        self.byte(b'"')?;
        Some(found)
    }

    /// A string; `escape` is told where each escape begins, and whether it spells a code unit.
    #[inline]
    fn string(&mut self, mut escape: impl FnMut(usize, bool)) -> Option<()> {
        self.byte(b'"')?;
        loop {
            self.at += plain_bytes(self.bytes.get(self.at..)?);
            match self.peek()? {
                b'"' => break,
                b'\\' => {}
                _ => return None,
            }
            let unit = match self.bytes.get(self.at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => false,
                b'u' => self.bytes.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(true)?,
                _ => return None,
            };
            escape(self.at, unit);
            self.at += if unit { 6 } else { 2 };
        }
        self.at += 1;
        Some(())
    }

    /// Any value; `deepest`: how many objects and arrays may lie within each other.
    fn value(&mut self, deepest: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(|_, _| ()),
            b'{' => self.members(deepest.checked_sub(1)?, b'}', |rest, deepest| {
                rest.string(|_, _| ())?;
                rest.space();
                rest.byte(b':')?;
                rest.space();
                rest.value(deepest)
            }),
            b'[' => self.members(deepest.checked_sub(1)?, b']', Self::value),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// What stands between two brackets, with commas between its members.
    fn members(&mut self, deepest: usize, end: u8, member: impl Fn(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.space();
        if self.byte(end).is_some() {
            return Some(());
        }
        loop {
            self.space();
            member(self, deepest)?;
            self.space();
            if self.byte(b',').is_none() {
                return self.byte(end);
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.byte(b'-');
        if self.byte(b'0').is_none() {
            self.digits()?;
        }
        if self.byte(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Line;
    use super::*;

    fn found(line: &str) -> Option<Fields<'_>> {
        split(line, &mut Escapes::default())
    }

    #[test]
    fn fields_are_given_as_they_are_spelled() {
        let mut escapes = Escapes::default();
        let line =
            r#" { "id" : "a" ,"n":[1,{"a":-0.5e+3},[]], "text":"b\n\\\u00e9\"","metadata":{} , "x" : {"text":null}} "#;
        let fields = split(line, &mut escapes).unwrap();
        assert_eq!((fields.id, fields.text), (Some("\"a\""), Some(r#""b\n\\\u00e9\"""#)));
        assert_eq!((fields.source, fields.metadata), (None, Some("{}")));
        assert_eq!((escapes.at, escapes.units), (vec![2, 4, 6, 12], true));
    }

    #[test]
    fn what_is_unusual_is_left_to_serde() {
        for line in [
            r#"{}"#,
            r#"{"id":"a","id":"a"}"#,
            r#"{"te\u0078t":"a"}"#,
            r#"{"id":null}"#,
            r#"{"id":"a"} x"#,
            r#"{"id":"a",}"#,
            r#"{"id":01}"#,
            r#"{"id":1.}"#,
            r#"{"id":"\x"}"#,
            "{\"id\":\"\t\"}",
            r#"{"id":"a"#,
            r#"["a"]"#,
        ] {
            assert_eq!(found(line), None, "{line}");
        }
        let deep = |depth| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!((found(&deep(DEEPEST)).is_some(), found(&deep(DEEPEST + 1)).is_some()), (true, false));
    }

    proptest! {
        /// Whatever is found is what serde finds, to the byte.
        #[test]
        fn fields_are_those_of_serde(
            parts in prop::collection::vec(
                r#"[{}\[\],: "\\]|"id":|"text":|"source":|"metadata":|"k[a-z]?":|"a(\\[nu"\\x]|é|[a-f0-9]{4}|\t){0,5}"|-?[0-9]{1,3}|\.[0-9]|[eE][+-]?[0-9]|true|null|fals|\{|\}"#, 0..12),
            members in prop::collection::vec(
                (r#""(id|text|source|metadata|x|y)""#, r#""([a-c ]|\\[nu"\\]|é|[0-9]{4}){0,20}"|-?[0-9]{1,2}(\.[0-9])?|\{("a":[0-9]{1,2}(,"b":"\\n")?)?\}|null|\[[0-9]?\]"#), 0..5),
            space in " ?",
        ) {
            let object: Vec<String> = members.iter().map(|(key, value)| format!("{key}{space}:{value}")).collect();
            for line in [parts.concat(), format!("{{{}}}", parts.concat()), format!("{{{space}{}}}", object.join(","))] {
                let Some(fields) = found(&line) else { continue };
                let expected: Line<'_> = serde_json::from_str(&line).unwrap();
                prop_assert_eq!(fields, expected.fields());
            }
            let known = |name: &str| members.iter().filter(|(key, _)| key.trim_matches('"') == name).collect::<Vec<_>>();
            let plain = |name: &str| known(name).len() < 2 && known(name).iter().all(|(_, value)| value != "null");
            let line = format!("{{{}}}", object.join(","));
            let sound = !members.is_empty() && ["id", "text", "source", "metadata"].into_iter().all(plain);
            if sound && serde_json::from_str::<Line<'_>>(&line).is_ok() {
                prop_assert!(found(&line).is_some(), "{}", line);
            }
        }
    }
}
