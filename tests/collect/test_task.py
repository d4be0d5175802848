"""Shards on disk: whole or not at all, the same bytes each time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest
import zstandard

from dolma_pipeline.collect import installed
from dolma_pipeline.collect.base import COLLECTIONS, reading
from dolma_pipeline.collect.items import Item
from dolma_pipeline.collect.task import CollectShard, collect_shard, warnings, write_shard
from dolma_pipeline.engine.task import Context, Counts, Task, call

TOPICS = "topics = {'with': 'Wörter.\\n', 'assert': 'Debug.\\n', 'blank': ' '}\n"


def rows(path: Path) -> list[dict[str, object]]:
    with zstandard.open(path, "rb") as handle:
        return [msgspec.json.decode(line) for line in handle.read().splitlines()]


def shard(path: Path, name: str = "00000") -> CollectShard:
    return CollectShard(collection="pydoc_topics", shard=name, source="topics", path=str(path))


def test_documents_and_account(tmp_path: Path) -> None:
    (tmp_path / "pydoc_data").mkdir()
    (tmp_path / "pydoc_data" / "topics.py").write_text(TOPICS)
    collection = reading(COLLECTIONS["pydoc_topics"], partial(installed.help_topics, tmp_path))
    first, second = tmp_path / "1.jsonl.zst", tmp_path / "2.jsonl.zst"
    report = write_shard(collection, shard(first))
    assert [(row["text"], row["source"]) for row in rows(first)] == [("Debug.\n", "topics"), ("Wörter.\n", "topics")]
    assert report.counts == {"topics": Counts(documents_in=2, documents_out=2, bytes_in=16, bytes_out=16)}
    assert report.warnings == []
    assert [(o.path, o.bytes) for o in report.outputs] == [(str(first), first.stat().st_size)]
    again = write_shard(collection, shard(second))
    assert second.read_bytes() == first.read_bytes()
    assert again.outputs[0].blake3 == report.outputs[0].blake3


def test_an_unreadable_item_is_dropped_and_counted(tmp_path: Path) -> None:
    items = [Item("topics.py", 10, "3", lambda: TOPICS), Item("broken.py", 10, "3", lambda: "topics = (\n")]
    report = write_shard(reading(COLLECTIONS["pydoc_topics"], lambda: items), shard(tmp_path / "a.jsonl.zst"))
    counts = report.counts["topics"]
    assert (counts.documents_in, counts.documents_out, counts.dropped) == (3, 2, {"unreadable": 1})
    assert counts.balanced
    assert report.warnings == [
        "collection `pydoc_topics`, shard 00000: left out what cannot be read: "
        "broken.py: SyntaxError: '(' was never closed"
    ]


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> str:
        raise KeyboardInterrupt

    items = [Item("topics.py", 10, "3", lambda: TOPICS), Item("zzz.py", 10, "3", fail)]
    with pytest.raises(KeyboardInterrupt):
        write_shard(reading(COLLECTIONS["pydoc_topics"], lambda: items), shard(tmp_path / "a.jsonl.zst"))
    assert list(tmp_path.iterdir()) == []


def test_as_a_task(tmp_path: Path) -> None:
    config = shard(tmp_path / "a.jsonl.zst")
    task = Task(
        phase="00-collect",
        name="topics",
        run="dolma_pipeline.collect.task:collect_shard",
        config=msgspec.to_builtins(config),
        inputs=(),
    )
    report = call(task, Context())
    assert report.counts["topics"].documents_out == len(rows(Path(config.path))) > 50
    assert collect_shard(config, Context()).outputs == report.outputs


def test_a_long_list_of_problems_is_cut() -> None:
    assert warnings("c", "00000", [str(i) for i in range(7)]) == [
        "collection `c`, shard 00000: left out what cannot be read: 0; 1; 2; 3; 4; and 2 more"
    ]
