//! Rules over texts, one after the other: a document is measured only as far as the rules that it reaches ask.

use arrow_array::{Array, ArrayRef, Int16Array, LargeStringArray};

use super::column::{Column, Row};
use super::conditions::{Document, Node, Step};
use super::text::{Spare, Text};
use super::{by_name, check_spans, text_at, Tagger};
use crate::{Error, Result};

/// The rules, and the taggers whose attributes they read. It keeps its buffers from one batch to the next.
pub struct Chain {
    parts: Vec<Part>,
    /// The attributes at hand, each as (part, attribute).
    places: Vec<(usize, usize)>,
    rules: Vec<Node>,
    /// The positions in `places` of those that are given for the documents that stay.
    wanted: Vec<usize>,
    spare: Spare,
}

/// A tagger, and what it has measured of the document at hand.
struct Part {
    name: String,
    tagger: Box<dyn Tagger>,
    columns: Vec<Column>,
    /// Which columns are to be given.
    wanted: u64,
    /// Which attributes are measured.
    done: u64,
}

/// What a chain says of some documents.
pub struct Verdicts {
    /// The first rule that is true of each document; -1 where none is.
    pub rule: Int16Array,
    /// The wanted attributes of those of which none is.
    pub columns: Vec<ArrayRef>,
}

impl Part {
    fn new(name: &str) -> Result<Self> {
        let tagger = by_name(name).ok_or_else(|| Error::invalid(format!("unknown native tagger `{name}`")))?;
        let mut part = Part { name: name.to_owned(), tagger, columns: Vec::new(), wanted: 0, done: 0 };
        part.renew();
        Ok(part)
    }

    fn renew(&mut self) {
        self.columns = self.tagger.attributes().iter().map(|(_, kind)| Column::new(*kind, 0)).collect();
        self.done = 0;
    }

    fn measure(&mut self, attribute: usize, text: &Text<'_>) {
        if self.done >> attribute & 1 == 0 {
            self.tagger.measure(attribute, text, &mut self.done, &mut self.columns);
        }
    }

    /// Ends the row of a document; of one that is not kept nothing is left.
    fn end_row(&mut self, kept: bool) -> Result<()> {
        let wanted = if kept { self.wanted } else { 0 };
        let mut open = self.done | wanted;
        while open != 0 {
            let attribute = open.trailing_zeros();
            open &= open - 1;
            let Some(column) = self.columns.get_mut(attribute as usize) else { break };
            if wanted >> attribute & 1 == 1 {
                column.finish_row();
                check_spans(column)?;
            } else {
                column.forget_row();
            }
        }
        self.done = 0;
        Ok(())
    }
}

impl Chain {
    /// `attributes`: (tagger, attribute), each once, of all that rules name or that are wanted; `rules`: conditions on
    /// them in postfix order; `wanted`: positions of those to be given.
    pub fn new(attributes: &[(String, String)], rules: &[Vec<Step>], wanted: Vec<usize>) -> Result<Self> {
        let mut parts: Vec<Part> = Vec::new();
        let mut places = Vec::new();
        for (name, attribute) in attributes {
            let at = match parts.iter().position(|part| part.name == *name) {
                Some(at) => at,
                None => {
                    parts.push(Part::new(name)?);
                    parts.len() - 1
                }
            };
            let known = parts.get(at).map(|part| part.tagger.attributes()).unwrap_or_default();
            let found = known.iter().take(64).position(|(known, _)| known == attribute);
            let found =
                found.ok_or_else(|| Error::invalid(format!("tagger `{name}` has no attribute `{attribute}`")))?;
            if places.contains(&(at, found)) {
                return Err(Error::invalid(format!("expected each attribute once, found `{name}.{attribute}` again")));
            }
            places.push((at, found));
        }
        for at in &wanted {
            let place = places.get(*at).and_then(|(part, attribute)| Some((parts.get_mut(*part)?, attribute)));
            let outside = || Error::invalid(format!("expected positions below {}, found {at}", attributes.len()));
            let (part, attribute) = place.ok_or_else(outside)?;
            part.wanted |= 1 << attribute;
        }
        let rules = rules.iter().map(|steps| Node::condition(steps, places.len())).collect::<Result<Vec<_>>>()?;
        if i16::try_from(rules.len()).is_err() {
            return Err(Error::invalid(format!("expected fewer than 2^15 rules, found {}", rules.len())));
        }
        Ok(Chain { parts, places, rules, wanted, spare: Spare::default() })
    }

    /// Asks the rules of the texts at `rows`.
    pub fn filter(&mut self, texts: &LargeStringArray, rows: &[i64]) -> Result<Verdicts> {
        let Chain { parts, places, rules, wanted, spare } = self;
        parts.iter_mut().for_each(Part::renew);
        let mut first = Vec::with_capacity(rows.len());
        for row in rows {
            let at = usize::try_from(*row).ok().filter(|at| *at < texts.len());
            let at = at.ok_or_else(|| Error::invalid(format!("expected rows below {}, found {row}", texts.len())))?;
            let text = Text::reusing(text_at(texts, at)?, std::mem::take(spare));
            let mut document = Measured { text: &text, parts, places };
            let hit = rules.iter().position(|rule| rule.truth(&mut document) > 0);
            if hit.is_none() {
                wanted.iter().for_each(|at| document.measure(*at));
            }
            first.push(hit.map_or(-1, |rule| rule as i16));
            parts.iter_mut().try_for_each(|part| part.end_row(hit.is_none()))?;
            *spare = text.into_spare();
        }
        let column = |at: &usize| {
            let (part, attribute) = places.get(*at).copied()?;
            Some(parts.get_mut(part)?.columns.get_mut(attribute)?.finish())
        };
        let columns = wanted.iter().filter_map(column).collect();
        Ok(Verdicts { rule: Int16Array::from(first), columns })
    }
}

