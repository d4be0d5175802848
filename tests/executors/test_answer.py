"""Errors of a worker reach the driver as they were, whatever class they are of."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dolma_pipeline.engine.task import Context
from dolma_pipeline.errors import ConfigError, StageError, WorkerFault
from dolma_pipeline.executors.answer import Answer, Failure, perform
from dolma_pipeline.taggers.base import TaggerFailure
from tests.executors.test_executors import fused


def failure(path: Path, text: str) -> Failure:
    answer = msgspec.msgpack.decode(perform(msgspec.msgpack.encode(fused(path, "x", text)), Context()), type=Answer)
    assert answer.done is None
    assert answer.failure is not None
    return answer.failure


def test_a_finished_task_is_done(tmp_path: Path) -> None:
    encoded = msgspec.msgpack.encode(fused(tmp_path, "x", "fine"))
    answer = msgspec.msgpack.decode(perform(encoded, Context()), type=Answer)
    assert answer.failure is None
    assert answer.done is not None
    assert answer.done.fused.name == "x"


def test_an_error_of_ours_keeps_its_class_and_its_traceback(tmp_path: Path) -> None:
    error = failure(tmp_path, "bad").exception()
    assert (type(error).__name__, str(error)) == ("DataError", f"{tmp_path}/x: expected good, found bad")
    assert "in write" in (getattr(error, "traceback", None) or "")


@pytest.mark.parametrize(("text", "kind"), [("tagger", StageError), ("config", ConfigError)])
def test_an_error_of_another_module_becomes_its_nearest_class_of_ours(
    tmp_path: Path, text: str, kind: type[Exception]
) -> None:
    assert issubclass(TaggerFailure, StageError)
    error = failure(tmp_path, text).exception()
    assert type(error) is kind
    assert str(error) == {"tagger": "tagger `t_v1`, document `d`: no", "config": "no such thing"}[text]


def test_an_error_of_the_system_keeps_number_and_file(tmp_path: Path) -> None:
    error = failure(tmp_path, "missing").exception()
    assert isinstance(error, FileNotFoundError)
    assert error.filename == f"{tmp_path}/x.nope"


def test_a_fault_brings_its_traceback_and_the_job(tmp_path: Path) -> None:
    error = failure(tmp_path, "fault").exception()
    assert isinstance(error, WorkerFault)
    assert str(error).splitlines()[-2:] == ["KeyError: 'oops'", "in 01 of x"]


def test_a_call_of_exit_does_not_end_the_worker(tmp_path: Path) -> None:
    error = failure(tmp_path, "exit").exception()
    assert type(error) is StageError
    assert str(error) == "01 of x: expected a result, found a call of sys.exit(0)"
