//! The JSONPath that Dolma's filters are written in, read into steps.
//!
//! It is the dialect of jsonpath-rust 0.3, not RFC 9535: a filter on an object tests the object itself, `$@.a` is `$.a`,
//! and a path may compare what it does not find. Parsing is linear in the text and its depth is bounded.

use regex::Regex;
use serde_json::{Number, Value};

const MAX_DEPTH: usize = 64;

#[derive(Debug, Default)]
pub struct Path(pub Vec<Step>);

#[derive(Debug)]
pub enum Step {
    Root,
    Field(String),
    Fields(Vec<String>),
    Wildcard,
    /// `..key`
    Descend(String),
    /// `..*`
    DescendAll,
    /// Negative ones count from the end.
    Indexes(Vec<i64>),
    Slice {
        start: i64,
        end: Option<i64>,
        step: usize,
    },
    Filter(Condition),
    /// `.length()`
    Length,
}

#[derive(Debug)]
pub enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Exists(Operand),
    Compare(Operand, Sign, Operand),
    Matches(Operand, Regex),
}

#[derive(Debug)]
pub enum Operand {
    Path(Path),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    AnyOf,
    NoneOf,
    SubsetOf,
    Size,
}

/// Longer signs before those they begin with.
const SIGNS: [(&str, Sign); 12] = [
    ("==", Sign::Equal),
    ("!=", Sign::Unequal),
    ("<=", Sign::LessOrEqual),
    (">=", Sign::GreaterOrEqual),
    ("<", Sign::Less),
    (">", Sign::Greater),
    ("in", Sign::In),
    ("nin", Sign::NotIn),
    ("anyOf", Sign::AnyOf),
    ("noneOf", Sign::NoneOf),
    ("subsetOf", Sign::SubsetOf),
    ("size", Sign::Size),
];

