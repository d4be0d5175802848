import os
from pathlib import Path

import pytest
from msgspec import Struct

from dolma_pipeline.engine.ledger import entry_path, fingerprint, standing
from dolma_pipeline.engine.roots import default_roots
from dolma_pipeline.engine.segments import Place, read, report_of
from dolma_pipeline.engine.task import Context, Counts, Report, Task
from dolma_pipeline.engine.worker import FusedTasks, ReadyTask, execute
from dolma_pipeline.io.atomic import output


class Copy(Struct, frozen=True):
    source: str
    target: str


def copy(config: Copy, context: Context) -> Report:
    Path(config.target).write_bytes(Path(config.source).read_bytes())
    return Report(outputs=[output(config.target)], counts={"s": Counts(documents_in=1, documents_out=1)})


def task(directory: Path, **changes: object) -> Task:
    settings = {
        "phase": "01-copy",
        "name": "s/one",
        "run": f"{__name__}:copy",
        "config": {"source": str(directory / "in"), "target": str(directory / "out")},
        "inputs": (str(directory / "in"),),
    }
    return Task(**{**settings, **changes})  # type: ignore[arg-type]


ROOTS = default_roots("/none")
"""Those of a run whose scratch files are elsewhere."""


def up_to_date(path: Path, mark: str) -> Report | None:
    """The report in an entry, if it holds."""
    entries = [entry for entry in read(Place(path=str(path))) if entry.fingerprint == mark]
    return report_of(entries[0]) if standing(entries, ROOTS) == [True] else None


@pytest.fixture
def done(tmp_path: Path) -> tuple[Task, str, Path]:
    (tmp_path / "in").write_text("text")
    copying = task(tmp_path)
    mark, path = fingerprint(copying, {}).hex(), Path(entry_path(str(tmp_path), copying))
    assert up_to_date(path, mark) is None
    (report,) = execute(FusedTasks(tasks=(ReadyTask(task=copying, fingerprint=mark, entry=str(path)),)), Context())
    assert report == up_to_date(path, mark)
    return copying, mark, path


def test_an_entry_is_where_its_phase_and_name_say(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    assert done[2] == tmp_path / "ledger" / "01-copy" / "s" / "one.json"


def test_another_input_is_stale(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text2")
    assert fingerprint(done[0], {}).hex() != done[1]
    # What an earlier phase wrote counts by its content, not by its time.
    known = {str(tmp_path / "in"): "abc"}
    first = fingerprint(done[0], known)
    os.utime(tmp_path / "in", ns=(1, 1))
    assert fingerprint(done[0], known) == first


@pytest.mark.parametrize("change", [{"version": 2}, {"config": {"source": "a", "target": "b"}}, {"run": "other:copy"}])
def test_other_settings_are_stale(done: tuple[Task, str, Path], tmp_path: Path, change: dict[str, object]) -> None:
    assert fingerprint(task(tmp_path, **change), {}).hex() != done[1]


def test_a_changed_output_is_stale(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    _, mark, path = done
    (tmp_path / "out").write_text("tex!")
    assert up_to_date(path, mark) is None


def test_a_touched_output_is_read_again_and_stands(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    _, mark, path = done
    os.utime(tmp_path / "out", ns=(1, 1))
    assert up_to_date(path, mark) is not None
    (tmp_path / "out").unlink()
    assert up_to_date(path, mark) is None


def test_a_half_written_entry_is_none(done: tuple[Task, str, Path]) -> None:
    _, mark, path = done
    path.write_bytes(path.read_bytes()[:-9])
    assert up_to_date(path, mark) is None


def test_a_task_that_fails_is_not_entered(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    copying, mark, path = done
    (tmp_path / "in").unlink()
    with pytest.raises(FileNotFoundError):
        execute(FusedTasks(tasks=(ReadyTask(task=copying, fingerprint=mark, entry=str(path)),)), Context())
    assert not path.exists()


def test_rules_in_another_order_are_stale(done: tuple[Task, str, Path], tmp_path: Path) -> None:
    # A document counts under the first rule that is true of it, so the account depends on the order.
    rules = {"a": "x > 1", "b": "y > 1"}
    marks = {
        fingerprint(task(tmp_path, config={"drop": dict(r)}), {}) for r in (rules.items(), reversed(rules.items()))
    }
    assert len(marks) == 2
