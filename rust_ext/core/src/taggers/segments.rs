//! Words and what is between them, by the default rules of Unicode (UAX 29, word boundaries).
//!
//! A table look-up per character; the rules are read off the last two characters, with one ahead where a rule asks for it.

use std::sync::LazyLock;

use super::chars::{is_python_space, python_strip, Classes};
use super::text::Text;

const CR: u8 = 1;
const LF: u8 = 2;
const NEWLINE: u8 = 3;
const EXTEND: u8 = 4;
const ZWJ: u8 = 5;
const FORMAT: u8 = 6;
const FLAG: u8 = 7;
const KATAKANA: u8 = 8;
const HEBREW: u8 = 9;
const LETTER: u8 = 10;
const SINGLE_QUOTE: u8 = 11;
const DOUBLE_QUOTE: u8 = 12;
const MID_NUM_LET: u8 = 13;
const MID_LETTER: u8 = 14;
const MID_NUM: u8 = 15;
const NUMERIC: u8 = 16;
const EXTEND_NUM_LET: u8 = 17;
const SPACE: u8 = 18;
const CLASS: u8 = 31;
const PICTOGRAPH: u8 = 32;
/// White space to Python.
const BLANK: u8 = 64;

fn classes() -> &'static Classes {
    static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
        let classes = [
            (r"\p{WB=CR}", CR),
            (r"\p{WB=LF}", LF),
            (r"\p{WB=Newline}", NEWLINE),
            (r"\p{WB=Extend}", EXTEND),
            (r"\p{WB=ZWJ}", ZWJ),
            (r"\p{WB=Format}", FORMAT),
            (r"\p{WB=Regional_Indicator}", FLAG),
            (r"\p{WB=Katakana}", KATAKANA),
            (r"\p{WB=Hebrew_Letter}", HEBREW),
            (r"\p{WB=ALetter}", LETTER),
            (r"\p{WB=Single_Quote}", SINGLE_QUOTE),
            (r"\p{WB=Double_Quote}", DOUBLE_QUOTE),
            (r"\p{WB=MidNumLet}", MID_NUM_LET),
            (r"\p{WB=MidLetter}", MID_LETTER),
            (r"\p{WB=MidNum}", MID_NUM),
            (r"\p{WB=Numeric}", NUMERIC),
            (r"\p{WB=ExtendNumLet}", EXTEND_NUM_LET),
            (r"\p{WB=WSegSpace}", SPACE),
            (r"\p{Extended_Pictographic}", PICTOGRAPH),
        ];
        Classes::build(&classes, |c| if is_python_space(c) { BLANK } else { 0 })
    });
    &CLASSES
}

/// Segments of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    pub all: u32,
    /// Those that are more than white space.
    pub solid: u32,
}

/// Counts the segments of `text`.
pub fn segments(text: &str) -> Segments {
    if text.is_ascii() {
        ascii(text.as_bytes())
    } else {
        unicode(text)
    }
}

/// All segments of the text without the white space around it. Line breaks are boundaries, so those of its paragraphs
/// are counted once for all taggers; only the first and the last may have to be cut.
pub fn stripped_segments(text: &Text<'_>) -> usize {
    let paragraphs = text.paragraphs();
    let Some(first) = paragraphs.iter().position(|p| !p.blank) else { return 0 };
    let last = paragraphs.iter().rposition(|p| !p.blank).unwrap_or(first);
    if first == last {
        return segments(python_strip(text.paragraph(&paragraphs[first]))).all as usize;
    }
    let begin = segments(text.paragraph(&paragraphs[first]).trim_start_matches(is_python_space));
    let end = segments(text.paragraph(&paragraphs[last]).trim_end_matches(is_python_space));
    let between = &text.segments()[first + 1..last];
    between.iter().map(|s| s.all as usize).sum::<usize>() + (begin.all + end.all) as usize
}

