"""What a run knows of the tasks that are done: their reports, and the BLAKE3 of every file they wrote.

A run of a million tasks has a million reports. They are kept as the ledger has them, as JSON beside the paths of their
outputs, in a third of the memory, and are decoded when a later phase or the manifest asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import msgspec
from msgspec import Struct, field

from dolma_pipeline.engine.ledger import GivenFile
from dolma_pipeline.engine.segments import Entry, Written
from dolma_pipeline.engine.task import Output, Report, Task

_WARNINGS = b'"warnings"'


class Known(MutableMapping[str, str]):
    """The BLAKE3 of each file by path: hex digits to the eye, kept as bytes."""

    __slots__ = ("_digests",)

    def __init__(self) -> None:
        self._digests: dict[str, bytes | str] = {}

    def __getitem__(self, path: str) -> str:
        return shown(self._digests[path])

    def get(self, path: str, default: Any = None) -> Any:
        found = self._digests.get(path)
        return default if found is None else shown(found)

    def __contains__(self, path: object) -> bool:
        return path in self._digests

    def __setitem__(self, path: str, digest: str) -> None:
        self.enter(path, digest)

    def __delitem__(self, path: str) -> None:
        del self._digests[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def enter(self, path: str, digest: str) -> bytes | str:
        """Enters a file; returns its digest in the form that it is kept in."""
        self._digests[path] = kept = packed(digest)
        return kept


def packed(digest: str) -> bytes | str:
    """The bytes that hex digits stand for; any other text as it is."""
    try:
        kept = bytes.fromhex(digest)
    except ValueError:
        return digest
    return kept if kept.hex() == digest else digest


def shown(kept: bytes | str) -> str:
    return kept if isinstance(kept, str) else kept.hex()


class _Warned(Struct):
    warnings: list[str] = []


def warnings_of(report: bytes) -> list[str]:
    """The warnings of a report in JSON."""
    return msgspec.json.decode(report, type=_Warned).warnings if _WARNINGS in report else []


class Reports(Mapping[str, Report]):
    """The reports of a phase by task name; each is decoded when it is asked for."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, ...]] = {}
        """The report as JSON without its outputs, then path, bytes and digest of each of them."""

    def __getitem__(self, name: str) -> Report:
        rest, *outputs = self._kept[name]
        report = msgspec.json.decode(rest, type=Report)
        report.outputs = [
            Output(path, size, shown(digest))
            for path, size, digest in zip(outputs[::3], outputs[1::3], outputs[2::3], strict=True)
        ]
        return report

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def enter(self, name: str, rest: bytes, outputs: Iterable[Output | Written], known: Known) -> None:
        """Enters the report of a task: as JSON without its outputs, and these, which are entered in `known` too."""
        kept: list[Any] = [rest]
        for each in outputs:
            path = each.path
            kept += (path, each.bytes, known.enter(path, each.blake3))
        self._kept[name] = tuple(kept)

    def outputs(self) -> Iterator[Output]:
        """Every output, without a look at the rest of the reports."""
        for kept in self._kept.values():
            for n in range(1, len(kept), 3):
                yield Output(kept[n], kept[n + 1], shown(kept[n + 2]))

    def warnings(self) -> Iterator[str]:
        for kept in self._kept.values():
            yield from warnings_of(kept[0])


class State(Struct, kw_only=True):
    """What has been done so far."""

    reports: dict[str, Mapping[str, Report]] = {}
    """By phase and task name; each is decoded when it is asked for."""
    kept: dict[str, Reports] = {}
    """The same, by phase."""
    known: Known = field(default_factory=Known)
    """The BLAKE3 of every file written."""
    given: dict[str, GivenFile] = {}
    """The files that were there before the run, by path."""

    def enter(self, task: Task, report: Report) -> None:
        """Notes what a task has reported."""
        rest = msgspec.json.encode(msgspec.structs.replace(report, outputs=[]))
        self._reports(task.phase).enter(task.name, rest, report.outputs, self.known)

    def enter_again(self, phase: str, entries: Iterable[Entry]) -> list[str]:
        """Notes what the ledger says of tasks that are up to date, and returns their warnings."""
        reports = self._reports(phase)
        warnings: list[str] = []
        for entry in entries:
            # A copy: it stands in the bytes of the whole segment.
            rest = bytes(entry.report)
            reports.enter(entry.task, rest, entry.outputs, self.known)
            if _WARNINGS in rest:
                warnings += warnings_of(rest)
        return warnings

    def _reports(self, phase: str) -> Reports:
        reports = self.kept.get(phase)
        if reports is None:
            self.reports[phase] = self.kept[phase] = reports = Reports()
        return reports
