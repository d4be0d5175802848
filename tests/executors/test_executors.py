from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from dolma_pipeline.engine.task import Context, Counts, Report, Task
from dolma_pipeline.engine.worker import FusedTasks, ReadyTask
from dolma_pipeline.errors import ConfigError, DataError, StageError
from dolma_pipeline.executors import Executor, LocalExecutor, make_executor
from dolma_pipeline.io.atomic import output
from dolma_pipeline.taggers.base import TaggerFailure


class Write(Struct, frozen=True):
    path: str
    text: str


def write(config: Write, context: Context) -> Report:
    """Writes the text and how often this worker has loaded its model; some texts are trouble."""
    if config.text == "bad once y is at work":
        while not Path(config.path).with_name("y.there").exists():
            time.sleep(0.01)
    if config.text.startswith("bad"):
        raise DataError(f"{config.path}: expected good, found bad")
    if config.text == "missing":
        Path(config.path + ".nope").read_text()
    if config.text == "fault":
        raise KeyError("oops")
    if config.text == "exit":
        sys.exit(0)
    if config.text == "tagger":
        raise TaggerFailure("t_v1", "no", row=0, document="d")
    if config.text == "config":
        raise ConfigError("no such thing")
    if config.text == "slow":
        Path(f"{config.path}.there").touch()
        time.sleep(0.3)
    if config.text == "die":
        os._exit(9)
    if config.text == "die once" and not Path(config.path + ".died").exists():
        Path(config.path + ".died").touch()
        os._exit(9)
    if config.text.startswith("meet "):
        Path(f"{config.path}.there").touch()
        other = Path(config.path).with_name(f"{config.text.removeprefix('meet ')}.there")
        deadline = time.monotonic() + 20
        while not other.exists():
            if time.monotonic() > deadline:
                raise StageError(f"{config.path}: expected {other.name} at the same time, found it waiting")
            time.sleep(0.01)
    loads = context.load(("model",), lambda: [0])
    loads[0] += 1
    Path(config.path).write_text(config.text)
    return Report(outputs=[output(config.path)], counts={"s": Counts(documents_in=1, documents_out=1)})


def fused(directory: Path, name: str, text: str) -> FusedTasks:
    config = {"path": str(directory / name), "text": text}
    task = Task(phase="01", name=name, run="tests.executors.test_executors:write", config=config, inputs=())
    return FusedTasks(tasks=(ReadyTask(task=task, fingerprint=name, entry=str(directory / "ledger" / f"{name}.json")),))


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow)])
def executor(request: pytest.FixtureRequest) -> Executor:
    return LocalExecutor() if request.param == "local" else request.getfixturevalue("workers")


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    """Two on a Ray of their own; a second executor in this process would find no CPU left on it."""
    made = make_executor(2, None)
    yield made
    made.close()


def test_all_jobs_are_done_and_entered(executor: Executor, tmp_path: Path) -> None:
    tasks = [fused(tmp_path, f"t{i}", f"text {i}") for i in range(7)]
    done = {d.fused.name: d for d in executor.run(tasks)}
    assert sorted(done) == [f"t{i}" for i in range(7)]
    assert done["t3"].reports[0].outputs[0].bytes == 6
    assert done["t3"].peak_rss > 10_000_000
    assert len(list((tmp_path / "ledger").glob("*.json"))) == 7


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [("bad", DataError, r"x: expected good, found bad$"), ("missing", FileNotFoundError, r"x\.nope")],
)
def test_the_error_of_a_task_is_raised_as_it_is(
    executor: Executor, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(executor.run([fused(tmp_path, "x", text)]))
    assert not (tmp_path / "ledger" / "x.json").exists()


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_its_job_goes_to_another(
    workers: Executor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = list(workers.run([fused(tmp_path, f"t{i}", "die once" if i == 2 else "fine") for i in range(5)]))
    assert sorted(d.fused.name for d in done) == ["t0", "t1", "t2", "t3", "t4"]
    with pytest.raises(StageError) as caught:
        list(workers.run([fused(tmp_path, "y", "die"), fused(tmp_path, "z", "fine")]))
    assert str(caught.value) == (
        f"01 of y: its worker was lost 3 times, the last time on node {platform.node()}: its process ended: killed as "
        "memory ran out, most likely, which fewer --processes or smaller files avoid, or a crash in native code"
    )
    # The other task was done meanwhile, and is in the ledger; Ray's own words for lost workers are not on stdout.
    assert (tmp_path / "ledger" / "z.json").is_file()
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_what_is_at_work_when_a_job_fails_is_finished_and_entered(workers: Executor, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="x: expected good, found bad"):
        list(workers.run([fused(tmp_path, "x", "bad once y is at work"), fused(tmp_path, "y", "slow")]))
    assert (tmp_path / "ledger" / "y.json").is_file()


@pytest.mark.slow
def test_of_few_jobs_none_waits_behind_another(workers: Executor, tmp_path: Path) -> None:
    tasks = [fused(tmp_path, "a", "meet b"), fused(tmp_path, "b", "meet a"), fused(tmp_path, "c", "fine")]
    assert sorted(d.fused.name for d in workers.run(tasks)) == ["a", "b", "c"]


@pytest.mark.slow
def test_workers_without_room_hold_no_work_and_a_ray_that_was_there_goes_on(workers: Executor, tmp_path: Path) -> None:
    """The workers of `few` cannot all start beside those of `workers`: the one that can does it all."""
    import ray

    list(workers.run([fused(tmp_path, "first", "fine")]))
    one = workers._hands.pop()  # type: ignore[attr-defined]
    ray.kill(one.actor)
    few = make_executor(2, None)
    assert few.workers == 2
    done = list(few.run([fused(tmp_path, f"t{i}", "fine") for i in range(5)]))
    assert sorted(d.fused.name for d in done) == ["t0", "t1", "t2", "t3", "t4"]
    few.close()
    assert [d.fused.name for d in workers.run([fused(tmp_path, "last", "fine")])] == ["last"]
