//! jq programs, by jaq.

use jaq_core::box_iter::box_once;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{data, unwrap_valr, Compiler, Ctx, Cv, Error, Exn, Native, ValT, ValXs, Vars};
use jaq_json::{Map, Num, Val};
use serde_json::{Number, Value};

use super::evaluate::Numbers;
use super::strict;
use crate::json::{around, excerpt};

type Data = data::JustLut<Val>;
type Filter = jaq_core::Filter<Data>;

/// A document as jq programs take it.
pub type Input = Val;

/// What a program may not ask: its answer would not be a function of the document.
const UNFIT: [&str; 6] = ["env", "now", "halt", "halt_error", "localtime", "strflocaltime"];

/// A compiled program.
pub struct Program {
    text: String,
    filter: Filter,
}

impl Program {
    /// Fails with the place and the reason. `strict`: indexing null is an error, as in Dolma's jq.
    pub fn new(text: &str, strict: bool) -> Result<Self, String> {
        if let Some(word) = words(text).find(|w| UNFIT.contains(w)) {
            let shown = around(text, character(text, word).unwrap_or(0));
            return Err(format!("jq `{shown}`: `{word}` is not available: a filter sees nothing but the document"));
        }
        let mut filter = compile(text)?;
        if strict {
            let refused = |why: &str| format!("jq `{}`: {why}", around(text, 0));
            let rewritten = strict::rewrite(text).ok_or_else(|| refused("not a program"))?;
            filter = compile(&rewritten).map_err(|_| refused("cannot be checked for indexes of null"))?;
        }
        Ok(Program { text: text.to_owned(), filter })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The program, for a message.
    pub fn shown(&self) -> String {
        around(&self.text, 0)
    }

    /// All outputs for one document, or the program's error.
    pub fn run(&self, input: Input) -> Result<Vec<Val>, String> {
        let context = Ctx::<Data>::new(&self.filter.lut, Vars::new([]));
        let outputs = self.filter.id.run((context, input)).map(unwrap_valr);
        outputs.collect::<Result<_, Error<Val>>>().map_err(|error| {
            // Without the quotes of a message that is a string.
            let message = match error.into_val() {
                Val::TStr(text) => String::from_utf8_lossy(&text).into_owned(),
                other => other.to_string(),
            };
            format!("jq `{}`: {}", self.shown(), excerpt(&message, 200))
        })
    }
}

fn compile(text: &str) -> Result<Filter, String> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs()).map(|(name, arguments, native)| {
        (name, arguments, if UNFIT.contains(&name) { Native::<Data>::new(refuse) } else { native })
    });
    let arena = Arena::default();
    let modules = Loader::new(defs).load(&arena, File { code: text, path: () }).map_err(|errors| {
        let first = errors.into_iter().next().map(|(_, error)| explain(text, error));
        first.unwrap_or_else(|| format!("jq `{}`: not a program", around(text, 0)))
    })?;
    Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
        let unknown = errors.into_iter().flat_map(|(_, found)| found).next();
        unknown.map_or_else(
            || format!("jq `{}`: does not compile", around(text, 0)),
            |(name, what)| refusal(text, &format!("undefined {} `{}`", what.as_str(), excerpt(name, 200)), name),
        )
    })
}

/// Stands in for what is unfit where the text does not show it, as in an interpolated string; `halt` would end the process.
fn refuse(_: Cv<'_, Data>) -> ValXs<'_, Val> {
    box_once(Err(Exn::from(Error::str("a filter sees nothing but the document"))))
}

/// Words outside of quotes.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let unquoted = text.split('"').step_by(2);
    unquoted.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

fn explain(text: &str, error: jaq_core::load::Error<&str>) -> String {
    use jaq_core::load::Error;

    let (expected, found) = match &error {
        Error::Io(errors) => (errors.first().map(|(_, e)| e.clone()).unwrap_or_default(), ""),
        Error::Lex(errors) => errors.first().map(|(e, s)| (e.as_str().to_owned(), *s)).unwrap_or_default(),
        Error::Parse(errors) => errors.first().map(|(e, s)| (e.as_str().to_owned(), *s)).unwrap_or_default(),
    };
    refusal(text, &format!("expected {expected}"), found)
}

/// The message that `text` has a mistake at `part`, which is a slice of it.
fn refusal(text: &str, what: &str, part: &str) -> String {
    let place = character(text, part);
    let column = place.map_or_else(String::new, |place| format!(" at column {}", place + 1));
    format!("jq `{}`: {what}{column}", around(text, place.unwrap_or(0)))
}

/// The number of the character of `text` at which its slice `part` begins.
fn character(text: &str, part: &str) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some(text.get(..offset)?.chars().count())
}

/// Dolma's truth: null, false, 0, "", [] and {} are not. A `0.0` that a document spells is true in Dolma, false here.
pub fn truthy(value: &Val, numbers: &Numbers) -> bool {
    match value {
        Val::Null => false,
        Val::Bool(b) => *b,
        Val::Num(Num::Dec(_)) => numbers.settle(*value != Val::from(0usize), true),
        Val::Num(_) => *value != Val::from(0usize),
        Val::BStr(s) | Val::TStr(s) => !s.is_empty(),
        Val::Arr(a) => !a.is_empty(),
        Val::Obj(o) => !o.is_empty(),
    }
}

/// A document, whose depth serde_json has bounded, as jq sees it; numbers keep their digits.
pub fn value(document: &Value) -> Input {
    match document {
        Value::Null => Val::Null,
        Value::Bool(b) => Val::Bool(*b),
        Value::Number(n) => Val::from_num(&n.to_string()).unwrap_or_default(),
        Value::String(s) => Val::from(s.clone()),
        Value::Array(items) => items.iter().map(value).collect(),
        Value::Object(fields) => {
            let map: Map<Val, Val> = fields.iter().map(|(k, v)| (Val::from(k.clone()), value(v))).collect();
            Val::obj(map)
        }
    }
}

/// The text of an output that is a string.
pub fn string(output: &Val) -> Option<String> {
    match output {
        Val::BStr(s) | Val::TStr(s) => Some(String::from_utf8_lossy(s).into_owned()),
        _ => None,
    }
}

/// An output as plain JSON.
pub fn json(output: &Val) -> Result<Value, String> {
    Ok(match output {
        Val::Null => Value::Null,
        Val::Bool(b) => Value::Bool(*b),
        Val::Num(_) => Value::Number(output.to_string().parse::<Number>().map_err(|e| format!("{output}: {e}"))?),
        Val::BStr(s) | Val::TStr(s) => Value::String(String::from_utf8_lossy(s).into_owned()),
        Val::Arr(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Val::Obj(_) => return Err(format!("an object: {}", crate::json::excerpt(&output.to_string(), 60))),
    })
}
