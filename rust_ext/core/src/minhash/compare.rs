//! Pairs of texts, compared by their sets of n-grams.

use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::lists::TokenRows;
use super::sets::{Ngrams, Overlap};
use crate::{Error, Result};

/// The row numbers of an array, each that of one of `rows` rows.
fn numbers(array: &dyn Array, name: &str, rows: usize) -> Result<Vec<usize>> {
    let values: Vec<i64> = if let Some(values) = array.as_primitive_opt::<Int32Type>() {
        values.values().iter().map(|value| i64::from(*value)).collect()
    } else if let Some(values) = array.as_primitive_opt::<Int64Type>() {
        values.values().to_vec()
    } else {
        return Err(Error::invalid(format!(
            "expected int32 or int64 row numbers, found {name} as {}",
            array.data_type()
        )));
    };
    if array.null_count() > 0 {
        return Err(Error::invalid(format!("expected row numbers, found a null in {name}")));
    }
    let checked = values.into_iter().enumerate().map(|(at, value)| {
        usize::try_from(value).ok().filter(|row| *row < rows).ok_or_else(|| {
            Error::invalid(format!("expected row numbers from 0 below {rows}, found {value} in {name}[{at}]"))
        })
    });
    checked.collect()
}

/// `jaccard` and `containment` of the n-grams of each pair of rows, null where one of the two has no token.
pub fn compare(tokens: &TokenRows<'_>, left: &dyn Array, right: &dyn Array, ngram: usize) -> Result<RecordBatch> {
    if ngram == 0 {
        return Err(Error::invalid("expected an ngram of at least 1 token, found 0"));
    }
    if left.len() != right.len() {
        let found = format!("{} and {}", left.len(), right.len());
        return Err(Error::invalid(format!("expected as many row numbers in left as in right, found {found}")));
    }
    let left = numbers(left, "left", tokens.len())?;
    let right = numbers(right, "right", tokens.len())?;
    let mut sets: Vec<Option<Ngrams>> = vec![None; tokens.len()];
    for row in left.iter().chain(&right) {
        if let Some(set) = sets.get_mut(*row) {
            set.get_or_insert_with(|| Ngrams::of(tokens.row(*row), ngram));
        }
    }
    let mut jaccard = Float64Builder::with_capacity(left.len());
    let mut containment = Float64Builder::with_capacity(left.len());
    for (left, right) in left.iter().zip(&right) {
        let set = |row: usize| sets.get(row).and_then(Option::as_ref).filter(|set| !set.distinct.is_empty());
        let overlap = set(*left).zip(set(*right)).map(|(left, right)| Overlap::of(left, right));
        jaccard.append_option(overlap.map(|overlap| overlap.jaccard()));
        containment.append_option(overlap.map(|overlap| overlap.containment()));
    }
    let field = |name| Field::new(name, DataType::Float64, true);
    let columns: Vec<ArrayRef> = vec![Arc::new(jaccard.finish()), Arc::new(containment.finish())];
    let schema = Arc::new(Schema::new(vec![field("jaccard"), field("containment")]));
    RecordBatch::try_new(schema, columns).map_err(|e| Error::invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Float64Type;
    use arrow_array::types::UInt64Type;
    use arrow_array::{Int32Array, Int64Array, ListArray};

    use super::*;

    fn lists() -> ListArray {
        let row = |tokens: &[u64]| Some(tokens.iter().map(|token| Some(*token)).collect::<Vec<_>>());
        let rows = vec![row(&[1, 2, 3, 4]), row(&[2, 3, 4, 5, 6]), row(&[9]), row(&[]), None];
        ListArray::from_iter_primitive::<UInt64Type, _, _>(rows)
    }

    #[test]
    fn shares_of_bigrams() {
        let lists = lists();
        let tokens = TokenRows::of(&lists).expect("lists");
        let (left, right) = (Int32Array::from(vec![0, 1, 2, 2, 0]), Int64Array::from(vec![1, 0, 2, 3, 4]));
        let found = compare(&tokens, &left, &right, 2).expect("compared");
        let column = |at: usize| found.column(at).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
        assert_eq!(column(0), [Some(2.0 / 5.0), Some(2.0 / 5.0), Some(1.0), None, None]);
        assert_eq!(column(1), [Some(2.0 / 3.0), Some(2.0 / 4.0), Some(1.0), None, None]);
    }

    #[test]
    fn bad_row_numbers() {
        let lists = lists();
        let tokens = TokenRows::of(&lists).expect("lists");
        let message =
            |left: &dyn Array, right: &dyn Array| compare(&tokens, left, right, 3).expect_err("refused").to_string();
        let (one, five) = (Int32Array::from(vec![1]), Int64Array::from(vec![5]));
        assert_eq!(message(&one, &five), "expected row numbers from 0 below 5, found 5 in right[0]");
        assert_eq!(
            message(&Int32Array::from(vec![-1]), &one),
            "expected row numbers from 0 below 5, found -1 in left[0]"
        );
        let two = Int64Array::from(vec![1, 2]);
        assert_eq!(message(&one, &two), "expected as many row numbers in left as in right, found 1 and 2");
        let null = Int32Array::from(vec![None]);
        assert_eq!(message(&one, &null), "expected row numbers, found a null in right");
        let found = compare(&tokens, &one, &one, 0).expect_err("refused").to_string();
        assert_eq!(found, "expected an ngram of at least 1 token, found 0");
        let numbers = Int64Array::from(vec![1]);
        let found = TokenRows::of(&numbers).map(|_| ()).expect_err("refused").to_string();
        assert_eq!(found, "expected tokens as list<uint64> without nulls within a list, found Int64");
    }
}
