use std::collections::HashMap;
use std::io::Write;

use arrow_array::LargeStringArray;
use proptest::prelude::*;
use serde_json::{json, Value};

use super::batch::{self, Edges, Encoded};
use super::merges::byte_characters;
use super::words::{Digits, Rule, Words};
use super::*;

const MERGES: &[&str] = &["a b", "b c", "ab c", "c c", "cc cc", "Ġ a", "Ġa bc", "a a", "aa aa", "aaaa aaaa", "Ã ©"];

/// Ids: a byte is itself, merges follow from 256 on, then `<e>` and, looked for in the normalized text, `é|`.
fn form() -> Value {
    let mut vocabulary: HashMap<String, u32> =
        byte_characters().iter().enumerate().map(|(byte, c)| (c.to_string(), byte as u32)).collect();
    for (rank, merge) in MERGES.iter().enumerate() {
        vocabulary.insert(merge.replace(' ', ""), 256 + rank as u32);
    }
    json!({
        "added_tokens": [
            {"id": 300, "content": "<e>", "special": true, "normalized": false},
            {"id": 301, "content": "e\u{301}|", "special": false, "normalized": true},
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": MERGES},
    })
}

fn load(form: &Value, options: Options) -> Result<Encoder> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(form.to_string().as_bytes()).unwrap();
    Tokenizer::load(file.path(), options).map(|t| Encoder::new(Arc::new(t)))
}

fn ids(encoder: &mut Encoder, text: &str) -> Vec<u32> {
    let mut out = vec![];
    encoder.encode(text, &mut out);
    out
}

fn words(rule: Rule, digits: Digits, text: &str) -> Vec<&str> {
    let mut found = vec![];
    Words { digits, rule }.each(text, |start, end| found.push(&text[start..end]));
    found
}

#[test]
fn the_leftmost_pair_of_the_lowest_rank_merges_first() {
    let mut encoder = load(&form(), Options::default()).unwrap();
    assert_eq!(ids(&mut encoder, "abc"), [258]);
    assert_eq!(ids(&mut encoder, "bcc"), [257, 99]);
    assert_eq!(ids(&mut encoder, "ccccc"), [260, 99]);
    assert_eq!(ids(&mut encoder, "aaa"), [263, 97]);
    assert_eq!(ids(&mut encoder, "x ac"), [120, 261, 99]);
    assert_eq!(ids(&mut encoder, "\u{e9}"), [266]);
}

#[test]
fn a_short_word_and_a_long_one_merge_alike() {
    let mut encoder = load(&form(), Options::default()).unwrap();
    for unit in ["a", "abc", "cab", "caabcc", "abcccbaa"] {
        for repeats in 1..40 {
            // A word apart is short; cut into words by nothing, the same letters are long from 49 on.
            let text = unit.repeat(repeats);
            assert_eq!(ids(&mut encoder, &text), slow(&encoder, &text), "{text}");
        }
    }
    let long = "a".repeat(1 << 20);
    assert_eq!(ids(&mut encoder, &long), vec![265; 1 << 17]);
}

