//! Conditions on the attributes of one document: the `drop` rules of a mix, as far as they ask for numbers.
//!
//! Truth has three values, as `dolma_pipeline/mixers/expression.py` says: 1 is true, -1 false, and 0 unknown. A number
//! that is unknown is NaN.

use super::column::Row;
use crate::{Error, Result};

/// A number or a condition. The index of an attribute is its position among those of the chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Number(f64),
    /// Code points of the text.
    Length,
    /// Bytes of the text.
    Bytes,
    Measure(Measure, usize),
    Calculate(Sign, Box<[Node; 2]>),
    Compare(Sign, Box<[Node; 2]>),
    /// Whether an attribute is there, with a score other than zero.
    Any(usize),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// What is asked of the spans of an attribute; a score of a whole document is one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The score of the first span.
    First,
    Count,
    Max,
    /// The share of the text that spans cover.
    Fraction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Plus,
    Minus,
    Times,
    Over,
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// One step of a condition in postfix order: what to do, the number, and the attribute or how many parts.
pub type Step = (String, f64, usize);

/// What a condition reads of a document.
pub trait Document {
    fn chars(&self) -> usize;
    fn bytes(&self) -> usize;
    /// The attribute at a position, measured by now.
    fn attribute(&mut self, at: usize) -> Row<'_>;
}

impl Node {
    /// The condition that `steps` spell; `attributes`: how many there are.
    pub fn condition(steps: &[Step], attributes: usize) -> Result<Node> {
        let wrong = |step: &Step| Error::invalid(format!("expected a condition in postfix order, found {step:?}"));
        let mut stack: Vec<Node> = Vec::new();
        for step in steps {
            let (what, number, at) = (step.0.as_str(), step.1, step.2);
            let node = match what {
                "number" => Node::Number(number),
                "length" => Node::Length,
                "bytes" => Node::Bytes,
                "any" if at < attributes => Node::Any(at),
                "not" => Node::Not(Box::new(stack.pop().filter(Node::is_condition).ok_or_else(|| wrong(step))?)),
                "and" | "or" => {
                    let first = stack.len().checked_sub(at).ok_or_else(|| wrong(step))?;
                    let parts = stack.split_off(first);
                    if parts.is_empty() || !parts.iter().all(Node::is_condition) {
                        return Err(wrong(step));
                    }
                    if what == "and" {
                        Node::And(parts)
                    } else {
                        Node::Or(parts)
                    }
                }
                _ => match (Measure::of(what), Sign::of(what)) {
                    (Some(measure), _) if at < attributes => Node::Measure(measure, at),
                    (_, Some(sign)) => {
                        let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return Err(wrong(step)) };
                        if left.is_condition() || right.is_condition() {
                            return Err(wrong(step));
                        }
                        let sides = Box::new([left, right]);
                        if sign.calculates() {
                            Node::Calculate(sign, sides)
                        } else {
                            Node::Compare(sign, sides)
                        }
                    }
                    _ => return Err(wrong(step)),
                },
            };
            stack.push(node);
        }
        let rule = stack.pop().filter(Node::is_condition);
        rule.filter(|_| stack.is_empty()).ok_or_else(|| Error::invalid("expected one condition in postfix order"))
    }

    fn is_condition(&self) -> bool {
        matches!(self, Node::Compare(..) | Node::Any(_) | Node::Not(_) | Node::And(_) | Node::Or(_))
    }

    /// Whether the condition is true. Parts that cannot change it any more are not asked, so what they read may stay
    /// unmeasured.
    pub fn truth(&self, document: &mut impl Document) -> i8 {
        match self {
            Node::Compare(sign, sides) => {
                let [left, right] = sides.as_ref();
                let (left, right) = (left.number(document), right.number(document));
                if left.is_nan() || right.is_nan() {
                    0
                } else if sign.holds(left, right) {
                    1
                } else {
                    -1
                }
            }
            Node::Any(at) => {
                let there = match document.attribute(*at) {
                    Row::Document(score) => score.is_some_and(|s| !s.is_nan() && s != 0.0),
                    Row::Spans { scores, .. } => scores.iter().any(|s| !s.is_nan() && *s != 0.0),
                };
                if there {
                    1
                } else {
                    -1
                }
            }
            Node::Not(inner) => -inner.truth(document),
            Node::And(parts) => {
                let mut least = 1;
                for part in parts {
                    least = part.truth(document).min(least);
                    if least == -1 {
                        break;
                    }
                }
                least
            }
            Node::Or(parts) => {
                let mut most = -1;
                for part in parts {
                    most = part.truth(document).max(most);
                    if most == 1 {
                        break;
                    }
                }
                most
            }
            // No number is asked for its truth: see `condition`.
            _ => 0,
        }
    }

    fn number(&self, document: &mut impl Document) -> f64 {
        match self {
            Node::Number(value) => *value,
            Node::Length => document.chars() as f64,
            Node::Bytes => document.bytes() as f64,
            Node::Measure(measure, at) => {
                let length = document.chars();
                measure.of_row(document.attribute(*at), length)
            }
            Node::Calculate(sign, sides) => {
                let [left, right] = sides.as_ref();
                sign.calculate(left.number(document), right.number(document))
            }
            _ => f64::NAN,
        }
    }
}