/// Reads a path such as `$.attributes[?(@.x && @.x[0][2] < 0.5)]`.
///
/// The error says what was expected, at which column, and repeats the text.
pub fn parse(text: &str) -> Result<Path, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let path = parser.path()?;
    if path.0.is_empty() {
        return Err(parser.expected("a path such as `$.attributes`"));
    }
    parser.space();
    match parser.rest().is_empty() {
        true => Ok(path),
        false => Err(parser.expected("`.`, `[` or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Whether `token` comes next, after white space; then it is behind us.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn need(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(self.expected(&format!("`{token}`")))
    }

    fn expected(&self, what: &str) -> String {
        let place = self.text.get(..self.at).unwrap_or_default().chars().count();
        let (text, column) = (crate::json::around(self.text, place), place + 1);
        let found = self.rest().chars().next().map_or("the end".to_owned(), |c| format!("`{c}`"));
        format!("jsonpath `{text}`: expected {what} at column {column}, found {found}")
    }

    fn path(&mut self) -> Result<Path, String> {
        let mut steps = Vec::new();
        loop {
            self.space();
            let step = match self.peek() {
                Some('$') => {
                    self.at += 1;
                    Step::Root
                }
                // The current node goes on being the current node.
                Some('@') => {
                    self.at += 1;
                    continue;
                }
                Some('.') => self.dotted()?,
                Some('[') => self.bracket()?,
                _ => return Ok(Path(steps)),
            };
            steps.push(step);
        }
    }

    fn dotted(&mut self) -> Result<Step, String> {
        self.at += 1;
        let descends = self.rest().starts_with('.');
        if descends {
            self.at += 1;
        }
        if self.rest().starts_with('*') {
            self.at += 1;
            return Ok(if descends { Step::DescendAll } else { Step::Wildcard });
        }
        if self.rest().starts_with('[') {
            return match (self.bracket()?, descends) {
                (Step::Field(key), true) => Ok(Step::Descend(key)),
                (Step::Wildcard, true) => Ok(Step::DescendAll),
                (step, false) => Ok(step),
                _ => Err(self.expected("a field after `..`")),
            };
        }
        if !descends && self.rest().starts_with("length()") {
            self.at += "length()".len();
            return Ok(Step::Length);
        }
        let key = self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '\\' | '#'));
        match key.is_empty() {
            true => Err(self.expected("a field")),
            false => Ok(if descends { Step::Descend(key.to_owned()) } else { Step::Field(key.to_owned()) }),
        }
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn bracket(&mut self) -> Result<Step, String> {
        self.need("[")?;
        self.space();
        let step = match self.peek() {
            Some('*') => {
                self.at += 1;
                Step::Wildcard
            }
            Some('?') => {
                self.at += 1;
                self.need("(")?;
                let condition = self.nested(Self::any)?;
                self.need(")")?;
                Step::Filter(condition)
            }
            Some('\'' | '"') => {
                let mut keys = vec![unescape(self.string()?)];
                while self.take(",") {
                    self.space();
                    keys.push(unescape(self.string()?));
                }
                match keys.pop() {
                    Some(key) if keys.is_empty() => Step::Field(key),
                    last => Step::Fields(keys.into_iter().chain(last).collect()),
                }
            }
            _ => self.indexes()?,
        };
        self.need("]")?;
        Ok(step)
    }

    fn indexes(&mut self) -> Result<Step, String> {
        let first = self.integer()?;
        if self.take(":") {
            let end = self.integer()?;
            let step = match self.take(":") {
                true => self.integer()?.unwrap_or(1),
                false => 1,
            };
            let step = usize::try_from(step).ok().filter(|s| *s > 0);
            let step = step.ok_or_else(|| self.expected("a step of 1 or more before this"))?;
            return Ok(Step::Slice { start: first.unwrap_or(0), end, step });
        }
        let wanted = "an index, a slice, a quoted field, `*` or `?(`";
        let mut indexes = vec![first.ok_or_else(|| self.expected(wanted))?];
        while self.take(",") {
            indexes.push(self.integer()?.ok_or_else(|| self.expected("an index"))?);
        }
        Ok(Step::Indexes(indexes))
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        self.space();
        let start = self.at;
        let digits = self.word(|c| c.is_ascii_digit() || c == '-');
        match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) if digits.is_empty() => Ok(None),
            Err(_) => {
                self.at = start;
                Err(self.expected("an integer"))
            }
        }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.expected(&format!("at most {MAX_DEPTH} levels of parentheses")));
        }
        let found = inner(self);
        self.depth -= 1;
        found
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.all()?];
        while self.take("||") {
            all.push(self.all()?);
        }
        Ok(single(all).unwrap_or_else(Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.not()?];
        while self.take("&&") {
            all.push(self.not()?);
        }
        Ok(single(all).unwrap_or_else(Condition::All))
    }

    fn not(&mut self) -> Result<Condition, String> {
        self.space();
        let mut negated = false;
        while self.rest().starts_with('!') {
            self.at += 1;
            negated = !negated;
            self.space();
        }
        let inner = if self.take("(") {
            let inner = self.nested(Self::any)?;
            self.need(")")?;
            inner
        } else {
            self.comparison()?
        };
        Ok(if negated { Condition::Not(Box::new(inner)) } else { inner })
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let left = self.operand()?;
        if self.take("~=") {
            self.space();
            let start = self.at;
            if !matches!(self.peek(), Some('\'' | '"')) {
                return Err(self.expected("a quoted regular expression"));
            }
            let pattern = self.string()?;
            let regex = Regex::new(pattern).map_err(|error| {
                self.at = start;
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.expected(&format!("a regular expression ({last})"))
            })?;
            return Ok(Condition::Matches(left, regex));
        }
        self.space();
        let rest = self.rest();
        let after = |sign: &str| rest.get(sign.len()..).unwrap_or_default().chars().next();
        let found = SIGNS.iter().find(|(sign, _)| {
            let is_word = sign.starts_with(|c: char| c.is_alphabetic());
            rest.starts_with(sign) && !(is_word && after(sign).is_some_and(char::is_alphanumeric))
        });
        match found {
            Some((text, sign)) => {
                self.at += text.len();
                Ok(Condition::Compare(left, *sign, self.operand()?))
            }
            None => Ok(Condition::Exists(left)),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.space();
        match self.peek() {
            Some('$' | '@' | '.') => Ok(Operand::Path(self.path()?)),
            Some('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.take("]") {
                    if !items.is_empty() {
                        self.need(",")?;
                    }
                    items.push(self.literal()?);
                }
                Ok(Operand::Value(Value::Array(items)))
            }
            _ => self.literal().map(Operand::Value),
        }
    }

    fn literal(&mut self) -> Result<Value, String> {
        self.space();
        if matches!(self.peek(), Some('\'' | '"')) {
            return Ok(Value::String(unescape(self.string()?)));
        }
        let start = self.at;
        let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
        match word {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            _ => {}
        }
        word.parse::<Number>().map(Value::Number).map_err(|_| {
            self.at = start;
            self.expected("a path, a number, a quoted string, `true`, `false` or `null`")
        })
    }

    /// What stands between quotes, escapes and all.
    fn string(&mut self) -> Result<&'t str, String> {
        let quote = self.peek().filter(|c| matches!(c, '\'' | '"')).ok_or_else(|| self.expected("a quoted field"))?;
        let inner = self.rest().get(1..).unwrap_or_default();
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            if c == quote && !escaped {
                self.at += at + 2;
                return Ok(inner.get(..at).unwrap_or_default());
            }
            escaped = c == '\\' && !escaped;
        }
        Err(self.expected(&format!("a closing {quote} for the quote")))
    }
}

/// The only condition, or all of them back.
fn single(mut conditions: Vec<Condition>) -> Result<Condition, Vec<Condition>> {
    match conditions.pop() {
        Some(only) if conditions.is_empty() => Ok(only),
        last => Err(conditions.into_iter().chain(last).collect()),
    }
}

fn unescape(inner: &str) -> String {
    if !inner.contains('\\') {
        return inner.to_owned();
    }
    // Single quotes are escaped in the path's way and double quotes need not be: JSON wants it the other way round.
    let json = format!("\"{}\"", inner.replace("\\'", "'").replace("\\\"", "\"").replace('"', "\\\""));
    serde_json::from_str(&json).unwrap_or_else(|_| inner.to_owned())
}
