use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::ListArray;
use proptest::prelude::*;

use super::*;

type Rows = Vec<(i64, Option<f64>, Option<f64>)>;

fn lists(texts: &[Vec<u64>]) -> ListArray {
    let rows = texts.iter().map(|text| Some(text.iter().map(|token| Some(*token)).collect::<Vec<_>>()));
    ListArray::from_iter_primitive::<UInt64Type, _, _>(rows)
}

fn resolved(texts: &[Vec<u64>], groups: &[i64], rule: Rule, large: usize, bitmaps: bool) -> (Rows, u64) {
    let lists = lists(texts);
    let tokens = TokenRows::of(&lists).expect("lists");
    let groups = Int64Array::from(groups.to_vec());
    let found = resolve_with(&tokens, &groups, rule, 3, large, bitmaps).expect("resolved");
    let kept = found.rows.column(0).as_primitive::<Int64Type>();
    let share = |at: usize| found.rows.column(at).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    let rows = kept.values().iter().zip(share(1)).zip(share(2)).map(|((kept, s), c)| (*kept, s, c)).collect();
    (rows, found.comparisons)
}

fn trigrams(text: &[u64]) -> BTreeSet<Vec<u64>> {
    if text.len() < 3 {
        [text.to_vec()].into()
    } else {
        text.windows(3).map(<[u64]>::to_vec).collect()
    }
}

/// From the definition: every pair in order, sets of windows.
fn slowly(texts: &[Vec<u64>], groups: &[i64], rule: Rule) -> Rows {
    let mut rows = Rows::new();
    for (at, text) in texts.iter().enumerate() {
        let set = trigrams(text);
        let found = (0..at).filter(|k| groups[*k] == groups[at] && rows[*k].0 == *k as i64).find(|k| {
            let (other, kept) = (&texts[*k], trigrams(&texts[*k]));
            let shared = set.intersection(&kept).count() as f64;
            let distinct = |text: &[u64], set: &BTreeSet<_>| set.len() as f64 / (text.len() as f64 - 2.0).max(1.0);
            let run = other.windows(text.len().max(1)).any(|window| window == text);
            !text.is_empty()
                && !other.is_empty()
                && match rule {
                    Rule::Jaccard(least) => shared / (set.len() as f64 + kept.len() as f64 - shared) >= least,
                    Rule::Contained if text.len() < 3 => text == other,
                    Rule::Contained if distinct(text, &set) < 0.9 || distinct(other, &kept) < 0.9 => run,
                    Rule::Contained => text.len() <= other.len() && shared == set.len() as f64,
                }
        });
        rows.push(match found {
            None => (at as i64, None, None),
            Some(k) => {
                let kept = trigrams(&texts[k]);
                let shared = set.intersection(&kept).count() as f64;
                let jaccard = shared / (set.len() as f64 + kept.len() as f64 - shared);
                (k as i64, Some(jaccard), Some(shared / set.len() as f64))
            }
        });
    }
    rows
}

#[test]
fn the_first_kept_text_that_is_similar() {
    let texts =
        vec![vec![1, 2, 3, 4, 5, 6], vec![9, 8, 7], vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5], vec![], vec![9, 8, 7]];
    let (rows, comparisons) = resolved(&texts, &[0, 0, 0, 0, 0, 1], Rule::Jaccard(0.75), 500, true);
    let expected = [(0, None), (1, None), (0, Some(0.75)), (0, Some(0.75)), (4, None), (5, None)];
    assert_eq!(rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(), expected);
    assert_eq!((rows[2].2, comparisons), (Some(1.0), 1));
}

#[test]
fn repetitive_texts_must_be_contained_in_a_row() {
    let texts =
        vec![vec![1, 2, 1, 2, 1, 2, 1, 9], vec![2, 1, 9, 9], vec![2, 1, 2, 1, 2], vec![1, 2, 1, 2, 1, 2], vec![2, 1]];
    let (rows, _) = resolved(&texts, &[0; 5], Rule::Contained, 500, true);
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 0, 0, 4]);
    assert!(has_run(&[1, 1, 2, 1, 1, 3], &[1, 1, 3]));
    assert!(!has_run(&[1, 1, 2, 1, 1], &[1, 1, 1]));
}

#[test]
fn large_groups_find_what_is_alike() {
    // 40 families of 25 texts with 100 tokens, one of them another, and each text's tokens again.
    let text = |family: u64, at: u64| -> Vec<u64> {
        (0..100).map(|i| if i == at * 4 { at + 100 } else { family * 1000 + i }).map(|token| whole(&[token])).collect()
    };
    let texts: Vec<Vec<u64>> = (0..2000).map(|i| text(i / 25 % 40, i % 25)).collect();
    let groups = vec![7; texts.len()];
    let small = resolved(&texts, &groups, Rule::Jaccard(0.8), usize::MAX, true);
    let large = resolved(&texts, &groups, Rule::Jaccard(0.8), 500, true);
    assert_eq!(small.0, large.0);
    assert_eq!(small.0.iter().enumerate().filter(|(at, row)| row.0 == *at as i64).count(), 40);
    assert_eq!(large.1, 24 * 40);
    let (contained, comparisons) = resolved(&texts, &groups, Rule::Contained, 500, true);
    assert_eq!(contained, resolved(&texts, &groups, Rule::Contained, usize::MAX, false).0);
    assert_eq!(comparisons, 0);
}

#[test]
fn bad_arguments() {
    let lists = lists(&[vec![1], vec![2]]);
    let tokens = TokenRows::of(&lists).expect("lists");
    let message = |groups: Int64Array, ngram| {
        resolve(&tokens, &groups, Rule::Contained, ngram, 500).map(|_| ()).expect_err("refused").to_string()
    };
    assert_eq!(message(Int64Array::from(vec![1, 0]), 3), "expected rows sorted by group, found 1 before 0 in row 1");
    assert_eq!(
        message(Int64Array::from(vec![1]), 3),
        "expected one group for each of fewer than 2^32 rows, found 1 for 2"
    );
    assert_eq!(message(Int64Array::from(vec![None, Some(1)]), 3), "expected the group of each row, found a null");
    assert_eq!(message(Int64Array::from(vec![1, 1]), 0), "expected an ngram of at least 1 token, found 0");
    let refused = |name, threshold| Rule::named(name, threshold).expect_err("refused").to_string();
    assert_eq!(refused("jaccard", 0.0), "expected a threshold above 0 and at most 1, found 0");
    assert_eq!(refused("same", 0.5), "expected rule `jaccard` or `contained`, found `same`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn agrees_with_the_definition(
        texts in prop::collection::vec((0i64..3, prop::collection::vec(0u64..3, 0..9)), 0..14), threshold in 0.05f64..1.0,
    ) {
        let mut texts = texts;
        texts.sort_by_key(|(group, _)| *group);
        let (groups, texts): (Vec<i64>, Vec<Vec<u64>>) = texts.into_iter().unzip();
        for rule in [Rule::Jaccard(threshold), Rule::Contained] {
            let expected = slowly(&texts, &groups, rule);
            let (with, few) = resolved(&texts, &groups, rule, 500, true);
            let (without, many) = resolved(&texts, &groups, rule, 500, false);
            prop_assert_eq!(&with, &expected);
            prop_assert_eq!(without, with);
            prop_assert!(few <= many);
        }
        // The rarest n-gram finds all that contain a text.
        let large = resolved(&texts, &groups, Rule::Contained, 2, true).0;
        prop_assert_eq!(large, slowly(&texts, &groups, Rule::Contained));
    }
}
