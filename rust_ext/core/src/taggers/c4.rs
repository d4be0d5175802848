//! The cleaning rules of C4 (arXiv 1910.10683, section 2.2) with the definitions of Dolma 1.2.1.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::{memchr, memchr2_iter, memmem};

use super::column::{Column, Kind};
use super::text::{Text, Word};
use super::Tagger;

const WORDS_OF_A_LINE: usize = 3;
const NAUGHTY: &str = include_str!("../../data/naughty_words_en.txt");

const V1: [(&str, Kind); 7] = [
    ("lines_with_no_ending_punctuation", Kind::Spans),
    ("lines_with_too_few_words", Kind::Spans),
    ("has_naughty_word", Kind::Document),
    ("has_javascript", Kind::Document),
    ("has_lorem_ipsum", Kind::Document),
    ("has_curly_brace", Kind::Document),
    ("line_count", Kind::Document),
];

/// `c4_v1` wants `javascript` as a word of its own, `c4_v2` anywhere; the `has_*` are 1 or absent.
///
/// Dolma 1.2.1's c4_v2 counts the offsets of its lines in the lower-cased text, which are off by one after each
/// U+0130; here they are those of the text.
pub struct C4 {
    javascript_is_word: bool,
}

impl C4 {
    pub fn v1() -> Self {
        C4 { javascript_is_word: true }
    }

    pub fn v2() -> Self {
        C4 { javascript_is_word: false }
    }

    fn look(&self, text: &Text<'_>) -> Found {
        let naughty = Naughty::get();
        let mut found = Found { curly_brace: memchr(b'{', text.str.as_bytes()).is_some(), ..Found::default() };
        let lowered = lower_to_ascii(text.str);
        let text = match &lowered {
            Cow::Borrowed(_) => text,
            Cow::Owned(lowered) => &Text::new(lowered),
        };
        found.javascript = has_javascript(text.str.as_bytes());
        if self.javascript_is_word {
            found.javascript &= text.words().iter().any(|w| text.bytes(w).eq_ignore_ascii_case(JAVASCRIPT));
        }
        for word in text.words() {
            let (shape, joint) = shape_and_joint(text.str.as_bytes(), word.start as usize, word.end as usize);
            found.naughty = found.naughty || (naughty.shapes.has(shape) && naughty.is_word(text.bytes(word), shape));
            if naughty.joints.has(joint) {
                match naughty.phrase_from(text.str.as_bytes(), word) {
                    Some(LOREM_IPSUM) => found.lorem_ipsum = true,
                    Some(_) => found.naughty = true,
                    None => {}
                }
            }
        }
        found
    }
}

impl Tagger for C4 {
    fn attributes(&self) -> &'static [(&'static str, Kind)] {
        &V1
    }

    fn tag(&mut self, text: &Text<'_>, columns: &mut [Column]) {
        let mut done = 0;
        self.measure(0, text, &mut done, columns);
        self.measure(2, text, &mut done, columns);
    }

    /// What is told of lines and what is sought anywhere come apart.
    fn measure(&mut self, attribute: usize, text: &Text<'_>, done: &mut u64, columns: &mut [Column]) {
        let [unended, short, naughty, javascript, lorem_ipsum, curly_brace, line_count] = columns else { return };
        if matches!(attribute, 2..=5) {
            *done |= 0b11_1100;
            let found = self.look(text);
            for (column, here) in [
                (naughty, found.naughty),
                (javascript, found.javascript),
                (lorem_ipsum, found.lorem_ipsum),
                (curly_brace, found.curly_brace),
            ] {
                if here {
                    column.set(1.0);
                }
            }
            return;
        }
        *done |= 0b100_0011;
        let words = text.words();
        let (mut start, mut word) = (0, 0);
        let ends = text.newlines().iter().map(|newline| (newline.at, newline.chars as usize + 1));
        for (at, end) in ends.chain([(text.str.len() as u32, text.chars())]) {
            let first = word;
            while words.get(word).is_some_and(|w| w.start < at) {
                word += 1;
            }
            let last = words.get(first..word).and_then(|of_line| text.bytes(of_line.last()?).last());
            if !matches!(last, Some(b'.' | b'?' | b'!' | b'"')) {
                unended.span(start, end, 1.0);
            }
            if word - first < WORDS_OF_A_LINE {
                short.span(start, end, 1.0);
            }
            start = end;
        }
        line_count.set(text.newlines().len() as f64 + 1.0);
    }
}

#[derive(Default)]
struct Found {
    naughty: bool,
    javascript: bool,
    lorem_ipsum: bool,
    curly_brace: bool,
}

const JAVASCRIPT: &[u8] = b"javascript";
const LOREM_IPSUM: &str = "lorem ipsum";

