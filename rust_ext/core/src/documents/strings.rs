//! String columns that grow value by value.

use arrow_array::{LargeBinaryArray, LargeStringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use crate::{Error, Result};

/// A growing string column: bytes and offsets, handed to Arrow without a copy.
#[derive(Default)]
pub(super) struct Strings {
    pub(super) bytes: Vec<u8>,
    pub(super) offsets: Vec<i64>,
}

impl Strings {
    pub(super) fn end(&mut self) {
        self.offsets.push(self.bytes.len() as i64);
    }

    fn take(&mut self) -> (OffsetBuffer<i64>, Buffer) {
        let mut offsets = Vec::with_capacity(self.offsets.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.offsets);
        // The next batch will be about as large; one huge document says nothing of it.
        let next = Vec::with_capacity(self.bytes.len().min(8 << 20));
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(std::mem::replace(&mut self.bytes, next)))
    }

    pub(super) fn strings(&mut self, nulls: Option<NullBuffer>) -> Result<LargeStringArray> {
        let (offsets, bytes) = self.take();
        LargeStringArray::try_new(offsets, bytes, nulls).map_err(|e| Error::invalid(e.to_string()))
    }

    pub(super) fn binary(&mut self) -> Result<LargeBinaryArray> {
        let (offsets, bytes) = self.take();
        LargeBinaryArray::try_new(offsets, bytes, None).map_err(|e| Error::invalid(e.to_string()))
    }
}
