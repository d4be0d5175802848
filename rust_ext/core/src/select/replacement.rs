//! Replacements of spans that a jq program makes of the document.

use super::document::Wanted;
use super::{jq, Documents, RowError};
use crate::{Error, Result};

/// What follows the `$` of a replacement: its one output, a string, takes the place of the span.
pub struct Replacement(jq::Program);

impl Replacement {
    /// Fails if `text` does not compile. `strict`: indexing null is an error, as in Dolma.
    pub fn new(text: &str, strict: bool) -> Result<Self> {
        Ok(Replacement(jq::Program::new(text, strict).map_err(Error::Invalid)?))
    }

    /// The string for each of `rows`, None where there is none; and why there is none.
    pub fn strings(&self, documents: &Documents<'_>, rows: &[usize]) -> (Vec<Option<String>>, Vec<RowError>) {
        let mut errors = Vec::new();
        let strings = rows.iter().map(|&row| {
            let found = match row < documents.len() {
                true => documents.get(row, &Wanted::default()).and_then(|document| self.string(jq::value(&document))),
                false => Err(format!("expected a row below {}", documents.len())),
            };
            found.map_err(|error| errors.push((row, error))).ok()
        });
        (strings.collect(), errors)
    }

    fn string(&self, input: jq::Input) -> std::result::Result<String, String> {
        let found = match self.0.run(input)?.as_slice() {
            [one] => match jq::string(one) {
                Some(text) => return Ok(text),
                None => crate::json::excerpt(&one.to_string(), 60),
            },
            [] => "nothing".to_owned(),
            several => format!("{} values", several.len()),
        };
        Err(format!("jq `{}`: expected one string, found {found}", self.0.shown()))
    }
}
