//! The kinds of attributes: what a column holds in memory, and how files and messages call it.

use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, ListArray};
use arrow_schema::DataType;

use crate::taggers::span_item;
use crate::{Error, Result};

/// What an attribute says of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One number for the whole document, or none: a nullable float64.
    Document,
    /// One whole number, or none: a nullable int64.
    Int64,
    /// One text, or none: a nullable large_string.
    String,
    /// True, false or nothing: a nullable bool.
    Bool,
    /// Any number of `[start, end, score]`: a list of struct<start: int64, end: int64, score: float64>.
    Spans,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::Document, Kind::Int64, Kind::String, Kind::Bool, Kind::Spans];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Document => "float64",
            Kind::Int64 => "int64",
            Kind::String => "string",
            Kind::Bool => "bool",
            Kind::Spans => "spans",
        }
    }

    /// The Arrow type of a column of this kind.
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Document => DataType::Float64,
            Kind::Int64 => DataType::Int64,
            Kind::String => DataType::LargeUtf8,
            Kind::Bool => DataType::Boolean,
            Kind::Spans => DataType::List(span_item()),
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let names = Kind::ALL.map(Kind::name).join(", ");
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::invalid(format!("expected a kind of attribute ({names}), found `{name}`")))
    }
}

/// A column of an attribute, by its kind.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    Document(&'a Float64Array),
    Int64(&'a Int64Array),
    String(&'a LargeStringArray),
    Bool(&'a BooleanArray),
    Spans { list: &'a ListArray, start: &'a Int64Array, end: &'a Int64Array, score: &'a Float64Array },
}

impl<'a> Values<'a> {
    /// Fails where the array has the type of no kind; `key` is the attribute's, for the message.
    pub fn new(key: &str, column: &'a ArrayRef) -> Result<Self> {
        match column.data_type() {
            DataType::Float64 => column.as_primitive_opt::<Float64Type>().map(Values::Document),
            DataType::Int64 => column.as_primitive_opt::<Int64Type>().map(Values::Int64),
            DataType::LargeUtf8 => column.as_string_opt::<i64>().map(Values::String),
            DataType::Boolean => column.as_boolean_opt().map(Values::Bool),
            _ => column.as_list_opt::<i32>().and_then(spans),
        }
        .ok_or_else(|| {
            Error::invalid(format!(
                "attribute `{key}`: expected float64, int64, large_string, bool or \
                 list<struct<start: int64, end: int64, score: float64>>, found {}",
                column.data_type()
            ))
        })
    }
}

fn spans(list: &ListArray) -> Option<Values<'_>> {
    let spans = list.values().as_struct_opt()?;
    let integers = |name| spans.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let score = spans.column_by_name("score")?.as_primitive_opt::<Float64Type>()?;
    Some(Values::Spans { list, start: integers("start")?, end: integers("end")?, score })
}
