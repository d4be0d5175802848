//! What a JSONPath reaches in a document.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::jsonpath::{Condition, Operand, Path, Sign, Step};

use crate::fields::digits;

type Node<'d> = Cow<'d, Value>;

/// Below 2^53 a double holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How numbers are compared: by value (1 equals 1.0), or by how they are spelled, as Dolma 1.2.1 does.
#[derive(Default)]
pub struct Numbers {
    by_spelling: bool,
    /// Whether the two ways have differed anywhere.
    differ: Cell<bool>,
}

impl Numbers {
    pub fn by_spelling() -> Self {
        Numbers { by_spelling: true, ..Numbers::default() }
    }

    pub fn differ(&self) -> bool {
        self.differ.get()
    }

    /// Which of two answers holds.
    pub fn settle(&self, by_value: bool, by_spelling: bool) -> bool {
        if by_value != by_spelling {
            self.differ.set(true);
        }
        if self.by_spelling {
            by_spelling
        } else {
            by_value
        }
    }
}

/// The nodes that `path` reaches from the root, in document order.
pub fn find<'d>(path: &Path, root: &'d Value, numbers: &Numbers) -> Vec<Node<'d>> {
    walk(&path.0, root, root, numbers)
}

fn walk<'d>(steps: &[Step], root: &'d Value, current: &'d Value, numbers: &Numbers) -> Vec<Node<'d>> {
    let mut nodes = vec![current];
    for (i, step) in steps.iter().enumerate() {
        if matches!(step, Step::Length) {
            // Only the end of a path gives a new value: what follows finds nothing in a number.
            let counted = steps.get(..i).unwrap_or_default();
            return if i + 1 == steps.len() { length(counted, &nodes).into_iter().collect() } else { Vec::new() };
        }
        let mut next = Vec::new();
        for node in nodes {
            reach(step, root, node, &mut next, numbers);
        }
        nodes = next;
    }
    nodes.into_iter().map(Cow::Borrowed).collect()
}

fn reach<'d>(step: &Step, root: &'d Value, node: &'d Value, out: &mut Vec<&'d Value>, numbers: &Numbers) {
    match step {
        Step::Root => out.push(root),
        Step::Field(key) => out.extend(node.get(key)),
        Step::Fields(keys) => out.extend(keys.iter().filter_map(|key| node.get(key))),
        Step::Wildcard => out.extend(children(node)),
        Step::Descend(key) => descend(node, &mut |inner| out.extend(inner.get(key))),
        Step::DescendAll => {
            let mut all = Vec::new();
            descend(node, &mut |inner| all.push(inner));
            out.extend(all.into_iter().skip(1));
        }
        Step::Indexes(indexes) => {
            let items = node.as_array().map(Vec::as_slice).unwrap_or_default();
            out.extend(indexes.iter().filter_map(|&i| items.get(position(i, items.len())?)));
        }
        Step::Slice { start, end, step } => {
            let items = node.as_array().map(Vec::as_slice).unwrap_or_default();
            let bound =
                |i: i64| if i < 0 { position(i, items.len()).unwrap_or(0) } else { i as usize }.min(items.len());
            let (from, to) = (bound(*start), end.map_or(items.len(), bound));
            out.extend(items.get(from..to).unwrap_or_default().iter().step_by(*step));
        }
        Step::Filter(condition) => match node {
            Value::Array(items) => out.extend(items.iter().filter(|item| holds(condition, root, item, numbers))),
            other => out.extend(holds(condition, root, other, numbers).then_some(other)),
        },
        Step::Length => {}
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    match index {
        0.. => usize::try_from(index).ok(),
        _ => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn children(node: &Value) -> Vec<&Value> {
    match node {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

/// Visits `node` and all below it, parents first; the parser of documents has bounded their depth.
fn descend<'d>(node: &'d Value, visit: &mut impl FnMut(&'d Value)) {
    visit(node);
    for child in children(node) {
        descend(child, visit);
    }
}

/// How many nodes a path that may reach many has reached, else the length of the one array it has.
fn length<'d>(steps: &[Step], nodes: &[&'d Value]) -> Option<Node<'d>> {
    let many = steps.iter().rfind(|s| !matches!(s, Step::Field(_) | Step::Root)).is_some_and(|s| match s {
        Step::Indexes(indexes) => indexes.len() > 1,
        Step::Fields(_) | Step::Slice { .. } | Step::Filter(_) | Step::Wildcard => true,
        _ => false,
    });
    let count = if many && !nodes.is_empty() { nodes.len() } else { nodes.first()?.as_array()?.len() };
    Some(Cow::Owned(Value::from(count)))
}

fn holds(condition: &Condition, root: &Value, node: &Value, numbers: &Numbers) -> bool {
    match condition {
        Condition::Any(all) => all.iter().any(|c| holds(c, root, node, numbers)),
        Condition::All(all) => all.iter().all(|c| holds(c, root, node, numbers)),
        Condition::Not(inner) => !holds(inner, root, node, numbers),
        Condition::Exists(Operand::Value(value)) => *value != Value::Bool(false),
        Condition::Exists(path) => !values(path, root, node, numbers).is_empty(),
        Condition::Compare(left, sign, right) => {
            compare(&values(left, root, node, numbers), *sign, &values(right, root, node, numbers), numbers)
        }
        Condition::Matches(operand, regex) => {
            values(operand, root, node, numbers).iter().any(|v| v.as_str().is_some_and(|s| regex.is_match(s)))
        }
    }
}

fn values<'d>(operand: &'d Operand, root: &'d Value, node: &'d Value, numbers: &Numbers) -> Vec<Node<'d>> {
    match operand {
        Operand::Value(value) => vec![Cow::Borrowed(value)],
        Operand::Path(path) => walk(&path.0, root, node, numbers),
    }
}

