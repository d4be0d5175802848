"""Files that are whole or not there: written where nobody looks, hashed on the way, published at the end."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from dolma_pipeline.errors import DataError
from dolma_pipeline.io import fs
from dolma_pipeline.io.schemes import backend, place
from dolma_pipeline.io.url import Location
from dolma_pipeline.io.writing import TEMPORARY, temporary_path, temporary_stem, writing

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dolma_pipeline import _native

COPIED = 1 << 20
"""Bytes that are copied at a time."""


class Output(msgspec.Struct, frozen=True):
    """A file that was written: where, how long, and the BLAKE3 of its bytes."""

    path: str
    bytes: int
    blake3: str


class Draft(io.RawIOBase):
    """A file on its way: nobody sees it until it is published, and nothing stays of it when it is given up."""

    def __init__(self, path: Location, *, step: str = "", hashed: bool = True, durable: bool = True) -> None:
        """`step` and `hashed`: a draft that is read again and given up has a name of its own, and needs no hash."""
        super().__init__()
        # A draft that cannot be made is closed all the same, when it is thrown away.
        self._file: IO[bytes] | None = None
        self._given_up = False
        self._name = os.fspath(path)
        self._durable = durable
        self._hash = _hash() if hashed else None
        files, target = backend(path)
        self.staged = temporary_path(target, step) if step else files.stage(target)
        """Where it is until it is published."""
        self.bytes = 0
        self.staged.parent.mkdir(parents=True, exist_ok=True)
        with writing(self._name):
            self._file = self.staged.open("wb", buffering=0)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.bytes

    def write(self, data: Buffer, /) -> int:
        """Writes all of `data`. The system's own error when the disk is full names the file."""
        view = memoryview(data).cast("B")
        if self._given_up:
            # A writer of Arrow that is thrown away after an error still writes its footer. Raising here would format a
            # traceback in the middle of whatever the garbage collector interrupts.
            return len(view)
        if self._file is None or self._file.closed:
            raise ValueError(f"{self._name}: expected an open file, found one that is published or was never opened")
        done = 0
        with writing(self._name):
            while done < len(view):
                done += self._file.write(view[done:])
        if self._hash is not None:
            self._hash.update(data if isinstance(data, bytes) else _array(view))
        self.bytes += done
        return done

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()

    def publish(self) -> Output:
        """Gives the file its name; its bytes are on the disk before, unless it is not durable."""
        self.close()
        files, target = backend(self._name)
        with writing(self._name):
            if self._durable:
                sync(self.staged)
            files.publish(self.staged, target)
        return Output(path=self._name, bytes=self.bytes, blake3=self._hash.hexdigest() if self._hash else "")

    def abort(self) -> None:
        self._given_up = True
        self.close()
        self.staged.unlink(missing_ok=True)


def _hash() -> _native.Blake3:
    # The command line starts without the extension.
    from dolma_pipeline import _native

    return _native.Blake3()


def _array(view: memoryview) -> Any:
    import pyarrow as pa

    return pa.Array.from_buffers(pa.uint8(), len(view), [None, pa.py_buffer(view)])


class Published:
    """The `file` that a block writes to, and its `output` afterwards: what is known of the file that was written."""

    def __init__(self, draft: Draft) -> None:
        self.file = draft
        self.output = Output(path="", bytes=0, blake3="")


@contextlib.contextmanager
def publishing(path: Location, *, durable: bool = True) -> Iterator[Published]:
    """A file to write to, published when the block ends and given up when it fails: `with publishing(path) as f`.

    `f.file` takes bytes, and libraries that write to a file take it; `f.output` is known behind the block.

    Its directory is made. The bytes are on the disk before the name is, unless `durable` is off: then a machine that
    loses its power may have the name with other bytes. That the name is on the disk too takes `sync_directories`.
    """
    draft = Draft(path, durable=durable)
    published = Published(draft)
    try:
        with writing(os.fspath(path)):
            yield published
        published.output = draft.publish()
    except BaseException:
        draft.abort()
        raise


