//! Models written by hand, byte by byte: right answers, and files that lie.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{LargeStringArray, RecordBatch};
use proptest::prelude::*;

use super::*;

const HS: i32 = 1;
const OVA: i32 = 4;
const SOFTMAX: i32 = 3;

/// Words `</s>` (weightless), `x`, `y` and labels `a`, `b`, `c` of two columns; no n-grams.
fn model(loss: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ints = |bytes: &mut Vec<u8>, values: &[i32]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    let floats = |bytes: &mut Vec<u8>, values: &[f32]| values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
    ints(&mut bytes, &[MAGIC, VERSION, 2, 5, 5, 1, 5, 1, loss, SUPERVISED, 0, 0, 0, 100]);
    bytes.extend(1e-4f64.to_le_bytes());
    ints(&mut bytes, &[6, 3, 3]);
    bytes.extend(9i64.to_le_bytes());
    bytes.extend((-1i64).to_le_bytes());
    for (word, count, kind) in [("</s>", 4i64, 0), ("x", 2, 0), ("y", 1, 0), ("a", 3, 1), ("b", 2, 1), ("c", 1, 1)] {
        bytes.extend(word.as_bytes());
        bytes.push(0);
        bytes.extend(count.to_le_bytes());
        bytes.push(kind);
    }
    bytes.push(0);
    bytes.extend([3i64, 2].map(i64::to_le_bytes).concat());
    floats(&mut bytes, &[0.0, 0.0, 4.0, 0.0, 0.0, 4.0]);
    bytes.push(0);
    bytes.extend([3i64, 2].map(i64::to_le_bytes).concat());
    floats(&mut bytes, &[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
    bytes
}

fn read(bytes: &[u8]) -> Result<Model> {
    Model::read(&mut Source::new(Cursor::new(bytes), Path::new("m.bin"), bytes.len() as u64))
}

fn predictor(loss: i32, reading: Reading) -> Predictor {
    Predictor::new(Arc::new(read(&model(loss)).unwrap()), reading)
}

fn predict(predictor: &mut Predictor, text: &str, k: usize, threshold: f32) -> Vec<(u32, f32)> {
    let mut found = Vec::new();
    predictor.predict(text, k, threshold, &mut found);
    found
}

#[test]
fn softmax_scores_are_those_of_the_average() {
    let mut p = predictor(SOFTMAX, Reading::default());
    // (0,0) + (4,0) over 2 rows: products 2, 0, -2.
    let exp = [2.0f64, 0.0, -2.0].map(f64::exp);
    let sum: f64 = exp.iter().sum();
    let found = predict(&mut p, "x", 9, 0.0);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [0, 1, 2]);
    for ((_, score), e) in found.iter().zip(exp) {
        assert!((f64::from(*score) - e / sum - 1e-5).abs() < 1e-6);
    }
    assert_eq!(predict(&mut p, "x", 9, 0.1), found[..2]);
    assert_eq!(predict(&mut p, "x", 1, 0.0), found[..1]);
}

#[test]
fn the_tree_gives_each_label_the_product_of_its_turns() {
    let mut p = predictor(HS, Reading::default());
    // Leaves c and b join first: row 0 decides between them, row 1 between that pair and a.
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (inner, root) = (sigmoid(2.0), sigmoid(0.0));
    let expected = [(1, inner * (1.0 - root)), (2, (1.0 - inner) * (1.0 - root)), (0, root)];
    for (label, probability) in expected {
        let score = p.score("x", label).unwrap();
        assert!((f64::from(score) - probability).abs() < 3e-5, "{label}: {score} {probability}");
    }
    let all = predict(&mut p, "x", 3, 0.0);
    for &(label, score) in &all {
        assert_eq!(p.score("x", label), Some(score));
    }
    assert_eq!(predict(&mut p, "x", 2, 0.0), all[..2]);
}

#[test]
fn the_tree_leaves_out_what_is_below_its_floor() {
    let mut bytes = model(HS);
    let end = bytes.len();
    bytes[end - 24..end - 20].copy_from_slice(&10.0f32.to_le_bytes());
    let mut p = Predictor::new(Arc::new(read(&bytes).unwrap()), Reading::default());
    assert_eq!(p.score("x", 2), None);
    assert_eq!(predict(&mut p, "x", 3, 0.0).len(), 2);
    let scores = batch::label_scores(&mut p, &LargeStringArray::from(vec!["x"]), "c").unwrap();
    let value = |i: usize| scores.column(i).as_primitive::<Float64Type>().value(0);
    assert_eq!((value(0), value(1)), (0.0, 1.0));
}

#[test]
fn certain_labels_tie_and_the_last_is_first() {
    let mut bytes = model(OVA);
    let end = bytes.len();
    bytes[end - 24..].copy_from_slice(&[9.0f32, 9.0, 9.0, 9.0, -9.0, -9.0].map(f32::to_le_bytes).concat());
    let mut p = Predictor::new(Arc::new(read(&bytes).unwrap()), Reading::default());
    let one = (1.0f64 + 1e-5) as f32;
    let found = predict(&mut p, "x", 2, 0.0);
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [1, 0]);
    assert!((found[0].1 - one).abs() < 1e-6);
}