/// What is not found equals nothing but what is not found either, and is neither less nor greater.
fn compare(left: &[Node<'_>], sign: Sign, right: &[Node<'_>], numbers: &Numbers) -> bool {
    match sign {
        Sign::Equal => all_equal(left, right, numbers),
        Sign::Unequal => !all_equal(left, right, numbers),
        Sign::Less => less(left, right, numbers),
        Sign::Greater => less(right, left, numbers),
        Sign::LessOrEqual => less(left, right, numbers) || all_equal(left, right, numbers),
        Sign::GreaterOrEqual => less(right, left, numbers) || all_equal(left, right, numbers),
        Sign::In => is_in(left, right, numbers),
        Sign::NotIn => !is_in(left, right, numbers),
        Sign::AnyOf => any_of(left, right, numbers),
        Sign::NoneOf => !any_of(left, right, numbers),
        Sign::SubsetOf => match (left.first().map(Cow::as_ref), members(right)) {
            (None, _) => true,
            (Some(Value::Array(items)), Some(set)) => {
                !set.is_empty() && items.iter().all(|i| set.iter().any(|s| equal(i, s, numbers)))
            }
            _ => false,
        },
        Sign::Size => match right.first().and_then(|r| r.as_f64()) {
            Some(wanted) => left.iter().all(|v| size(v) == Some(wanted as usize)),
            None => false,
        },
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(s) => Some(s.len()),
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => Some(fields.len()),
        _ => None,
    }
}

