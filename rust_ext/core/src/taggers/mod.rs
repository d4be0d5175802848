//! What can be measured on a text.
//!
//! A pass builds one [`Text`] per document; every tagger of the pass reads its shared, lazily computed views
//! (characters, words, lines), so a text is segmented once however many taggers run.

mod blocks;
mod c4;
pub mod chain;
pub mod chars;
mod code;
pub mod column;
pub mod conditions;
mod gopher;
mod intern;
mod length;
mod ngrams;
pub mod periods;
mod personal;
mod pii;
mod pii_paragraphs;
mod pretokens;
mod punctuation;
mod repeats;
mod repetition;
mod secrets;
pub mod segments;
pub mod text;
mod uniseg;

use arrow_array::{Array, ArrayRef, LargeStringArray};

pub use column::{round5, span_fields, span_item, Column, Kind};
pub use text::Text;

use crate::{Error, Result};

/// A tagger measures one document at a time into its own columns.
pub trait Tagger: Send {
    /// The attributes in the order in which `tag` finds their columns.
    fn attributes(&self) -> &'static [(&'static str, Kind)];

    /// Measures `text`; a column that is not set stays absent for this document.
    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]);

    /// Measures one attribute of `text`, and whatever comes with it, unless `done` has its bit; sets the bits of all
    /// that were measured. A tagger whose attributes cost much more together than one by one overrides it.
    fn measure(&mut self, _attribute: usize, text: &Text<'_>, done: &mut u64, columns: &mut [Column]) {
        *done = !0;
        self.tag(text, columns);
    }
}

/// Name, one line of description, and how to make one.
type Entry = (&'static str, &'static str, fn() -> Box<dyn Tagger>);

/// Every tagger of this crate, by name.
const CATALOGUE: &[Entry] = &[
    ("bytes_length_v1", "bytes of UTF-8", || Box::new(length::Length::new(length::Unit::Bytes))),
    ("c4_v1", "line and word rules of C4, `javascript` as a word", || Box::new(c4::C4::v1())),
    ("c4_v2", "line and word rules of C4, `javascript` anywhere", || Box::new(c4::C4::v2())),
    ("char_length_strip_ws_v1", "code points of the text without the white space around it", || {
        Box::new(length::Length::new(length::Unit::StrippedChars))
    }),
    ("char_length_v1", "code points", || Box::new(length::Length::new(length::Unit::Chars))),
    ("char_length_with_paragraphs_v1", "code points by paragraph, and of the whole text", || {
        Box::new(length::ByParagraph::new(length::Unit::Chars))
    }),
    ("code_copyright_comments_v1", "a copyright notice, or the comments a source begins with", || {
        Box::new(code::Copyright::new())
    }),
    ("code_redpajama_taggers_v1", "line lengths, letters and numbers, letters per token", || Box::new(code::RedPajama)),
    ("code_secrets_v1", "keys, tokens and passwords in source code", || Box::new(secrets::Secrets::new())),
    ("doc_count_v1", "1 for each document", || Box::new(length::Length::new(length::Unit::Documents))),
    ("gopher_v1", "quality and repetition signals of Gopher, lines at each break", || Box::new(gopher::Gopher::v1())),
    ("gopher_v2", "quality and repetition signals of Gopher, lines at runs of breaks", || {
        Box::new(gopher::Gopher::v2())
    }),
    ("not_alphanum_paragraph_v1", "paragraphs of punctuation and emoji", || Box::new(punctuation::AllPunctuation)),
    ("olmo_pretokenizer_v1", "pieces that OLMo's tokenizer cuts a text into before it merges bytes", || {
        Box::new(length::Length::new(length::Unit::Pretokens))
    }),
    ("olmo_pretokenizer_with_paragraphs_v1", "the pieces of olmo_pretokenizer_v1 by paragraph, and their sum", || {
        Box::new(length::ByParagraph::new(length::Unit::Pretokens))
    }),
    ("paragraph_repetitions_v1", "pieces of a paragraph that stand four times or more in a row", || {
        Box::new(repetition::Repetition::paragraphs())
    }),
    ("pii_regex_v1", "e-mail addresses, US phone numbers, IPv4 addresses", || Box::new(pii::Pii::new())),
    ("pii_regex_v2", "e-mail addresses, US phone numbers, IPv4 addresses", || Box::new(pii::Pii::new())),
    (
        "pii_regex_with_counts_fast_v2",
        "what pii_regex_v2 finds, by paragraph; its number and share of the text",
        || Box::new(pii_paragraphs::PiiParagraphs::new()),
    ),
    ("pii_regex_with_counts_v2", "what pii_regex_v2 finds, and its number", || Box::new(pii::Pii::with_counts())),
    ("pii_v1", "addresses, phone, account and card numbers, keys, each checked by the rules of its kind", || {
        Box::new(personal::Personal::default())
    }),
    ("repetitions_v1", "pieces of a text that stand four times or more in a row", || {
        Box::new(repetition::Repetition::document())
    }),
    ("uniseg_length_paragraphs_v1", "words by Unicode's rules (UAX 29), by paragraph", || {
        Box::new(uniseg::Uniseg::paragraphs())
    }),
    ("uniseg_length_paragraphs_with_doc_length_v1", "the words of uniseg_length_paragraphs_v1, and their sum", || {
        Box::new(uniseg::Uniseg::with_document())
    }),
    (
        "uniseg_length_paragraphs_with_empty_v1",
        "the words of uniseg_length_paragraphs_v1, in blank paragraphs too",
        || Box::new(uniseg::Uniseg::with_blank()),
    ),
    ("uniseg_length_v1", "words and the pieces between them, by Unicode's rules (UAX 29)", || {
        Box::new(length::Length::new(length::Unit::Segments))
    }),
    ("whitespace_tokenizer_v1", "runs of word characters and runs of punctuation, plus one", || {
        Box::new(length::Length::new(length::Unit::Tokens))
    }),
    (
        "whitespace_tokenizer_with_paragraphs_v1",
        "the runs of whitespace_tokenizer_v1 by paragraph, and their sum",
        || Box::new(length::ByParagraph::new(length::Unit::Tokens)),
    ),
];

