"""What it costs to resume a run of very many tasks, all up to date: `python -m bench.ledger [TASKS] [DIRECTORY]`.

A phase of TASKS tasks (a million), each with one input, one output and the counts of one source, is looked up in a
ledger of full segments. Each part is measured in a process of its own: seconds, and MB at its peak.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct

from dolma_pipeline.engine.ledger import fingerprint, fingerprints, look_at, newest, standing
from dolma_pipeline.engine.roots import default_roots
from dolma_pipeline.engine.segments import LEDGER, MOST_ENTRIES, Entry, make_entry, places, read, write
from dolma_pipeline.engine.standing import MOST_TASKS, look_up
from dolma_pipeline.engine.state import State
from dolma_pipeline.engine.task import Counts, Output, Report, Task, make_task

PHASE = "01-tag"
EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
"""BLAKE3 of an empty file."""
RULES = {f"rule_{n}": f"length > {n}" for n in range(8)}


class Shard(Struct, frozen=True, kw_only=True):
    """The settings of a task."""

    source: str
    path: str
    target: str
    rules: dict[str, str]


def make(number: int, base: str) -> Task:
    """A task as a stage makes it; there are a thousand files in a directory."""
    name = f"web/{number // 1000:04d}/{number % 1000:03d}"
    path = f"{base}/given/{name}.jsonl.zst"
    config = Shard(source="web", path=path, target=f"{base}/attributes/x/{name}.parquet", rules=RULES)
    return make_task(PHASE, f"{name}.jsonl.zst", "bench.ledger:make", config, [path], 1)


def tasks(count: int, base: str) -> list[Task]:
    return [make(number, base) for number in range(count)]


def prepare(count: int, base: str) -> None:
    """Makes empty files, and the ledger of a finished run."""
    entries: list[Entry] = []
    for number in range(count):
        task = make(number, base)
        target = task.config.target
        for path in (task.config.path, target):
            if number % 1000 == 0:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        counts = Counts(documents_in=1000 + number, documents_out=900 + number, dropped={"rule_1": 100})
        counts.bytes_in, counts.bytes_out = 7_000_000 + number, 6_000_000 + number
        report = Report(counts={"web": counts}, outputs=[Output(target, 0, EMPTY)])
        modified = {target: Path(target).stat().st_mtime_ns}
        entry = make_entry(task.name, fingerprint(task, {}, roots=default_roots(base)).hex(), report, modified)
        form = default_roots(base).portable(msgspec.json.encode(entry))
        entries.append(msgspec.json.decode(form, type=Entry))
        if number % MOST_ENTRIES == MOST_ENTRIES - 1 or number == count - 1:
            write(f"{base}/{LEDGER}/{PHASE}/segment-{number // MOST_ENTRIES:05d}.jsonl.zst", entries)
            entries = []


def read_all(base: str) -> int:
    return sum(1 for _ in newest(default_roots(base), PHASE))


def stand_all(base: str) -> int:
    roots = default_roots(base)
    return sum(sum(standing(read(place, roots), roots)) for place in places(base, PHASE))


def mark_all(count: int, base: str) -> int:
    every, roots, state = (make(number, base) for number in range(count)), default_roots(base), State()
    marks: list[bytes] = []
    while part := list(islice(every, MOST_TASKS)):
        seen = look_at([path for task in part for path in task.inputs])
        marks += fingerprints(part, state.known, state.given, roots=roots, seen=seen)
    return len(marks)


def resume(count: int, base: str) -> int:
    """Everything; returns how many tasks are up to date."""
    state = State()
    found = look_up(default_roots(base), lambda: (make(number, base) for number in range(count)), state)
    return found.tasks - len(found.pending)


def parts(count: int, base: str) -> dict[str, Callable[[], int]]:
    return {
        "make the tasks": lambda: len(tasks(count, base)),
        "make, fingerprints": lambda: mark_all(count, base),
        "read the ledger": lambda: read_all(base),
        "read, outputs stand": lambda: stand_all(base),
        "resume": lambda: resume(count, base),
    }


def measure(name: str, count: int, base: str) -> None:
    """Does one part in this process and says what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    done = parts(count, base)[name]()
    if done != count:
        sys.exit(f"{name}: expected {count} tasks, found {done}")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:24}{cpu:8.2f} s CPU {wall:8.2f} s wall {peak:8.0f} MB", flush=True)


def main(arguments: list[str]) -> None:
    if len(arguments) == 3:
        measure(arguments[0], int(arguments[1]), arguments[2])
        return
    count = int(arguments[0]) if arguments else 1_000_000
    with tempfile.TemporaryDirectory(dir=arguments[1] if len(arguments) > 1 else None) as directory:
        prepare(count, directory)
        print(f"{count:,} tasks, {sum(1 for _ in Path(directory, 'ledger', PHASE).iterdir())} files in the ledger")
        for name in parts(count, directory):
            subprocess.run([sys.executable, "-m", "bench.ledger", name, str(count), directory], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