@contextlib.contextmanager
def atomic_path(path: Location, *, durable: bool = True) -> Iterator[Path]:
    """A path for what is written by name or in no order; published as by `publishing`, without a hash."""
    files, target = backend(path)
    staged = files.stage(target)
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        with writing(target):
            yield staged
            if durable:
                sync(staged)
            files.publish(staged, target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def open_staged(staged: Path) -> IO[bytes]:
    """Opens the file where `atomic_path` said, to be written to in any order."""
    return staged.open("wb")


def make_empty(staged: Path, size: int) -> None:
    """Makes a file of `size` zero bytes where `atomic_path` said, to be written to in any order."""
    with staged.open("wb") as file:
        file.truncate(size)


def publish_directory(staged: Location, path: Location) -> None:
    """Gives a directory its name, which must be free; a store publishes what names the files in it last."""
    Path(place(staged)).rename(place(path))


def point_to(link: Location, name: str) -> None:
    """Makes `link` stand for its neighbour `name`, whatever it stood for before."""
    path = Path(place(link))
    temporary = path.parent / f".{path.name}.tmp-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(path)


def sync(path: Path) -> None:
    """Waits until the bytes of a file are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        getattr(os, "fdatasync", os.fsync)(handle)
    finally:
        os.close(handle)


def sync_directories(files: Iterable[str | Path]) -> None:
    """Waits until the names of `files` are on the disk, and those of the directories above them."""
    parents = {Path(parent).absolute() for parent in {os.path.dirname(file) for file in files}}  # noqa: PTH120
    for directory in sorted({above for parent in parents for above in (parent, *parent.parents)}):
        # A directory that may be written to but not read, or that its file system cannot sync, is left as it is.
        with contextlib.suppress(OSError):
            handle = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def write_bytes(path: Location, content: bytes, *, durable: bool = True) -> Output:
    """Writes a file; see `publishing`."""
    with publishing(path, durable=durable) as published:
        published.file.write(content)
    return published.output


def write_text(path: Location, text: str) -> Output:
    """Writes a file in UTF-8, with the line ends of `text`."""
    return write_bytes(path, text.encode())


def write_json(path: Location, value: Any, *, durable: bool = True) -> Output:
    """Writes `value` (structs too) as indented JSON, keys in the order they have; see `publishing`."""
    return write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n", durable=durable)


def write_msgpack(path: Location, value: Any) -> Output:
    """Writes `value`, of structs: for what no person reads."""
    return write_bytes(path, msgspec.msgpack.encode(value))


def publish_copy(source: Location, path: Location) -> Output:
    """Writes a file with the bytes of another."""
    return publish_joined([source], path)


def publish_joined(sources: Iterable[Location], path: Location) -> Output:
    """Writes a file with the bytes of others, one behind the other."""
    with publishing(path) as published:
        for source in sources:
            with fs.open_input(source) as file:
                while data := file.read(COPIED):
                    published.file.write(data)
    return published.output


def read_json(path: Location, form: Any = Any) -> Any:
    """Decodes a JSON file into `form`; raises DataError for a file that is not that."""
    try:
        return msgspec.json.decode(fs.read_bytes(path), type=form)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}") from None


def read_msgpack(path: Location, form: Any) -> Any:
    """Decodes a file of `write_msgpack` into `form`; raises DataError for a file that is not that."""
    try:
        return msgspec.msgpack.decode(fs.read_bytes(path), type=form)
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: {error}") from None


def output(path: Location) -> Output:
    """The account of a file that is already there, read once for its BLAKE3."""
    return Output(path=os.fspath(path), bytes=fs.stat(path).size, blake3=blake3(path))


def blake3(path: Location) -> str:
    """The BLAKE3 of the bytes of a file, in hexadecimal digits."""
    files, name = backend(path)
    from dolma_pipeline import _native

    return _native.blake3_file(str(files.local_copy(name)))


def remove_temporaries(directory: Location) -> int:
    """Removes what writers that were killed left behind; returns how many files."""
    left = [path for path in fs.walk(directory) if TEMPORARY.match(path.name)]
    for path in left:
        fs.remove(path, missing_ok=True)
    return len(left)


def remove_leftovers(files: Iterable[str]) -> int:
    """Removes what killed writers of `files`, which are whole now, left beside them; returns how many files.

    Temporary files of other names are left: another run may be at work in the same directory.
    """
    names: dict[Path, set[str]] = {}
    for file in map(Path, files):
        names.setdefault(file.parent, set()).add(temporary_stem(file.name))
    removed = 0
    for directory, whole in names.items():
        for path in fs.list_directory(directory) if fs.is_directory(directory) else []:
            left = TEMPORARY.match(path.name)
            if left and not whole.isdisjoint((left[1], left[1].rpartition(".")[0])):
                fs.remove(path, missing_ok=True)
                removed += 1
    return removed
