"""Attributes that a mix computes while it reads, instead of reading them from files.

A `tag` stage with `keep: false` writes nothing: the mix behind it runs its taggers in the same reading. A tagger runs
when the first rule that names it is reached, and only on the documents that no earlier rule has dropped, so a chain
that begins with cheap rules pays for costly taggers on few documents. Of native taggers only those attributes are
measured that a rule asks for (see chain.py). The documents that are dropped, and the rules they are dropped by, are
the same as with attribute files.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.mixers.chain import Chain
from dolma_pipeline.taggers.base import TaggerFailure
from dolma_pipeline.taggers.native import NativeTagger
from dolma_pipeline.taggers.registry import attribute_key, load_taggers
from dolma_pipeline.taggers.tagger_set import TaggerSet, describe_failure

Mask = npt.NDArray[np.bool_]


class ComputedTags(Struct, frozen=True, kw_only=True):
    """The taggers of a `tag` stage whose attributes are not kept."""

    stage: str
    """Id of the stage."""
    taggers: list[str | CustomTagger]
    modules: list[str] = []
    experiments: list[tuple[str, list[str]]]
    """Each experiment with the names of its taggers."""
    seed: int | None = None
    """Seed of random numbers, where a tagger draws them."""
    files: list[str] = []
    """Models and Python modules: when one changes, so do the attributes."""


class Computed:
    """Runs taggers on the documents of a mix; made once for a task."""

    def __init__(self, stages: Sequence[ComputedTags], context: Context) -> None:
        self.experiments = [e for stage in stages for e, _ in stage.experiments]
        self._loaded: dict[str, tuple[TaggerSet, str]] = {}
        """(Taggers of the stage, tagger) by `experiment/tagger`."""
        self._of_key: dict[tuple[str, str], str] = {}
        """(experiment, key) -> `experiment/tagger`."""
        self.native: dict[tuple[str, str], tuple[str, str]] = {}
        """(experiment, key) -> (tagger, attribute) of native taggers."""
        self._sets: dict[tuple[str, ...], TaggerSet] = {}
        self.needs_raw = False
        """Whether one of the taggers reads more of a document than id, text and source."""
        for stage in stages:
            key = ("taggers", msgspec.json.encode(stage.taggers), tuple(stage.modules), stage.seed)
            load = functools.partial(load_taggers, stage.taggers, stage.modules, seed=stage.seed)
            taggers = context.load(key, load)
            self.needs_raw |= taggers.needs_raw
            native = {tagger.name for tagger in taggers.taggers if isinstance(tagger, NativeTagger)}
            for experiment, names in stage.experiments:
                for name in names:
                    place = f"{experiment}/{name}"
                    self._loaded[place] = (taggers, name)
                    for tagger, attribute in taggers.attribute_names():
                        if tagger == name:
                            pair = experiment, attribute_key(experiment, tagger, attribute)
                            self._of_key[pair] = place
                            if tagger in native:
                                self.native[pair] = tagger, attribute

    def batch(self, documents: Documents, path: str, name: str) -> ComputedBatch:
        """Returns the attributes of a batch, none of them computed yet.

        `path`: the file of the documents; `name`: its path below the source without extensions, for random numbers.
        """
        return ComputedBatch(self, Documents(documents.records, name), path)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All (experiment, key) pairs that the taggers declare, in their order."""
        return list(self._of_key)

    @property
    def keys(self) -> set[str]:
        """The attribute keys that the taggers declare."""
        return {key for _, key in self._of_key}

    def places(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """Returns which taggers give the (experiment, key) pairs in `wanted`, each once."""
        return list(dict.fromkeys(self._of_key[pair] for pair in wanted if pair in self._of_key))

    def run(self, places: Sequence[str], documents: Documents, path: str) -> dict[tuple[str, str], pa.Array]:
        """Returns the columns of some taggers by (experiment, key). Native ones share one segmentation of each text.

        Raises StageError with the document on which a tagger fails.
        """
        names = tuple(dict.fromkeys(self._loaded[place][1] for place in places))
        taggers = self._sets.get(names)
        if taggers is None:
            found = {t.name: t for place in places for t in self._loaded[place][0].taggers if t.name in names}
            taggers = self._sets[names] = TaggerSet([found[name] for name in names])
        try:
            columns = taggers.tag(documents)
        except TaggerFailure as failure:
            raise StageError(describe_failure(taggers, documents, failure, path)) from failure
        return {
            (experiment, attribute_key(experiment, tagger, attribute)): column
            for (experiment, _, name) in (place.partition("/") for place in places)
            for (tagger, attribute), column in columns.items()
            if tagger == name
        }


class ComputedBatch:
    """The computed attributes of one batch, as far as they have been asked for.

    The batch narrows: whenever a tagger runs, the documents that are dropped by then are left out, and so are their
    rows in all columns. `rows` says which documents are left.
    """

    def __init__(self, computed: Computed, documents: Documents, path: str) -> None:
        self._computed = computed
        self._documents = documents
        self._path = path
        self._columns: dict[tuple[str, str], pa.Array] = {}
        self._count = len(documents)
        self.rows = np.arange(self._count)
        """Positions in the batch of the documents that are left."""

    def gives(self, wanted: Iterable[tuple[str, str]]) -> bool:
        """Whether one of the (experiment, key) pairs in `wanted` is computed."""
        return bool(self._computed.places(wanted))

    def fill(self, wanted: Iterable[tuple[str, str]], alive: Mask) -> None:
        """Computes the columns of `wanted`, and those of the same taggers, for the documents in `alive`."""
        self._fill(wanted, alive)

    def fill_all(self, alive: Mask) -> None:
        """Computes all columns that are not there yet for the documents in `alive`."""
        self._fill(self._computed.pairs, alive)

    def ask(self, chain: Chain, alive: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
        """Asks the rules of a chain of the documents in `alive`; leaves out those that one of them drops.

        Returns the rows of these documents, and for each the first rule that is true of it, -1 where none is.
        """
        rows = np.flatnonzero(alive)
        try:
            found, columns = chain.native.filter(self._documents.text, pa.array(rows))
        except ValueError as error:
            raise StageError(f"{self._path}: {error}") from error
        first = np.asarray(found.to_numpy(zero_copy_only=False))
        left = np.zeros(self._count, np.bool_)
        left[rows[first < 0]] = True
        self._narrow(left[self.rows])
        self._columns |= {pair: columns[column] for pair, column in chain.given}
        return rows, first

    def column(self, pair: tuple[str, str]) -> pa.Array | None:
        """Returns the column of an (experiment, key) pair for the documents in `rows`; None if it is not computed."""
        return self._columns.get(pair)

    def whole_column(self, pair: tuple[str, str]) -> pa.Array | None:
        """Returns the same for all documents of the batch: null for those that are left out."""
        column = self._columns.get(pair)
        return column if column is None or len(self.rows) == self._count else column.take(self._back())

    def whole_tables(self) -> dict[str, dict[str, pa.Array]]:
        """Returns the columns for all documents by experiment and key, in the order of the taggers."""
        found: dict[str, dict[str, pa.Array]] = {experiment: {} for experiment in self._computed.experiments}
        for experiment, key in self._computed.pairs:
            column = self.whole_column((experiment, key))
            if column is not None:
                found[experiment][key] = column
        return found

    def _back(self) -> pa.Array:
        back = np.full(self._count, -1, np.int64)
        back[self.rows] = np.arange(len(self.rows))
        return pa.array(back, mask=back < 0)

    def _fill(self, wanted: Iterable[tuple[str, str]], alive: Mask) -> None:
        missing = self._computed.places(pair for pair in wanted if pair not in self._columns)
        if not missing or not alive.any():
            return
        self._narrow(alive[self.rows])
        documents = self._documents
        if len(self.rows) < self._count:
            records = documents.records
            if not self._computed.needs_raw:
                # Lines are longer than their texts, and few taggers read them.
                records = records.select(["id", "text", "source", "line"])
            documents = Documents(records.take(pa.array(self.rows)), documents.name)
        self._columns |= self._computed.run(missing, documents, self._path)

    def _narrow(self, left: Mask) -> None:
        if left.all():
            return
        rows = pa.array(np.flatnonzero(left))
        self.rows = self.rows[left]
        self._columns = {pair: column.take(rows) for pair, column in self._columns.items()}


def computed_inputs(stages: Sequence[ComputedTags]) -> list[str]:
    """Returns the models and modules on which the output of a mix depends."""
    return list(dict.fromkeys(file for stage in stages for file in stage.files))
