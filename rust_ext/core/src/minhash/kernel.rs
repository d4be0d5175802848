//! Columns of texts to columns of signatures, keys and tokens.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, FixedSizeListArray, ListArray, PrimitiveArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::chars::push_chars;
use super::permute::Permutations;
use super::shingles::each_ngram;
use super::words::Words;
use super::{band_key, Unit, MOST_PERMUTATIONS};
use crate::{Error, Result};

/// What a signature is made of besides the text.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    pub unit: Unit,
    /// Tokens of a shingle.
    pub ngram: usize,
    pub seed: u64,
}

/// Reads tokens, with memory that is kept between texts.
struct Tokenizer {
    unit: Unit,
    words: Words,
}

impl Tokenizer {
    fn new(unit: Unit) -> Self {
        Tokenizer { unit, words: Words::default() }
    }

    fn push(&mut self, text: &str, tokens: &mut Vec<u64>) {
        match self.unit {
            Unit::Words => self.words.push_words(text, tokens),
            Unit::Chars => push_chars(text, tokens),
        }
    }
}

fn each_text(texts: &dyn Array, mut with: impl FnMut(Option<&str>) -> Result<()>) -> Result<()> {
    if let Some(texts) = texts.as_string_opt::<i32>() {
        texts.iter().try_for_each(with)
    } else if let Some(texts) = texts.as_string_opt::<i64>() {
        texts.iter().try_for_each(&mut with)
    } else {
        Err(Error::invalid(format!("expected string or large_string texts, found {}", texts.data_type())))
    }
}

/// Calls `with` on the signature of each text, None where the text is null or has no token.
fn each_signature(
    texts: &dyn Array,
    scheme: Scheme,
    permutations: usize,
    mut with: impl FnMut(Option<&[u32]>),
) -> Result<()> {
    if scheme.ngram == 0 {
        return Err(Error::invalid("expected an ngram of at least 1 token, found 0"));
    }
    let drawn = Permutations::new(permutations, scheme.seed);
    let mut tokenizer = Tokenizer::new(scheme.unit);
    let (mut tokens, mut shingles, mut signature) = (Vec::new(), Vec::new(), Vec::new());
    each_text(texts, |text| {
        tokens.clear();
        tokenizer.push(text.unwrap_or_default(), &mut tokens);
        if tokens.is_empty() {
            with(None);
            return Ok(());
        }
        shingles.clear();
        each_ngram(&tokens, scheme.ngram, |hash| shingles.push((hash >> 32) as u32));
        drawn.signature(&shingles, &mut signature);
        with(Some(&signature));
        Ok(())
    })
}

/// Rows of `size` values each.
fn fixed_size<T: arrow_array::ArrowPrimitiveType>(
    values: Vec<T::Native>,
    size: usize,
    nulls: Option<NullBuffer>,
) -> Result<FixedSizeListArray> {
    let values = PrimitiveArray::<T>::new(ScalarBuffer::from(values), None);
    let field = Arc::new(Field::new("item", T::DATA_TYPE, true));
    FixedSizeListArray::try_new(field, size as i32, Arc::new(values), nulls).map_err(|e| Error::invalid(e.to_string()))
}

/// The signature of each text: fixed_size_list<uint32>[permutations], null where a text has no token.
pub fn signatures(texts: &dyn Array, scheme: Scheme, permutations: usize) -> Result<FixedSizeListArray> {
    if !(1..=MOST_PERMUTATIONS).contains(&permutations) {
        let message = format!("expected 1 to {MOST_PERMUTATIONS} permutations, found {permutations}");
        return Err(Error::invalid(message));
    }
    let mut values = Vec::with_capacity(texts.len() * permutations);
    let mut valid = NullBufferBuilder::new(texts.len());
    each_signature(texts, scheme, permutations, |signature| {
        valid.append(signature.is_some());
        match signature {
            Some(signature) => values.extend_from_slice(signature),
            None => values.resize(values.len() + permutations, 0),
        }
    })?;
    fixed_size::<UInt32Type>(values, permutations, valid.finish())
}

