"""The ledger as segments: nothing is lost or taken for newer than it is, at whatever moment a run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import zstandard

from dolma_pipeline.engine.ledger import enter, entry_path, newest
from dolma_pipeline.engine.outputs import remove_stale
from dolma_pipeline.engine.roots import default_roots
from dolma_pipeline.engine.segments import Place, compact, phases, places, read, report_of, rewrite
from dolma_pipeline.engine.standing import look_up
from dolma_pipeline.engine.state import State
from dolma_pipeline.engine.task import Counts, Report, Task
from dolma_pipeline.errors import StageError
from dolma_pipeline.io.atomic import output

PHASE = "01-p"


def task(name: str, **more: object) -> Task:
    return Task(phase=PHASE, name=name, run="m:f", config={"name": name, **more}, inputs=())


def finish(work_dir: Path, done: Task, text: str = "x", files: int = 1) -> Report:
    """Does `done` by hand and enters it, as a worker does."""
    found = look_up(default_roots(work_dir), lambda: [done], State(), force=True)
    paths = [work_dir / "out" / f"{done.name}.{n}" for n in range(files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    counts = {"s": Counts(documents_in=3, documents_out=2, dropped={"short": 1})}
    report = Report(counts=counts, outputs=[output(p) for p in paths], details={"n": 1}, warnings=[f"{paths[0]}: w"])
    enter(entry_path(str(work_dir), done), done, found.pending[0].fingerprint, report, default_roots(work_dir))
    return report


def names(work_dir: Path) -> list[str]:
    """The files of the phase in the ledger."""
    return [Path(p.path).relative_to(work_dir / "ledger" / PHASE).as_posix() for p in places(work_dir, PHASE)]


def pending(work_dir: Path, *tasks: Task) -> list[str]:
    return [work.task.name for work in look_up(default_roots(work_dir), lambda: list(tasks), State()).pending]


def test_entries_are_put_together_and_say_the_same(tmp_path: Path) -> None:
    tasks = [task(f"s/{n}") for n in range(5)]
    reports = [finish(tmp_path, t) for t in tasks]
    compact(tmp_path, PHASE, most=2)
    assert names(tmp_path) == [f"segment-0000{n}.jsonl.zst" for n in (2, 1, 0)]
    state = State()
    found = look_up(default_roots(tmp_path), lambda: list(tasks), state)
    assert (found.tasks, found.pending, found.loose, found.stale) == (5, [], False, False)
    assert [state.reports[PHASE][t.name] for t in tasks] == reports
    assert sorted(found.warnings) == [f"{tmp_path}/out/s/{n}.0: w" for n in range(5)]
    assert dict(state.known) == {r.outputs[0].path: r.outputs[0].blake3 for r in reports}


def test_a_segment_is_json_lines_without_the_name_of_the_work_directory(tmp_path: Path) -> None:
    report = finish(tmp_path, task("a"))
    compact(tmp_path, PHASE)
    packed = (tmp_path / "ledger" / PHASE / "segment-00000.jsonl.zst").read_bytes()
    head, line = zstandard.ZstdDecompressor().decompress(packed).splitlines()
    assert msgspec.json.decode(head) == {"format": 1, "entries": 1}
    entry = msgspec.json.decode(line)
    modified = Path(report.outputs[0].path).stat().st_mtime_ns
    assert entry["outputs"] == [["{work_dir}/out/a.0", 1, report.outputs[0].blake3, modified]]
    assert entry["report"] == {
        "counts": {"s": {"documents_in": 3, "documents_out": 2, "dropped": {"short": 1}}},
        "details": {"n": 1},
        "warnings": ["{work_dir}/out/a.0: w"],
    }


def test_the_newest_entry_of_a_task_counts(tmp_path: Path) -> None:
    old, new = task("a", n=1), task("a", n=2)
    for done in (old, new):
        finish(tmp_path, done)
        compact(tmp_path, PHASE)
    assert pending(tmp_path, new) == []
    assert pending(tmp_path, old) == ["a"]
    # An entry that is not put together yet is newer than all that are.
    finish(tmp_path, old)
    assert pending(tmp_path, old) == []
    assert pending(tmp_path, new) == ["a"]


def test_entries_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    done = task("s/a")
    report = finish(tmp_path, done)
    path = Path(entry_path(str(tmp_path), done))
    (entry,) = read(Place(path=str(path)))
    plain = msgspec.to_builtins(report)
    plain["outputs"][0]["path"] = "{work_dir}/out/s/a.0"
    plain["warnings"] = ["{work_dir}/out/s/a.0: w"]
    modified = {"{work_dir}/out/s/a.0": Path(report.outputs[0].path).stat().st_mtime_ns}
    form = {"task": "s/a", "fingerprint": entry.fingerprint, "report": plain, "modified": modified}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(form), indent=1))
    assert pending(tmp_path, done) == []
    ((_, found),) = newest(default_roots(tmp_path), PHASE)
    assert (report_of(found), found.outputs[0].modified) == (report, *modified.values())
    compact(tmp_path, PHASE)
    assert names(tmp_path) == ["segment-00000.jsonl.zst"]
    assert pending(tmp_path, done) == []


def test_what_is_only_half_there_is_done_again(tmp_path: Path) -> None:
    done = task("a")
    finish(tmp_path, done)
    path = Path(entry_path(str(tmp_path), done))
    path.write_bytes(path.read_bytes()[:-9])
    compact(tmp_path, PHASE)
    assert names(tmp_path) == ["a.json"]
    assert pending(tmp_path, done) == ["a"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda packed: packed[:-9], "found damage (decompression error: "),
        (lambda packed: zstandard.compress(b'{"format":1,"entries":2}\n'), "found damage (0 entries of 2); remove the"),
        (lambda packed: zstandard.compress(b'{"format":9,"entries":0}\n'), "a segment of format 1, found 9: it is of"),
    ],
)
def test_a_damaged_segment_is_told(tmp_path: Path, change: object, message: str) -> None:
    done = task("a")
    finish(tmp_path, done)
    compact(tmp_path, PHASE)
    path = tmp_path / "ledger" / PHASE / "segment-00000.jsonl.zst"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(StageError) as error:
        look_up(default_roots(tmp_path), lambda: [done], State())
    assert str(error.value).startswith(f"{path}: expected ")
    assert message in str(error.value)
    assert str(error.value).endswith("remove the file, and its tasks are done again")
    path.unlink()
    assert pending(tmp_path, done) == ["a"]


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError) as error:
        look_up(default_roots(tmp_path), lambda: [task("a"), task("b"), task("a", n=2)], State())
    assert str(error.value) == "phase 01-p: expected a name of its own for every task, found `a` twice"


CLEANING = """
import os, signal, sys
from pathlib import Path
from dolma_pipeline.engine import segments
from dolma_pipeline.engine.outputs import remove_stale
from dolma_pipeline.engine.roots import default_roots
from tests.engine.test_segments import PHASE, known

