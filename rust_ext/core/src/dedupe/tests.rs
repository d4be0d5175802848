//! The three steps together, on files as they are written.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, LargeStringArray};

use super::*;
use crate::keys::{KeyFile, KeyWriter, Mode, Ngrams, Settings};
use crate::Error;

type Spans = Vec<(i64, i64, f64)>;

fn settings(mode: Mode, partitions: u32) -> Settings {
    Settings {
        mode,
        partitions,
        separator: "\n".to_owned(),
        skip_empty: true,
        min_length: 0,
        min_words: 0,
        ngrams: Ngrams { length: 2, stride: 0, skip_short: false },
        part: None,
    }
}

fn write_keys(path: &Path, settings: Settings, texts: &[&str]) {
    // A buffer of a few keys, so that every test spills.
    let mut writer = KeyWriter::create(path, settings, 40).unwrap();
    for chunk in texts.chunks(2) {
        writer.add(&LargeStringArray::from(chunk.to_vec())).unwrap();
    }
    writer.finish().unwrap();
}

struct Run {
    directory: tempfile::TempDir,
    keys: Vec<PathBuf>,
    verdicts: Vec<PathBuf>,
}

impl Run {
    fn new(settings: &Settings, shards: &[&[&str]]) -> Run {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: String| directory.path().join(name);
        let keys: Vec<PathBuf> = (0..shards.len()).map(|i| at(format!("{i}.keys"))).collect();
        keys.iter().zip(shards).for_each(|(path, texts)| write_keys(path, settings.clone(), texts));
        let verdicts: Vec<PathBuf> = (0..settings.partitions).map(|p| at(format!("{p}.verdicts"))).collect();
        for (path, partition) in verdicts.iter().zip(0..) {
            reduce_keys(&keys, partition, path, None).unwrap();
        }
        Run { directory, keys, verdicts }
    }

    fn spans(&self, shard: usize, threshold: f64) -> Vec<Spans> {
        let mut columns = VerdictColumns::open(&self.keys[shard], &self.verdicts, shard as u64, threshold).unwrap();
        let mut rows = Vec::new();
        while columns.rows_left() > 0 {
            let column = columns.next_rows(1).unwrap();
            let spans = column.as_list::<i32>().value(0);
            let spans = spans.as_struct();
            let numbers = |i: usize| spans.column(i).as_primitive::<Int64Type>().values().to_vec();
            let scores = spans.column(2).as_primitive::<Float64Type>().values().to_vec();
            rows.push(numbers(0).into_iter().zip(numbers(1)).zip(scores).map(|((s, e), x)| (s, e, x)).collect());
        }
        rows
    }
}

#[test]
fn the_first_of_equal_paragraphs_stays_whatever_the_partitions() {
    for partitions in [1, 2, 7, 64] {
        let shards: &[&[&str]] = &[&["é\nb", "b"], &["c\né\né\n", ""]];
        let run = Run::new(&settings(Mode::Paragraphs, partitions), shards);
        assert_eq!(run.spans(0, 1.0), [vec![], vec![(0, 1, 1.0)]]);
        assert_eq!(run.spans(1, 1.0), [vec![(2, 4, 1.0), (4, 6, 1.0)], vec![]]);
    }
}

#[test]
fn shares_of_ngrams_do_not_depend_on_the_partitions() {
    for partitions in [1, 2, 7, 64] {
        let run = Run::new(&settings(Mode::Ngrams, partitions), &[&["a b c d"], &["x\na b c e", "x"]]);
        assert_eq!(run.spans(1, 0.6), [vec![(2, 9, 0.66667)], vec![(0, 1, 1.0)]]);
        assert_eq!(run.spans(1, 0.7), [vec![], vec![(0, 1, 1.0)]]);
        assert_eq!(run.spans(0, 0.0), [vec![(0, 7, 0.0)]]);
    }
}

#[test]
fn documents_without_a_key_are_never_duplicates() {
    let directory = tempfile::tempdir().unwrap();
    let (keys, verdicts) = (directory.path().join("k"), directory.path().join("v"));
    let mut writer = KeyWriter::create(&keys, settings(Mode::Documents, 1), 1 << 20).unwrap();
    writer.add(&LargeStringArray::from(vec![Some("a"), None, Some("a"), None, Some(" "), Some(" ")])).unwrap();
    let (_, totals) = writer.finish().unwrap();
    assert_eq!((totals.rows, totals.items, totals.keys), (6, 2, 2));
    let reduced = reduce_keys(std::slice::from_ref(&keys), 0, &verdicts, None).unwrap();
    assert_eq!((reduced.keys, reduced.duplicates), (2, 1));
    let column = VerdictColumns::open(&keys, &[verdicts], 0, 1.0).unwrap().next_rows(6).unwrap();
    let found: Vec<Option<f64>> = column.as_primitive::<Float64Type>().iter().collect();
    assert_eq!(found, [None, None, Some(1.0), None, None, None]);
    assert_eq!(column.len(), 6);
}

