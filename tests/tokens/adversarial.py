"""Texts on which tokenizers are known to differ, and random ones of every script; the same ones each time."""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from collections.abc import Callable

SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2003\u2007\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
MARKS = "\u0300\u0301\u0307\u0308\u0323\u0327\u0338\u0344\u0345\u05b0\u064b\u0897\u093c\u0e33\u0e4d\u1ab0\u20e3\u3099"
OTHERS = "'\u2019\u017f\u212a\u0130\u0131ßﬁﬃ½²Ⅷ٣๓一二〇\u200b\u200d\ufe0f\ufeff\u00ad\u202e\ue000\ufffd\U0010ffff"
LATER = "\U000105d2\U00011935\U00011930\U00011383\U0001611e\U0001e08f\u1c89\ua7cb\U00010d40\U000116d0\U00016d67"
FIXED = [
    "",
    " ",
    "\x00",
    *SPACES,
    *(f"a{s}{s}b{s}" for s in SPACES),
    "".join(map(chr, range(1, 0x180))),
    "I'm you're he'll SHE'LL we'Ve it'S I'D 'tis ''s '' 's's 'ſ x'ſy 'LL'L 'l 'r 'v 've'",
    "  two   three    four\tt\t\ttab \n nl\n\n nl2\r\ncr\r\r\n \n \n\n  x \r\n\t y \u00a0\u00a0z",
    "1 12 123 1234 12345 1a 12b3 a1 ½ ²³ Ⅷ ٣٤٥٦ १२३४ 一二三 1.5 $9,999.99 1e-5 0x1F",
    "!!! ... ?!?! === ---- ++++\n\n ### \r\n//// <<<<>>>> ((())) [[]] {} @# $% ^& *_ ~` \n|",
    "def f(x):\n    if x:\n\t\treturn x  # ok\n\n\n        pass\n    \n",
    "e\u0301 \u00e9 E\u0301\u0323 o\u0308\u0304 \u1e69 s\u0323\u0307 \u0344 \u0374 \u037e \u212b \u2126 \u0340\u0341",
    "한국어 \u1112\u1161\u11ab\u1100\u1161 \uac00\u11a8 が\u3099 か\u3099 ﾊﾟ",
    "\u0958 \u0915\u093c \u0b47\u0b3e \u09c7\u09be \u0cc6\u0cc2 \u1b05\u1b35",
    "𝒜𝓁𝓁 ＦＵＬＬ ﷺ ㍍ ℌ ⅓ ① Ǆ ǅ İstanbul ıI ẞß \u0130\u0131",
    "中文字符。日本語、ひらがなカタカナ ภาษาไทยไม่มีช่องว่าง العربيّة עִבְרִית हिन्दी தமிழ் ខ្មែរ ລາວ မြန်မာ",
    "👩\u200d👩\u200d👧\u200d👦 🇩🇪🇫🇷 👍🏽 ❤\ufe0f 1\ufe0f\u20e3 🏴\U000e0067\U000e0062\U000e007f a👍b 👍👍 👍\n",
    "|||EMAIL_ADDRESS||| |||PHONE_NUMBER||||||IP_ADDRESS||| x|||IP_ADDRESS|||y ||||IP_ADDRESS|||| |||IP_ADDRESS||",
    "<|endoftext|><|endoftext|> a<|endoftext|>b <|endoftext| <|padding|> <|endofprompt|> <|fim_prefix|>x<|pad|>",
    LATER,
    "".join(f"a{c}\u0307{c}{c}\u0323b" for c in LATER + MARKS),
]


def long_runs() -> list[str]:
    """5 kB of the same, and what is between: where an engine takes the square of a word's length, or cuts it."""
    units = [
        "a",
        "A",
        " ",
        "\n",
        "\t",
        "=",
        "9",
        "é",
        "e\u0301",
        "字",
        "👍",
        "ab",
        " a",
        "\r\n",
        "\u3000",
        "'s",
        "-_",
        "\u0301",
    ]
    runs = [u * (5000 // len(u)) for u in units]
    odd = [u * n + "x" for u in units for n in (2, 3, 15, 16, 17, 24, 25, 46, 47, 48, 49, 50, 97)]
    return [*runs, *(f"x{r}y" for r in runs), *odd]


def special_texts(tokens: list[str]) -> list[str]:
    """Each token alone, repeated, joined to words, within spaces, cut short, and next to marks."""
    made = []
    for t in tokens:
        made += [
            t,
            t + t,
            f"a{t}b",
            f" {t} ",
            f"\n{t}\n\n{t}",
            t[:-1],
            t[1:],
            f"{t[:-1]}{t}",
            f"{t}\u0301x",
            f"e\u0301{t}",
        ]
    return made


def fuzz(count: int, seed: int = 17, tokens: list[str] | None = None) -> list[str]:
    """Random texts: pieces of words, spaces, marks, digits, tokens and characters of all planes."""
    draw = random.Random(seed)
    words = re.findall(
        "[^/]+", "the/The/THE/of/and/to/in/x0/y2/it's/café/naïve/Ünïcode/12/2024/3.14/http/:/==/->/()/\n/\t"
    )
    letters = [c for c in map(chr, range(0x80, 0x3000)) if unicodedata.category(c) != "Cn"]
    pools: list[Callable[[], str]] = [
        lambda: draw.choice(words),
        lambda: draw.choice(SPACES) * draw.choice([1, 1, 1, 2, 3]),
        lambda: draw.choice(MARKS),
        lambda: draw.choice(OTHERS),
        lambda: draw.choice(LATER),
        lambda: draw.choice(letters),
        lambda: "".join(draw.choices(letters, k=3)),
        lambda: chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, sys.maxunicode + 1)])),
        lambda: chr(draw.randrange(0x20, 0x7F)),
        lambda: draw.choice(tokens or ["<|endoftext|>"]),
        lambda: " " * draw.randrange(1, 30),
        lambda: "'" + draw.choice(["s", "S", "ſ", "t", "ll", "Ll", "re", "VE", "m", "d", "x", "l", "'"]),
        lambda: draw.choice(["", " "]).join(draw.choices(words, k=4)),
    ]
    return ["".join(draw.choice(pools)() for _ in range(draw.randrange(1, 40))) for _ in range(count)]


def texts(tokens: list[str], count: int) -> list[str]:
    """All of them, `count` of them random."""
    return [*FIXED, *long_runs(), *special_texts(tokens), *fuzz(count, tokens=tokens)]
