"""A function of one file, run over all files of some globs in several processes: Dolma's `BaseParallelProcessor`.

Each finished file leaves `<metadata>/<file>.done.txt`; a run after it passes over such files. The outputs are the
business of `process_single`: nothing counts its documents, so prefer a stage or a tagger where one would do.
"""

from __future__ import annotations

import inspect
import multiprocessing
import pickle
import re
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple, TypeAlias, TypeVar

from dolma_pipeline.compat.core.errors import DolmaError, DolmaRetryableFailure
from dolma_pipeline.compat.core.paths import (
    add_suffix,
    glob_path,
    is_glob,
    make_relative,
    mkdir_p,
    parent,
    sub_prefix,
)
from dolma_pipeline.io import fs
from dolma_pipeline.io.atomic import write_text

METADATA_SUFFIX = ".done.txt"
QueueType: TypeAlias = "Queue[tuple[int, ...] | None]"
KwargsType: TypeAlias = dict[str, Any]
P = TypeVar("P", bound="BaseParallelProcessor")


class File(NamedTuple):
    """A file to process."""

    source: str
    destination: str
    metadata: str
    kwargs: KwargsType


class BaseParallelProcessor:
    """Subclasses define `process_single`, and `increment_progressbar` with the units that they count."""

    def __init__(
        self,
        source_prefix: str | list[str],
        destination_prefix: str | list[str],
        metadata_prefix: str | list[str],
        num_processes: int = 1,
        debug: bool = False,
        seed: int = 0,
        pbar_timeout: float = 1e-3,
        ignore_existing: bool = False,
        include_paths: list[str] | None = None,
        exclude_paths: list[str] | None = None,
        files_regex_pattern: str | None = None,
        retries_on_error: int = 0,
        process_single_kwargs: KwargsType | list[KwargsType] | None = None,
    ) -> None:
        """Takes a destination and a metadata directory for each source glob (or directory).

        `ignore_existing` processes finished files again; `debug` stays in this process. Files are processed in the
        order of their names, so `seed` and `pbar_timeout` have no effect. Raises ValueError if the numbers of
        prefixes differ.
        """
        self.src_prefixes = _listed(source_prefix)
        self.dst_prefixes = _listed(destination_prefix)
        self.meta_prefixes = _listed(metadata_prefix)
        self.num_processes = num_processes
        self.debug = debug
        self.seed = seed
        self.pbar_timeout = pbar_timeout
        self.ignore_existing = ignore_existing
        self.include_paths = set(include_paths) if include_paths is not None else None
        self.exclude_paths = set(exclude_paths) if exclude_paths is not None else None
        self.files_regex_pattern = re.compile(files_regex_pattern) if files_regex_pattern else None
        self.retries_on_error = retries_on_error
        kwargs = process_single_kwargs or {}
        self.process_single_kwargs = kwargs if isinstance(kwargs, list) else [kwargs] * len(self.src_prefixes)
        self._check()

    def _check(self) -> None:
        count = len(self.src_prefixes)
        if not count:
            raise ValueError("expected at least one source prefix, found none")
        given: dict[str, list[Any]] = {
            "destination prefixes": self.dst_prefixes,
            "metadata prefixes": self.meta_prefixes,
            "process_single_kwargs": self.process_single_kwargs,
        }
        for name, values in given.items():
            if len(values) != count:
                raise ValueError(f"expected {count} {name}, one for each source prefix, found {len(values)}")
        for prefix in (*self.dst_prefixes, *self.meta_prefixes):
            if is_glob(prefix):
                raise ValueError(f"expected a directory, found the glob `{prefix}`")
        parameters = inspect.signature(self.increment_progressbar).parameters
        queue = parameters.get("queue")
        if queue is None or queue.kind is not inspect.Parameter.POSITIONAL_ONLY:
            raise AttributeError("increment_progressbar: expected a positional-only argument `queue` (`queue, /`)")
        units = [p for name, p in parameters.items() if name != "queue"]
        if any(p.kind is inspect.Parameter.VAR_KEYWORD or p.default != 0 for p in units):
            if type(self).increment_progressbar.__func__ is BaseParallelProcessor.increment_progressbar.__func__:  # type: ignore[attr-defined]
                raise AttributeError("increment_progressbar: expected a subclass that names its units, found none")
            raise AttributeError("increment_progressbar: expected a default of 0 for every unit")

    @classmethod
    def process_single(cls, source_path: str, destination_path: str, queue: QueueType, **kwargs: Any) -> None:
        """Reads one file and writes another; `cls.increment_progressbar(queue, ...)` says how far it is."""
        raise NotImplementedError(f"{cls.__name__} defines no `process_single`")

    @classmethod
    def increment_progressbar(cls, queue: QueueType, /, **kwargs: int) -> dict[str, int]:
        """Adds to the counts; a subclass names its units and passes them on: `super().increment_progressbar(queue,
        files=files)`."""
        queue.put(tuple(kwargs.values()))
        return kwargs

    def __add__(self: P, other: P) -> P:
        """Returns a processor of both sets of files."""
        if type(self) is not type(other):
            raise TypeError(f"expected another {type(self).__name__}, found {type(other).__name__}")
        patterns = [p.pattern for p in (self.files_regex_pattern, other.files_regex_pattern) if p is not None]
        return type(self)(
            source_prefix=[*self.src_prefixes, *other.src_prefixes],
            destination_prefix=[*self.dst_prefixes, *other.dst_prefixes],
            metadata_prefix=[*self.meta_prefixes, *other.meta_prefixes],
            num_processes=max(self.num_processes, other.num_processes),
            debug=self.debug or other.debug,
            seed=self.seed,
            pbar_timeout=max(self.pbar_timeout, other.pbar_timeout),
            ignore_existing=self.ignore_existing or other.ignore_existing,
            include_paths=sorted({*(self.include_paths or ()), *(other.include_paths or ())}) or None,
            exclude_paths=sorted({*(self.exclude_paths or ()), *(other.exclude_paths or ())}) or None,
            files_regex_pattern=f"({'|'.join(patterns)})" if len(patterns) > 1 else next(iter(patterns), None),
            retries_on_error=max(self.retries_on_error, other.retries_on_error),
            process_single_kwargs=[*self.process_single_kwargs, *other.process_single_kwargs],
        )

    def files(self) -> list[File]:
        """Returns the files to process, in order; raises ValueError if a source matches none."""
        found: list[File] = []
        groups = zip(self.src_prefixes, self.dst_prefixes, self.meta_prefixes, self.process_single_kwargs, strict=True)
        for source, destination, metadata, kwargs in groups:
            paths = sorted(path for path in glob_path(source) if fs.is_file(path))
            if not paths:
                raise ValueError(f"expected files, found none that match `{source}`")
            root, names = make_relative(paths) if len(paths) > 1 else (parent(paths[0]), [Path(paths[0]).name])
            done = {sub_prefix(path, metadata) for path in glob_path(metadata, recursive_dirs=True)}
            for path, name in zip(paths, names, strict=True):
                if self._wanted(path) and (self.ignore_existing or name + METADATA_SUFFIX not in done):
                    meta = add_suffix(metadata, name) + METADATA_SUFFIX
                    found.append(File(add_suffix(root, name), add_suffix(destination, name), meta, kwargs or {}))
        return found

    def _wanted(self, path: str) -> bool:
        return (
            (self.include_paths is None or path in self.include_paths)
            and (self.exclude_paths is None or path not in self.exclude_paths)
            and (self.files_regex_pattern is None or self.files_regex_pattern.search(path) is not None)
        )

    def __call__(self, **process_single_kwargs: Any) -> None:
        """Processes all files; the first error ends the run, and finished files stay marked."""
        process_single_kwargs.setdefault("retries_on_error", self.retries_on_error)
        files = self.files()
        print(f"Found {len(files):,} files to process", file=sys.stderr)
        jobs = [(f, pickle.dumps({**f.kwargs, **process_single_kwargs})) for f in files]
        if self.debug or len(jobs) <= 1:
            self._in_this_process(jobs)
        else:
            self._in_processes(jobs)

    def _in_this_process(self, jobs: Sequence[tuple[File, bytes]]) -> None:
        queue: QueueType = Queue()
        with _Counts(queue, self._units()):
            for file, kwargs in jobs:
                self._process(file, kwargs, queue)

    def _in_processes(self, jobs: Sequence[tuple[File, bytes]]) -> None:
        spawn = multiprocessing.get_context("spawn")
        with spawn.Manager() as manager:
            queue: Any = manager.Queue()
            workers = min(self.num_processes, len(jobs))
            with _Counts(queue, self._units()), ProcessPoolExecutor(workers, mp_context=spawn) as pool:
                waiting = [pool.submit(self._process, file, kwargs, queue) for file, kwargs in jobs]
                try:
                    for each in waiting:
                        each.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise

    @classmethod
    def _process(cls, file: File, serialized_kwargs: bytes, queue: QueueType) -> None:
        kwargs = pickle.loads(serialized_kwargs)
        mkdir_p(parent(file.destination))
        tries = kwargs.get("retries_on_error", 0) + 1
        for attempt in range(1, tries + 1):
            try:
                cls.process_single(source_path=file.source, destination_path=file.destination, queue=queue, **kwargs)
                break
            except DolmaRetryableFailure as error:
                if attempt == tries:
                    raise DolmaError(f"{file.source}: failed {tries} times: {error}") from error
        write_text(file.metadata, datetime.now(timezone.utc).isoformat())

    def _units(self) -> list[str]:
        return list(self.increment_progressbar(Queue()))


class _Counts:
    """Adds up what the workers put into the queue, and prints the sums at the end."""

    def __init__(self, queue: QueueType, units: list[str]) -> None:
        self._queue = queue
        self._sums = dict.fromkeys(units, 0)
        self._thread = threading.Thread(target=self._add, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._queue.put(None)
        self._thread.join()
        print(", ".join(f"{unit}: {count:,}" for unit, count in self._sums.items()), file=sys.stderr)

    def _add(self) -> None:
        while (counts := self._queue.get()) is not None:
            for unit, count in zip(self._sums, counts, strict=False):
                self._sums[unit] += count


def _listed(prefix: str | list[str]) -> list[str]:
    return [prefix] if isinstance(prefix, str) else list(prefix)


__all__ = ["METADATA_SUFFIX", "BaseParallelProcessor", "KwargsType", "QueueType"]
