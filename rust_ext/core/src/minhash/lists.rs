//! Rows of token hashes, as an Arrow list holds them.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, GenericListArray, OffsetSizeTrait};
use arrow_buffer::NullBuffer;

use crate::{Error, Result};

/// The tokens of each row: list<uint64> or large_list<uint64>.
pub struct TokenRows<'a> {
    values: &'a [u64],
    offsets: Vec<usize>,
    nulls: Option<&'a NullBuffer>,
}

impl<'a> TokenRows<'a> {
    pub fn of(array: &'a dyn Array) -> Result<Self> {
        let found = array.as_list_opt::<i32>().map(TokenRows::read);
        let found = found.or_else(|| array.as_list_opt::<i64>().map(TokenRows::read)).flatten();
        found.ok_or_else(|| {
            let expected = "expected tokens as list<uint64> without nulls within a list";
            Error::invalid(format!("{expected}, found {}", array.data_type()))
        })
    }

    fn read<O: OffsetSizeTrait>(lists: &'a GenericListArray<O>) -> Option<Self> {
        let values = lists.values().as_primitive_opt::<UInt64Type>().filter(|values| values.null_count() == 0)?;
        let offsets = lists.value_offsets().iter().map(|offset| offset.as_usize()).collect();
        Some(TokenRows { values: values.values(), offsets, nulls: lists.nulls() })
    }

    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of a row; a null row, or one beyond the last, has none.
    pub fn row(&self, row: usize) -> &'a [u64] {
        if self.nulls.is_some_and(|nulls| row >= nulls.len() || nulls.is_null(row)) {
            return &[];
        }
        let bounds = self.offsets.get(row).zip(self.offsets.get(row + 1));
        bounds.and_then(|(start, end)| self.values.get(*start..*end)).unwrap_or_default()
    }
}
