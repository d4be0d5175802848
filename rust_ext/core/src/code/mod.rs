//! How much of a source file is comments or visible text.
//!
//! Small lexers that know strings from comments and nothing more: they need no grammar, no version of a language and
//! no other library, so a figure does not change with them; and they read what is broken or unfinished as well.

mod comments;
mod html;
mod python;

use arrow_array::builder::Float64Builder;
use arrow_array::{Array, Float64Array, LargeStringArray};

use crate::taggers::chars::python_strip;
use crate::taggers::text::count_chars;

/// Code points of comments (of Python: of comments and docstrings) per code point of each text.
///
/// `languages`: a name per text, such as `python` or `java`; null, and a language of which no comments are known, give
/// null. An empty text has 0.
pub fn comment_shares(texts: &LargeStringArray, languages: &LargeStringArray) -> Float64Array {
    let mut out = Float64Builder::with_capacity(texts.len());
    for (text, language) in texts.iter().zip(languages.iter()) {
        let found = match (text, language) {
            (Some(text), Some("python")) => Some(share(count_chars(python_strip(&python::prose(text))), text)),
            (Some(text), Some(language)) => comments::syntax(language).map(|s| share(s.comment_chars(text), text)),
            _ => None,
        };
        out.append_option(found);
    }
    out.finish()
}

/// Code points of visible text per code point of each HTML source; 0 where there are no more than 100 of them.
pub fn visible_shares(texts: &LargeStringArray) -> Float64Array {
    let visible = |html| {
        let chars = html::visible_chars(html);
        if chars > LEAST_VISIBLE {
            share(chars, html)
        } else {
            0.0
        }
    };
    texts.iter().map(|text| text.map(visible)).collect()
}

const LEAST_VISIBLE: usize = 100;

fn share(chars: usize, text: &str) -> f64 {
    chars as f64 / count_chars(text).max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_by_language() {
        let texts = LargeStringArray::from(vec!["# é\nx", "/*é*/x", "x", "", "<p>", "x"]);
        let languages = LargeStringArray::from(vec![
            Some("python"),
            Some("java"),
            Some("klingon"),
            Some("python"),
            None,
            Some("c"),
        ]);
        let found: Vec<_> = comment_shares(&texts, &languages).iter().collect();
        assert_eq!(found, [Some(0.2), Some(5.0 / 6.0), None, Some(0.0), None, Some(0.0)]);
        let html = LargeStringArray::from(vec![format!("<p>{}", "é".repeat(101)), format!("<p>{}", "x".repeat(100))]);
        assert_eq!(visible_shares(&html).values(), &[101.0 / 104.0, 0.0]);
    }

    proptest! {
        /// Nothing panics, and no more is counted than there is.
        #[test]
        fn any_text_in_any_language(text in "(\\PC|[\"'`#/*\\\\<>&;()\\[{}:= \\n\\t]|def |class |\"\"\"|//|--|<!--|<script>){0,60}") {
            let texts = LargeStringArray::from(vec![text.as_str(); 7]);
            let languages = ["python", "java", "javascript", "c", "shell", "haskell", "lua"];
            for found in comment_shares(&texts, &LargeStringArray::from(languages.to_vec())).values() {
                // Tabs in a docstring may grow.
                prop_assert!(*found >= 0.0 && (*found <= 1.0 || text.contains('\t')), "{found} {text:?}");
            }
            prop_assert!(visible_shares(&texts).values().iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }
}