/// Every pair is looked at before every merge.
fn slow(encoder: &Encoder, word: &str) -> Vec<u32> {
    let names: HashMap<u32, String> = form()["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(t, id)| (id.as_u64().unwrap() as u32, t.clone()))
        .collect();
    let mut tokens: Vec<u32> = vec![];
    for byte in word.bytes() {
        encoder.tokenizer.merges.encode(&[byte], &mut tokens);
    }
    let rank = |a: u32, b: u32| MERGES.iter().position(|m| *m == format!("{} {}", names[&a], names[&b]));
    while let Some((rank, at)) = (1..tokens.len()).filter_map(|i| Some((rank(tokens[i - 1], tokens[i])?, i - 1))).min()
    {
        tokens[at] = 256 + rank as u32;
        tokens.remove(at + 1);
    }
    tokens
}

#[test]
fn added_tokens_before_and_after_the_normalizer() {
    let mut encoder = load(&form(), Options::default()).unwrap();
    assert_eq!(ids(&mut encoder, "a<e>a"), [97, 300, 97]);
    // Both spellings of the accent, for the text is in form C when it is looked through.
    assert_eq!(ids(&mut encoder, "e\u{301}|\u{e9}|"), [301, 301]);
    let mut literal = load(&form(), Options { encode_special_tokens: true, segment: false }).unwrap();
    assert_eq!(ids(&mut literal, "a<e>\u{e9}|"), [97, 60, 101, 62, 301]);
}

#[test]
fn segments_are_texts_of_their_own() {
    let mut whole = form();
    whole["pre_tokenizer"]["use_regex"] = json!(false);
    whole["model"]["merges"] = json!(["Ċ a", "a Ċ"]);
    whole["model"]["vocab"]["Ċa"] = json!(400);
    whole["model"]["vocab"]["aĊ"] = json!(401);
    assert_eq!(ids(&mut load(&whole, Options::default()).unwrap(), "a\na"), [97, 400]);
    whole["model"]["merges"] = json!(["a Ċ", "Ċ a"]);
    assert_eq!(ids(&mut load(&whole, Options::default()).unwrap(), "a\na"), [401, 97]);
    let mut lines = load(&whole, Options { encode_special_tokens: false, segment: true }).unwrap();
    assert_eq!(ids(&mut lines, "a\na"), [97, 400]);
    assert_eq!(ids(&mut lines, "\n\na\n"), [10, 400, 10]);
}

#[test]
fn words_of_the_vocabulary_that_no_merge_makes() {
    let mut with = form();
    with["model"]["vocab"]["xyz"] = json!(400);
    assert_eq!(ids(&mut load(&with, Options::default()).unwrap(), "xyz"), [120, 121, 122]);
    with["model"]["ignore_merges"] = json!(true);
    assert_eq!(ids(&mut load(&with, Options::default()).unwrap(), "xyz"), [400]);
}

#[test]
fn documents_are_stripped_and_bounded() {
    let mut encoder = load(&form(), Options::default()).unwrap();
    let texts = LargeStringArray::from(vec![Some(" \u{1f}a\n"), None, Some("\t"), Some("<e>a"), Some("a<e>")]);
    let edges = Edges { strip: true, bos: Some(300), eos: Some(300) };
    assert_eq!(
        batch::encode(&mut encoder, &texts, edges),
        Encoded {
            ids: vec![300, 97, 300, 300, 97, 300, 300, 97, 300],
            lengths: vec![3, 0, 0, 3, 3],
            text_bytes: vec![1, 0, 0, 4, 4]
        }
    );
    let as_it_stands = batch::encode(&mut encoder, &texts.slice(2, 1), Edges::default());
    assert_eq!((as_it_stands.ids, as_it_stands.lengths), (vec![9], vec![1]));
}

#[test]
fn words_of_gpt2() {
    let cut = |text| words(Rule::Gpt2, Digits::Together, text);
    assert_eq!(cut("I'm 'S x's"), ["I", "'m", " '", "S", " x", "'s"]);
    assert_eq!(cut("a  b\n\nc \u{3000}d"), ["a", " ", " b", "\n", "\n", "c", " ", "\u{3000}", "d"]);
    assert_eq!(cut("x1,2 34 =="), ["x", "1", ",", "2", " 34", " =="]);
    assert_eq!(cut("end  "), ["end", "  "]);
}

#[test]
fn words_of_llama3() {
    let cut = |text| words(Rule::Llama3 { digits: 3 }, Digits::Together, text);
    assert_eq!(cut("I'M x'\u{17f}y \u{a0}z"), ["I", "'M", " x", "'\u{17f}", "y", " ", "\u{a0}z"]);
    assert_eq!(cut("12345 (a)..\n\nb"), ["123", "45", " (", "a", ")..\n\n", "b"]);
    assert_eq!(cut("a \n \n  b\t\tc"), ["a", " \n \n", " ", " b", "\t", "\tc"]);
    assert_eq!(words(Rule::Llama3 { digits: 1 }, Digits::Together, "a12"), ["a", "1", "2"]);
}

#[test]
fn digits_apart_from_words() {
    assert_eq!(words(Rule::Gpt2, Digits::Single, " 12a\u{bd}"), [" ", "1", "2", "a", "\u{bd}"]);
    assert_eq!(words(Rule::Gpt2, Digits::Apart, "x 12a"), ["x", " ", "12", "a"]);
}

proptest! {
    #[test]
    fn words_are_the_text(text in "\\PC{0,40}|[ \\n\\ra1'.é字\u{3000}]{0,40}") {
        for rule in [Rule::Gpt2, Rule::Llama3 { digits: 3 }, Rule::Llama3 { digits: 1 }, Rule::Whole] {
            for digits in [Digits::Together, Digits::Apart, Digits::Single] {
                let found = words(rule, digits, &text);
                prop_assert!(found.iter().all(|w| !w.is_empty()));
                prop_assert_eq!(found.concat(), text.clone());
            }
        }
    }
}

#[test]
fn a_vocabulary_that_lacks_bytes_or_a_merge() {
    let mut without = form();
    without["model"]["vocab"].as_object_mut().unwrap().remove("À");
    assert!(load(&without, Options::default()).is_ok());
    without["model"]["vocab"].as_object_mut().unwrap().remove("z");
    let error = load(&without, Options::default()).err().unwrap();
    assert_eq!(error.to_string(), "expected a vocabulary of all bytes and merges, found no `z` in it");
    let mut bad = form();
    bad["model"]["merges"] = json!(["a b c"]);
    let error = load(&bad, Options::default()).err().unwrap();
    assert_eq!(error.to_string(), "expected a merge of two tokens, found `a b c`");
}