directory, moment = Path(sys.argv[1]), int(sys.argv[2])
steps = 0

def before(event, arguments):
    # Everything that changes a directory asks the auditors first.
    global steps
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") or event == "open" and arguments[2] & os.O_CREAT:
        if str(directory) in str(arguments[0]):
            if steps == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

sys.addaudithook(before)
segments.compact(directory, PHASE, most=2)
remove_stale(default_roots(directory), {PHASE: {"a", "b", "c"}}, known(directory), {PHASE}, [])
"""


def known(work_dir: Path) -> dict[str, str]:
    """What the tasks `a`, `b` and `c` write now: one file each."""
    return {str(work_dir / "out" / f"{name}.0"): "" for name in "abc"}


def test_a_run_is_killed_at_any_step_of_the_bookkeeping(tmp_path: Path) -> None:
    """`a` was done again and writes one file of two, `d` is a task no more, and three entries are new."""
    tasks = [task("a", n=2), task("b"), task("c")]
    killed = 0
    while True:
        directory = tmp_path / str(killed)
        finish(directory, task("a"), files=2)
        finish(directory, task("d"))
        compact(directory, PHASE)
        reports = [finish(directory, t, text="new") for t in tasks]
        command = [sys.executable, "-c", CLEANING, str(directory), str(killed)]
        ended = subprocess.run(command, check=False).returncode
        state = State()
        found = look_up(default_roots(directory), lambda: list(tasks), state)
        assert found.pending == []
        assert [state.reports[PHASE][t.name] for t in tasks] == reports
        assert (directory / "out" / "a.1").exists() <= found.stale
        # The next run does what is left.
        compact(directory, PHASE)
        remove_stale(default_roots(directory), state.reports, state.known, {PHASE}, [])
        assert sorted(p.name for p in (directory / "out").iterdir()) == ["a.0", "b.0", "c.0"]
        found = look_up(default_roots(directory), lambda: list(tasks), State())
        assert (found.pending, found.loose, found.stale) == ([], False, False)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
    assert killed > 12


def test_what_is_stale_goes_and_small_segments_are_joined(tmp_path: Path) -> None:
    tasks = [task(name) for name in "abc"]
    for done in (*tasks, task("d")):
        finish(tmp_path, done)
        compact(tmp_path, PHASE)
    state = State()
    assert look_up(default_roots(tmp_path), lambda: list(tasks), state).stale
    removed = remove_stale(default_roots(tmp_path), state.reports, state.known, {PHASE}, [])
    assert removed.files == [str(tmp_path / "out" / "d.0")]
    assert names(tmp_path) == ["segment-00004.jsonl.zst"]
    assert not look_up(default_roots(tmp_path), lambda: list(tasks), State()).stale
    # Nothing is left of a phase that the recipe does not have any more.
    assert len(remove_stale(default_roots(tmp_path), {}, {}, set(), []).files) == 3
    assert phases(tmp_path) == []


def test_only_segments_with_something_stale_are_written_anew(tmp_path: Path) -> None:
    for name in "abcd":
        finish(tmp_path, task(name))
    compact(tmp_path, PHASE, most=2)
    first, second = reversed(places(tmp_path, PHASE))
    before = os.stat(first.path).st_ino  # noqa: PTH116
    rewrite(tmp_path, PHASE, {second: [1]})
    assert names(tmp_path) == ["segment-00002.jsonl.zst", "segment-00000.jsonl.zst"]
    assert os.stat(first.path).st_ino == before  # noqa: PTH116
    assert [entry.task for _, entry in newest(default_roots(tmp_path), PHASE)] == ["d", "a", "b"]


def test_a_ledger_that_was_moved_names_files_of_its_new_place(tmp_path: Path) -> None:
    done = task("a")
    finish(tmp_path / "one", done)
    compact(tmp_path / "one", PHASE)
    (tmp_path / "one").rename(tmp_path / "two")
    state = State()
    assert look_up(default_roots(tmp_path / "two"), lambda: [done], state).pending == []
    assert list(state.known) == [str(tmp_path / "two" / "out" / "a.0")]
