"""The unit of work: a pure function on one shard, part or partition, with its inputs, its outputs and its account.

Executors run tasks and know nothing of stages; a task carries paths and settings, never text. Task functions are
module-level, named `module:function`, take (their typed config struct, a Context) and return a Report.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from dolma_pipeline.io.atomic import Output as Output
from dolma_pipeline.user_modules import load

T = TypeVar("T")


class Counts(Struct, kw_only=True, omit_defaults=True):
    """Documents of one source through one stage: documents_in = documents_out + sum(dropped) + quarantined + unread.

    With sampling, `repeated` counts the extra copies: documents_in + repeated = documents_out + ...
    """

    documents_in: int = 0
    documents_out: int = 0
    quarantined: int = 0
    unread: int = 0
    """Rows that damage to a Parquet file took; they count as documents that came in."""
    repeated: int = 0
    bytes_in: int = 0
    """UTF-8 bytes of text read."""
    bytes_out: int = 0
    """UTF-8 bytes of text written."""
    tokens: int = 0
    dropped: dict[str, int] = {}
    """Documents dropped, by the first rule that hit."""
    edited: dict[str, int] = {}
    """Spans changed, by edit."""
    unjudged: dict[str, int] = {}
    """Documents on which an expression failed, by expression; they are kept or dropped as its `on_error` says."""
    differs: dict[str, int] = {}
    """Documents that Dolma 1.2.1 would treat otherwise, by the reason: see docs/differences.md."""
    lacking: dict[str, int] = {}
    """Documents of whose text the vocabulary of the tokenizer lacks something, by what becomes of that."""
    first_lacking: str = ""
    """File and line of the first of them."""

    def copy(self, edited: dict[str, int] | None = None) -> Counts:
        """An independent copy, with these spans changed where given."""
        twin = Counts()
        twin.add(self)
        if edited is not None:
            twin.edited = dict(edited)
        return twin

    def below_zero(self) -> dict[str, int]:
        """The counts that cannot be, by name, and those of rules and edits by both names: `dropped short`."""
        found: dict[str, int] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            each = (
                {f"{name} {key}": count for key, count in value.items()} if isinstance(value, dict) else {name: value}
            )
            found |= {key: count for key, count in each.items() if isinstance(count, int) and count < 0}
        return found

    def read(self) -> Counts:
        """What a stage counts that reads the same documents and drops none."""
        good = self.documents_in - self.quarantined - self.unread
        return Counts(
            documents_in=self.documents_in,
            documents_out=good,
            quarantined=self.quarantined,
            unread=self.unread,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_in,
        )

    def add(self, other: Counts) -> None:
        for name in (
            "documents_in",
            "documents_out",
            "quarantined",
            "unread",
            "repeated",
            "bytes_in",
            "bytes_out",
            "tokens",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.dropped, other.dropped),
            (self.edited, other.edited),
            (self.unjudged, other.unjudged),
            (self.differs, other.differs),
            (self.lacking, other.lacking),
        ):
            for key, value in theirs.items():
                mine[key] = mine.get(key, 0) + value
        self.first_lacking = self.first_lacking or other.first_lacking

    @property
    def balanced(self) -> bool:
        """Every document is accounted for."""
        gone = sum(self.dropped.values()) + self.quarantined + self.unread
        return self.documents_in + self.repeated == self.documents_out + gone


class BadInput(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task could not use of one file: the documents it set aside, and the damage it met."""

    file: str
    documents: int = 0
    """Number of documents that were set aside."""
    line: int = 0
    """Line of the first of them, from 1."""
    reason: str = ""
    """Why the first of them was set aside."""
    quarantine: str = ""
    """Path of the quarantine file that has them."""
    without_raw: int = 0
    """Number of documents in the quarantine file whose bytes were left out because the file was full."""
    damage: str = ""
    """Why the file could not be read, or not all of it."""
    unread: list[tuple[int, int]] = []
    """The rows of a damaged Parquet file that could not be read: first and last, from 1."""
    unread_bytes: int = 0
    """Bytes of the file, as it is stored, behind the damage, where the number of lost documents is not known."""
    nothing_read: bool = False
    """Whether the file is not empty and yet gave no document."""

    @property
    def unread_rows(self) -> int:
        """Number of rows that could not be read, where damage leaves it known."""
        return sum(last - first + 1 for first, last in self.unread)

    @property
    def why(self) -> str:
        """The first reason, with the line where there is one: `a.jsonl:51: malformed JSON`."""
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.damage}"