impl Measure {
    fn of(name: &str) -> Option<Self> {
        match name {
            "first" => Some(Measure::First),
            "count" => Some(Measure::Count),
            "max" => Some(Measure::Max),
            "fraction" => Some(Measure::Fraction),
            _ => None,
        }
    }

    /// `length`: code points of the text.
    fn of_row(self, row: Row<'_>, length: usize) -> f64 {
        match (self, row) {
            (Measure::First | Measure::Max, Row::Document(score)) => score.unwrap_or(f64::NAN),
            (Measure::Count, Row::Document(score)) => f64::from(u8::from(score.is_some_and(|s| !s.is_nan()))),
            (Measure::Fraction, Row::Document(score)) => {
                f64::from(u8::from(score.is_some_and(|s| !s.is_nan()) && length > 0))
            }
            (Measure::First, Row::Spans { scores, .. }) => scores.first().copied().unwrap_or(f64::NAN),
            (Measure::Count, Row::Spans { scores, .. }) => scores.len() as f64,
            (Measure::Max, Row::Spans { scores, .. }) => scores.iter().copied().fold(f64::NAN, f64::max),
            (Measure::Fraction, Row::Spans { starts, ends, .. }) => covered(starts, ends, length),
        }
    }
}

/// The share of `length` code points that spans cover, overlaps counted once; 0 of an empty text.
fn covered(starts: &[i64], ends: &[i64], length: usize) -> f64 {
    if length == 0 {
        return 0.0;
    }
    let most = length as i64;
    let clipped = |(start, end): (&i64, &i64)| ((*start).clamp(0, most), (*end).clamp(0, most));
    let add = |(covered, reached): (i64, i64), (start, end): (i64, i64)| {
        (covered + (end - start.max(reached)).max(0), reached.max(end))
    };
    let spans = || starts.iter().zip(ends).map(clipped);
    let (covered, _) = if spans().is_sorted_by_key(|(start, _)| start) {
        spans().fold((0, 0), add)
    } else {
        let mut sorted: Vec<_> = spans().collect();
        sorted.sort_unstable();
        sorted.into_iter().fold((0, 0), add)
    };
    covered as f64 / length as f64
}

