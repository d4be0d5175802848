"""Attributes that a mix computes while it reads, instead of reading them from files.

A `tag` stage with `keep: false` writes nothing: the mix behind it runs its taggers in the same reading. A tagger runs
when the first rule that names it is reached, and only on the documents that no earlier rule has dropped, so a chain
that begins with cheap rules pays for costly taggers on few documents. The documents that are dropped, and the rules
they are dropped by, are the same as with attribute files.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from dolma_pipeline.config.recipe import CustomTagger
from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import StageError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.taggers.base import TaggerFailure
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
        self._sets: dict[tuple[str, ...], TaggerSet] = {}
        for stage in stages:
            key = ("taggers", msgspec.json.encode(stage.taggers), tuple(stage.modules), stage.seed)
            load = functools.partial(load_taggers, stage.taggers, stage.modules, seed=stage.seed)
            taggers = context.load(key, load)
            for experiment, names in stage.experiments:
                for name in names:
                    place = f"{experiment}/{name}"
                    self._loaded[place] = (taggers, name)
                    for tagger, attribute in taggers.attribute_names():
                        if tagger == name:
                            self._of_key[experiment, attribute_key(experiment, tagger, attribute)] = place

    def holds(self, experiment: str) -> bool:
        """Whether the attributes of `experiment` are computed here."""
        return experiment in self.experiments

    def batch(self, documents: Documents, path: str, name: str) -> ComputedBatch:
        """Returns the attributes of a batch, none of them computed yet.

        `path`: the file of the documents; `name`: its path below the source without extensions, for random numbers.
        """
        return ComputedBatch(self, Documents(documents.records, name), path)

    @property
    def keys(self) -> set[str]:
        """The attribute keys that the taggers declare."""
        return {key for _, key in self._of_key}

    def places(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """Returns which taggers give the (experiment, key) pairs in `wanted`, each once."""
        return list(dict.fromkeys(self._of_key[pair] for pair in wanted if pair in self._of_key))

    def all_places(self) -> list[str]:
        """Returns all taggers, in order."""
        return list(self._loaded)

    def needs_raw(self, places: Sequence[str]) -> bool:
        """Whether one of the taggers reads more of a document than id, text and source."""
        return any(
            getattr(tagger, "needs_raw", False)
            for taggers, name in map(self._loaded.__getitem__, places)
            for tagger in taggers.taggers
            if tagger.name == name
        )

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
    """The computed attributes of one batch, as far as they have been asked for."""

    def __init__(self, computed: Computed, documents: Documents, path: str) -> None:
        self._computed = computed
        self._documents = documents
        self._path = path
        self._done: set[str] = set()
        self.columns: dict[tuple[str, str], pa.Array] = {}
        """By (experiment, key); null for documents that were dropped before their tagger ran."""

    def fill(self, wanted: Iterable[tuple[str, str]], alive: Mask) -> None:
        """Computes the columns of `wanted`, and those of the same taggers, for the documents in `alive`."""
        self._fill(self._computed.places(wanted), alive)

    def gives(self, wanted: Iterable[tuple[str, str]]) -> bool:
        """Whether one of the (experiment, key) pairs in `wanted` is computed."""
        return bool(self._computed.places(wanted))

    def fill_all(self, alive: Mask) -> None:
        """Computes all columns that are not there yet for the documents in `alive`."""
        self._fill(self._computed.all_places(), alive)

    def tables(self) -> dict[str, dict[str, pa.Array]]:
        """Returns the columns that are there, by experiment and key, in the order of the taggers."""
        found: dict[str, dict[str, pa.Array]] = {experiment: {} for experiment in self._computed.experiments}
        for experiment, key in self._computed._of_key:
            if (experiment, key) in self.columns:
                found[experiment][key] = self.columns[experiment, key]
        return found

    def _fill(self, places: Collection[str], alive: Mask) -> None:
        missing = [place for place in places if place not in self._done]
        if not missing or not alive.any():
            return
        self._done.update(missing)
        if alive.all():
            self.columns |= self._computed.run(missing, self._documents, self._path)
            return
        rows = np.flatnonzero(alive)
        records = self._documents.records
        if not self._computed.needs_raw(missing):
            # Lines are longer than their texts, and few taggers read them.
            records = records.select(["id", "text", "source", "line"])
        some = Documents(records.take(pa.array(rows)), self._documents.name)
        back = np.full(len(alive), -1, np.int64)
        back[rows] = np.arange(len(rows))
        places_of = pa.array(back, mask=back < 0)
        for pair, column in self._computed.run(missing, some, self._path).items():
            self.columns[pair] = column.take(places_of)


def computed_inputs(stages: Sequence[ComputedTags]) -> list[str]:
    """Returns the models and modules on which the output of a mix depends."""
    return list(dict.fromkeys(file for stage in stages for file in stage.files))