#[test]
fn texts_are_split_on_seven_bytes_and_stop_at_the_end_token() {
    let mut p = predictor(SOFTMAX, Reading::default());
    let split = predict(&mut p, "x\t\n\x0b\x0c\r\0 y", 1, 0.0);
    assert_eq!(split, predict(&mut p, "x y", 1, 0.0));
    assert_eq!(predict(&mut p, "x </s> y y y", 3, 0.0), predict(&mut p, "x", 3, 0.0));
    // An unknown word has no rows; the end of the line always has one here.
    assert_eq!(predict(&mut p, "x\u{a0}y", 3, 0.0), predict(&mut p, "", 3, 0.0));
    assert_eq!(predict(&mut p, "__label__q x c", 3, 0.0), predict(&mut p, "x", 3, 0.0));
}

#[test]
fn lower_and_strip_follow_python() {
    let plain = Reading::default();
    let mut p = predictor(SOFTMAX, Reading { lower: true, ..plain });
    assert_eq!(predict(&mut p, "X", 1, 0.0), predict(&mut p, "x", 1, 0.0));
    let mut p = predictor(SOFTMAX, Reading { strip: true, ..plain });
    assert_eq!(predict(&mut p, "\u{a0}\x1c\u{2003}x\u{3000}", 1, 0.0), predict(&mut p, "x", 1, 0.0));
}

fn spans(batch: &RecordBatch, column: &str) -> Vec<(i64, i64, f64)> {
    let list = batch.column_by_name(column).unwrap().as_list::<i32>().value(0);
    let fields = list.as_struct();
    let ints = |i: usize| fields.column(i).as_primitive::<Int64Type>().values().to_vec();
    let scores = fields.column(2).as_primitive::<Float64Type>().values().to_vec();
    ints(0).into_iter().zip(ints(1)).zip(scores).map(|((a, b), c)| (a, b, c)).collect()
}

#[test]
fn paragraphs_keep_their_line_break_and_count_code_points() {
    let mut p = predictor(SOFTMAX, Reading { lower: true, strip: true });
    let text = "\u{1f600} X\n \u{85}\ny";
    let batch = batch::paragraph_scores(&mut p, &LargeStringArray::from(vec![text]), "a").unwrap();
    let (x, y) = (f64::from(p.score("\u{1f600} x", 0).unwrap()), f64::from(p.score("y", 0).unwrap()));
    let round = crate::taggers::round5;
    assert_eq!(spans(&batch, "positive"), [(0, 4, round(x)), (7, 8, round(y))]);
    assert_eq!(spans(&batch, "negative"), [(0, 4, round(1.0 - x)), (7, 8, round(1.0 - y))]);
    let doc = batch.column_by_name("doc_positive").unwrap().as_primitive::<Float64Type>().value(0);
    assert_eq!(doc, round((4.0 * x + y) / 8.0));
}

#[test]
fn every_cut_is_an_error_that_says_so() {
    let whole = model(HS);
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err().to_string();
        assert!(error.starts_with("m.bin: not a usable fastText model: expected "), "{length}: {error}");
    }
    assert!(read(&whole).is_ok());
}

/// The error for a model with `value` written at `at`.
fn refused(at: usize, value: i32) -> String {
    let mut bytes = model(HS);
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    read(&bytes).unwrap_err().to_string().replace("m.bin: not a usable fastText model: ", "")
}

#[test]
fn contradictions_are_refused_by_name() {
    assert_eq!(refused(0, 7), "expected the magic number 793712314, found 7");
    assert_eq!(refused(4, 13), "expected a version up to 12, found 13");
    assert_eq!(refused(36, 2), "expected a classifier (kind 3), found kind 2: word vectors predict no labels");
    assert_eq!(refused(48, 3), "expected buckets for its n-grams, found none");
    assert_eq!(
        refused(64, i32::MAX),
        "expected words and at least one label to make 2147483647 entries, found 3 words and 3 labels"
    );
}

#[test]
fn an_unknown_label_is_refused_with_those_there_are() {
    let error = read(&model(HS)).unwrap().label("d").unwrap_err().to_string();
    assert_eq!(error, "expected one of the model's 3 labels (`a`, `b`, `c`, ...), found `d`");
}

proptest! {
    /// Whatever a file says, it is refused or it predicts; lengths that lie take no memory.
    #[test]
    fn damaged_files_do_no_harm(loss in 1..=4i32, at in 0..300usize, value: u32, text in ".{0,20}") {
        let mut bytes = model(loss);
        let at = at % (bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        if let Ok(model) = read(&bytes) {
            let mut p = Predictor::new(Arc::new(model), Reading { lower: true, strip: true });
            let mut found = Vec::new();
            p.predict(&text, 2, 0.0, &mut found);
            prop_assert!(found.len() <= 2);
        }
    }
}
