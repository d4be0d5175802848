//! The fields of documents that an expression reads, and whether a document has them.
//!
//! A rule on a field that no document has does nothing, and nobody would know. So what can be told from the text of an
//! expression is looked up in every document: paths from the root, never more than is certain to be read.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::Part as JqPart;
use serde_json::Value;

use super::jsonpath::{Condition, Operand, Path, Step};
use super::Expression;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    /// Any item of an array, any value of an object.
    Any,
}

/// A path from the root of a document; arrays on the way are looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field(Vec<Part>);

impl Field {
    fn with(&self, part: Part) -> Field {
        let mut parts = self.0.clone();
        parts.push(part);
        Field(parts)
    }

    fn key(&self, key: &str) -> Field {
        self.with(Part::Key(key.to_owned()))
    }

    /// `metadata.url`, `items[].name`
    pub fn spelled(&self) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Key(key) if text.is_empty() => text.push_str(key),
                Part::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
                Part::Any => text.push_str("[]"),
            }
        }
        text
    }

    /// Whether `document` has it, be it null.
    pub fn is_in(&self, document: &Value) -> bool {
        reaches(document, &self.0)
    }
}

fn reaches(value: &Value, parts: &[Part]) -> bool {
    let Some((first, rest)) = parts.split_first() else { return true };
    match (first, value) {
        (Part::Key(key), Value::Object(fields)) => fields.get(key).is_some_and(|inner| reaches(inner, rest)),
        (Part::Key(_), Value::Array(items)) => items.iter().any(|item| reaches(item, parts)),
        (Part::Any, Value::Array(items)) => items.iter().any(|item| reaches(item, rest)),
        (Part::Any, Value::Object(fields)) => fields.values().any(|inner| reaches(inner, rest)),
        _ => false,
    }
}

/// The fields that `expression` reads for certain, each once, without those that lead to others.
pub fn of(expression: &Expression) -> Vec<Field> {
    let mut reads = Reads(Vec::new());
    match expression {
        Expression::JsonPath(path) => {
            let end = reads.of_path(path, Some(Field::default()));
            reads.add(end);
        }
        Expression::Jq(program) => {
            if let Some(term) = jaq_core::load::parse(program.text(), |parser| parser.term()) {
                reads.used(&term, Some(&Field::default()));
            }
        }
    }
    let all = reads.0;
    let leads = |field: &Field| all.iter().any(|o| o.0.len() > field.0.len() && o.0.starts_with(&field.0));
    all.iter().filter(|field| !leads(field)).cloned().collect()
}

struct Reads(Vec<Field>);

impl Reads {
    fn add(&mut self, field: Option<Field>) {
        let Some(mut field) = field else { return };
        while field.0.last() == Some(&Part::Any) {
            field.0.pop();
        }
        if !field.0.is_empty() && !self.0.contains(&field) {
            self.0.push(field);
        }
    }

    /// Where `path` leads from `at`; None where that cannot be told.
    fn of_path(&mut self, path: &Path, mut at: Option<Field>) -> Option<Field> {
        for step in &path.0 {
            at = match step {
                Step::Root => Some(Field::default()),
                Step::Field(key) => at.map(|f| f.key(key)),
                Step::Wildcard => at.map(|f| f.with(Part::Any)),
                Step::Indexes(_) | Step::Slice { .. } | Step::Length => at,
                Step::Filter(condition) => {
                    self.of_condition(condition, at.as_ref());
                    at
                }
                Step::Fields(keys) => {
                    for key in keys {
                        self.add(at.as_ref().map(|f| f.key(key)));
                    }
                    None
                }
                Step::Descend(_) | Step::DescendAll => {
                    self.add(at);
                    None
                }
            };
        }
        at
    }

    fn of_condition(&mut self, condition: &Condition, at: Option<&Field>) {
        match condition {
            Condition::Any(all) | Condition::All(all) => all.iter().for_each(|c| self.of_condition(c, at)),
            Condition::Not(inner) => self.of_condition(inner, at),
            Condition::Exists(operand) | Condition::Matches(operand, _) => self.of_operand(operand, at),
            Condition::Compare(left, _, right) => {
                self.of_operand(left, at);
                self.of_operand(right, at);
            }
        }
    }

    fn of_operand(&mut self, operand: &Operand, at: Option<&Field>) {
        if let Operand::Path(path) = operand {
            let end = self.of_path(path, at.cloned());
            self.add(end);
        }
    }

    /// A term whose values count: if it is a path, what that leads to is read.
    fn used(&mut self, term: &Term<&str>, at: Option<&Field>) {
        let end = self.of_term(term, at);
        self.add(end);
    }

