//! What an expression reads, as far as its text tells.

use std::collections::BTreeSet;

use super::jsonpath::{Condition, Operand, Path, Step};
use super::Expression;

/// The attribute keys that these expressions name; sorted.
pub fn of(include: &[Expression], exclude: &[Expression]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for expression in include.iter().chain(exclude) {
        match expression {
            Expression::JsonPath(path) => of_path(path, &mut names),
            Expression::Jq(program) => of_text(program.text(), &mut names),
        }
    }
    names.into_iter().collect()
}

/// The fields that a path looks up in `attributes`, and any other name in the form of a key.
fn of_path(path: &Path, names: &mut BTreeSet<String>) {
    let mut inside = false;
    for step in &path.0 {
        match step {
            Step::Field(key) | Step::Descend(key) => {
                if inside || is_key(key) {
                    names.insert(key.clone());
                }
                inside = !inside && key == "attributes";
            }
            Step::Fields(keys) => {
                names.extend(keys.iter().filter(|k| inside || is_key(k)).cloned());
                inside = false;
            }
            Step::Filter(condition) => of_condition(condition, inside, names),
            Step::Root => {}
            _ => inside = false,
        }
    }
}

fn of_condition(condition: &Condition, inside: bool, names: &mut BTreeSet<String>) {
    let mut of_operand = |operand: &Operand| {
        if let Operand::Path(path) = operand {
            if let (true, Some(Step::Field(key))) = (inside, path.0.first()) {
                names.insert(key.clone());
            }
            of_path(path, names);
        }
    };
    match condition {
        Condition::Any(all) | Condition::All(all) => all.iter().for_each(|c| of_condition(c, inside, names)),
        Condition::Not(inner) => of_condition(inner, inside, names),
        Condition::Exists(operand) | Condition::Matches(operand, _) => of_operand(operand),
        Condition::Compare(left, _, right) => {
            of_operand(left);
            of_operand(right);
        }
    }
}

/// Words in the form of a key, and a word that follows `attributes.` or `attributes["`.
fn of_text(text: &str, names: &mut BTreeSet<String>) {
    let mut rest = text;
    let mut inside = false;
    while let Some(start) = rest.find(is_word) {
        let (between, tail) = rest.split_at(start);
        let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
        let (word, after) = tail.split_at(end);
        if is_key(word) || (inside && matches!(between, "." | "?." | "[\"" | "?[\"" | ".[\"" | "?.[\"")) {
            names.insert(word.to_owned());
        }
        inside = word == "attributes";
        rest = after;
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `experiment__tagger__attribute`
fn is_key(word: &str) -> bool {
    word.trim_matches('_').contains("__")
}

/// The top-level fields that a path reads; None where it may read any.
pub fn fields(path: &Path) -> Option<Vec<String>> {
    let mut found = Vec::new();
    from_root(&path.0, true, &mut found).then_some(found)
}

/// Adds the fields that `steps` read of the root; `at_root`: whether they start there. False where it may be any.
fn from_root(steps: &[Step], mut at_root: bool, found: &mut Vec<String>) -> bool {
    for step in steps {
        match step {
            Step::Root => at_root = true,
            Step::Field(key) if at_root => {
                found.push(key.clone());
                at_root = false;
            }
            Step::Fields(keys) if at_root => {
                found.extend(keys.iter().cloned());
                at_root = false;
            }
            Step::Filter(condition) if in_condition(condition, at_root, found) => {}
            Step::Filter(_) => return false,
            _ if at_root => return false,
            _ => {}
        }
    }
    !at_root
}

fn in_condition(condition: &Condition, at_root: bool, found: &mut Vec<String>) -> bool {
    let mut in_operand = |operand: &Operand| match operand {
        Operand::Path(path) => from_root(&path.0, at_root, found),
        Operand::Value(_) => true,
    };
    match condition {
        Condition::Any(all) | Condition::All(all) => all.iter().all(|c| in_condition(c, at_root, found)),
        Condition::Not(inner) => in_condition(inner, at_root, found),
        Condition::Exists(operand) | Condition::Matches(operand, _) => in_operand(operand),
        Condition::Compare(left, _, right) => in_operand(left) && in_operand(right),
    }
}

/// The keys that a path reads of `attributes`, where it reads nothing else of that object; None where it may.
///
/// Rows have all attributes of an experiment, of which a filter reads a few: the others need not be built.
pub fn attributes(path: &Path) -> Option<Vec<String>> {
    let mut found = Vec::new();
    walk(&path.0, Place::Document, &mut found)?;
    Some(found)
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Document,
    Attributes,
    Elsewhere,
}

/// Where `steps` lead from `place`; None where they touch `attributes` other than by a key.
fn walk(steps: &[Step], mut place: Place, found: &mut Vec<String>) -> Option<Place> {
    for step in steps {
        place = match (step, place) {
            (Step::Root, _) => Place::Document,
            (Step::Filter(condition), _) => {
                walk_condition(condition, place, found)?;
                place
            }
            (_, Place::Elsewhere) => Place::Elsewhere,
            (Step::Field(key), Place::Document) if key == "attributes" => Place::Attributes,
            (Step::Field(_), Place::Document) => Place::Elsewhere,
            (Step::Field(key), Place::Attributes) => {
                found.push(key.clone());
                Place::Elsewhere
            }
            (Step::Fields(keys), Place::Attributes) => {
                found.extend(keys.iter().cloned());
                Place::Elsewhere
            }
            _ => return None,
        };
    }
    Some(place)
}

fn walk_condition(condition: &Condition, place: Place, found: &mut Vec<String>) -> Option<()> {
    let mut operand = |operand: &Operand| match operand {
        // A whole document or all its attributes as a value: it may be compared, or be of a size.
        Operand::Path(path) => (walk(&path.0, place, found)? == Place::Elsewhere).then_some(()),
        Operand::Value(_) => Some(()),
    };
    match condition {
        Condition::Any(all) | Condition::All(all) => all.iter().try_for_each(|c| walk_condition(c, place, found)),
        Condition::Not(inner) => walk_condition(inner, place, found),
        Condition::Exists(one) | Condition::Matches(one, _) => operand(one),
        Condition::Compare(left, _, right) => {
            operand(left)?;
            operand(right)
        }
    }
}
