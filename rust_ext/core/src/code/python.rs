//! The prose of Python sources: docstrings and comments.

/// Docstrings of classes, functions and the module, a line break between them, then all comments without `#`.
///
/// What `inspect.getdoc` and `tokenize` give for a source that Python parses. As in Dolma 1.2.1, coroutines (`async
/// def`) have no docstring; unlike there, a source that this or that version of Python cannot parse loses nothing.
pub fn prose(source: &str) -> String {
    let mut lexer = Lexer { source, bytes: source.as_bytes(), at: 0, depth: 0 };
    let mut reader = Reader::default();
    while let Some(token) = lexer.next() {
        reader.read(token);
    }
    reader.read(Token::Newline);
    let mut docstrings = reader.docstrings;
    docstrings.sort_by(|a, b| (&a.owner, &a.name).cmp(&(&b.owner, &b.name)));
    let mut out: Vec<&str> = docstrings.iter().map(|d| d.text.as_str()).collect();
    out.push(&reader.comments);
    out.join("\n")
}

enum Token<'s> {
    Name(&'s str),
    /// A string with its value; None where it is bytes or formatted.
    Text(Option<String>),
    Comment(&'s str),
    /// Anything else that is no white space.
    Sign(u8),
    /// The end of a logical line.
    Newline,
}

struct Lexer<'s> {
    source: &'s str,
    bytes: &'s [u8],
    at: usize,
    depth: usize,
}