/// A document whose attributes are measured when they are asked for.
struct Measured<'a> {
    text: &'a Text<'a>,
    parts: &'a mut [Part],
    places: &'a [(usize, usize)],
}

impl Measured<'_> {
    fn measure(&mut self, at: usize) {
        if let Some((part, attribute)) = self.places.get(at) {
            if let Some(part) = self.parts.get_mut(*part) {
                part.measure(*attribute, self.text);
            }
        }
    }
}

impl Document for Measured<'_> {
    fn chars(&self) -> usize {
        self.text.chars()
    }

    fn bytes(&self) -> usize {
        self.text.str.len()
    }

    fn attribute(&mut self, at: usize) -> Row<'_> {
        self.measure(at);
        let (part, attribute) = self.places.get(at).copied().unwrap_or_default();
        self.parts.get(part).and_then(|part| part.columns.get(attribute)).map_or(Row::Document(None), Column::row)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use proptest::prelude::*;

    use super::super::{names, tag_texts};
    use super::*;

    fn pairs(found: &[(&str, &str)]) -> Vec<(String, String)> {
        found.iter().map(|(tagger, attribute)| ((*tagger).to_owned(), (*attribute).to_owned())).collect()
    }

    fn rule(measure: &str, at: usize, sign: &str, number: f64) -> Vec<Step> {
        vec![(measure.to_owned(), 0.0, at), ("number".to_owned(), number, 0), (sign.to_owned(), 0.0, 0)]
    }

    #[test]
    fn the_first_rule_that_is_true_counts() {
        let attributes = pairs(&[
            ("char_length_v1", "length"),
            ("gopher_v2", "word_count"),
            ("c4_v2", "lines_with_too_few_words"),
            ("gopher_v2", "fraction_of_characters_in_duplicate_5grams"),
        ]);
        let rules = [
            rule("first", 0, "<", 4.0),
            rule("first", 1, "<", 3.0),
            rule("fraction", 2, ">", 0.5),
            rule("first", 3, ">", 0.5),
        ];
        let mut chain = Chain::new(&attributes, &rules, vec![2, 1]).unwrap();
        let texts = LargeStringArray::from(vec![
            "abc",
            "a bcd",
            "one two three\nfour\nfive six seven eight",
            "a\nb\nc\nd e f",
            &"a b c d e f ".repeat(9),
            "one two three",
        ]);
        for _ in 0..2 {
            let found = chain.filter(&texts, &[0, 1, 2, 3, 4, 5]).unwrap();
            assert_eq!(found.rule.values(), &[0, 1, -1, 2, 3, -1]);
            assert_eq!(found.columns[0].as_list::<i32>().value_offsets(), &[0, 1, 1]);
            assert_eq!(found.columns[1].as_primitive::<Float64Type>().values(), &[8.0, 3.0]);
        }
        let found = chain.filter(&texts, &[5, 1]).unwrap();
        assert_eq!((found.rule.values().as_ref(), found.columns[1].len()), (&[-1, 1][..], 1));
    }

    #[test]
    fn what_cannot_be_asked_is_an_error() {
        let new = |found: &[(&str, &str)], wanted| {
            Chain::new(&pairs(found), &[], wanted).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(new(&[("gopher_v9", "x")], vec![]).unwrap_err(), "unknown native tagger `gopher_v9`");
        assert_eq!(new(&[("c4_v2", "x")], vec![]).unwrap_err(), "tagger `c4_v2` has no attribute `x`");
        let twice = [("c4_v2", "line_count"), ("c4_v2", "line_count")];
        assert_eq!(new(&twice, vec![]).unwrap_err(), "expected each attribute once, found `c4_v2.line_count` again");
        assert_eq!(new(&twice[..1], vec![1]).unwrap_err(), "expected positions below 1, found 1");
        let mut chain = Chain::new(&[], &[], vec![]).unwrap();
        let texts = LargeStringArray::from(vec![Some("a"), None]);
        let error = |rows: &[i64], chain: &mut Chain| chain.filter(&texts, rows).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error(&[2], &mut chain), "expected rows below 2, found 2");
        assert_eq!(error(&[-1], &mut chain), "expected rows below 2, found -1");
        assert_eq!(error(&[1], &mut chain), "text 1: expected a text, found none");
    }

    proptest! {
        /// In whatever order they are asked for, attributes measured one by one are those of a whole pass.
        #[test]
        fn measuring_one_by_one_is_measuring_all(
            texts in prop::collection::vec("(\\PC|[ab \n@.\\x1c0-9*{…#]|the |a@b.org |javascript |(ab ?){5}|(one two three four five ){3}\n){0,40}", 1..4),
            seed in 0usize..1000,
        ) {
            let texts = LargeStringArray::from(texts);
            let all: Vec<usize> = (0..texts.len()).collect();
            let rows: Vec<i64> = all.iter().map(|row| *row as i64).collect();
            for name in names() {
                let expected = tag_texts(&mut [by_name(name).unwrap()], &texts).unwrap().remove(0);
                let mut order: Vec<usize> = (0..expected.len()).collect();
                order.sort_by_key(|at| (at + 1) * (seed + 7) % 31);
                let known = by_name(name).unwrap().attributes();
                let attributes: Vec<_> = order.iter().map(|at| (name.to_owned(), known[*at].0.to_owned())).collect();
                let mut chain = Chain::new(&attributes, &[], (0..order.len()).collect()).unwrap();
                let found = chain.filter(&texts, &rows).unwrap();
                for (column, at) in found.columns.iter().zip(&order) {
                    prop_assert_eq!(&column.to_data(), &expected[*at].to_data(), "{} {}", name, known[*at].0);
                }
            }
        }
    }
}