#[test]
fn the_buffer_does_not_change_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let texts = LargeStringArray::from_iter_values((0..300).map(|i| format!("p{}\nq{i}", i % 7)));
    let mut files = Vec::new();
    for buffer in [0, 100, 1 << 20] {
        let path = directory.path().join(buffer.to_string());
        let mut writer = KeyWriter::create(&path, settings(Mode::Paragraphs, 5), buffer).unwrap();
        writer.add(&texts).unwrap();
        files.push(writer.finish().unwrap());
        assert_eq!(KeyFile::open(&path).unwrap().totals.keys, 600);
    }
    assert_eq!(files[0], files[1]);
    assert_eq!(files[0], files[2]);
}

/// Every step on the files of `run`, to the last row.
fn use_all(run: &Run, verdicts: &Path) -> crate::Result<()> {
    reduce_keys(&run.keys, 0, verdicts, None)?;
    for shard in 0..run.keys.len() {
        let mut columns = VerdictColumns::open(&run.keys[shard], &run.verdicts, shard as u64, 0.5)?;
        columns.next_rows(columns.rows_left() as usize)?;
    }
    Ok(())
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    for mode in [Mode::Documents, Mode::Paragraphs, Mode::Ngrams] {
        let run = Run::new(&settings(mode, 1), &[&["a b c\nd", "e"], &["a b c", "d\ne"]]);
        let again = run.directory.path().join("again");
        use_all(&run, &again).unwrap();
        for path in [&run.keys[1], &run.verdicts[0]] {
            let good = std::fs::read(path).unwrap();
            for at in 0..good.len() {
                for flip in [0x01, 0x80] {
                    let mut bad = good.clone();
                    bad[at] ^= flip;
                    std::fs::write(path, &bad).unwrap();
                    assert!(matches!(use_all(&run, &again), Err(Error::Data { .. })), "{mode:?} byte {at}");
                }
                std::fs::write(path, &good[..at]).unwrap();
                assert!(matches!(use_all(&run, &again), Err(Error::Data { .. })), "{mode:?} cut at {at}");
            }
            std::fs::write(path, &good).unwrap();
        }
    }
}

#[test]
fn verdicts_on_other_keys_are_refused() {
    let run = Run::new(&settings(Mode::Paragraphs, 1), &[&["a"], &["b"]]);
    let reason = |shard| VerdictColumns::open(&run.keys[0], &run.verdicts, shard, 1.0).err().unwrap().to_string();
    assert!(reason(1).contains("the key files were reduced in another order, or have changed since"));
    assert!(reason(2).contains("expected the verdicts on key file 2, found those on 2 files"));
}

#[test]
fn each_part_of_the_keys_marks_its_own_duplicates() {
    let texts: &[&str] = &["a\nb\nc", "d\na\nb", "c\nd\ne"];
    let whole = Run::new(&settings(Mode::Paragraphs, 1), &[texts]).spans(0, 1.0);
    let mut parts: Vec<Spans> = vec![Vec::new(); texts.len()];
    for index in 0..3 {
        let settings = Settings { part: Some((index, 3)), ..settings(Mode::Paragraphs, 1) };
        let found = Run::new(&settings, &[texts]).spans(0, 1.0);
        parts.iter_mut().zip(found).for_each(|(all, some)| all.extend(some));
    }
    parts.iter_mut().for_each(|spans| spans.sort_by_key(|s| s.0));
    assert_eq!(parts, whole);
    assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 2]);
}

#[test]
fn a_part_of_the_keys_has_no_ngrams_and_is_one_of_its_parts() {
    let path = Path::new("unused");
    let ngrams = KeyWriter::create(path, Settings { part: Some((0, 2)), ..settings(Mode::Ngrams, 1) }, 40);
    assert_eq!(ngrams.err().unwrap().to_string(), "expected no n-grams in one part of the keys");
    let over = KeyWriter::create(path, Settings { part: Some((2, 2)), ..settings(Mode::Paragraphs, 1) }, 40);
    assert_eq!(over.err().unwrap().to_string(), "expected the index of one of 2 parts, found 2");
}

#[test]
fn documents_that_take_no_part_have_the_score_that_is_asked_for() {
    let run = Run::new(&settings(Mode::Documents, 1), &[&["a", " ", "a"]]);
    let columns = VerdictColumns::open(&run.keys[0], &run.verdicts, 0, 1.0).unwrap();
    let column = columns.with_skipped(2.0).next_rows(3).unwrap();
    let scores: Vec<Option<f64>> = column.as_primitive::<Float64Type>().iter().collect();
    assert_eq!(scores, [None, Some(2.0), Some(1.0)]);
}