impl<'s> Lexer<'s> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            let start = self.at;
            self.at += 1;
            match byte {
                b' ' | b'\t' | b'\x0c' | b'\r' => {}
                b'\n' if self.depth > 0 => {}
                b'\n' => return Some(Token::Newline),
                b'\\' => {
                    self.at += usize::from(self.peek(0) == b'\r');
                    self.at += usize::from(self.peek(0) == b'\n');
                }
                b'#' => {
                    let rest = self.bytes.get(start..)?;
                    let length = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
                    self.at = start + length;
                    return self.source.get(start..self.at).map(Token::Comment);
                }
                b'"' | b'\'' => {
                    self.at = start;
                    return Some(Token::Text(self.string("")));
                }
                _ if byte == b'_' || byte.is_ascii_alphabetic() || byte >= 0x80 => {
                    let is_more = |b: &u8| *b == b'_' || b.is_ascii_alphanumeric() || *b >= 0x80;
                    let rest = self.bytes.get(start..)?;
                    self.at = start + rest.iter().position(|b| !is_more(b)).unwrap_or(rest.len());
                    let name = self.source.get(start..self.at)?;
                    if matches!(self.peek(0), b'"' | b'\'') && is_prefix(name) {
                        return Some(Token::Text(self.string(name)));
                    }
                    return Some(Token::Name(name));
                }
                _ => {
                    match byte {
                        b'(' | b'[' | b'{' => self.depth += 1,
                        b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    return Some(Token::Sign(byte));
                }
            }
        }
    }

    /// The string whose quotes begin here. One that is not closed ends with its line, or with the source.
    fn string(&mut self, prefix: &str) -> Option<String> {
        let quote = self.peek(0);
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        self.at += if triple { 3 } else { 1 };
        let start = self.at;
        let mut end = self.bytes.len();
        while let Some(byte) = self.bytes.get(self.at) {
            if *byte == b'\\' {
                self.at += 1;
            } else if *byte == quote && (!triple || (self.peek(1) == quote && self.peek(2) == quote)) {
                end = self.at;
                self.at += if triple { 3 } else { 1 };
                break;
            } else if *byte == b'\n' && !triple {
                end = self.at;
                break;
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        let has = |letter: char| prefix.chars().any(|c| c.eq_ignore_ascii_case(&letter));
        if has('b') || has('f') || has('t') {
            return None;
        }
        let content = self.source.get(start..end)?.replace("\r\n", "\n");
        Some(if has('r') { content } else { unescape(&content) })
    }
}

fn is_prefix(name: &str) -> bool {
    const PREFIXES: [&str; 11] = ["r", "u", "b", "f", "t", "br", "rb", "fr", "rf", "tr", "rt"];
    PREFIXES.iter().any(|p| name.eq_ignore_ascii_case(p))
}

fn unescape(content: &str) -> String {
    if !content.contains('\\') {
        return content.to_owned();
    }
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let Some(code) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let mut used = code.len_utf8();
        match code {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(code),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            'x' | 'u' | 'U' => {
                let digits = if code == 'x' {
                    2
                } else if code == 'u' {
                    4
                } else {
                    8
                };
                let number = rest.get(1..1 + digits).and_then(|d| u32::from_str_radix(d, 16).ok());
                match number {
                    Some(number) => {
                        out.push(char::from_u32(number).unwrap_or('\u{fffd}'));
                        used += digits;
                    }
                    None => out.extend(['\\', code]),
                }
            }
            'N' if rest.get(1..2) == Some("{") => match rest.find('}') {
                // Which one it is makes no difference to a length.
                Some(end) => {
                    out.push('\u{fffd}');
                    used = end + 1;
                }
                None => out.extend(['\\', code]),
            },
            '0'..='7' => {
                used = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let number = u32::from_str_radix(rest.get(..used).unwrap_or("0"), 8).unwrap_or_default();
                out.push(char::from_u32(number).unwrap_or('\u{fffd}'));
            }
            _ => out.extend(['\\', code]),
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Class,
    Function,
    Module,
}

struct Docstring {
    owner: Owner,
    name: String,
    text: String,
}

/// Follows statements just far enough to tell which strings are docstrings.
struct Reader {
    docstrings: Vec<Docstring>,
    comments: String,
    /// Whose docstring the next statement may be.
    open: Option<(Owner, String)>,
    /// The header that is being read: before its name, then up to its colon.
    header: Option<(Owner, String)>,
    depth: usize,
    first: bool,
    /// The strings of a statement that has nothing else so far; None once it has.
    strings: Option<Vec<String>>,
}

impl Default for Reader {
    fn default() -> Self {
        Reader {
            docstrings: Vec::new(),
            comments: String::new(),
            open: Some((Owner::Module, String::new())),
            header: None,
            depth: 0,
            first: true,
            strings: Some(Vec::new()),
        }
    }
}

impl Reader {
    fn read(&mut self, token: Token<'_>) {
        match token {
            Token::Comment(comment) => self.comments.extend(comment.chars().filter(|c| *c != '#')),
            Token::Newline => self.end_statement(),
            Token::Sign(b';') if self.header.is_none() => self.end_statement(),
            Token::Sign(b':') if self.header.is_some() && self.depth == 0 => {
                self.open = self.header.take();
                self.begin_statement();
            }
            Token::Sign(sign) => {
                match sign {
                    b'(' | b'[' | b'{' => self.depth += 1,
                    b')' | b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                if !matches!(sign, b'(' | b')') {
                    self.strings = None;
                }
                self.first = false;
            }
            Token::Text(value) => {
                match (value, &mut self.strings) {
                    (Some(value), Some(strings)) => strings.push(value),
                    _ => self.strings = None,
                }
                self.first = false;
            }
            Token::Name(name) => {
                match &mut self.header {
                    Some((_, known)) if known.is_empty() => *known = name.to_owned(),
                    None if self.first && name == "def" => self.header = Some((Owner::Function, String::new())),
                    None if self.first && name == "class" => self.header = Some((Owner::Class, String::new())),
                    _ => {}
                }
                self.strings = None;
                self.first = false;
            }
        }
    }

    fn begin_statement(&mut self) {
        self.first = true;
        self.strings = Some(Vec::new());
        self.depth = 0;
    }

    fn end_statement(&mut self) {
        // An empty line ends nothing.
        if self.first {
            return;
        }
        let owner = self.open.take();
        if let (Some((owner, name)), Some(strings)) = (owner, &self.strings) {
            let text = clean(&strings.concat());
            if !strings.is_empty() && !text.is_empty() {
                self.docstrings.push(Docstring { owner, name, text });
            }
        }
        self.header = None;
        self.begin_statement();
    }
}

/// `inspect.cleandoc`: common indentation removed, and empty lines at both ends.
fn clean(docstring: &str) -> String {
    let expanded = expand_tabs(docstring);
    let lines: Vec<&str> = expanded.split('\n').collect();
    let indent = |line: &&str| line.chars().take_while(|c| crate::taggers::chars::is_python_space(*c)).count();
    let is_blank = |line: &&str| indent(line) == line.chars().count();
    let margin = lines.iter().skip(1).filter(|l| !is_blank(l)).map(indent).min().unwrap_or(0);
    let mut cleaned: Vec<&str> = Vec::with_capacity(lines.len());
    for (number, line) in lines.iter().enumerate() {
        let remove = if number == 0 { indent(line) } else { margin };
        let from = line.char_indices().nth(remove).map_or(line.len(), |(at, _)| at);
        cleaned.push(line.get(from..).unwrap_or_default());
    }
    let from = cleaned.iter().position(|l| !l.is_empty()).unwrap_or(cleaned.len());
    let to = cleaned.iter().rposition(|l| !l.is_empty()).map_or(from, |i| i + 1);
    cleaned.get(from..to).unwrap_or_default().join("\n")
}

/// `str.expandtabs()`.
fn expand_tabs(text: &str) -> String {
    if !text.contains('\t') {
        return text.to_owned();
    }
    let (mut out, mut column) = (String::with_capacity(text.len()), 0);
    for c in text.chars() {
        match c {
            '\t' => {
                let spaces = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docstrings_and_comments() {
        let source = concat!(
            "#! /usr/bin/python # x\n",
            "\"\"\"Of the\tmodule.\n\n    Indented\n      more.\n\n\"\"\"\n",
            "x = \"\"\"none\"\"\"  # y\n",
            "@d(\"none\")\nclass B(A, metaclass=\"none\"):\n    'Of a ' r'cl\\ass'\n",
            "    def f(self, a: 'none' = {1: 2}) -> \"none\":\n\n        # z\n        u'''Of \\u00e9'''; \"none\"\n",
            "    def g(self): \"short\"\n",
            "    async def h(self):\n        'none'\n",
            "    def i(self):\n        f'none'\n        'none'\n",
            "    def j(self):\n        'none'.strip()\n",
            "    def k(self):\n        ('in '\n         'brackets')\n",
        );
        let expected = [
            "Of a cl\\ass",
            "Of é",
            "short",
            "in brackets",
            "Of the  module.\n\nIndented\n  more.",
            "! /usr/bin/python  x y z",
        ];
        assert_eq!(prose(source), expected.join("\n"));
    }

    #[test]
    fn what_is_not_docstring() {
        for source in ["", "x = 1\n'a'\n", "b'a'", "def f(x): return 'a'", "class", "'a' + 'b'", "\\\n", "'", "'''"] {
            assert_eq!(prose(source), "", "{source:?}");
        }
        assert_eq!(prose("'a' \\\n 'b'"), "ab\n");
        assert_eq!(prose("print 'python 2'\ndef f():\n\t'''a\\\n\tb'''\n"), "a       b\n");
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("a\\n\\x41\\101\\N{BULLET}\\d\\\\\\\nb\\"), "a\nAA\u{fffd}\\d\\b\\");
        assert_eq!(unescape("\\xé\\U0001F600\\0"), "\\xé😀\0");
    }
}
