//! Comments of languages whose lexical rules fit in a table.

use memchr::memmem;

use crate::taggers::text::count_chars;

/// What opens and closes a string, and whether it may go on over the end of a line.
struct Quote {
    open: &'static str,
    close: &'static str,
    lines: bool,
    escapes: bool,
}

/// How a language marks comments and strings.
pub struct Syntax {
    line: &'static [&'static str],
    block: &'static [(&'static str, &'static str)],
    strings: &'static [Quote],
    /// Whether block comments contain each other.
    nested: bool,
    /// Whether `/.../` may be a regular expression.
    regex: bool,
    /// Whether a line comment must stand at the beginning of a word.
    word: bool,
}

const fn quote(open: &'static str, close: &'static str, lines: bool, escapes: bool) -> Quote {
    Quote { open, close, lines, escapes }
}

const DOUBLE: Quote = quote("\"", "\"", false, true);
const SINGLE: Quote = quote("'", "'", false, true);
const TEXT_BLOCK: Quote = quote("\"\"\"", "\"\"\"", true, true);
const C_BLOCK: (&str, &str) = ("/*", "*/");

const C: Syntax =
    Syntax { line: &["//"], block: &[C_BLOCK], strings: &[DOUBLE, SINGLE], nested: false, regex: false, word: false };
const JAVA: Syntax = Syntax { strings: &[TEXT_BLOCK, DOUBLE, SINGLE], ..C };
const JAVASCRIPT: Syntax = Syntax { strings: &[DOUBLE, SINGLE, quote("`", "`", true, true)], regex: true, ..C };
const GO: Syntax = Syntax { strings: &[DOUBLE, SINGLE, quote("`", "`", true, false)], ..C };
/// A single quote may be a lifetime: it opens nothing, and no comment is lost by that.
const RUST: Syntax = Syntax { strings: &[quote("\"", "\"", true, true)], nested: true, ..C };
const SCALA: Syntax = Syntax { strings: &[quote("\"\"\"", "\"\"\"", true, false), DOUBLE], nested: true, ..C };
const PHP: Syntax = Syntax { line: &["//", "#"], ..C };
const CSS: Syntax = Syntax { line: &[], ..C };
const HASH: Syntax = Syntax { line: &["#"], block: &[], word: true, ..C };
const RUBY: Syntax = Syntax { block: &[("\n=begin", "\n=end")], ..HASH };
const SQL: Syntax = Syntax { line: &["--"], strings: &[quote("'", "'", true, false), DOUBLE], ..C };
const HASKELL: Syntax = Syntax { line: &["--"], block: &[("{-", "-}")], strings: &[DOUBLE], nested: true, ..C };
const LUA: Syntax = Syntax { line: &["--"], block: &[("--[[", "]]")], ..C };
/// An escaped percent sign is a string of its own.
const TEX: Syntax = Syntax { line: &["%"], block: &[], strings: &[quote("\\%", "", false, false)], ..C };
const LISP: Syntax = Syntax { line: &[";"], block: &[("#|", "|#")], strings: &[quote("\"", "\"", true, true)], ..C };
const XML: Syntax = Syntax { line: &[], block: &[("<!--", "-->")], strings: &[], ..C };

/// The syntax of a language by its name in Dolma's map of file extensions.
pub fn syntax(language: &str) -> Option<&'static Syntax> {
    Some(match language {
        "c" | "c++" | "c-sharp" | "objective-c" | "cuda" | "swift" | "dart" | "protocol-buffer" => &C,
        "java" | "groovy" => &JAVA,
        "javascript" | "typescript" | "jsx" => &JAVASCRIPT,
        "go" => &GO,
        "rust" => &RUST,
        "scala" | "kotlin" => &SCALA,
        "php" => &PHP,
        "css" => &CSS,
        "shell" | "perl" | "r" | "yaml" | "toml" | "makefile" | "dockerfile" | "cmake" | "julia" | "elixir" => &HASH,
        "ruby" => &RUBY,
        "sql" => &SQL,
        "haskell" => &HASKELL,
        "lua" => &LUA,
        "tex" => &TEX,
        "common-lisp" | "scheme" | "clojure" | "emacs-lisp" => &LISP,
        "html" | "xml" => &XML,
        _ => return None,
    })
}

impl Syntax {
    /// Code points of all comments, their marks included, line breaks after them not.
    pub fn comment_chars(&self, text: &str) -> usize {
        let openers = self.openers();
        let bytes = text.as_bytes();
        let (mut at, mut count) = (0, 0);
        while let Some(skip) = bytes.get(at..).and_then(|r| r.iter().position(|b| openers[usize::from(*b)])) {
            at += skip;
            if let Some(end) = self.comment_end(text, at) {
                count += text.get(at..end).map_or(0, count_chars);
                at = end;
            } else if let Some(quote) = self.strings.iter().find(|q| starts(bytes, at, q.open)) {
                at = string_end(bytes, at + quote.open.len(), quote);
            } else if self.regex && bytes.get(at) == Some(&b'/') && regex_may_start(bytes, at) {
                at = regex_end(bytes, at + 1);
            } else {
                at += 1;
            }
        }
        count
    }

