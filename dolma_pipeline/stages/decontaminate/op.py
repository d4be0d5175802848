"""Marks the documents of a shard that hold evaluation items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.engine.stage import Context, Documents, Op, Report, ShardInput, ShardRead, write_json
from dolma_pipeline.formats.attributes import AttributeWriter
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.kinds import Kind
from dolma_pipeline.mixers.keys import sanitize
from dolma_pipeline.stages.decontaminate.config import Decontaminate
from dolma_pipeline.stages.decontaminate.index import ngram_hashes
from dolma_pipeline.stages.decontaminate.items import Item, Tokens, flat_words, read_items
from dolma_pipeline.stages.decontaminate.overlap import Match, Overlap, largest_score
from dolma_pipeline.stages.decontaminate.shared import SharedNgrams, SharedParagraphs, has_long_paragraph

KINDS: dict[str, Kind] = {
    "contaminated": "float64",
    "score": "float64",
    "evaluation": "string",
    "item": "string",
    "match": "spans",
}
"""The attributes and their kinds."""
SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("score", pa.float64())]))
AROUND = 200
"""Characters of a document that are shown on each side of a match."""


class FoundItem(Struct, frozen=True, kw_only=True):
    """An item that stands in a document."""

    evaluation: str
    item: str
    score: float
    question: str
    answer: str
    source: str
    file: str
    line: int
    id: str
    text: str
    """What stands in the document, with some characters around it."""


class FoundItems(Struct, kw_only=True):
    """What was found in a shard."""

    source: str
    documents: int = 0
    contaminated: int = 0
    matches: list[FoundItem] = []


class DecontaminateShard(Struct, frozen=True, kw_only=True):
    """Look for evaluation items in a shard."""

    read: ShardInput
    label: str
    config: Decontaminate
    evaluations: dict[str, list[str]]
    """The files of each set."""
    any_id: bool
    attributes: str
    out: str


class Index:
    """All evaluation items that are long enough, ready to be looked for; loaded once for a worker."""

    def __init__(self, config: Decontaminate, files: dict[str, list[str]]) -> None:
        items = read_items(files, config.fields)
        self.items: list[Item] = [item for item in items if _can_be_found(item, config)]
        self.short = len(items) - len(self.items)
        self.total = len(items)
        self.words = config.words
        self.method = (
            SharedParagraphs(self.items)
            if config.method == "paragraphs"
            else SharedNgrams(self.items, config.words, config.least)
            if config.method == "ngrams"
            else Overlap(self.items, config.words, config.least)
        )

    def find(self, documents: Documents) -> list[Match]:
        """Returns the matches in a batch of documents."""
        if isinstance(self.method, SharedParagraphs):
            return self.method.find_in(documents.text)
        tokens, offsets = flat_words(documents.text)
        return self.method.find(tokens, offsets, ngram_hashes(tokens, self.words))


def _can_be_found(item: Item, config: Decontaminate) -> bool:
    """Whether an item is long enough to be looked for, and could be found if a document had all of it."""
    if item.words < config.min_words:
        return False
    if config.method == "paragraphs":
        return has_long_paragraph(item)
    if len(item.tokens[0]) < config.words:
        return False
    return config.method == "ngrams" or largest_score(item) >= config.least


class DecontaminateOp(Op):
    """Writes the attributes of a shard, and what was found in it."""

    def __init__(self, config: DecontaminateShard, context: Context) -> None:
        self.config = config
        settings = config.config
        key = ("evaluation items", msgspec.json.encode((settings, config.evaluations)))
        self._index: Index = context.load(key, lambda: Index(settings, config.evaluations))
        self._writer = AttributeWriter(config.attributes, any_id=config.any_id)
        self._found = FoundItems(source=config.read.source)

    def add(self, documents: Documents) -> None:
        matches: dict[int, list[Match]] = {}
        for match in self._index.find(documents):
            matches.setdefault(match.row, []).append(match)
        self._found.documents += len(documents)
        self._found.contaminated += len(matches)
        columns: dict[str, list[Any]] = {key: [None] * len(documents) for key in KINDS}
        for row, found in sorted(matches.items()):
            best = max(found, key=lambda m: (m.score, -m.item))
            text = documents.text[row].as_py()
            spans = {m: char_span(text, m.begin, m.end) for m in found}
            for match in found:
                self._found.matches.append(self._told(documents, match, text, spans[match]))
            item = self._index.items[best.item]
            columns["contaminated"][row] = 1.0
            columns["score"][row] = best.score
            columns["evaluation"][row] = item.evaluation
            columns["item"][row] = item.name
            columns["match"][row] = [
                {"start": start, "end": end, "score": score} for start, end, score in _apart(spans)
            ]
        types = {"evaluation": pa.large_string(), "item": pa.large_string(), "match": SPANS}
        columns["match"] = [spans or [] for spans in columns["match"]]
        name = sanitize(self.config.config.name)
        self._writer.write(
            documents,
            {f"{name}__{key}": pa.array(values, types.get(key, pa.float64())) for key, values in columns.items()},
        )

    def _told(self, documents: Documents, match: Match, text: str, span: tuple[int, int]) -> FoundItem:
        item = self._index.items[match.item]
        return FoundItem(
            evaluation=item.evaluation,
            item=item.name,
            score=round(match.score, 6),
            question=item.question,
            answer=item.answer,
            source=self.config.read.source,
            file=self.config.label,
            line=documents.line[match.row].as_py(),
            id=shown_id(documents.id[match.row].as_py() or ""),
            text=text[max(0, span[0] - AROUND) : span[1] + AROUND],
        )

    def finish(self, read: ShardRead) -> Report:
        written = write_json(self.config.out, self._found)
        details = {"items": self._index.total, "short": self._index.short}
        return Report(outputs=[written, self._writer.finish()], details=details)

    def abort(self) -> None:
        self._writer.abort()


def char_span(text: str, begin: int, end: int) -> tuple[int, int]:
    """Returns where the words from `begin` up to `end` stand, in code points.

    A line break ends a word. So words are counted by lines first, and then in the beginnings of one line, which a few
    look-ups bisect.
    """
    lines = text.split("\n")
    _, offsets = flat_words(pa.array(lines, pa.large_string()))
    places = np.cumsum([0, *(len(line) + 1 for line in lines)])

    def place(word: int, find: Callable[[str, int], int]) -> int:
        line = int(np.searchsorted(offsets, word, side="right")) - 1
        return int(places[line]) + find(lines[line], word - int(offsets[line]))

    return place(begin, _begin_of), place(end - 1, _end_of)


def _begin_of(line: str, word: int) -> int:
    """The place of the first character of a word: the shortest beginning with it in has one word more."""
    low, high = 0, len(line)
    while low < high:
        middle = (low + high) // 2
        if len(_words(line[:middle])) > word:
            high = middle
        else:
            low = middle + 1
    return max(0, low - 1)


def _end_of(line: str, word: int) -> int:
    """The place behind the last character of a word: the shortest beginning in which it is whole."""
    wanted = _words(line)[word]
    for stop in range(_begin_of(line, word) + 1, len(line)):
        found = _words(line[:stop])
        if len(found) == word + 1 and found[word] == wanted:
            return stop
    return len(line)


def _words(text: str) -> Tokens:
    return flat_words(pa.array([text], pa.large_string()))[0]


def _apart(spans: dict[Match, tuple[int, int]]) -> list[tuple[int, int, float]]:
    """The spans in order, those that overlap joined, with the largest score."""
    joined: list[tuple[int, int, float]] = []
    for (start, end), score in sorted((span, match.score) for match, span in spans.items()):
        if joined and start < joined[-1][1]:
            before = joined.pop()
            joined.append((before[0], max(before[1], end), max(before[2], score)))
        else:
            joined.append((start, end, score))
    return joined
