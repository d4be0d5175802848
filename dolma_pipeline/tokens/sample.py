"""The sample that a tokenizer is trained on: a function of the documents, the weights and the seed alone.

How much is drawn of each shard is what its text allows, never the size of its file: the same documents in other
compression give the same sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from msgspec import Struct

from dolma_pipeline.engine.task import BadInput
from dolma_pipeline.errors import ConfigError, suggest
from dolma_pipeline.formats.columns import Columns, with_fields
from dolma_pipeline.formats.documents import Documents, read_documents
from dolma_pipeline.formats.quarantine import PassedOver
from dolma_pipeline.tokens.encode import document_ids
from dolma_pipeline.tokens.keys import held_out, sample_keys

SHARD_BYTES = 1 << 16
"""Least worth opening a shard for: a sample of less than this for each takes fewer shards, while they have enough."""
READ_AHEAD = 4
"""Times its share that is read of a shard to draw from: the cost of a sample does not grow with the corpus."""


class SampledShard(Struct, frozen=True):
    """A file of documents, how the index calls it (see EncodeShard), and its source."""

    path: str
    label: str
    source: str = ""
    columns: Columns | None = None


class Sampling(Struct, frozen=True, kw_only=True):
    """What to draw from. `weights`: the share of each source; without any, every shard has the same share."""

    shards: list[SampledShard]
    sample_bytes: int
    weights: dict[str, float] = {}
    seed: int
    holdout: float = 0.0
    text_field: str = "text"
    id_field: str | None = "id"


@dataclass(frozen=True)
class _Stock:
    """Bytes that were found in a shard, and whether that is all there are."""

    bytes: int
    all: bool


def check_weights(weights: dict[str, float], sources: Sequence[str], where: str) -> None:
    """Raises ConfigError, with `where` as the path of the weights, unless they are shares of `sources`."""
    if not weights:
        return
    for name, weight in weights.items():
        if name not in sources:
            listed = ", ".join(f"`{s}`" for s in sources)
            raise ConfigError(f"{where}.{name}: unknown source `{name}`{suggest(name, sources)} (sources: {listed})")
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"{where}.{name}: expected a weight >= 0, found {weight:g}")
    missing = ", ".join(f"`{s}`" for s in sources if s not in weights)
    if missing:
        raise ConfigError(
            f"{where}: expected a weight for every source, found none for {missing}; 0 leaves a source out"
        )
    if not sum(weights.values()) > 0:
        raise ConfigError(f"{where}: expected a weight above 0, found none")


def sample(sampling: Sampling, bad: dict[str, BadInput] | None = None) -> Iterator[tuple[SampledShard, str, int]]:
    """(shard, text, UTF-8 bytes): stripped texts, `sample_bytes` in all where there are as many.

    What one source or shard does not have the others give, in proportion to their weights. Documents held out for
    validation are not looked at. Holds the documents of one shard. What could not be read of each file, as far as it
    was, is entered in `bad`.
    """
    bad = {} if bad is None else bad
    for number, share in enumerate(shares(sampling, bad)):
        if share:
            shard = sampling.shards[number]
            for text, size in _draw(sampling, shard, share, bad):
                yield shard, text, size


def wanted(sampling: Sampling) -> dict[str, int]:
    """Bytes that the weights ask of each source; nothing without weights."""
    total = sum(Fraction(w) for w in sampling.weights.values())
    return {name: int(sampling.sample_bytes * Fraction(w) / total) for name, w in sampling.weights.items() if w > 0}


def shares(sampling: Sampling, bad: dict[str, BadInput]) -> list[int]:
    """Bytes to draw of each shard.

    Shards are opened and read only as far as the shares ask, and again where others turn out to have too little.
    """
    groups = _groups(sampling)
    members = [numbers for _, numbers in groups]
    weights = [weight for weight, _ in groups]
    stocks: dict[int, _Stock] = {}
    asked = fill(sampling.sample_bytes, weights, [None] * len(groups))
    opened = [min(len(m), max(1, a // SHARD_BYTES)) for m, a in zip(members, asked, strict=True)]
    while True:
        chosen = [_spread(m, n) for m, n in zip(members, opened, strict=True)]
        limits = [_limit(c, stocks, len(m)) for c, m in zip(chosen, members, strict=True)]
        asked = fill(sampling.sample_bytes, weights, limits)
        found = [0] * len(sampling.shards)
        settled = True
        for i, numbers in enumerate(chosen):
            parts = fill(asked[i], [Fraction(1)] * len(numbers), [_most(stocks.get(n)) for n in numbers])
            if sum(parts) < asked[i] and opened[i] < len(members[i]):
                # All that were opened are empty; at twice the density they are among those that are opened next.
                opened[i] = min(len(members[i]), 2 * opened[i])
                settled = False
            for number, part in zip(numbers, parts, strict=True):
                found[number] = part
                stock = stocks.get(number)
                if part and (stock is None or (not stock.all and stock.bytes < part)):
                    stocks[number] = _measure(sampling, sampling.shards[number], READ_AHEAD * part, bad)
                    settled = False
        if settled:
            return found


def fill(total: int, weights: Sequence[Fraction], limits: Sequence[int | None]) -> list[int]:
    """`total` divided by weight, none above its limit (None: without one): what one cannot take the others do."""
    parts = [0] * len(weights)
    remaining, whole = total, sum(weights, Fraction(0))
    full = [(Fraction(m) / w, i) for i, (w, m) in enumerate(zip(weights, limits, strict=True)) if w and m is not None]
    rest = [i for i, (w, m) in enumerate(zip(weights, limits, strict=True)) if w and m is None]
    for i in [*(i for _, i in sorted(full)), *rest]:
        part = int(remaining * weights[i] / whole)
        limit = limits[i]
        parts[i] = part if limit is None else min(part, limit)
        remaining -= parts[i]
        whole -= weights[i]
    return parts


def _groups(sampling: Sampling) -> list[tuple[Fraction, list[int]]]:
    """(weight, shards) that share what they draw: a source each, or all in one."""
    if not sampling.weights:
        return [(Fraction(1), list(range(len(sampling.shards))))]
    of: dict[str, list[int]] = {}
    for number, shard in enumerate(sampling.shards):
        of.setdefault(shard.source, []).append(number)
    return [
        (Fraction(sampling.weights[name]), numbers) for name, numbers in of.items() if sampling.weights.get(name, 0) > 0
    ]


def _most(stock: _Stock | None) -> int | None:
    return stock.bytes if stock is not None and stock.all else None


def _limit(chosen: list[int], stocks: dict[int, _Stock], shards: int) -> int | None:
    """What a group has, once every shard of it was read to its end."""
    most = [_most(stocks.get(number)) for number in chosen]
    if len(chosen) < shards or any(m is None for m in most):
        return None
    return sum(m for m in most if m is not None)


def _spread(numbers: list[int], most: int) -> list[int]:
    """`most` of them at equal distances, or all where there are fewer."""
    if len(numbers) <= most:
        return numbers
    return [numbers[i * len(numbers) // most] for i in range(most)]


def _documents(sampling: Sampling, shard: SampledShard, bad: dict[str, BadInput]) -> Iterator[Documents]:
    """The documents of a shard; when they are given up, what could not be read so far stands in `bad`."""
    columns = with_fields(shard.columns, sampling.text_field, sampling.id_field)
    stream = read_documents(shard.path, columns=columns)
    passed_over = PassedOver(stream)
    try:
        for documents in stream:
            passed_over.take()
            yield documents
    finally:
        bad.update({b.file: b for b in passed_over.found()})


def _measure(sampling: Sampling, shard: SampledShard, enough: int, bad: dict[str, BadInput]) -> _Stock:
    found = 0
    for documents in _documents(sampling, shard, bad):
        found += sum(size for _, _, _, size in _keyed(sampling, shard, documents))
        if found >= enough:
            return _Stock(found, all=False)
    return _Stock(found, all=True)


def _draw(sampling: Sampling, shard: SampledShard, share: int, bad: dict[str, BadInput]) -> list[tuple[str, int]]:
    """The documents of the smallest keys, `share` bytes in all: the last one is cut to that."""
    drawn: list[tuple[int, int, str, int]] = []
    bytes_drawn = bytes_seen = 0
    for documents in _documents(sampling, shard, bad):
        found = _keyed(sampling, shard, documents)
        drawn = sorted(drawn + found)
        size_found = sum(size for _, _, _, size in found)
        bytes_drawn += size_found
        while drawn and bytes_drawn - drawn[-1][3] >= share:
            bytes_drawn -= drawn.pop()[3]
        bytes_seen += size_found
        if bytes_seen >= READ_AHEAD * share:
            break
    texts = [(text, size) for _, _, text, size in drawn]
    if bytes_drawn > share:
        text, size = texts.pop()
        cut = text.encode()[: size - (bytes_drawn - share)].decode(errors="ignore")
        texts.append((cut, len(cut.encode())))
    return texts


def _keyed(sampling: Sampling, shard: SampledShard, documents: Documents) -> list[tuple[int, int, str, int]]:
    """(key, line, text, bytes) of the documents that may be trained on."""
    texts = [(t or "").strip() for t in documents.text.to_pylist()]
    ids = document_ids(documents, "id" if sampling.id_field is not None else None, shard.label)
    named = ids if sampling.id_field is not None else None
    aside = held_out(named, documents.text, sampling.holdout, sampling.seed).tolist()
    keys = sample_keys(ids, sampling.seed).tolist()
    lines = documents.line.to_pylist()
    return [
        (key, line, text, len(text.encode()))
        for key, line, text, held in zip(keys, lines, texts, aside, strict=True)
        if text and not held
    ]