/// No marks, no flags: letters, digits and `_` go together, with one of `:.'` or `,;.'` between two of a kind.
fn ascii(text: &[u8]) -> Segments {
    let classes = classes().ascii();
    let class = |at: usize| text.get(at).map_or(0, |byte| classes[usize::from(byte & 0x7f)]);
    let (mut blank, mut solid, mut at) = (0, 0, 0);
    while at < text.len() {
        let first = class(at);
        at += 1;
        match first & CLASS {
            LETTER | NUMERIC | EXTEND_NUM_LET => {
                solid += 1;
                let mut last = first;
                loop {
                    let next = class(at);
                    if matches!(next, LETTER | NUMERIC | EXTEND_NUM_LET) {
                        last = next;
                        at += 1;
                    } else if joins(last, next) && class(at + 1) == last {
                        at += 2;
                    } else {
                        break;
                    }
                }
            }
            SPACE => {
                blank += 1;
                while class(at) & CLASS == SPACE {
                    at += 1;
                }
            }
            CR => {
                blank += 1;
                at += usize::from(class(at) & CLASS == LF);
            }
            _ if first & BLANK != 0 => blank += 1,
            _ => solid += 1,
        }
    }
    Segments { all: blank + solid, solid }
}

/// Whether `middle` may stand between two letters, or two numbers.
fn joins(outer: u8, middle: u8) -> bool {
    match outer {
        LETTER | HEBREW => matches!(middle, MID_LETTER | MID_NUM_LET | SINGLE_QUOTE),
        NUMERIC => matches!(middle, MID_NUM | MID_NUM_LET | SINGLE_QUOTE),
        _ => false,
    }
}

fn is_letter(class: u8) -> bool {
    matches!(class, LETTER | HEBREW)
}

fn is_ignored(class: u8) -> bool {
    matches!(class, EXTEND | FORMAT | ZWJ)
}

fn unicode(text: &str) -> Segments {
    let classes = classes();
    let (mut all, mut solid) = (0, 0);
    // The character before; the last two that are not ignored after another; flags in a row; is the segment blank.
    let (mut touching, mut last, mut before_last, mut flags, mut blank) = (0, 0, 0, 0u32, true);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let bits = classes.of(c);
        let class = bits & CLASS;
        let newline = matches!(touching, CR | LF | NEWLINE);
        let ignored = is_ignored(class) && !newline && all > 0;
        let join = all > 0
            && if newline || matches!(class, CR | LF | NEWLINE) {
                touching == CR && class == LF
            } else {
                ignored
                    || (touching == ZWJ && bits & PICTOGRAPH != 0)
                    || (touching == SPACE && class == SPACE)
                    || goes_on(before_last, last, class, || {
                        let ahead = rest.clone().map(|c| classes.of(c) & CLASS);
                        ahead.into_iter().find(|class| !is_ignored(*class)).unwrap_or(0)
                    })
                    || (last == FLAG && class == FLAG && flags % 2 == 1)
            };
        if !join {
            solid += u32::from(!blank);
            all += 1;
            blank = true;
        }
        blank &= bits & BLANK != 0;
        touching = class;
        if !ignored {
            flags = if class == FLAG { flags + 1 } else { 0 };
            (before_last, last) = (last, class);
        }
    }
    Segments { all, solid: solid + u32::from(!blank) }
}

/// Bytes of the first segment of `text`; the text must begin where a segment does.
pub fn first_segment(text: &str) -> usize {
    let classes = classes();
    let mut rest = text.chars();
    let mut touching = rest.next().map_or(0, |c| classes.of(c) & CLASS);
    let (mut last, mut before_last, mut flags) = (touching, 0, u32::from(touching == FLAG));
    loop {
        let end = text.len() - rest.as_str().len();
        let Some(c) = rest.next() else { return end };
        let bits = classes.of(c);
        let class = bits & CLASS;
        if matches!(touching, CR | LF | NEWLINE) || matches!(class, CR | LF | NEWLINE) {
            return end + usize::from(touching == CR && class == LF);
        }
        let ignored = is_ignored(class);
        let join = ignored
            || (touching == ZWJ && bits & PICTOGRAPH != 0)
            || (touching == SPACE && class == SPACE)
            || goes_on(before_last, last, class, || {
                let ahead = rest.clone().map(|c| classes.of(c) & CLASS);
                ahead.into_iter().find(|class| !is_ignored(*class)).unwrap_or(0)
            })
            || (last == FLAG && class == FLAG && flags % 2 == 1);
        if !join {
            return end;
        }
        touching = class;
        if !ignored {
            flags = if class == FLAG { flags + 1 } else { 0 };
            (before_last, last) = (last, class);
        }
    }
}