/// Two capitals outside ASCII have lower-case forms that start in it. With these replaced, comparing without ASCII
/// case finds what searching the lower-cased text would.
fn lower_to_ascii(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let has = |c: &str| memmem::find(bytes, c.as_bytes()).is_some();
    if text.is_ascii() || !(has("\u{212a}") || has("\u{130}")) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\u{212a}', "k").replace('\u{130}', "i\u{307}"))
}

/// Anywhere, in either case.
fn has_javascript(text: &[u8]) -> bool {
    memchr2_iter(b'j', b'J', text)
        .any(|at| text.get(at..at + JAVASCRIPT.len()).is_some_and(|t| t.eq_ignore_ascii_case(JAVASCRIPT)))
}

/// The list of naughty words and phrases. Whatever is sought, a table of a few letters rules out nearly every word.
struct Naughty {
    /// For a word's length and the low five bits of three of its bytes (so of either case): whether such a word is one.
    shapes: Bits,
    /// The words with that number, in its order.
    words: Vec<(usize, &'static str)>,
    /// For three bytes taken so, the last two of a word and the one after the space: whether a phrase has them there.
    joints: Bits,
    /// The phrases that have, `lorem ipsum` among them, each with the length of its first word.
    phrases: HashMap<usize, Vec<(usize, &'static str)>>,
}

/// A set of 15-bit numbers that stays in the fastest cache.
struct Bits(Box<[u64; 1 << 9]>);

impl Bits {
    fn new() -> Self {
        Bits(Box::new([0; 1 << 9]))
    }

    fn insert(&mut self, number: usize) {
        self.0[number >> 6 & 0x1ff] |= 1 << (number & 63);
    }

    #[inline]
    fn has(&self, number: usize) -> bool {
        self.0[number >> 6 & 0x1ff] >> (number & 63) & 1 == 1
    }
}

impl Naughty {
    fn get() -> &'static Naughty {
        static NAUGHTY_WORDS: LazyLock<Naughty> = LazyLock::new(Naughty::build);
        &NAUGHTY_WORDS
    }

    fn build() -> Naughty {
        let list = || NAUGHTY.lines().filter(|l| !l.starts_with('#'));
        let mut words: Vec<(usize, &str)> = list()
            .filter(|word| !word.contains(' '))
            .map(|word| (shape_and_joint(word.as_bytes(), 0, word.len()).0, word))
            .collect();
        words.sort_unstable();
        let mut shapes = Bits::new();
        words.iter().for_each(|(shape, _)| shapes.insert(*shape));
        let (mut joints, mut phrases) = (Bits::new(), HashMap::<_, Vec<_>>::new());
        for phrase in [LOREM_IPSUM].into_iter().chain(list().filter(|w| w.contains(' '))) {
            let Some(first) = phrase.find(' ') else { continue };
            let key = shape_and_joint(phrase.as_bytes(), 0, first).1;
            // Before a single letter any byte may stand.
            for key in (0..if first == 1 { 32 } else { 1 }).map(|before| key | before << 10) {
                joints.insert(key);
                phrases.entry(key).or_default().push((first, phrase));
            }
        }
        Naughty { shapes, words, joints, phrases }
    }

    fn is_word(&self, word: &[u8], shape: usize) -> bool {
        let first = self.words.partition_point(|(of_word, _)| *of_word < shape);
        let alike = self.words.iter().skip(first).take_while(|(of_word, _)| *of_word == shape);
        alike.map(|(_, naughty)| naughty.as_bytes()).any(|naughty| word.eq_ignore_ascii_case(naughty))
    }

    /// A phrase whose first word `word` is or ends in; phrases are found anywhere, so its last may be the beginning of
    /// another.
    fn phrase_from(&self, text: &[u8], word: &Word) -> Option<&'static str> {
        let end = word.end as usize;
        let key = shape_and_joint(text, word.start as usize, end).1;
        let is_here = |(first, phrase): &&(usize, &str)| {
            let start = end.checked_sub(*first).filter(|start| *start >= word.start as usize);
            let there = start.and_then(|start| text.get(start..start + phrase.len()));
            there.is_some_and(|t| t.eq_ignore_ascii_case(phrase.as_bytes()))
        };
        self.phrases.get(&key)?.iter().find(is_here).map(|(_, phrase)| *phrase)
    }
}

