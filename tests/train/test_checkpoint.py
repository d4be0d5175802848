"""Checkpoints: what a digest does not vouch for is never unpickled, nor overwritten, nor deleted."""

from __future__ import annotations

import errno
import io
import os
import pickle
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import needs

torch = needs.module("torch")

from dolma_pipeline.errors import DataError  # noqa: E402
from dolma_pipeline.io.atomic import read_json, write_json  # noqa: E402
from dolma_pipeline.train.checkpoint import (  # noqa: E402
    Checkpoints,
    Identity,
    TrainerState,
    read_parameters,
    sha256,
    verify,
)
from dolma_pipeline.train.config import Hardware  # noqa: E402
from dolma_pipeline.train.parallel import World, join_world  # noqa: E402
from tests.train.train_toys import TINY  # noqa: E402

IDENTITY = Identity(model=TINY, vocab_size=40, tokens="0", sequence_length=16, batch_size=8, drop_last=True, seed=3)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with join_world(Hardware(device="cpu")) as world:
        yield world


def model() -> tuple[Any, Any]:
    made = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(made.parameters())
    made(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    return made, optimizer


@pytest.fixture(scope="module")
def saved(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of steps 1, 2 and 3."""
    directory = tmp_path_factory.mktemp("saved") / "checkpoints"
    checkpoints = Checkpoints(directory, 3, world)
    for step in (1, 2, 3):
        checkpoints.save(*model(), TrainerState(step=step, identity=IDENTITY))
    return directory


@pytest.fixture
def three(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "checkpoints", symlinks=True))


class Bomb:
    """A pickle that makes a directory when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def vouch(checkpoint: Path) -> None:
    """Makes the manifest agree with the files, as whoever changed them can."""
    names = sorted(p.name for p in checkpoint.iterdir() if p.name != "manifest.json")
    write_json(checkpoint / "manifest.json", {"files": {name: sha256(checkpoint / name) for name in names}})


def test_a_changed_file_is_named(three: Path) -> None:
    checkpoint = three / "step-00000003"
    for name in (".metadata", "__0_0.distcp", "trainer.json"):
        good = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(DataError, match=rf"step-00000003/{re.escape(name)}: expected SHA-256 \w{{12}}\.\.\., "):
            verify(checkpoint)
        (checkpoint / name).write_bytes(good)
    assert verify(checkpoint).step == 3


def test_a_file_without_a_digest_is_refused(three: Path) -> None:
    checkpoint = three / "step-00000003"
    manifest = read_json(checkpoint / "manifest.json")
    for name in (".metadata", "__0_0.distcp", "trainer.json"):
        files = {k: v for k, v in manifest["files"].items() if k != name}
        write_json(checkpoint / "manifest.json", {"files": files})
        with pytest.raises(DataError) as error:
            verify(checkpoint)
        assert str(error.value) == (
            f"{checkpoint / name}: expected a file with a digest in manifest.json, found a file without one"
        )
    write_json(checkpoint / "manifest.json", manifest)
    (checkpoint / "__1_0.distcp").touch()
    with pytest.raises(DataError, match=r"__1_0\.distcp: expected a file with a digest in manifest\.json, "):
        verify(checkpoint)
    (checkpoint / "__1_0.distcp").unlink()
    (checkpoint / ".metadata").unlink()
    with pytest.raises(DataError, match=r"\.metadata: expected a file with a digest in manifest\.json, found no"):
        verify(checkpoint)
    (checkpoint / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"step-00000003: not a whole checkpoint: .*No such file"):
        verify(checkpoint)


def test_metadata_that_a_manifest_vouches_for_runs_no_code(three: Path, world: World, tmp_path: Path) -> None:
    checkpoint = three / "step-00000003"
    (checkpoint / ".metadata").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    vouch(checkpoint)
    expected = r"\.metadata: expected the directory of a checkpoint, found another pickle: found `posix\.mkdir` in it"
    for attempt in (
        lambda: Checkpoints(three, 3, world).load(*model(), checkpoint),
        lambda: list(read_parameters(checkpoint)),
    ):
        with pytest.raises(DataError, match=expected):
            attempt()
    (checkpoint / ".metadata").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match=r"found a pickle of `list`$"):
        list(read_parameters(checkpoint))
    assert not (tmp_path / "exploded").exists()


def test_values_that_a_manifest_vouches_for_run_no_code(three: Path, world: World, tmp_path: Path) -> None:
    """The learning rate is a pickle of its own within the file of a rank: it is replaced by one as long."""
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    checkpoint = three / "step-00000003"
    metadata = pickle.loads((checkpoint / ".metadata").read_bytes())
    buffer = io.BytesIO()
    torch.save(Bomb(tmp_path / "exploded"), buffer)
    with (checkpoint / "__0_0.distcp").open("ab") as file:
        place = _StorageInfo("__0_0.distcp", file.tell(), len(buffer.getvalue()))
        file.write(buffer.getvalue())
    for index in metadata.storage_data:
        if index.fqn.endswith(".lr"):
            metadata.storage_data[index] = place
    (checkpoint / ".metadata").write_bytes(pickle.dumps(metadata))
    vouch(checkpoint)
    assert verify(checkpoint).step == 3
    with pytest.raises(DataError, match=r"step-00000003: expected a checkpoint of this model, found another: "):
        Checkpoints(three, 3, world).load(*model(), checkpoint)
    assert not (tmp_path / "exploded").exists()


def test_newer_checkpoints_that_are_not_whole_are_set_aside(three: Path, world: World) -> None:
    for step in (2, 3):
        (three / f"step-0000000{step}" / ".metadata").write_bytes(b"other")
    damaged = (three / "step-00000003" / ".metadata").read_bytes()
    checkpoints = Checkpoints(three, 2, world)
    found = checkpoints.newest(IDENTITY)
    assert found is not None
    path, state, said = found
    assert (path.name, state.step) == ("step-00000001", 1)
    assert [line.rpartition("; ")[2] for line in said] == [
        "it was set aside as step-00000003.damaged-1",
        "it was set aside as step-00000002.damaged-1",
    ]
    made = model()
    checkpoints.load(*made, path)
    for step in (2, 3):
        checkpoints.save(*made, TrainerState(step=step, identity=IDENTITY))
    assert sorted(p.name for p in three.iterdir()) == [
        "latest",
        "step-00000002",
        "step-00000002.damaged-1",
        "step-00000003",
        "step-00000003.damaged-1",
    ]
    assert (three / "step-00000003.damaged-1" / ".metadata").read_bytes() == damaged


def test_without_a_whole_checkpoint_nothing_starts_over(three: Path, world: World) -> None:
    for step in (1, 2, 3):
        (three / f"step-0000000{step}" / ".metadata").write_bytes(b"other")
    before = sorted(p.name for p in three.iterdir())
    with pytest.raises(DataError) as error:
        Checkpoints(three, 3, world).newest(IDENTITY)
    assert str(error.value).startswith(f"{three}: expected a whole checkpoint to go on from, found none: ")
    assert str(error.value).endswith("; move the directory away, or remove it, to start over")
    assert sorted(p.name for p in three.iterdir()) == before
    assert Checkpoints(three / "none", 3, world).newest(IDENTITY) is None


def test_a_full_disk_names_the_checkpoint(world: World, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", 3, world)
    checkpoints.save(*model(), TrainerState(step=1, identity=IDENTITY))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (200, 3000, 6000):
        made = model()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            with pytest.raises(OSError, match="File too large") as error:
                checkpoints.save(*made, TrainerState(step=2, identity=IDENTITY))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        found = error.value
        assert (found.errno, found.filename) == (errno.EFBIG, str(tmp_path / "c" / "step-00000002"))
        assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["latest", "step-00000001"]
    checkpoints.save(*model(), TrainerState(step=2, identity=IDENTITY))
    assert verify(tmp_path / "c" / "step-00000002").step == 2