    /// Where `term` leads from `at`, if it does nothing else; None where that cannot be told.
    fn of_term(&mut self, term: &Term<&str>, at: Option<&Field>) -> Option<Field> {
        match term {
            Term::Id => return at.cloned(),
            Term::Path(start, path) => {
                let mut end = self.of_term(start, at);
                for (part, _) in &path.0 {
                    end = match part {
                        JqPart::Index(key) => match literal(key) {
                            Some(key) => end.map(|f| f.key(key)),
                            None if matches!(key, Term::Num(_) | Term::Neg(_)) => end,
                            None => {
                                self.add(end);
                                self.used(key, at);
                                None
                            }
                        },
                        JqPart::Range(None, None) => end.map(|f| f.with(Part::Any)),
                        JqPart::Range(..) => end,
                    };
                }
                return end;
            }
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                let middle = self.of_term(left, at);
                return self.of_term(right, middle.as_ref());
            }
            Term::BinOp(left, BinaryOp::Pipe(Some(_)), right) => {
                self.used(left, at);
                return self.of_term(right, at);
            }
            Term::BinOp(
                left,
                BinaryOp::Comma | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And | BinaryOp::Math(_) | BinaryOp::Cmp(_),
                right,
            ) => {
                self.used(left, at);
                self.used(right, at);
            }
            Term::Neg(inner) | Term::Arr(Some(inner)) => self.used(inner, at),
            Term::Str(_, parts) => {
                for part in parts {
                    if let StrPart::Term(inner) = part {
                        self.used(inner, at);
                    }
                }
            }
            Term::Obj(entries) => {
                for (key, value) in entries {
                    match (value, literal(key)) {
                        (Some(value), _) => self.used(value, at),
                        (None, Some(key)) => self.add(at.map(|f| f.key(key))),
                        (None, None) => {}
                    }
                }
            }
            Term::Label(_, inner) | Term::TryCatch(inner, _) => return self.of_term(inner, at),
            Term::Fold(_, values, _, _) => self.used(values, at),
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.used(condition, at);
                    self.used(then, at);
                }
                if let Some(otherwise) = otherwise {
                    self.used(otherwise, at);
                }
            }
            Term::Call(name, arguments) => return self.of_call(name, arguments, at),
            // A definition may give any name another meaning; an assignment makes the field that it names.
            _ => {}
        }
        None
    }

    fn of_call(&mut self, name: &str, arguments: &[Term<&str>], at: Option<&Field>) -> Option<Field> {
        match (name, arguments) {
            ("true" | "false" | "null" | "empty", []) => {}
            ("first" | "last", []) => return at.cloned(),
            ("select", [condition]) => {
                self.used(condition, at);
                return at.cloned();
            }
            ("map" | "any" | "all", [inner]) => {
                self.add(at.cloned());
                let item = at.map(|f| f.with(Part::Any));
                self.used(inner, item.as_ref());
            }
            ("has", [key]) => self.add(literal(key).and_then(|key| at.map(|f| f.key(key)))),
            _ => self.add(at.cloned()),
        }
        None
    }
}

/// The string that a term is.
fn literal<'t>(term: &Term<&'t str>) -> Option<&'t str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::LargeBinaryArray;
    use serde_json::json;

    use super::super::{Documents, Selector, SpanSelector, Syntax};
    use super::*;

    fn texts(expressions: &[&str]) -> Vec<String> {
        expressions.iter().map(|e| (*e).to_owned()).collect()
    }

    fn raw(documents: &[Value]) -> LargeBinaryArray {
        documents.iter().map(|d| Some(d.to_string().into_bytes())).collect()
    }

    fn reads_of(text: &str, syntax: Syntax) -> Vec<String> {
        let selector = Selector::new(&texts(&[text]), &[], syntax, false).unwrap();
        selector.reads().into_iter().map(|(_, field)| field).collect()
    }

    #[test]
    fn the_fields_that_an_expression_reads_are_told() {
        for (path, fields) in [
            ("$.metadata.url", vec!["metadata.url"]),
            ("$.attributes[?(@.a[0][2] < 1 || @.b.c == 2)]", vec!["attributes.a", "attributes.b.c"]),
            ("$@.items[?(@.n > 1 && $.lang == 'en')].x", vec!["items.n", "lang", "items.x"]),
            ("$.items[*].name.length()", vec!["items[].name"]),
            ("$.items[*]", vec!["items"]),
            ("$['a','b'].c", vec!["a", "b"]),
            ("$.metadata..url", vec!["metadata"]),
            ("$..url", vec![]),
        ] {
            assert_eq!(reads_of(path, Syntax::JsonPath), fields, "{path}");
        }
        for (program, fields) in [
            (".metadata.score? // 0 > 0.5", vec!["metadata.score"]),
            ("select(.a[\"b-c\"] == 1) | .d | not", vec!["a.b-c", "d"]),
            (".attributes | (.x[0][2] > 1 and (.y | length) < 3)", vec!["attributes.x", "attributes.y"]),
            (".items | map(.n) | add", vec!["items[].n"]),
            (".items[] | .name | test(\"x\")", vec!["items[].name"]),
            ("if has(\"u\") then .v else \"\\(.w)\" end", vec!["u", "v", "w"]),
            (".a as $x | .b[$x]", vec!["a", "b"]),
            ("def f: .q; f", vec![]),
            ("true", vec![]),
            ("any(.tags[]; . == \"x\")", vec![]),
        ] {
            assert_eq!(reads_of(program, Syntax::Jq), fields, "{program}");
        }
    }

    #[test]
    fn the_documents_that_have_a_field_are_counted() {
        let documents = [
            json!({"a": null, "items": [{"n": 1}, {"m": 2}]}),
            json!({"items": [{"n": 1}]}),
            json!({"items": {"n": 0}}),
        ];
        let raw = raw(&documents);
        let count = |text: &str| {
            // The first expression alone would settle it.
            let selector = Selector::new(&texts(&["$.items", text]), &[], Syntax::JsonPath, false).unwrap();
            selector.select(&Documents::new(&raw, &[], &[]).unwrap()).seen
        };
        assert_eq!(count("$.a"), [3, 1]);
        assert_eq!(count("$.items[?(@.m == 2)]"), [3, 1]);
        assert_eq!(count("$.items.n"), [3, 3]);
        assert_eq!(count("$.none"), [3, 0]);
        let spans = SpanSelector::new(".items.n?", Syntax::Jq, false).unwrap();
        assert_eq!(spans.spans(&Documents::new(&raw, &[], &[]).unwrap()).seen, [3]);
    }
}