/// Rules 5 to 13b: whether there is no boundary before `class`. `ahead` is the class after it.
fn goes_on(before_last: u8, last: u8, class: u8, ahead: impl Fn() -> u8) -> bool {
    let word = |c| matches!(c, LETTER | HEBREW | NUMERIC);
    match class {
        LETTER | HEBREW => {
            word(last)
                || last == EXTEND_NUM_LET
                || (is_letter(before_last) && joins(before_last, last))
                || (class == HEBREW && before_last == HEBREW && last == DOUBLE_QUOTE)
        }
        NUMERIC => word(last) || last == EXTEND_NUM_LET || (before_last == NUMERIC && joins(NUMERIC, last)),
        KATAKANA => matches!(last, KATAKANA | EXTEND_NUM_LET),
        EXTEND_NUM_LET => word(last) || matches!(last, KATAKANA | EXTEND_NUM_LET),
        MID_LETTER | MID_NUM | MID_NUM_LET | SINGLE_QUOTE => {
            (last == HEBREW && class == SINGLE_QUOTE)
                || (joins(last, class) && {
                    let next = ahead();
                    (is_letter(last) && is_letter(next)) || (last == NUMERIC && next == NUMERIC)
                })
        }
        DOUBLE_QUOTE => last == HEBREW && ahead() == HEBREW,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation;

    use super::*;

    fn of_the_crate(text: &str) -> Segments {
        let words: Vec<&str> = text.split_word_bounds().collect();
        let solid = words.iter().filter(|w| !w.chars().all(is_python_space)).count();
        Segments { all: words.len() as u32, solid: solid as u32 }
    }

    #[test]
    fn words_and_what_is_between() {
        let counts = |t| (segments(t).all, segments(t).solid);
        assert_eq!(counts("The quick (brown) fox can't jump 32.3 feet"), (17, 10));
        assert_eq!(counts("a  b\r\n\t\u{1c}"), (6, 2));
        assert_eq!(counts("can’t — naïve"), (5, 3));
        assert_eq!(counts("👩‍💻🇫🇷🇩🇪 \u{301}"), (4, 4));
        assert_eq!(stripped_segments(&Text::new(" \n a b \n\n c. \n ")), 9);
        assert_eq!(stripped_segments(&Text::new(" \n ")), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// Letters of scripts whose properties have not changed of late: the crate knows another version of Unicode.
        #[test]
        fn boundaries_are_those_of_the_crate(
            text in "([a1_:.,;'\" \r\n\tא’\u{301}\u{200d}👩🇫ア\u{ad}\u{3000}\u{85}\u{2028}$]\
                |[\u{c0}-\u{24f}א-תؠ-يऄ-हก-ฮ\u{2000}-\u{206f}\u{3040}-\u{30ff}一-丟🇦-🇿😀-🙏]){0,30}",
        ) {
            // After a letter, punctuation and a joiner the crate looks for a pictograph, which WB3c does not ask for.
            let solid: Vec<char> = text.chars().filter(|c| !matches!(c, '\u{301}' | '\u{ad}')).collect();
            prop_assume!(!solid.windows(2).any(|w| ":.,;'\"’".contains(w[0]) && w[1] == '\u{200d}'));
            prop_assert_eq!(segments(&text), of_the_crate(&text), "{:?}", text);
            prop_assert_eq!(unicode(&text), of_the_crate(&text), "{:?}", text);
            let mut rest = text.as_str();
            for segment in text.split_word_bounds() {
                prop_assert_eq!(first_segment(rest), segment.len(), "{:?}", text);
                rest = &rest[segment.len()..];
            }
            let stripped = of_the_crate(python_strip(&text));
            prop_assert_eq!(stripped_segments(&Text::new(&text)), stripped.all as usize);
            // This space alone joins what follows it, so that stripping it can add a boundary.
            if !text.contains('\u{202f}') {
                let solid: u32 = Text::new(&text).segments().iter().map(|s| s.solid).sum();
                prop_assert_eq!(solid, stripped.solid);
            }
        }
    }
}