/// Fifteen bits each that any two words of equal lower case have in common, and any two places where a phrase may go
/// on: of the first, second and last byte and the length of the word `start..end`, of the last two bytes and the second
/// after it. Five bits of a byte are those of a letter in either case; of one that is not there, none.
#[inline(always)]
fn shape_and_joint(text: &[u8], start: usize, end: usize) -> (usize, usize) {
    let around: Option<[u8; 4]> = end.checked_sub(2).and_then(|at| text.get(at..at + 4)?.try_into().ok());
    let low = |byte: u8| usize::from(byte & 31);
    let at = |at: usize| text.get(at).map_or(0, |byte| low(*byte));
    let [before, last, after] = match around {
        Some([before, last, _, after]) => [low(before), low(last), low(after)],
        None => [at(end.wrapping_sub(2)), at(end.wrapping_sub(1)), at(end + 1)],
    };
    let second = if end - start > 1 { at(start + 1) } else { 0 };
    let shape = at(start) << 10 | second << 5 | last;
    (shape ^ ((end - start).wrapping_mul(0x2b5d) & 0x7fff), before << 10 | last << 5 | after)
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use arrow_array::{Array, LargeStringArray};
    use proptest::prelude::*;

    use super::super::tag_texts;
    use super::*;

    type Spans = Vec<(i64, i64)>;

    /// The spans of both kinds of lines, and the names of the flags that are set.
    fn tag(tagger: C4, text: &str) -> (Spans, Spans, Vec<&'static str>) {
        let texts = LargeStringArray::from(vec![text]);
        let columns = tag_texts(&mut [Box::new(tagger)], &texts).unwrap();
        let spans = |i: usize| {
            let fields = columns[0][i].as_list::<i32>().value(0);
            let of = |j| fields.as_struct().column(j).as_primitive::<Int64Type>().values().to_vec();
            of(0).into_iter().zip(of(1)).collect()
        };
        let set = (2..6).filter(|i| columns[0][*i].as_primitive::<Float64Type>().is_valid(0)).map(|i| V1[i].0);
        (spans(0), spans(1), set.collect())
    }

    #[test]
    fn lines_are_judged_by_their_last_character_and_their_words() {
        let (unended, short, _) = tag(C4::v2(), "Ça va bien.\nno end here \r\n\n one. \" ");
        assert_eq!(unended, [(12, 26), (26, 27)]);
        assert_eq!(short, [(26, 27), (27, 35)]);
        assert_eq!(tag(C4::v1(), ""), (vec![(0, 0)], vec![(0, 0)], vec![]));
    }

    #[test]
    fn offsets_are_those_of_the_text_itself() {
        assert_eq!(tag(C4::v2(), "\u{130}\u{130}\nab").0, [(0, 3), (3, 5)]);
    }

    #[test]
    fn flags_ignore_case_in_unicode_too() {
        let all = "{ LOREM Ipsum, JavaScript";
        assert_eq!(tag(C4::v2(), all).2, ["has_javascript", "has_lorem_ipsum", "has_curly_brace"]);
        assert_eq!(tag(C4::v1(), "javascripts javascript: nojavascript").2, Vec::<&str>::new());
        assert_eq!(tag(C4::v2(), "nojavascript").2, ["has_javascript"]);
        assert_eq!(tag(C4::v1(), "é JAVASCRIPT").2, ["has_javascript"]);
        let kinky: String = "kinky".replacen('k', "\u{212a}", 1);
        assert_eq!(tag(C4::v2(), &kinky).2, ["has_naughty_word"]);
        assert_eq!(tag(C4::v2(), "\u{212a}inkyish").2, Vec::<&str>::new());
        assert_eq!(tag(C4::v2(), "javascr\u{130}pt").2, Vec::<&str>::new());
    }

    #[test]
    fn naughty_words_are_whole_and_phrases_are_not() {
        let words = &Naughty::get().words;
        assert_eq!((words.len(), words.iter().any(|(_, word)| *word == "\u{1f595}")), (279, true));
        for (_, word) in words {
            assert_eq!(tag(C4::v2(), &format!("x {} x", word.to_uppercase())).2, ["has_naughty_word"], "{word}");
            assert_eq!(tag(C4::v2(), &format!("{word}\u{301}")).2, Vec::<&str>::new(), "{word}");
        }
        let phrases = || NAUGHTY.lines().filter(|l| l.contains(' ') && !l.starts_with('#'));
        assert_eq!(phrases().count(), 124);
        for phrase in phrases() {
            assert_eq!(tag(C4::v2(), &format!("x{}y", phrase.to_uppercase())).2, ["has_naughty_word"], "{phrase}");
        }
    }

    proptest! {
        #[test]
        fn phrases_are_found_as_a_search_would(
            text in "([a-eglo. \n]|blow|job| ?g spot|[Ll]orem| [Ii]psum| |javascript|JAVA|script|two|girls|one|cup){0,20}",
        ) {
            let found = C4::v2().look(&Text::new(&text));
            let lowered = text.to_lowercase();
            let naughty = NAUGHTY.lines().filter(|l| !l.starts_with('#')).any(|sought| {
                if sought.contains(' ') { lowered.contains(sought) } else { lowered.split_whitespace().any(|w| w == sought) }
            });
            let there = (naughty, lowered.contains("javascript"), lowered.contains(LOREM_IPSUM));
            prop_assert_eq!((found.naughty, found.javascript, found.lorem_ipsum), there);
        }
    }
}
