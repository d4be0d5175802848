"""What a mix does to each document of a file: which rule drops it, else how its text reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.config.recipe import Mix, OnError
from dolma_pipeline.errors import DataError
from dolma_pipeline.formats.attributes import EndOfPiece, attribute_keys
from dolma_pipeline.formats.columns import shown_id
from dolma_pipeline.formats.documents import Documents, DocumentStream
from dolma_pipeline.formats.made_attributes import Made
from dolma_pipeline.mixers import attributes, edits, expression, use
from dolma_pipeline.mixers.attribute_files import AttributeFiles, BatchAttributes, MixInput
from dolma_pipeline.mixers.attributes import Integers
from dolma_pipeline.mixers.chain import Chain, chains
from dolma_pipeline.mixers.computed import Computed, ComputedBatch
from dolma_pipeline.mixers.fields import field_columns
from dolma_pipeline.mixers.names import selectors
from dolma_pipeline.mixers.piece_findings import PieceFindings, failed_warning, unseen_warning
from dolma_pipeline.mixers.use import ATTRIBUTES, Use

SELECT = "select"
"""The rule under which documents count that Dolma's filters leave out."""
TOO_SHORT = "min_text_length"
FAILED = "expression_failed"
"""The rule under which documents count on which an expression with `on_error: drop` failed."""
NUMBERS = "numbers compared by value"
OVERLAPS = "overlapping spans merged"
"""Why Dolma 1.2.1 would treat a document otherwise."""


@dataclass(frozen=True)
class Decision:
    """Consecutive documents of a file, read with their lines, and what becomes of them."""

    documents: Documents
    rule: npt.NDArray[np.int16]
    """Position in `Decider.rules` of the rule that drops the document; -1 where it stays."""
    texts: pa.LargeStringArray | None
    """Texts after the edits; null where nothing changed. None: nowhere."""
    edited: dict[str, int]
    """Spans changed, by edit."""
    unjudged: dict[str, int]
    """Documents on which an expression failed, by expression."""
    differs: dict[str, int]
    """Documents that Dolma would treat otherwise, by the reason."""
    attributes: list[pa.LargeBinaryArray]
    """Where attributes are kept: of each file the JSON objects that stand beside the documents that stay."""

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        return self.rule < 0

    def sizes(self) -> Integers:
        """UTF-8 bytes of each text, edits made."""
        return attributes.to_integers(pc.binary_length(self.final_texts()))

    def final_texts(self) -> pa.LargeStringArray:
        return self.documents.text if self.texts is None else pc.coalesce(self.texts, self.documents.text)