impl Sign {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Sign::Plus,
            "-" => Sign::Minus,
            "*" => Sign::Times,
            "/" => Sign::Over,
            "<" => Sign::Less,
            "<=" => Sign::AtMost,
            ">" => Sign::More,
            ">=" => Sign::AtLeast,
            "==" => Sign::Equal,
            "!=" => Sign::Unequal,
            _ => return None,
        })
    }

    fn calculates(self) -> bool {
        matches!(self, Sign::Plus | Sign::Minus | Sign::Times | Sign::Over)
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Sign::Less => left < right,
            Sign::AtMost => left <= right,
            Sign::More => left > right,
            Sign::AtLeast => left >= right,
            Sign::Equal => left == right,
            Sign::Unequal => left != right,
            Sign::Plus | Sign::Minus | Sign::Times | Sign::Over => false,
        }
    }

    /// Anything over zero is unknown.
    fn calculate(self, left: f64, right: f64) -> f64 {
        match self {
            Sign::Plus => left + right,
            Sign::Minus => left - right,
            Sign::Times => left * right,
            Sign::Over if right != 0.0 => left / right,
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::column::{Column, Kind};
    use super::*;

    struct Sample(Vec<Column>, Vec<usize>);

    impl Document for Sample {
        fn chars(&self) -> usize {
            10
        }
        fn bytes(&self) -> usize {
            12
        }
        fn attribute(&mut self, at: usize) -> Row<'_> {
            self.1.push(at);
            self.0[at].row()
        }
    }

    /// The truth of a condition in words, and which attributes it asked for: 0 is 2.5, 1 is absent, 2 has three spans.
    fn ask(words: &str) -> (i8, Vec<usize>) {
        let step = |word: &str| match (word.parse::<f64>(), word.split_once(':')) {
            (Ok(number), _) => ("number".to_owned(), number, 0),
            (_, Some((name, at))) => (name.to_owned(), 0.0, at.parse().unwrap()),
            _ => (word.to_owned(), 0.0, 0),
        };
        let steps: Vec<Step> = words.split(' ').map(step).collect();
        let (mut score, mut spans) = (Column::new(Kind::Document, 1), Column::new(Kind::Spans, 1));
        score.set(2.5);
        spans.span(4, 6, 0.0);
        spans.span(0, 3, 3.0);
        spans.span(5, 99, 1.0);
        let mut sample = Sample(vec![score, Column::new(Kind::Document, 1), spans], vec![]);
        (Node::condition(&steps, 3).unwrap().truth(&mut sample), sample.1)
    }

    #[test]
    fn numbers_are_those_of_the_attributes() {
        for (words, truth) in [
            ("first:0 2.5 ==", 1),
            ("first:0 2.5 !=", -1),
            ("first:1 1 <", 0),
            ("count:1 0 ==", 1),
            ("fraction:0 1 ==", 1),
            ("fraction:1 0 ==", 1),
            ("first:2 0 ==", 1),
            ("count:2 3 >=", 1),
            ("max:2 3 <=", 1),
            ("fraction:2 0.9 ==", 1),
            ("length 2 - bytes 4 - ==", 1),
            ("1 0 / 5 <", 0),
            ("length 2 * 4 / 5 >", -1),
            ("any:0", 1),
            ("any:1", -1),
            ("any:2", 1),
        ] {
            assert_eq!(ask(words).0, truth, "{words}");
        }
    }

    #[test]
    fn truth_has_three_values_and_what_decides_comes_first() {
        assert_eq!(ask("first:1 1 < not"), (0, vec![1]));
        assert_eq!(ask("first:1 1 < any:0 and:2"), (0, vec![1, 0]));
        assert_eq!(ask("first:1 1 < any:1 and:2"), (-1, vec![1, 1]));
        assert_eq!(ask("any:1 any:2 and:2"), (-1, vec![1]));
        assert_eq!(ask("any:0 any:2 or:2"), (1, vec![0]));
        assert_eq!(ask("first:1 1 < any:1 or:2"), (0, vec![1, 1]));
    }

    #[test]
    fn what_is_no_condition_is_an_error() {
        let step = |what: &str, at| (what.to_owned(), 0.0, at);
        for steps in [
            vec![],
            vec![step("number", 0)],
            vec![step("first", 0)],
            vec![step("any", 3)],
            vec![step("any", 0), step("any", 0)],
            vec![step("any", 0), step("number", 0), step("<", 0)],
            vec![step("number", 0), step("not", 0)],
            vec![step("any", 0), step("and", 2)],
            vec![step("and", 0)],
            vec![step("sum", 0)],
        ] {
            assert!(Node::condition(&steps, 1).is_err(), "{steps:?}");
        }
    }
}