fn members<'v>(set: &'v [Node<'_>]) -> Option<Vec<&'v Value>> {
    match set.first().map(Cow::as_ref) {
        Some(Value::Array(items)) => Some(items.iter().collect()),
        _ => None,
    }
}

fn is_in(left: &[Node<'_>], right: &[Node<'_>], numbers: &Numbers) -> bool {
    let Some(set) = right.first() else { return false };
    left.iter().any(|l| children(set).into_iter().any(|s| equal(l, s, numbers)))
}

fn any_of(left: &[Node<'_>], right: &[Node<'_>], numbers: &Numbers) -> bool {
    if left.is_empty() {
        return true;
    }
    let Some(set) = members(right) else { return false };
    left.iter().any(|l| match l.as_ref() {
        Value::Array(items) => items.iter().any(|i| set.iter().any(|s| equal(i, s, numbers))),
        one => set.iter().any(|s| equal(one, s, numbers)),
    })
}

fn less(left: &[Node<'_>], right: &[Node<'_>], numbers: &Numbers) -> bool {
    let ([l], [r]) = (left, right) else { return false };
    let (Value::Number(l), Value::Number(r)) = (l.as_ref(), r.as_ref()) else { return false };
    let (Some(left), Some(right)) = (l.as_f64(), r.as_f64()) else { return false };
    numbers.settle(order(l, r) == Some(Ordering::Less), left < right)
}

/// How numbers compare: as doubles, and where both are the same double and too large for it to hold every whole number,
/// by their digits. Rounding never turns the order of two numbers around, so this is exact for whole numbers.
fn order(left: &Number, right: &Number) -> Option<Ordering> {
    let (l, r) = (left.as_f64()?, right.as_f64()?);
    let rounded = l.partial_cmp(&r)?;
    if rounded != Ordering::Equal || l.abs() < EXACT {
        return Some(rounded);
    }
    let ((_, left, first), (_, right, other)) = (digits(&left.to_string()), digits(&right.to_string()));
    let sized = first.cmp(&other).then_with(|| left.cmp(&right));
    Some(if l < 0.0 { sized.reverse() } else { sized })
}

fn all_equal(left: &[Node<'_>], right: &[Node<'_>], numbers: &Numbers) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r, numbers))
}

/// Equality of values.
fn equal(left: &Value, right: &Value, numbers: &Numbers) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => {
            let by_value = l == r || order(l, r) == Some(Ordering::Equal);
            let whole = |n: &Number| n.is_i64() || n.is_u64();
            // Dolma has a number that is no 64-bit integer as a double.
            let by_spelling = match (whole(l), whole(r)) {
                (true, true) => by_value,
                (false, false) => l.as_f64() == r.as_f64(),
                _ => false,
            };
            numbers.settle(by_value, by_spelling)
        }
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| equal(l, r, numbers)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(key, l)| r.get(key).is_some_and(|r| equal(l, r, numbers)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::LargeBinaryArray;

    use super::super::{Documents, Selector, Syntax};
    use super::*;

    fn kept(expression: &str, syntax: Syntax, documents: &[Value]) -> (Vec<Option<bool>>, usize) {
        let raw: LargeBinaryArray = documents.iter().map(|d| Some(d.to_string().into_bytes())).collect();
        let selector = Selector::new(&[expression.to_owned()], &[], syntax, false).unwrap();
        let found = selector.select(&Documents::new(&raw, &[], &[]).unwrap());
        (found.kept.iter().collect(), found.spelled)
    }

    #[test]
    fn whole_numbers_are_compared_to_their_last_digit() {
        let documents: Vec<Value> =
            ["9007199254740993", "9007199254740992.0", "-9007199254740993", "12345678901234567893"]
                .iter()
                .map(|n| serde_json::from_str(&format!("{{\"a\": [{{\"n\": {n}}}]}}")).unwrap())
                .collect();
        for (condition, expected) in [
            ("@.n == 9007199254740993", [true, false, false, false]),
            ("@.n == 9007199254740992", [false, true, false, false]),
            ("@.n > 9007199254740992", [true, false, false, true]),
            ("@.n < -9007199254740992", [false, false, true, false]),
            ("@.n == 12345678901234567893", [false, false, false, true]),
            ("@.n < 12345678901234567894", [true, true, true, true]),
            ("@.n >= 12345678901234567892", [false, false, false, true]),
        ] {
            let found = kept(&format!("$.a[?({condition})]"), Syntax::JsonPath, &documents).0;
            assert_eq!(found, expected.map(Some), "{condition}");
            // A double beside a whole number is jq's own affair.
            let program = format!(".a[0] | {}", condition.replace("@.n", ".n"));
            let found = kept(&program, Syntax::Jq, &documents).0;
            assert_eq!(
                (found[0], found[2], found[3]),
                (Some(expected[0]), Some(expected[2]), Some(expected[3])),
                "{program}"
            );
        }
        let larger = kept("$.a[?(@.n > 9007199254740992)]", Syntax::JsonPath, &documents[..1]);
        assert_eq!(larger, (vec![Some(true)], 1));
    }
}