class Decider:
    """The rules and edits of a mix, compiled once.

    Rules in order: each of `drop`, then `select`, then (after the edits) `min_text_length`; the first that hits counts.
    """

    def __init__(
        self,
        mix: Mix,
        names: Mapping[str, tuple[str, str]],
        computed: Computed | None = None,
        made: Made | None = None,
    ) -> None:
        """`names`: (experiment, key) of each attribute that the mix names, from `resolve_names`; `computed`: those that
        no file has; `made`: those that tasks of the same reading make."""
        self.computed = computed
        self.made = made
        self.mix = mix
        self.names = dict(names)
        self.drop = expression.compile_all(mix.drop, "drop")
        self.needs = [*expression.needs_of(self.drop), *edits.needs(mix.edit, "edit")]
        self.select, self.spans, self.replacements = selectors(mix)
        self._chains = self._chained()
        chained = {name for chain in self._chains.values() for name in chain.rules}
        self._fields = {f for name, rule in self.drop.items() if name not in chained for f in rule.fields}
        """The fields of documents that rules read from columns."""
        self.rules = [*mix.drop, SELECT, TOO_SHORT, FAILED]
        self.warnings: list[str] = []
        """What ought to be known of the last file."""
        self.use = Use()
        """What the rules found in all files so far."""
        self.findings = PieceFindings()
        """What is to be told of the last file, where it was a piece of one, together with the other pieces."""
        self._path = ""
        self._failed: dict[str, tuple[int, str]] = {}

    def _chained(self) -> dict[int, Chain]:
        """Rules on computed attributes that one native call asks, by the position of the first of them.

        A filter or span may read any attribute: then all are there before the first rule.
        """
        if self.computed is None or self.select is not None or self.spans:
            return {}
        wanted = [self.names[name] for edit in self.mix.edit if (name := edits.attribute(edit))]
        if self.mix.keep_attributes:
            wanted += self.computed.pairs
        return chains(self.drop, self.names, self.computed.native, wanted)

    def decisions(self, source: MixInput, stream: DocumentStream) -> Iterator[Decision]:
        """Decides on the documents of a file in order; `stream` reads them with their lines.

        Raises DataError if an attribute file does not match, or if an expression with `on_error: fail` fails.
        """
        self.warnings, self._failed, self._path = [], {}, source.path
        filters = [s for s in (self.select, *self.spans.values()) if s is not None]
        beside = AttributeFiles(
            source,
            self.names,
            whole=bool(filters),
            objects=self.mix.keep_attributes,
            computed=self.computed,
            made=self.made,
            needs=self.needs,
        )
        # What is certain to be read is counted in each document; for other names the bytes are searched.
        counted = {field.removeprefix(ATTRIBUTES) for selector in filters for _, field in selector.reads}
        unseen = {name for selector in filters for name in selector.names} - counted
        self.use.begin_file()
        for documents in stream:
            columns = beside.next(documents)
            unseen = {name for name in unseen if not columns.spells(name, documents.raw)}
            yield self.decide(documents, columns)
        ends: dict[str, EndOfPiece] = {}
        if stream.damage is not None:
            self.warnings.append(f"{source.path}: {stream.damage}")
        elif source.piece is not None:
            ends = beside.finish_piece(last=source.piece.last)
        else:
            self.warnings += beside.finish()
        if unseen:
            # A key may be spelled with escapes.
            unseen -= {key for path in source.attributes.values() for key in attribute_keys(path)}
            unseen -= self.computed.keys if self.computed is not None else set()
        self.use.end_file(source.path if self.mix.as_dolma else source.label)
        names = [name for selector in filters for name in sorted(unseen.intersection(selector.names))]
        if source.piece is not None:
            damaged = stream.damage is not None
            self.findings = PieceFindings(beside=ends, damaged=damaged, unseen=names, failed=self._failed)
            return
        self.warnings += [unseen_warning(source.path, name) for name in names]
        self.warnings += [failed_warning(source.path, what, found) for what, found in self._failed.items()]

    def decide(self, documents: Documents, columns: BatchAttributes) -> Decision:
        """Decides on some documents, of whole batches or of parts of them, with their attributes."""
        table = rule_columns(documents, columns.named, self._fields)
        rule = self._first_hits(documents, table, columns)
        for field in self.mix.discard_fields:
            # What filters and spans read is not always written; a name with a dot is no path here.
            if field != "attributes" and "." not in field:
                self.use.discarded(field, documents)
        verdict = _Verdict(documents, columns, rule)
        if self.select is not None and self.mix.select is not None:
            kept = self.select.select(documents.raw, columns.rows, columns.whole)
            self._expressions(self.select, self._select_places(), documents, columns)
            self.use.hits(SELECT, int(pc.sum(pc.invert(kept)).as_py() or 0))
            self._failures(SELECT, self.mix.select.on_error, self.select.errors, verdict)
            rule[(rule < 0) & ~pc.fill_null(kept, True).to_numpy(zero_copy_only=False)] = len(self.drop)
            verdict.differ(NUMBERS, self.select.spelled)
        columns.compute([name for edit in self.mix.edit if (name := edits.attribute(edit))], rule < 0)
        texts: pa.LargeStringArray | None = None
        edited: dict[str, int] = {}
        if self.mix.edit:
            texts, edited = self._edit(verdict)
        if self.mix.min_text_length:
            final = documents.text if texts is None else pc.coalesce(texts, documents.text)
            stripped = attributes.to_integers(_native.stripped_bytes(final))
            rule[(rule < 0) & (stripped < self.mix.min_text_length)] = len(self.drop) + 1
        beside = columns.objects(documents, rule < 0)
        return Decision(documents, rule, texts, edited, verdict.unjudged, verdict.differs, beside)

    def _first_hits(
        self, documents: Documents, table: dict[str, pa.Array], columns: BatchAttributes
    ) -> npt.NDArray[np.int16]:
        """The position of the first rule that is true of each document; -1 where none is.

        What a rule reads and no file has is computed when the rule is reached, for documents that are still there.
        """
        first = np.full(len(documents), -1, np.int16)
        asked = 0
        for position, (name, rule) in enumerate(self.drop.items()):
            if columns.computed is not None and (chain := self._chains.get(position)) is not None:
                self._ask(chain, position, columns.computed, first)
                asked = position + len(chain.rules)
            if position < asked:
                continue
            rows, some = columns.some(rule, table, first < 0)
            hits = rule.evaluate(some, len(rows))
            if some is table:
                self.use.rule(name, rule, int(hits.sum()), table, documents)
            else:
                # Nothing is computed of a dropped document: nobody knows whether another rule is true of it.
                alive = first[rows] < 0
                self.use.reached(name, int((hits & alive).sum()), int(alive.sum()))
            hit = rows[hits]
            first[hit[first[hit] < 0]] = position
        return first

    def _ask(self, chain: Chain, position: int, computed: ComputedBatch, first: npt.NDArray[np.int16]) -> None:
        """Notes in `first` what the rules of a chain drop, the first of which has this position."""
        rows, hits = computed.ask(chain, first < 0)
        dropped = hits >= 0
        first[rows[dropped]] = hits[dropped] + position
        left = len(rows)
        for name, count in zip(
            chain.rules, np.bincount(hits[dropped], minlength=len(chain.rules)).tolist(), strict=True
        ):
            self.use.reached(name, count, left)
            left -= count

    def _edit(self, verdict: _Verdict) -> tuple[pa.LargeStringArray | None, dict[str, int]]:
        texts = verdict.documents.text
        applied = None
        names = [name for edit in self.mix.edit if (name := edits.attribute(edit))]
        if len(names) == len(self.mix.edit):
            rows, found = verdict.columns.left(names)
            applied = edits.apply(self.mix.edit, found, texts, np.where(verdict.rule[rows] < 0, rows, -1))
        if applied is None:
            plan = self._plan(verdict)
            changed = _native.apply_edits(texts, plan.spans, plan.replacements) if len(plan.spans.values) else None
            applied = edits.Applied(changed, plan.counts, plan.overlapping)
        verdict.differ(OVERLAPS, applied.overlapping)
        for i, edit in enumerate(self.mix.edit):
            self.use.hits(f"edit[{i}]", applied.counts.get(edits.label(edit), 0))
        return applied.texts, applied.counts

    def _plan(self, verdict: _Verdict) -> edits.EditPlan:
        """What the edits change, of whatever kind they and their attributes are."""
        documents, columns = verdict.documents, verdict.columns
        found = []
        for i, edit in enumerate(self.mix.edit):
            name = edits.attribute(edit)
            if name is not None:
                found.append(columns.column(name))
            else:
                found.append(self.spans[i].spans(documents.raw, columns.rows, columns.whole))
                self._expressions(self.spans[i], [f"edit[{i}].span"], documents, columns)
                self._failures(edits.label(edit), edit.on_error, self.spans[i].errors, verdict)
                verdict.differ(NUMBERS, self.spans[i].spelled)

        def values(i: int, rows: list[int]) -> list[str | None]:
            program, edit = self.replacements[i], self.mix.edit[i]
            strings = program.strings(rows, documents.raw, columns.rows, columns.whole)
            self._failures(f"replacement {edit.replacement}", edit.on_error, program.errors, verdict)
            return strings

        lengths = attributes.to_integers(_native.char_lengths(documents.text))
        return edits.plan_edits(self.mix.edit, found, documents.text, lengths, values, verdict.rule < 0)

    def _select_places(self) -> list[str]:
        """The place of each expression of `select`, in the order of the compiled filter."""
        chosen = self.mix.select
        kinds = (("include", chosen.include), ("exclude", chosen.exclude)) if chosen is not None else ()
        return [f"{SELECT}.{kind}[{i}]" for kind, expressions in kinds for i in range(len(expressions))]

    def _expressions(
        self,
        selector: _native.Selector | _native.SpanSelector,
        places: list[str],
        documents: Documents,
        columns: BatchAttributes,
    ) -> None:
        """Counts the documents of a batch that have what the expressions at `places` read."""
        for (number, field), have in zip(selector.reads, selector.seen, strict=True):
            # A column may be empty for all documents: its tagger found nothing, but the name is right.
            seen = len(documents) if field.removeprefix(ATTRIBUTES) in columns.keys else have
            self.use.expression(places[number], field, seen)
            if not seen:
                self.use.sample(documents.raw, use.Beside(columns.rows, sorted(columns.keys)))

    def _failures(self, what: str, policy: OnError, errors: list[tuple[int, str]], verdict: _Verdict) -> None:
        """Does what `on_error` says with the documents on which an expression failed, save those already dropped."""
        mine = [(row, reason) for row, reason in errors if verdict.rule[row] < 0]
        if not mine:
            return
        row, reason = mine[0]
        documents = verdict.documents
        place = f"{self._path}:{documents.line[row].as_py()}"
        if policy == "fail":
            remedy = "`?` or `//` in a program allow for what may be missing"
            if not self.mix.as_dolma:
                remedy += "; `on_error: keep` or `on_error: drop` goes on"
            raise DataError(f"{place}: document `{shown_id(documents.id[row].as_py())}`: {what}: {reason}; {remedy}")
        verdict.unjudged[what] = verdict.unjudged.get(what, 0) + len(mine)
        before, first = self._failed.get(what, (0, f"line {documents.line[row].as_py()}: {reason}"))
        self._failed[what] = (before + len(mine), first)
        if policy == "drop":
            verdict.rule[[row for row, _ in mine]] = len(self.drop) + 2


class _Verdict:
    """A batch on its way through the rules and edits."""

    def __init__(self, documents: Documents, columns: BatchAttributes, rule: npt.NDArray[np.int16]) -> None:
        self.documents = documents
        self.columns = columns
        self.rule = rule
        self.unjudged: dict[str, int] = {}
        self.differs: dict[str, int] = {}

    def differ(self, reason: str, count: int) -> None:
        if count:
            self.differs[reason] = self.differs.get(reason, 0) + count


def rule_columns(documents: Documents, named: Mapping[str, pa.Array], needs: Collection[str]) -> dict[str, pa.Array]:
    """What rules read of a batch: the attributes, and of the fields of documents those in `needs`."""
    # `id` and `source` are there anyway.
    table = {**named, **field_columns(documents, needs), "id": documents.id, "source": documents.source}
    if "length" in needs:
        table["length"] = _native.char_lengths(documents.text)
    if "bytes" in needs:
        table["bytes"] = pc.binary_length(documents.text)
    return table