/// Names of all taggers, sorted, each with one line of description.
pub fn catalogue() -> impl Iterator<Item = (&'static str, &'static str)> {
    CATALOGUE.iter().map(|(name, about, _)| (*name, *about))
}

/// Names of all taggers, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    catalogue().map(|(name, _)| name)
}

/// A fresh tagger.
pub fn by_name(name: &str) -> Option<Box<dyn Tagger>> {
    CATALOGUE.iter().find(|(known, ..)| *known == name).map(|(.., make)| make())
}

/// The text of a row. A null is an error, as the reader never yields one; so is a text of 4 GiB or more, whose words
/// 32-bit offsets could not tell apart.
fn text_at(texts: &LargeStringArray, row: usize) -> Result<&str> {
    if texts.is_null(row) {
        return Err(Error::invalid(format!("text {row}: expected a text, found none")));
    }
    let value = texts.value(row);
    if u32::try_from(value.len()).is_err() {
        let found = value.len();
        return Err(Error::invalid(format!("text {row}: expected less than 4 GiB, found {found} bytes")));
    }
    Ok(value)
}

/// 2^31 spans of one attribute in a batch are an error, as offsets could not tell them apart.
fn check_spans(column: &Column) -> Result<()> {
    match i32::try_from(column.spans()) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid("expected fewer than 2^31 spans in a batch: tag fewer documents at once")),
    }
}

/// Runs `taggers` over a column of texts in one pass.
///
/// Returns, per tagger, its columns in the order of [`Tagger::attributes`]. A text that is null, or of 4 GiB or more, is
/// an error; so are 2^31 spans of one attribute in a batch.
pub fn tag_texts(taggers: &mut [Box<dyn Tagger>], texts: &LargeStringArray) -> Result<Vec<Vec<ArrayRef>>> {
    if texts.null_count() > 0 {
        return Err(Error::invalid(format!("expected texts without nulls, found {}", texts.null_count())));
    }
    let mut columns: Vec<Vec<Column>> = taggers
        .iter()
        .map(|t| t.attributes().iter().map(|(_, kind)| Column::new(*kind, texts.len())).collect())
        .collect();
    let mut spare = text::Spare::default();
    for row in 0..texts.len() {
        let text = Text::reusing(text_at(texts, row)?, spare);
        for (tagger, out) in taggers.iter_mut().zip(&mut columns) {
            tagger.tag(&text, out);
            out.iter_mut().for_each(Column::finish_row);
            out.iter().try_for_each(check_spans)?;
        }
        spare = text.into_spare();
        if row == texts.len() / 8 {
            columns.iter_mut().flatten().for_each(|column| column.make_room(texts.len() - row));
        }
    }
    Ok(columns.iter_mut().map(|out| out.iter_mut().map(Column::finish).collect()).collect())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_catalogue_is_sorted_and_complete() {
        let listed: Vec<_> = names().collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(listed, sorted);
        assert!(listed.iter().all(|name| by_name(name).is_some()));
        assert!(by_name("gopher_v3").is_none());
    }

    #[test]
    fn a_null_text_is_an_error() {
        let texts = LargeStringArray::from(vec![Some("a"), None]);
        let error = tag_texts(&mut [], &texts).unwrap_err();
        assert_eq!(error.to_string(), "expected texts without nulls, found 1");
    }

    proptest! {
        /// A document's attributes do not depend on the documents before it, spans lie within it and nothing panics.
        #[test]
        fn documents_do_not_leak_into_each_other(
            texts in prop::collection::vec("(\\PC|[ab \\n@.\\x1c0-9\\x00İe\u{301}\u{200d}👩💻🇫字ア]|a@b.org |(ab ?){5}){0,60}", 0..6),
        ) {
            let all = || names().filter_map(by_name).collect::<Vec<_>>();
            let batch = tag_texts(&mut all(), &LargeStringArray::from(texts.clone())).unwrap();
            for (row, text) in texts.iter().enumerate() {
                let alone = tag_texts(&mut all(), &LargeStringArray::from(vec![text.as_str()])).unwrap();
                for list in alone.iter().flatten().filter_map(|column| column.as_list_opt::<i32>()) {
                    let spans = list.value(0);
                    let of = |i: usize| spans.as_struct().column(i).as_primitive::<Int64Type>().values().to_vec();
                    let length = text.chars().count() as i64;
                    prop_assert!(of(0).into_iter().zip(of(1)).all(|(start, end)| 0 <= start && start <= end && end <= length));
                }
                for (many, one) in batch.iter().flatten().zip(alone.iter().flatten()) {
                    prop_assert_eq!(&many.slice(row, 1).to_data(), &one.to_data());
                }
            }
        }
    }
}
