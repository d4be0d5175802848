//! Dolma's filters and span expressions, compiled once and evaluated on batches of documents.
//!
//! What an expression sees is the raw document with `attributes` merged in from the attribute rows beside it. Semantics
//! are those of Dolma 1.2.1 for `jsonpath` (a match is a path that reaches anything) and `jq` (a match is an output, all of
//! whose values are truthy); a document that an expression cannot be evaluated on is data, not a failure of the batch.

mod document;
mod evaluate;
mod jq;
mod jsonpath;
mod names;
mod reads;
mod replacement;
mod strict;

use std::str::FromStr;

use arrow_array::builder::BooleanBuilder;
use arrow_array::{ArrayRef, BooleanArray};
use serde_json::Value;

pub use document::Documents;
use document::Wanted;
use evaluate::Numbers;
pub use replacement::Replacement;

use crate::taggers::{Column, Kind};
use crate::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    JsonPath,
    Jq,
}

impl FromStr for Syntax {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "jsonpath" => Ok(Syntax::JsonPath),
            "jq" => Ok(Syntax::Jq),
            _ => Err(Error::invalid(format!("expected the syntax `jsonpath` or `jq`, found `{name}`"))),
        }
    }
}

enum Expression {
    JsonPath(jsonpath::Path),
    Jq(jq::Program),
}

impl Expression {
    fn new(text: &str, syntax: Syntax, strict: bool) -> Result<Self> {
        Ok(match syntax {
            Syntax::JsonPath => Expression::JsonPath(jsonpath::parse(text).map_err(Error::Invalid)?),
            Syntax::Jq => Expression::Jq(jq::Program::new(text, strict).map_err(Error::Invalid)?),
        })
    }

    /// What it reads of a document.
    fn wanted(&self) -> Wanted {
        match self {
            Expression::JsonPath(path) => Wanted { fields: names::fields(path), attributes: names::attributes(path) },
            Expression::Jq(_) => Wanted::default(),
        }
    }
}

/// A row of the batch and why an expression could not be evaluated on it.
pub type RowError = (usize, String);

/// What a selector says of the documents of a batch.
pub struct Selection {
    /// Null where it cannot be told.
    pub kept: BooleanArray,
    pub errors: Vec<RowError>,
    /// Documents of which Dolma 1.2.1, which compares numbers as they are spelled, would say something else.
    pub spelled: usize,
    /// Number of documents that have each of the fields that the expressions read.
    pub seen: Vec<usize>,
}

/// The spans that an expression reaches in the documents of a batch.
pub struct SpanSelection {
    /// list<struct<start, end, score>>, empty where the expression cannot be evaluated.
    pub spans: ArrayRef,
    pub errors: Vec<RowError>,
    /// See `Selection`.
    pub spelled: usize,
    /// See `Selection`.
    pub seen: Vec<usize>,
}

/// `filter.include` and `filter.exclude`.
pub struct Selector {
    include: Vec<Expression>,
    exclude: Vec<Expression>,
    names: Vec<String>,
    reads: Vec<(usize, reads::Field)>,
    wanted: Wanted,
}

impl Selector {
    /// Fails on the first expression that does not parse, naming it and the column.
    ///
    /// `strict`: in jq, indexing null is an error, as it is in Dolma.
    pub fn new(include: &[String], exclude: &[String], syntax: Syntax, strict: bool) -> Result<Self> {
        let compile =
            |texts: &[String]| texts.iter().map(|t| Expression::new(t, syntax, strict)).collect::<Result<Vec<_>>>();
        let (include, exclude) = (compile(include)?, compile(exclude)?);
        let wanted = include.iter().chain(&exclude).map(Expression::wanted).reduce(Wanted::and).unwrap_or_default();
        let reads = listed(include.iter().chain(&exclude));
        Ok(Selector { names: names::of(&include, &exclude), include, exclude, reads, wanted })
    }

    /// The fields that the expressions read for certain, each with the position of its expression, `include` first.
    pub fn reads(&self) -> Vec<(usize, String)> {
        spelled(&self.reads)
    }

    /// The attribute keys that the expressions name, as far as can be told without running them; sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// True where any `include` matches (or there is none) and no `exclude` does; null where that cannot be told.
    pub fn select(&self, documents: &Documents<'_>) -> Selection {
        let mut kept = BooleanBuilder::with_capacity(documents.len());
        let (mut errors, mut spelled, mut seen) = (Vec::new(), 0, vec![0; self.reads.len()]);
        for row in 0..documents.len() {
            let found = documents.get(row, &self.wanted).and_then(|document| {
                see(&self.reads, &document, &mut seen);
                settled(|numbers| self.keeps(&document, numbers))
            });
            match found {
                Ok((keep, differs)) => {
                    kept.append_value(keep);
                    spelled += usize::from(differs);
                }
                Err(error) => {
                    kept.append_null();
                    errors.push((row, error));
                }
            }
        }
        Selection { kept: kept.finish(), errors, spelled, seen }
    }

