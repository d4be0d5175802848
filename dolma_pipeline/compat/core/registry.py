"""Registries of classes by name; `TaggerRegistry` is that of all taggers of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import pyarrow as pa

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.formats.documents import Documents
from dolma_pipeline.taggers.data_types import DocResult, Document, DocumentWithMetadata, Score, Span
from dolma_pipeline.taggers.python import BaseTagger, add_tagger
from dolma_pipeline.taggers.registry import USER, built_in, describe, load_taggers

T = TypeVar("T", bound=type)


class BaseRegistry(Generic[T]):
    """Classes by name; every subclass has names of its own."""

    _storage: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        cls._storage = {}

    @classmethod
    def items(cls) -> Iterator[tuple[str, T]]:
        """Yields (name, class) in the order of the names."""
        yield from sorted(cls._storage.items())

    @classmethod
    def add(cls, name: str) -> Callable[[T], T]:
        """Registers the decorated class; raises ValueError if another class has the name."""

        def register(added: T) -> T:
            known = cls._storage.setdefault(name, added)
            if known is not added and added.__module__ != "__main__":
                raise ValueError(f"expected a name of its own, found `{name}`, which {known.__qualname__} has")
            return added

        return register

    @classmethod
    def remove(cls, name: str) -> bool:
        return cls._storage.pop(name, None) is not None

    @classmethod
    def has(cls, name: str) -> bool:
        return name in cls._storage

    @classmethod
    def get(cls, name: str) -> T:
        """Returns the class registered as `name`; raises ValueError if there is none."""
        if name not in cls._storage:
            known = ", ".join(each for each, _ in cls.items())
            raise ValueError(f"expected a registered name, found `{name}` (known: {known or 'none'})")
        found: T = cls._storage[name]
        return found


class TaggerRegistry(BaseRegistry[type[BaseTagger]]):
    """All taggers: those added here, by `add_tagger` and the decorators, and the built-in ones."""

    @classmethod
    def items(cls) -> Iterator[tuple[str, type[BaseTagger]]]:
        for entry in describe():
            yield entry.name, cls.get(entry.name)

    @classmethod
    def add(cls, name: str) -> Callable[[Any], Any]:
        def register(added: Any) -> Any:
            try:
                add_tagger(name)(added)
            except ConfigError as error:
                raise ValueError(str(error)) from None
            cls._storage[name] = added
            return added

        return register

    @classmethod
    def remove(cls, name: str) -> bool:
        cls._storage.pop(name, None)
        return USER.remove(name)

    @classmethod
    def has(cls, name: str) -> bool:
        return name in built_in() or USER.get(name) is not None

    @classmethod
    def get(cls, name: str) -> type[BaseTagger]:
        """Returns the class of a tagger: the one that was added, or one whose `predict` calls the built-in tagger."""
        if not cls.has(name):
            known = ", ".join([*built_in(), *(entry.name for entry in USER)])
            raise ValueError(f"expected the name of a tagger, found `{name}` (known: {known})")
        return cls._storage.get(name) or _adapter(name)


def _adapter(name: str) -> type[BaseTagger]:
    """A class in Dolma's shape around a tagger of this package."""

    class Adapter(BaseTagger):
        """Calls the built-in tagger for one document."""

        def __init__(self) -> None:
            self._tagger = load_taggers([name])

        def tag(self, row: Any) -> dict[str, list[Score]]:
            form = DocumentWithMetadata if hasattr(row, "metadata") else Document
            return self.group_output(self.predict(form.from_spec(row)))

        def predict(self, doc: Any) -> DocResult:
            string = pa.large_string()
            columns = {
                "id": pa.array([doc.id], string),
                "text": pa.array([doc.text], string),
                "source": pa.array([doc.source], string),
                "line": pa.array([1], pa.int64()),
                "raw": pa.array([msgspec.json.encode(doc.to_json())], pa.large_binary()),
            }
            found = self._tagger.tag(Documents(pa.RecordBatch.from_pydict(columns)))
            return DocResult(doc, [s for (_, kind), column in found.items() for s in _spans(kind, column, doc.text)])

    Adapter.__name__ = Adapter.__qualname__ = name
    return Adapter


def _spans(kind: str, column: pa.Array, text: str) -> list[Span]:
    value = column[0].as_py()
    if isinstance(value, list):
        return [Span(s["start"], s["end"], kind, s["score"]) for s in value]
    return [] if value is None else [Span(0, len(text), kind, value)]


__all__ = ["BaseRegistry", "TaggerRegistry", "add_tagger"]