    fn openers(&self) -> [bool; 256] {
        let mut table = [false; 256];
        let marks = self.line.iter().chain(self.block.iter().map(|(open, _)| open));
        for mark in marks.chain(self.strings.iter().map(|q| &q.open)) {
            if let Some(byte) = mark.bytes().next() {
                table[usize::from(byte)] = true;
            }
        }
        table[usize::from(b'/')] |= self.regex;
        table
    }

    /// Where the comment that begins at `at` ends, if one does. A block without its end is none.
    fn comment_end(&self, text: &str, at: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        for (open, close) in self.block {
            if starts(bytes, at, open) {
                return self.block_end(bytes, at + open.len(), open, close);
            }
        }
        let begins = !self.word || at == 0 || bytes.get(at - 1).is_some_and(|b| b.is_ascii_whitespace());
        if !begins || !self.line.iter().any(|mark| starts(bytes, at, mark)) {
            return None;
        }
        let rest = bytes.get(at..)?;
        Some(at + rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len()))
    }

    fn block_end(&self, bytes: &[u8], from: usize, open: &str, close: &str) -> Option<usize> {
        let (mut at, mut depth) = (from, 1);
        loop {
            let rest = bytes.get(at..)?;
            let end = memmem::find(rest, close.as_bytes())?;
            let inner = if self.nested { memmem::find(rest.get(..end)?, open.as_bytes()) } else { None };
            match inner {
                Some(inner) => (at, depth) = (at + inner + open.len(), depth + 1),
                None => (at, depth) = (at + end + close.len(), depth - 1),
            }
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

fn starts(bytes: &[u8], at: usize, mark: &str) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(mark.as_bytes()))
}

/// Behind the end of the string whose content begins at `from`; a line break ends what may not go over it.
fn string_end(bytes: &[u8], from: usize, quote: &Quote) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' && quote.escapes {
            at += 2;
        } else if starts(bytes, at, quote.close) {
            return at + quote.close.len();
        } else if *byte == b'\n' && !quote.lines {
            return at;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// Behind the regular expression whose content begins at `from`, or at the end of its line.
fn regex_end(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut class) = (from, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' => return at,
            b'\\' => at += 1,
            b'[' => class = true,
            b']' => class = false,
            b'/' if !class => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// A division needs an operand before it: a name, a number, or something in brackets. `return` and its like are none.
fn regex_may_start(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    let end = before.iter().rposition(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')).map_or(0, |i| i + 1);
    let before = before.get(..end).unwrap_or_default();
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || *b >= 0x80;
    let Some(last) = before.last() else { return true };
    if is_word(last) {
        // A word that matters has at most ten letters.
        let tail = before.get(before.len().saturating_sub(11)..).unwrap_or_default();
        let start = tail.iter().rposition(|b| !is_word(b)).map_or(0, |i| i + 1);
        let word = tail.get(start..).unwrap_or_default();
        let operators: [&[u8]; 8] = [b"return", b"typeof", b"case", b"in", b"of", b"delete", b"void", b"instanceof"];
        return operators.contains(&word);
    }
    !matches!(last, b')' | b']' | b'}' | b'"' | b'\'' | b'`')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(language: &str, text: &str) -> usize {
        syntax(language).unwrap().comment_chars(text)
    }

    #[test]
    fn comments_are_not_in_strings() {
        for (language, text, chars) in [
            ("java", "int a; // é\nint b; /* c\nd */ \"// no\" '\"' // e", 4 + 9 + 4),
            ("java", "\"a\\\"// no\" // y", 4),
            ("java", "\"\"\"\n // no \" \n\"\"\" // y", 4),
            ("java", "/* no end // y", 4),
            ("c", "#define X /**/ 1\n// a\r\nb", 4 + 4),
            ("c", "char *s = \"unended\n// y", 4),
            ("javascript", "a = /[/*]\"/ // y", 4),
            ("javascript", "a = b / c // y\n`// ${no}\n//`", 4),
            ("javascript", "return /\\/\\//g // y", 4),
            ("javascript", "x = (1) / 2 /* y */", 7),
            ("go", "`\\` // y", 4),
            ("rust", "/* a /* b */ c */ let x: &'static str = \"//\";", 17),
            ("sql", "select '--' -- y\n/* z */", 4 + 7),
            ("shell", "echo a#b # y\n#z", 3 + 2),
            ("lua", "--[[ a\nb ]] x -- y", 11 + 4),
            ("haskell", "{- a {- b -} -} x -- y", 15 + 4),
            ("xml", "<!-- a --> <b/>", 10),
            ("tex", "100\\% % y", 3),
            ("css", "a { b: url(//c) } /* d */", 7),
        ] {
            assert_eq!(count(language, text), chars, "{language} {text:?}");
        }
    }
}