    fn keeps(&self, document: &Value, numbers: &Numbers) -> std::result::Result<bool, String> {
        // What jq sees is made once, however many programs run.
        let mut input = None;
        let mut keep = self.include.is_empty();
        for expression in &self.include {
            keep = match expression {
                Expression::JsonPath(path) => !evaluate::find(path, document, numbers).is_empty(),
                Expression::Jq(program) => {
                    let found = program.run(input.get_or_insert_with(|| jq::value(document)).clone())?;
                    !found.is_empty() && found.iter().all(|value| jq::truthy(value, numbers))
                }
            };
            if keep {
                break;
            }
        }
        for expression in &self.exclude {
            if !keep {
                break;
            }
            keep = match expression {
                Expression::JsonPath(path) => evaluate::find(path, document, numbers).is_empty(),
                Expression::Jq(program) => {
                    let found = program.run(input.get_or_insert_with(|| jq::value(document)).clone())?;
                    !found.iter().any(|value| jq::truthy(value, numbers))
                }
            };
        }
        Ok(keep)
    }
}

/// The fields that each of `expressions` reads, with its position.
fn listed<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Vec<(usize, reads::Field)> {
    expressions.enumerate().flat_map(|(i, e)| reads::of(e).into_iter().map(move |field| (i, field))).collect()
}

fn spelled(reads: &[(usize, reads::Field)]) -> Vec<(usize, String)> {
    reads.iter().map(|(i, field)| (*i, field.spelled())).collect()
}

/// Counts the fields that `document` has.
fn see(reads: &[(usize, reads::Field)], document: &Value, seen: &mut [usize]) {
    for ((_, field), count) in reads.iter().zip(seen) {
        *count += usize::from(field.is_in(document));
    }
}

/// What `evaluate` says with numbers compared by value, and whether it says something else by their spelling.
fn settled<T: PartialEq>(
    evaluate: impl Fn(&Numbers) -> std::result::Result<T, String>,
) -> std::result::Result<(T, bool), String> {
    let numbers = Numbers::default();
    let found = evaluate(&numbers)?;
    // Few documents have a number that equals another of another spelling: only those are looked at twice.
    let differs = numbers.differ() && evaluate(&Numbers::by_spelling()).is_ok_and(|other| other != found);
    Ok((found, differs))
}

/// `span_replacement.span`: selects spans of a document's text.
pub struct SpanSelector {
    expression: Expression,
    names: Vec<String>,
    reads: Vec<(usize, reads::Field)>,
    wanted: Wanted,
}

impl SpanSelector {
    /// See `Selector::new`.
    pub fn new(text: &str, syntax: Syntax, strict: bool) -> Result<Self> {
        let expression = Expression::new(text, syntax, strict)?;
        let names = names::of(std::slice::from_ref(&expression), &[]);
        let reads = listed(std::iter::once(&expression));
        Ok(SpanSelector { wanted: expression.wanted(), names, reads, expression })
    }

    /// See `Selector::reads`.
    pub fn reads(&self) -> Vec<(usize, String)> {
        spelled(&self.reads)
    }

    /// The attribute keys that the expression names, as far as can be told without running it; sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The spans that the expression reaches.
    ///
    /// A `[start, end, score]` counts wherever it stands: as a node of its own, in a list, or in a list of lists.
    pub fn spans(&self, documents: &Documents<'_>) -> SpanSelection {
        let mut column = Column::new(Kind::Spans, documents.len());
        let (mut errors, mut spelled, mut seen) = (Vec::new(), 0, vec![0; self.reads.len()]);
        for row in 0..documents.len() {
            let found = documents.get(row, &self.wanted).and_then(|document| {
                see(&self.reads, &document, &mut seen);
                settled(|numbers| self.find(&document, numbers))
            });
            match found {
                Ok((spans, differs)) => {
                    spans.into_iter().for_each(|(start, end, score)| column.span(start, end, score));
                    spelled += usize::from(differs);
                }
                Err(error) => errors.push((row, error)),
            }
            column.finish_row();
        }
        SpanSelection { spans: column.finish(), errors, spelled, seen }
    }

    fn find(&self, document: &Value, numbers: &Numbers) -> std::result::Result<Vec<(usize, usize, f64)>, String> {
        let mut spans = Vec::new();
        match &self.expression {
            Expression::JsonPath(path) => {
                for node in evaluate::find(path, document, numbers) {
                    collect_spans(&node, 0, &mut spans)?;
                }
            }
            Expression::Jq(program) => {
                for out in program.run(jq::value(document))? {
                    collect_spans(&jq::json(&out)?, 0, &mut spans)?;
                }
            }
        }
        Ok(spans)
    }
}

fn collect_spans(value: &Value, depth: usize, spans: &mut Vec<(usize, usize, f64)>) -> std::result::Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => {
            if let [Value::Number(start), Value::Number(end), Value::Number(score)] = items.as_slice() {
                let number = |n: &serde_json::Number| n.as_f64().unwrap_or(f64::NAN);
                // A negative or fractional offset saturates: spans are clipped to the text later.
                spans.push((number(start) as usize, number(end) as usize, number(score)));
                return Ok(());
            }
            if depth == 3 {
                return Err("expected [[start, end, score], ...], found lists nested deeper".to_owned());
            }
            items.iter().try_for_each(|item| collect_spans(item, depth + 1, spans))
        }
        other => {
            Err(format!("expected [[start, end, score], ...], found {}", crate::json::excerpt(&other.to_string(), 60)))
        }
    }
}

#[cfg(test)]
mod tests;