class Report(Struct, kw_only=True, omit_defaults=True):
    """What a task did: small, and the same whenever it is run on the same inputs."""

    counts: dict[str, Counts] = {}
    outputs: list[Output] = []
    details: dict[str, Any] = {}
    """What later phases need to know (key counts, histograms): small, JSON."""
    warnings: list[str] = []
    bad: list[BadInput] = []
    """The files of which something could not be used."""


class Task(Struct, frozen=True, kw_only=True, gc=False):
    """A call of `run` with `config`; done when its ledger entry says so."""

    phase: str
    """The directory of its ledger entry, such as `02-tag`."""
    name: str
    """Unique within the phase: the shard, part or partition."""
    run: str
    """`module:function`, or for an op of a shared reading `module:class`. `user_modules.load` imports it."""
    config: Any
    """The struct that the function takes, which shares with others what they have in common; or its JSON form."""
    inputs: tuple[str, ...]
    """Files whose change makes the outputs stale."""
    version: int = 1
    """Version of the function's output: raised with any change to what it writes."""
    weight: int = 0
    """Bytes of input, for progress."""
    driver: bool = False
    """Executed by the process that drives the run, on any executor: it starts processes of its own."""
    fuse: str = ""
    """Tasks with the same word here read the same documents: they are executed together, in one reading."""
    makes: tuple[str, ...] = ()
    """Attribute files of which tasks behind it in the same reading get the columns while they are made."""
    fused_run: str = ""
    """`module:function` that executes tasks that are fused: it takes them and a Context, and returns their reports."""


def make_task(
    phase: str,
    name: str,
    run: str | Callable[..., Any],
    config: Struct,
    inputs: Iterable[str],
    version: int,
    **more: Any,
) -> Task:
    """A task of a config that is still a struct; `run`: a function of a module, or its name."""
    named = run if isinstance(run, str) else f"{run.__module__}:{run.__qualname__}"
    return Task(phase=phase, name=name, run=named, config=config, inputs=tuple(inputs), version=version, **more)


class Context:
    """What lives as long as its process: loaded models, tokenizers, filters."""

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self._loaded: dict[tuple[Any, ...], Any] = {}
        self.say = say
        """Shows a line to whoever watches the run; a worker has nobody to show it to."""
        self.made: dict[str, Any] = {}
        """The attribute files that tasks of a shared reading make, with the columns of the current batch by key;
        None before they are there."""

    def of_reading(self) -> Context:
        """The same for the tasks of one reading: what is loaded stays loaded, and nothing is made yet."""
        twin = Context(self.say)
        twin._loaded = self._loaded
        return twin

    def load(self, key: tuple[Any, ...], factory: Callable[[], T]) -> T:
        """The object made by `factory` on the first call with this `key`."""
        if key not in self._loaded:
            self._loaded[key] = factory()
        loaded: T = self._loaded[key]
        return loaded


def named(name: str) -> Any:
    """What `module:name` is called in its module."""
    module, _, attribute = name.rpartition(":")
    return getattr(load(module), attribute)


def call(task: Task, context: Context) -> Any:
    """Decodes the task's config into the struct its function (or class) is annotated with, and calls it."""
    function = named(task.run)
    annotated = function.__init__ if inspect.isclass(function) else function
    first = next(iter(inspect.signature(function).parameters))
    # The same struct wherever the task is called: what a plan has made of looser types comes back as it is declared.
    config = msgspec.convert(msgspec.to_builtins(task.config), typing.get_type_hints(annotated)[first])
    return function(config, context)
