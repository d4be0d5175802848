"""The attributes of a batch: read from the files beside its documents, or computed by a mix itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.engine.reading import ShardInput
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import AttributeCursor, EndOfPiece, attribute_keys
from dolma_pipeline.formats.columns import takes_any_id
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.formats.made_attributes import Made, MadeCursor, open_attributes
from dolma_pipeline.mixers import expression
from dolma_pipeline.mixers.attributes import Integers
from dolma_pipeline.mixers.computed import Computed, ComputedBatch
from dolma_pipeline.mixers.fields import digits_of
from dolma_pipeline.mixers.rule_kinds import Need, check_read


class MixInput(ShardInput, frozen=True, kw_only=True):
    """A file of documents and what stands beside it."""

    source: str = ""
    label: str
    """How provenance calls it."""
    name: str = ""
    """Its path below the source without extensions, by which documents are drawn."""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Experiment -> attribute file; of equal keys in Dolma's filters the last one wins."""
    first_row: int = 0
    """Number of documents before the piece, each of which has a row in the attribute files."""


@dataclass(frozen=True)
class BatchAttributes:
    """The attributes of a batch."""

    named: dict[str, pa.Array]
    """By the name that the mix gives them."""
    rows: list[pa.LargeBinaryArray]
    """For filters: the JSON objects of each file that has lines."""
    whole: list[tuple[str, pa.Array]]
    """For filters: all columns of the other files, by key; of equal keys they win over `rows`."""
    files: list[pa.LargeBinaryArray | dict[str, pa.Array]]
    """What is to be written of every file, in order: JSON objects, or all columns by key."""
    keys: frozenset[str]
    """The columns that files have."""
    path: str = ""
    """The file of the documents."""
    kept: bool = False
    """Whether attributes are to be written into documents."""
    computed: ComputedBatch | None = None
    """The attributes that no file has."""
    resolved: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """(experiment, key) of each name."""

    def some(
        self, rule: expression.Rule, table: dict[str, pa.Array], alive: npt.NDArray[np.bool_]
    ) -> tuple[Integers, dict[str, pa.Array]]:
        """The rows on which `rule` is evaluated, and its columns for them: `table` for all, where files have them.

        Attributes that no file has are computed first, for the documents in `alive`.
        """
        pairs = [self.resolved[name] for name in rule.names] if self.computed is not None else []
        if self.computed is None or not self.computed.gives(pairs):
            return np.arange(len(alive)), table
        self.computed.fill(pairs, alive)
        rows = self.computed.rows
        found = {name: self.computed.column(pair) for name, pair in zip(rule.names, pairs, strict=True)}
        left = None if len(rows) == len(alive) else pa.array(rows)
        for name in (*rule.names, *rule.fields, *digits_of(rule.fields)):
            if found.get(name) is None and name in table:
                found[name] = table[name] if left is None else table[name].take(left)
        return rows, {name: column for name, column in found.items() if column is not None}

    def compute(self, names: Sequence[str], alive: npt.NDArray[np.bool_]) -> None:
        """Computes what no file has of `names` for the documents in `alive`."""
        if self.computed is not None:
            self.computed.fill((self.resolved[name] for name in names), alive)

    def column(self, name: str) -> pa.Array:
        """Returns an attribute of all documents: null where it is not computed for one."""
        computed = self.computed.whole_column(self.resolved[name]) if self.computed is not None else None
        return self.named[name] if computed is None else computed

    def left(self, names: Sequence[str]) -> tuple[Integers, list[pa.Array]]:
        """Returns the rows of the documents that are left, and attributes of these: of all where a file has one."""
        if self.computed is not None:
            columns = [self.computed.column(self.resolved[name]) for name in names]
            found = [column for column in columns if column is not None]
            if len(found) == len(names):
                return self.computed.rows, found
        whole = [self.column(name) for name in names]
        return np.arange(len(whole[0])), whole

    def objects(self, documents: Documents, wanted: npt.NDArray[np.bool_]) -> list[pa.LargeBinaryArray]:
        """The JSON objects of every file; those of columns are made only of the `wanted` documents."""
        files = list(self.files)
        if self.computed is not None and self.kept:
            self.computed.fill_all(wanted)
            files += self.computed.whole_tables().values()
        return [_objects(f, documents, self.path, wanted) if isinstance(f, dict) else f for f in files]

    def spells(self, name: str, raw: pa.LargeBinaryArray | None) -> bool:
        """Whether filters can see an attribute `name`, here or in `raw` documents, as far as plain spelling tells."""
        if any(key == name for key, _ in self.whole):
            return True
        quoted = json.dumps(name, ensure_ascii=False).encode()
        places = self.rows if raw is None else [*self.rows, raw]
        return any(pc.any(pc.match_substring(rows, quoted)).as_py() for rows in places)


