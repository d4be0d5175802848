//! The pieces that OLMo's tokenizer cuts a text into before it merges bytes.

use std::sync::LazyLock;

use super::chars::Classes;

const LETTER: u8 = 1;
const NUMBER: u8 = 2;
const SPACE: u8 = 4;
/// Punctuation and decimal digits: each is a piece, with the one space before it.
const ALONE: u8 = 8;

fn classes() -> &'static Classes {
    static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
        let classes = [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE), (r"[\p{P}\p{Nd}]", ALONE)];
        Classes::build(&classes, |_| 0)
    });
    &CLASSES
}

/// How many pieces ` ?[[:punct:]]`, ` ?\d` and GPT-2's pattern cut `text` into, the latter in what the others leave.
///
/// Between those that stand alone a piece is a run of letters, of numbers that are no digits, or of neither, with the
/// one space before it. Of white space before such a run the last character is left to it if it is a space, and is a
/// piece of its own else.
pub fn pretokens(text: &str) -> usize {
    let classes = classes();
    let mut count = 0;
    // White space so far, and whether the last of it was a space; the kind of run that goes on.
    let (mut blanks, mut space, mut run) = (0, false, None);
    for c in text.chars() {
        let class = classes.of(c);
        if class & SPACE != 0 {
            blanks += 1;
            space = c == ' ';
            run = None;
            continue;
        }
        let alone = class & ALONE != 0;
        let kind = class & (LETTER | NUMBER);
        if blanks > 0 {
            let left = blanks - usize::from(space);
            // Before what stands alone white space is one piece; before a run the last of it is apart from the rest.
            count += if alone || space { usize::from(left > 0) } else { 1 + usize::from(left > 1) };
            blanks = 0;
        }
        if alone {
            count += 1;
            run = None;
        } else if run != Some(kind) {
            count += 1;
            run = Some(kind);
        }
    }
    count + usize::from(blanks > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_the_tokenizers_library() {
        for (text, count) in [
            ("", 0),
            (" ", 1),
            ("one two", 2),
            ("one  two", 3),
            ("one \t two", 3),
            ("one\ttwo", 3),
            ("one\n\ntwo", 4),
            ("one . 12", 4),
            ("one  .", 3),
            ("don't", 3),
            ("½½ Ⅷ²x", 3),
            ("x\u{301}y", 3),
            ("a \u{1c}b ", 4),
        ] {
            assert_eq!(pretokens(text), count, "{text:?}");
        }
    }
}