/// The keys of the bands of each text: fixed_size_list<uint64>[bands], null where a text has no token.
pub fn bands(texts: &dyn Array, scheme: Scheme, bands: usize, rows: usize) -> Result<FixedSizeListArray> {
    let permutations = bands.saturating_mul(rows);
    if !(1..=MOST_PERMUTATIONS).contains(&permutations) {
        let found = format!("{bands} bands of {rows} rows");
        return Err(Error::invalid(format!("expected bands * rows to be 1 to {MOST_PERMUTATIONS}, found {found}")));
    }
    let mut values = Vec::with_capacity(texts.len() * bands);
    let mut valid = NullBufferBuilder::new(texts.len());
    let mut bytes = Vec::new();
    each_signature(texts, scheme, permutations, |signature| {
        valid.append(signature.is_some());
        match signature {
            Some(signature) => {
                let numbered = (0u32..).zip(signature.chunks_exact(rows));
                values.extend(numbered.map(|(band, rows)| band_key(band, rows, &mut bytes)));
            }
            None => values.resize(values.len() + bands, 0),
        }
    })?;
    fixed_size::<UInt64Type>(values, bands, valid.finish())
}

/// The hashes of the tokens of each text in order: list<uint64>, null where the text is null.
pub fn tokens(texts: &dyn Array, unit: Unit) -> Result<ListArray> {
    let mut tokenizer = Tokenizer::new(unit);
    let mut values: Vec<u64> = Vec::new();
    let mut offsets: Vec<i32> = Vec::with_capacity(texts.len() + 1);
    offsets.push(0);
    each_text(texts, |text| {
        tokenizer.push(text.unwrap_or_default(), &mut values);
        offsets.push(i32::try_from(values.len()).map_err(|_| {
            Error::invalid("expected fewer than 2^31 tokens in a batch, found more: give fewer texts at a time")
        })?);
        Ok(())
    })?;
    let values = PrimitiveArray::<UInt64Type>::new(ScalarBuffer::from(values), None);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let field = Arc::new(Field::new("item", DataType::UInt64, true));
    ListArray::try_new(field, offsets, Arc::new(values), texts.nulls().cloned())
        .map_err(|e| Error::invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use arrow_array::{LargeStringArray, StringArray};

    use super::super::VERSION;
    use super::*;

    const SCHEME: Scheme = Scheme { unit: Unit::Words, ngram: 2, seed: 42 };

    #[test]
    fn one_row_per_text() {
        let texts = vec![Some("one two three"), None, Some("..."), Some("One, two; three")];
        let small = signatures(&StringArray::from(texts.clone()), SCHEME, 5).expect("signatures");
        let large = signatures(&LargeStringArray::from(texts.clone()), SCHEME, 5).expect("signatures");
        assert_eq!(small, large);
        assert_eq!((0..4).map(|row| small.is_null(row)).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(&small.value(0), &small.value(3));
        let found = tokens(&StringArray::from(texts), Unit::Words).expect("tokens");
        assert_eq!(found.offsets().iter().copied().collect::<Vec<_>>(), [0, 3, 3, 3, 6]);
        assert_eq!((found.null_count(), found.is_null(1)), (1, true));
    }

    #[test]
    fn a_changed_hash_is_a_new_version() {
        let texts = StringArray::from(vec!["The quick brown fox, naïve as ever."]);
        let found = signatures(&texts, SCHEME, 3).expect("signatures");
        let keys = bands(&texts, SCHEME, 2, 2).expect("keys");
        assert_eq!(VERSION, 1);
        assert_eq!(found.value(0).as_primitive::<UInt32Type>().values().to_vec(), [429736256, 930494404, 245029862]);
        assert_eq!(
            keys.value(0).as_primitive::<UInt64Type>().values().to_vec(),
            [1814244213200898784, 5791302230180093130]
        );
    }

    #[test]
    fn arguments_out_of_range() {
        let texts = StringArray::from(vec!["a"]);
        let message = |found: Result<FixedSizeListArray>| found.expect_err("refused").to_string();
        assert_eq!(message(signatures(&texts, SCHEME, 0)), "expected 1 to 4096 permutations, found 0");
        assert_eq!(
            message(bands(&texts, SCHEME, 64, 65)),
            "expected bands * rows to be 1 to 4096, found 64 bands of 65 rows"
        );
        let none = Scheme { ngram: 0, ..SCHEME };
        assert_eq!(message(bands(&texts, none, 2, 2)), "expected an ngram of at least 1 token, found 0");
        let numbers = arrow_array::Int64Array::from(vec![1]);
        assert_eq!(message(signatures(&numbers, SCHEME, 1)), "expected string or large_string texts, found Int64");
    }
}