class AttributeFiles:
    """The attribute files beside one file of documents, read in step with it."""

    def __init__(
        self,
        source: MixInput,
        names: Mapping[str, tuple[str, str]],
        *,
        whole: bool,
        objects: bool = False,
        computed: Computed | None = None,
        made: Made | None = None,
        needs: Sequence[Need] = (),
    ) -> None:
        """`whole`: also give filters all there is; `objects`: also give what is to be written into documents;
        `computed`: the attributes that no file has; `made`: what tasks of the same reading make; `needs`: what rules
        want of the named ones."""
        self._source = source
        read = {name for name, (experiment, _) in names.items() if experiment in source.attributes}
        self._needs = [need for need in needs if need.name in read]
        """Those on files; what is computed has the kinds that the plan knows."""
        self._computed = computed
        self._names = names
        self._whole = whole
        self._objects = objects
        self._cursors: dict[str, AttributeCursor | MadeCursor] = {}
        order = list(source.attributes)
        any_id = takes_any_id(source.columns, source.path)
        self._columnar = {e for e, path in source.attributes.items() if path.endswith(".parquet")}
        last_lines = max((i for i, e in enumerate(order) if e not in self._columnar), default=0)
        self._early = self._columnar & set(order[:last_lines])
        """Columns that lines come after: they become lines too, for of equal keys those of the last file count."""
        for experiment, path in source.attributes.items():
            columnar = experiment in self._columnar
            wanted = [key for e, key in dict.fromkeys(names.values()) if e == experiment]
            if columnar and (whole or objects):
                wanted = attribute_keys(path)
            lines = (whole or objects) and not columnar
            if wanted or whole or objects:
                self._cursors[experiment] = open_attributes(
                    path, wanted, made, raw=lines, any_id=any_id, documents=source.path, first_row=source.first_row
                )

    def finish(self) -> list[str]:
        """What speaks for attributes of other texts; raises DataError if a file has rows left, or says that it has."""
        return [line for cursor in self._cursors.values() for line in cursor.finish()]

    def _place(self, name: str, row: int) -> str:
        """Returns where the value of a row of the last batch stands, and its key."""
        experiment, key = self._names[name]
        return f"{self._cursors[experiment].place(row)}: attribute `{key}`"

    def finish_piece(self, *, last: bool) -> dict[str, EndOfPiece]:
        """What is known of each file at the end of a piece."""
        ends = {e: cursor.finish_piece(last=last) for e, cursor in self._cursors.items()}
        return {self._source.attributes[e]: end for e, end in ends.items()}

    def next(self, documents: Documents) -> BatchAttributes:
        tables = {experiment: cursor.next(documents) for experiment, cursor in self._cursors.items()}
        absent = pa.nulls(len(documents))
        # A file without the column has it for no document: JSON lines leave out what is empty, and so may a shard.
        named = {name: tables.get(e, {}).get(key, absent) for name, (e, key) in self._names.items()}
        if self._needs:
            try:
                check_read(self._needs, named, self._place)
            except DataError:
                for cursor in self._cursors.values():
                    cursor.check_before()
                raise
        rows: list[pa.LargeBinaryArray] = []
        whole: list[tuple[str, pa.Array]] = []
        files: list[pa.LargeBinaryArray | dict[str, pa.Array]] = []
        for experiment, table in tables.items() if self._whole or self._objects else ():
            if experiment not in self._columnar:
                files.append(table["__raw__"])
            elif self._whole and experiment in self._early:
                files.append(_objects(_filled(table), documents, self._source.path))
            else:
                files.append(_filled(table))
                whole += _filled(table).items()
                continue
            rows.append(files[-1])
        keys = frozenset(key for e in self._columnar & set(tables) for key in _filled(tables[e]))
        batch = None
        if self._computed is not None:
            batch = self._computed.batch(documents, self._source.path, self._source.name)
            if self._whole:
                # A filter may read anything, so nothing can wait.
                batch.fill_all(np.ones(len(documents), np.bool_))
                whole += [item for table in batch.whole_tables().values() for item in _filled(table).items()]
        return BatchAttributes(
            named,
            rows,
            whole,
            files if self._objects else [],
            keys,
            self._source.path,
            self._objects,
            batch,
            self._names,
        )


def _objects(
    columns: Mapping[str, pa.Array], documents: Documents, path: str, wanted: npt.NDArray[np.bool_] | None = None
) -> pa.LargeBinaryArray:
    """What a JSON lines file would hold; null where it is not wanted. `path` is the file of the documents."""
    mask = None if wanted is None else pa.array(wanted)
    lengths = _native.char_lengths(documents.text)
    try:
        return _native.attribute_objects(lengths, list(columns), list(columns.values()), mask)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _filled(table: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Without the columns of which nothing is known, not even their type."""
    return {key: column for key, column in table.items() if not pa.types.is_null(column.type)}
