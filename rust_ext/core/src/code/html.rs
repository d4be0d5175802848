//! The text that a page shows: no tags, no comments, nothing inside `<script>` and its like; references decoded.

use memchr::{memchr, memmem};

use crate::taggers::text::count_chars;

/// Elements whose content is not part of a page's text.
const HIDDEN: [&str; 5] = ["script", "style", "template", "rp", "rt"];
/// The longest name of a character reference has 31 letters.
const LONGEST_NAME: usize = 32;

/// Elements whose white space is shown.
const KEEPS_SPACE: [&str; 2] = ["pre", "textarea"];

/// Code points of the visible text; a character reference counts as the one it stands for, and white space alone between
/// two tags as one, but for the elements that show it.
pub fn visible_chars(html: &str) -> usize {
    let bytes = html.as_bytes();
    let (mut at, mut count, mut keeping) = (0, 0, 0usize);
    let mut node = Node::default();
    while let Some(markup) = bytes.get(at..).and_then(|rest| memchr(b'<', rest)).map(|i| at + i) {
        node.add(html.get(at..markup).unwrap_or_default());
        let Some(end) = markup_end(bytes, markup) else {
            node.add("<");
            at = markup + 1;
            continue;
        };
        count += std::mem::take(&mut node).shown(keeping > 0);
        match keeps_space(html.get(markup + 1..end).unwrap_or_default()) {
            Some(true) => keeping += 1,
            Some(false) => keeping = keeping.saturating_sub(1),
            None => {}
        }
        at = hidden_element(html, markup, end).unwrap_or(end);
    }
    node.add(html.get(at..).unwrap_or_default());
    count + node.shown(keeping > 0)
}

/// The text between two tags.
#[derive(Default)]
struct Node {
    chars: usize,
    more_than_space: bool,
}

impl Node {
    fn add(&mut self, text: &str) {
        self.chars += text_chars(text);
        self.more_than_space |= text.bytes().any(|b| !b.is_ascii_whitespace());
    }

    fn shown(self, keeping: bool) -> usize {
        if self.more_than_space || keeping {
            self.chars
        } else {
            self.chars.min(1)
        }
    }
}

/// Whether the tag with this content opens or closes an element that shows its white space.
fn keeps_space(tag: &str) -> Option<bool> {
    let (opens, tag) = tag.strip_prefix('/').map_or((true, tag), |rest| (false, rest));
    let length = tag.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(tag.len());
    let name = tag.get(..length)?;
    KEEPS_SPACE.iter().any(|k| name.eq_ignore_ascii_case(k)).then_some(opens)
}

/// Behind the tag, comment or declaration that begins at `at`; None where `<` is a character of the text.
fn markup_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at + 1..)?;
    let behind = |found: Option<usize>, length: usize| Some(found.map_or(bytes.len(), |i| at + 1 + i + length));
    match rest.first()? {
        b'!' if rest.starts_with(b"!--") => behind(memmem::find(rest.get(3..)?, b"-->").map(|i| i + 3), 3),
        b'!' | b'?' => behind(memchr(b'>', rest), 1),
        b'/' => behind(memchr(b'>', rest), 1),
        first if first.is_ascii_alphabetic() => {
            // `>` in a quoted value ends no tag.
            let mut i = 0;
            let mut value = false;
            while let Some(byte) = rest.get(i) {
                match byte {
                    b'>' => return Some(at + 1 + i + 1),
                    b'=' => value = true,
                    b'"' | b'\'' if value => {
                        let close = memchr(*byte, rest.get(i + 1..)?)?;
                        i += close + 1;
                        value = false;
                    }
                    b' ' | b'\t' | b'\n' | b'\r' => {}
                    _ => value = false,
                }
                i += 1;
            }
            Some(bytes.len())
        }
        _ => None,
    }
}

/// Behind the end tag of the hidden element that the tag `start..end` opens, if it opens one.
fn hidden_element(html: &str, start: usize, end: usize) -> Option<usize> {
    let tag = html.get(start + 1..end)?;
    let length = tag.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(tag.len());
    let name = tag.get(..length)?;
    let hidden = HIDDEN.iter().find(|h| name.eq_ignore_ascii_case(h))?;
    if tag.ends_with("/>") && !matches!(*hidden, "script" | "style") {
        return None;
    }
    let bytes = html.as_bytes();
    let mut at = end;
    while let Some(found) = bytes.get(at..).and_then(|rest| memmem::find(rest, b"</")) {
        at += found + 2;
        let closes = bytes.get(at..at + hidden.len()).is_some_and(|n| n.eq_ignore_ascii_case(hidden.as_bytes()));
        if closes && !bytes.get(at + hidden.len()).is_some_and(u8::is_ascii_alphanumeric) {
            let rest = bytes.get(at..).unwrap_or_default();
            return Some(memchr(b'>', rest).map_or(bytes.len(), |i| at + i + 1));
        }
    }
    Some(bytes.len())
}

fn text_chars(text: &str) -> usize {
    let mut count = count_chars(text);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(b'&', rest)) {
        at += found + 1;
        if let Some(length) = reference(bytes.get(at..).unwrap_or_default()) {
            // `&`, the name and `;` become one character.
            count -= length;
            at += length;
        }
    }
    count
}

/// Bytes of a reference behind its `&`, the semicolon included.
fn reference(rest: &[u8]) -> Option<usize> {
    let name = rest.get(..rest.len().min(LONGEST_NAME)).unwrap_or_default();
    let end = memchr(b';', name)?;
    let name = name.get(..end)?;
    let is_number = |digits: &[u8], hex: bool| {
        let fits = |b: &u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        !digits.is_empty() && digits.iter().all(fits)
    };
    let known = match name {
        [b'#', b'x' | b'X', digits @ ..] => is_number(digits, true),
        [b'#', digits @ ..] => is_number(digits, false),
        [first, ..] => first.is_ascii_alphabetic() && name.iter().all(u8::is_ascii_alphanumeric),
        [] => false,
    };
    known.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_counts() {
        for (html, chars) in [
            ("", 0),
            ("<p class='a>b'>né</p> ", 3),
            ("a<!-- > b -->c<!doctype html><?php x ?>d", 3),
            ("<SCRIPT>if (a < b) '</p>'</Script >x<style/>y</style>z", 2),
            ("&lt;&#233;&#xe9; &nbsp; &; &amp a & b", 19),
            ("1 < 2 <3", 8),
            ("<ruby>字<rt>zi</rt></ruby>", 1),
            ("<unended", 0),
            ("a <script> never ends", 2),
            ("<", 1),
            ("<p>\n  <b>a</b>\t</p>  ", 4),
            ("<pre>\n  <b> </b> </pre>\n\n", 6),
        ] {
            assert_eq!(visible_chars(html), chars, "{html:?}");
        }
    }
}
