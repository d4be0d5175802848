//! tokenizer.json: what of it this module can do exactly, and a reason to refuse whatever else it holds.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::Value;

use super::words::{Digits, Rule, Words};
use crate::{Error, Result};

/// The pattern of GPT-2, which a ByteLevel pre-tokenizer has built in (GPT-NeoX, OLMo 1).
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The pattern of Llama 3 and, as its file spells it, cl100k (OLMo 2, dolma2).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The pattern of Qwen 2: the same with digits one by one.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What is in the file, checked.
pub struct Parts {
    pub vocabulary: HashMap<String, u32>,
    /// In order of rank.
    pub merges: Vec<(String, String)>,
    /// A word of the vocabulary is its token, whatever the merges would make of it.
    pub ignore_merges: bool,
    pub nfc: bool,
    pub words: Words,
    pub added: Vec<Added>,
}

/// A token that is found in a text before anything else is done with it.
#[derive(Clone, Debug, Deserialize)]
pub struct Added {
    pub id: u32,
    pub content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    /// Looked for in the normalized text.
    #[serde(default)]
    pub normalized: bool,
    #[serde(default)]
    pub special: bool,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(borrow)]
    model: &'a RawValue,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    ignore_merges: bool,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

/// Reads the file; `Error::Invalid` names the first thing in it that is not supported.
pub fn read(path: &Path) -> Result<Parts> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, e))?;
    let file: File<'_> = serde_json::from_slice(&bytes).map_err(|e| Error::data(path, e.to_string()))?;
    let kind: Kind = serde_json::from_str(file.model.get()).map_err(|e| Error::data(path, e.to_string()))?;
    if kind.kind.as_deref() != Some("BPE") {
        return Err(unsupported("a model of type BPE", kind.kind.as_deref().unwrap_or("none")));
    }
    let model: Model = serde_json::from_str(file.model.get()).map_err(|e| Error::data(path, e.to_string()))?;
    if model.dropout.is_some_and(|d| d != 0.0) {
        return Err(unsupported("a BPE without dropout", "dropout"));
    }
    for (name, affix) in [
        ("continuing_subword_prefix", &model.continuing_subword_prefix),
        ("end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if affix.as_ref().is_some_and(|a| !a.is_empty()) {
            return Err(unsupported("a byte-level BPE", name));
        }
    }
    let ids: HashSet<u32> = model.vocab.values().copied().collect();
    if ids.len() != model.vocab.len() {
        return Err(unsupported("a vocabulary of distinct ids", "two tokens of one id"));
    }
    Ok(Parts {
        merges: model.merges.into_iter().map(pair).collect::<Result<_>>()?,
        vocabulary: model.vocab,
        ignore_merges: model.ignore_merges,
        nfc: nfc(&file.normalizer)?,
        words: words(&file.pre_tokenizer)?,
        added: added(file.added_tokens)?,
    })
}

fn unsupported(expected: &str, found: &str) -> Error {
    Error::invalid(format!("expected {expected}, found {found}"))
}

fn pair(merge: Merge) -> Result<(String, String)> {
    match merge {
        Merge::Pair(left, right) => Ok((left, right)),
        Merge::Line(line) => match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
            _ => Err(unsupported("a merge of two tokens", &format!("`{line}`"))),
        },
    }
}

fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or("none")
}

fn flag(part: &Value, name: &str, default: bool) -> bool {
    part.get(name).and_then(Value::as_bool).unwrap_or(default)
}

/// The parts of a Sequence under `name`, or the part itself; none for null.
fn sequence<'a>(part: &'a Value, name: &str) -> Vec<&'a Value> {
    match part {
        Value::Null => Vec::new(),
        _ if kind(part) == "Sequence" => {
            part.get(name).and_then(Value::as_array).map(|parts| parts.iter().collect()).unwrap_or_default()
        }
        _ => vec![part],
    }
}

fn nfc(normalizer: &Value) -> Result<bool> {
    let parts = sequence(normalizer, "normalizers");
    match parts.iter().find(|p| kind(p) != "NFC") {
        Some(other) => Err(unsupported("the normalizer NFC or none", kind(other))),
        None => Ok(!parts.is_empty()),
    }
}

/// Digits, at most one rule for words, and bytes last: [Digits...], [Split], ByteLevel.
fn words(pre_tokenizer: &Value) -> Result<Words> {
    let mut parts = sequence(pre_tokenizer, "pretokenizers");
    let last = parts.pop().unwrap_or(&Value::Null);
    if kind(last) != "ByteLevel" {
        return Err(unsupported("a pre-tokenizer that ends with ByteLevel", kind(last)));
    }
    if flag(last, "add_prefix_space", true) {
        return Err(unsupported("ByteLevel without add_prefix_space", "it"));
    }
    let mut words = Words { digits: Digits::Together, rule: Rule::Whole };
    if flag(last, "use_regex", true) {
        words.rule = Rule::Gpt2;
    }
    while let Some(part) = parts.pop() {
        match kind(part) {
            "Split" if words.rule == Rule::Whole && words.digits == Digits::Together => words.rule = rule(part)?,
            "Digits" if words.digits == Digits::Together => {
                words.digits = if flag(part, "individual_digits", false) { Digits::Single } else { Digits::Apart };
            }
            other => return Err(unsupported("Digits, one Split, ByteLevel", &format!("another {other}"))),
        }
    }
    Ok(words)
}

fn rule(split: &Value) -> Result<Rule> {
    let pattern = split.get("pattern").and_then(|p| p.get("Regex")).and_then(Value::as_str).unwrap_or("a string");
    let behavior = split.get("behavior").and_then(Value::as_str).unwrap_or("none");
    // These patterns leave nothing between two matches, so that both ways give the matches.
    match (behavior, flag(split, "invert", false)) {
        ("Isolated", _) | ("Removed", true) => {}
        (other, invert) => {
            return Err(unsupported("a Split that gives its matches", &format!("{other}, invert {invert}")))
        }
    }
    match pattern {
        GPT2 => Ok(Rule::Gpt2),
        LLAMA3 => Ok(Rule::Llama3 { digits: 3 }),
        QWEN2 => Ok(Rule::Llama3 { digits: 1 }),
        other => Err(unsupported("the pattern of GPT-2, Llama 3 or Qwen 2", &format!("`{other}`"))),
    }
}

fn added(tokens: Vec<Added>) -> Result<Vec<Added>> {
    let mut seen = HashSet::new();
    for token in &tokens {
        for (name, set) in [("single_word", token.single_word), ("lstrip", token.lstrip), ("rstrip", token.rstrip)] {
            if set {
                return Err(unsupported("added tokens without conditions", &format!("{name} for `{}`", token.content)));
            }
        }
        if token.content.is_empty() || !seen.insert(&token.content) {
            return Err(unsupported("added tokens each once", &format!("`{}`", token.content)));
        }
    }
    Ok(tokens)
}
