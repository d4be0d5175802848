//! One document's text with the views that taggers share.

use std::cell::OnceCell;

/// A text and its lazily computed, shared views. Offsets in the public format count Unicode code points.
pub struct Text<'a> {
    pub str: &'a str,
    chars: OnceCell<usize>,
}

impl<'a> Text<'a> {
    pub fn new(str: &'a str) -> Self {
        Text { str, chars: OnceCell::new() }
    }

    /// Length in code points.
    pub fn chars(&self) -> usize {
        *self.chars.get_or_init(|| self.str.chars().count())
    }

    /// One byte per character: byte offsets are code point offsets.
    pub fn is_ascii(&self) -> bool {
        self.chars() == self.str.len()
    }
}
