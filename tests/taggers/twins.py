"""Slow twins of the native taggers: what each attribute means, said once more in plain Python.

A twin gives {attribute: score | [(start, end, score), ...]}, without the absent ones.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import tokenizers

from tests.taggers.personal_twin import personal

Twin = Callable[[str], dict[str, "float | list[tuple[int, int, float]]"]]
Scores = dict[str, "float | list[tuple[int, int, float]]"]

ROOT = Path(__file__).resolve().parents[2]
LISTED = [w for w in (ROOT / "rust_ext/core/data/naughty_words_en.txt").read_text("utf-8").splitlines() if w[0] != "#"]


def gopher(text: str, lines: list[str]) -> Scores:
    words = text.split()
    inside = sum(map(len, words))
    found: Scores = {}
    for n in range(2, 11) if text else ():
        grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
        if not grams:
            continue
        chars = {gram: count * len("".join(gram)) for gram, count in grams.items()}
        if n <= 4:
            top = max(grams.values())
            first = next(gram for gram, count in grams.items() if count == top)
            found[f"fraction_of_characters_in_most_common_{n}grams"] = chars[first] / max(inside, 1)
        else:
            twice = sum(chars[gram] for gram, count in grams.items() if count > 1)
            found[f"fraction_of_characters_in_duplicate_{n}grams"] = twice / max(sum(chars.values()), 1)
    if not text:
        words, lines = [], []
    copies = {line: count for line, count in Counter(lines).items() if count > 1}
    a_word, a_line = max(len(words), 1), max(len(lines), 1)
    return found | {
        "character_count": len(text),
        "word_count": len(words),
        "median_word_length": float(statistics.median(map(len, words))) if words else 0.0,
        "symbol_to_word_ratio": sum("#" in w or "…" in w for w in words) / a_word,
        "fraction_of_words_with_alpha_character": sum(any(map(str.isalpha, w)) for w in words) / a_word,
        "required_word_count": sum(w in ("the", "be", "to", "of", "and", "that", "have", "with") for w in words),
        "fraction_of_lines_starting_with_bullet_point": sum(line.startswith(("*", "-")) for line in lines) / a_line,
        "fraction_of_lines_ending_with_ellipsis": sum(line.endswith("…") for line in lines) / a_line,
        "fraction_of_duplicate_lines": sum(copies.values()) / a_line,
        "fraction_of_characters_in_duplicate_lines": sum(len(x) * n for x, n in copies.items()) / max(inside, 1),
    }


def c4(text: str, *, javascript_is_word: bool) -> Scores:
    lowered = text.lower()
    words = lowered.split()
    flags = {
        "has_naughty_word": any(w in words if " " not in w else w in lowered for w in LISTED),
        "has_javascript": "javascript" in (words if javascript_is_word else lowered),
        "has_lorem_ipsum": "lorem ipsum" in lowered,
        "has_curly_brace": "{" in text,
    }
    unended, short = [], []
    start = 0
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        end = start + len(line) + (number < len(lines))
        if not line.strip().endswith((".", "?", "!", '"')):
            unended.append((start, end, 1.0))
        if len(line.split()) < 3:
            short.append((start, end, 1.0))
        start = end
    spans: Scores = {"lines_with_no_ending_punctuation": unended, "lines_with_too_few_words": short}
    scores = {name: 1.0 for name, here in flags.items() if here}
    return spans | scores | {"line_count": len(lines)}


def paragraphs(text: str) -> Iterator[tuple[int, int, str]]:
    """Lines with their line breaks, blank ones left out."""
    for match in re.finditer(r"[^\n]*\n|[^\n]+", text):
        if match[0].strip():
            yield match.start(), match.end(), match[0]


def token_pieces(text: str, is_word: Callable[[str], bool]) -> int:
    """Pieces between runs of word characters or of punctuation. The separators U+001C..1F count as punctuation."""
    classes = "".join("w" if is_word(c) else "s" if c.isspace() and not "\x1c" <= c <= "\x1f" else "p" for c in text)
    return len(re.findall("w+|p+", classes)) + 1


def repetitions(text: str, pieces: list[str]) -> Scores:
    """By the regular expression itself, which is quadratic in a line."""
    spans, offset = [], 0
    for piece in pieces:
        for match in re.finditer(r"(.+?)(\s?\1){3,}", piece):
            spans.append((match.start() + offset, match.end() + offset, float(match[0].count(match[1]))))
        offset += len(piece)
    lengths = [end - start for start, end, _ in spans]
    return {
        "repetition": spans,
        "doc_max_score_repetition": max((score for _, _, score in spans), default=0.0),
        "doc_max_length_repetition": max(lengths, default=0),
        "doc_frac_repetition": sum(lengths) / max(len(text), 1),
    }


def ascii_segments(text: str) -> list[str]:
    """Words and what is between them (UAX 29) of an ASCII text."""
    word = r"\w(?:\w|(?<=[A-Za-z])[.:'](?=[A-Za-z])|(?<=\d)[.,;'](?=\d))*"
    return re.findall(rf"\r\n| +|{word}|.", text, re.ASCII | re.DOTALL)


def uniseg(text: str, *, blank_too: bool = False, document: bool = False) -> Scores:
    lines = [(m.start(), m.end(), m[0]) for m in re.finditer(r"[^\n]*\n|[^\n]+", text)]
    counts = [
        (start, end, float(sum(bool(s.strip()) for s in ascii_segments(line.strip()))))
        for start, end, line in lines
        if blank_too or line.strip()
    ]
    found: Scores = {"paragraph": counts, "negative_paragraph": [(a, b, -n) for a, b, n in counts]}
    total = sum(n for _, _, n in counts)
    return found | ({"document": total, "negative_document": -total} if document else {})


def pretokens(text: str) -> int:
    """With the regular expressions of the tokenizers library."""
    cut = [tokenizers.pre_tokenizers.Split(tokenizers.Regex(p), "isolated") for p in (r" ?\p{P}", r" ?\d")]
    last = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return len(tokenizers.pre_tokenizers.Sequence([*cut, last]).pre_tokenize_str(text))


def pii_by_paragraph(text: str) -> Scores:
    spans: dict[str, list[tuple[int, int, float]]] = {"EMAIL_ADDRESS": [], "PHONE_NUMBER": [], "IP_ADDRESS": []}
    for start, _, line in paragraphs(text):
        for match in re.finditer(r"[.\s@,?!;:)(]*([^\s@]+)@([^\s@,?!;:)(]+?)[.\s@,?!;:)(]?\s", line):
            if match[1] != "(" and "." in match[2]:
                spans["EMAIL_ADDRESS"].append((match.start() + start, match.end() + start, 1.0))
        for name, rule in (("PHONE_NUMBER", PHONE), ("IP_ADDRESS", rf"{BYTE}\.{BYTE}\.{BYTE}\.{BYTE}")):
            spans[name] += [(m.start() + start, m.end() + start, 1.0) for m in re.finditer(rule, line)]
    every = [s for found in spans.values() for s in found]
    share = sum(end - start for start, end, _ in every) / len(text) if text else -1.0
    return {**spans, "doc_count": len(every), "doc_frac": share}


BYTE = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
PHONE = r"\s+\(?\d{3}\)?[-. ]*\d{3}[-. ]?\d{4}"


def pii(text: str) -> Scores:
    def near(match: re.Match[str]) -> bool:
        around = text[max(match.start() - 100, 0) : match.end() + 100]
        return not any(w in around for w in ("isbn", "doi", "#"))

    def named(match: re.Match[str]) -> bool:
        name, domain, *_ = match[0].split("@")
        return name.strip() != "(" and "." in domain

    rules = {
        "EMAIL_ADDRESS": (r"[.\s@,?!;:)(]*[^\s@]+@[^\s@,?!;:)(]+?[.\s@,?!;:)(]?\s", named),
        "PHONE_NUMBER": (PHONE, near),
        "IP_ADDRESS": (rf"{BYTE}\.{BYTE}\.{BYTE}\.{BYTE}", near),
    }
    spans = {
        name: [(m.start(), m.end(), 1.0) for m in re.finditer(rule, text) if fits(m)]
        for name, (rule, fits) in rules.items()
    }
    words = len(text.split())
    return {**spans, "doc": sum(map(len, spans.values())) / words if words else -1.0}


def twins(is_word: Callable[[str], bool]) -> dict[str, Twin]:
    """A twin for each native tagger; `is_word` says what a Unicode regex calls a word character.

    Those of `uniseg_*` know ASCII alone: `rust_ext/core/src/taggers/segments.rs` is tested on the rest.
    """

    def by_paragraph(count: Callable[[str], int]) -> Twin:
        def twin(text: str) -> Scores:
            lengths = [(a, b, float(count(p))) for a, b, p in paragraphs(text)]
            return {"paragraph": lengths, "document": sum(score for _, _, score in lengths)}

        return twin

    def pii_with_count(text: str) -> Scores:
        found = pii(text)
        return found | {"doc_count": sum(len(s) for s in found.values() if isinstance(s, list))}

    return {
        "bytes_length_v1": lambda text: {"bytes": len(text.encode())},
        "c4_v1": lambda text: c4(text, javascript_is_word=True),
        "c4_v2": lambda text: c4(text, javascript_is_word=False),
        "char_length_strip_ws_v1": lambda text: {"length_no_ws": len(text.strip())},
        "char_length_v1": lambda text: {"length": len(text)},
        "char_length_with_paragraphs_v1": lambda text: by_paragraph(len)(text) | {"document": len(text)},
        "doc_count_v1": lambda text: {"docs": 1},
        "gopher_v1": lambda text: gopher(text, text.split("\n")),
        "gopher_v2": lambda text: gopher(text, re.split("\n+", text)),
        "olmo_pretokenizer_v1": lambda text: {"length": pretokens(text)},
        "olmo_pretokenizer_with_paragraphs_v1": by_paragraph(pretokens),
        "paragraph_repetitions_v1": lambda text: repetitions(text, re.findall(r"[^\n]*\n|[^\n]+", text)),
        "pii_regex_v1": pii,
        "pii_regex_v2": pii,
        "pii_regex_with_counts_fast_v2": pii_by_paragraph,
        "pii_regex_with_counts_v2": pii_with_count,
        "pii_v1": personal,
        "repetitions_v1": lambda text: repetitions(text, [text]),
        "uniseg_length_paragraphs_v1": uniseg,
        "uniseg_length_paragraphs_with_doc_length_v1": lambda text: uniseg(text, document=True),
        "uniseg_length_paragraphs_with_empty_v1": lambda text: uniseg(text, blank_too=True),
        "uniseg_length_v1": lambda text: {"length": len(ascii_segments(text.strip()))},
        "whitespace_tokenizer_v1": lambda text: {"length": token_pieces(text, is_word)},
        "whitespace_tokenizer_with_paragraphs_v1": by_paragraph(lambda text: token_pieces(text, is_word)),
    }
