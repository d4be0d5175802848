"""Tasks that share the reading of a shard: how often it is read, and that nothing else depends on who shares it."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline import _native
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Recipe
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.plan import make_plan
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from tests.tokens.token_toys import write_byte_tokenizer

TAG: dict[str, Any] = {
    "experiment": "base",
    "taggers": ["gopher_v2", "char_length_v1", "toy_size"],
    "tagger_modules": [str(Path(__file__).with_name("size_tagger.py"))],
}
STAT: dict[str, Any] = {
    "sweeps": [{"expression": "gopher_v2.word_count < {t}", "at": [3, 6]}],
    "drop": {"short": "char_length_v1.length < 20"},
}
FERTILITY: dict[str, Any] = {"tokenizers": ["bytes"], "by": "toy_size"}
RESULTS = ("stat/whatif.json", "stat/summaries.jsonl.gz", "fertility/fertility.json", "quarantine/a/0.jsonl.gz.jsonl")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("documents").mkdir()
    for shard in range(2):
        rows = [{"id": f"{shard}-{n}", "text": " ".join(["word", "é!"] * (n % 9))} for n in range(40)]
        lines = [json.dumps(row) for row in rows]
        lines.insert(7, '{"other": 1}')
        Path(f"documents/{shard}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    write_byte_tokenizer(Path("bytes", "tokenizer.json"))
    return tmp_path


def recipe(*stages: dict[str, Any], work_dir: str = "w") -> Recipe:
    given = {
        "name": "toy",
        "work_dir": work_dir,
        "max_bad_fraction": 0.1,
        "sources": {"a": {"documents": "documents/*"}},
        "stages": list(stages),
    }
    return decode(Recipe, given)


def run(*stages: dict[str, Any], work_dir: str = "w", force: bool = False, processes: int = 1) -> RunManifest:
    options = RunOptions(progress="none", force=force, processes=processes, keep_scratch=True)
    return run_recipe(recipe(*stages, work_dir=work_dir), options)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each file of documents is read from here on."""
    found: Counter[str] = Counter()
    reader = _native.DocumentReader

    def counted(path: str, **options: Any) -> _native.DocumentReader:
        found[path] += 1
        return reader(path, **options)

    monkeypatch.setattr(_native, "DocumentReader", counted)
    return found


def results(work_dir: str) -> dict[str, bytes]:
    return {name: Path(work_dir, name).read_bytes() for name in RESULTS if Path(work_dir, name).is_file()}


def phases(*stages: dict[str, Any]) -> list[str]:
    return [phase.id for phase in make_plan(recipe(*stages)).phases]


def test_stages_beside_each_other_read_a_shard_once(readings: Counter[str]) -> None:
    manifest = run({"tag": TAG}, {"stat": STAT}, {"fertility": FERTILITY})
    assert readings == {f"documents/{shard}.jsonl.gz": 1 for shard in range(2)}
    counts = {s.id: s.counts["a"] for s in manifest.stages}
    assert {i: (c.documents_in, c.documents_out, c.quarantined) for i, c in counts.items()} == {
        "01-tag": (82, 80, 2),
        "02-stat": (82, 80, 2),
        "03-fertility": (82, 70, 2),
    }
    assert counts["03-fertility"].dropped == {"empty": 10}
    assert [len(s.bad["a"]) for s in manifest.stages] == [2, 2, 2]
    assert verify_run("w") == []


def test_attributes_from_memory_are_those_of_the_file(readings: Counter[str]) -> None:
    stages = ({"tag": TAG}, {"stat": STAT}, {"fertility": FERTILITY})
    run({"tag": TAG}, work_dir="files")
    run(*stages, work_dir="files")
    assert readings == {f"documents/{shard}.jsonl.gz": 2 for shard in range(2)}
    run(*stages, work_dir="memory")
    assert len(results("memory")) == 4
    assert results("memory") == results("files")
    groups = json.loads(Path("memory/fertility/fertility.json").read_bytes())["groups"]
    assert {name: g["documents"] for name, g in groups.items()} == {"large": 24, "odd": 28, "even": 18}


def test_what_is_up_to_date_is_not_done_again_beside_what_is_not(readings: Counter[str]) -> None:
    stages = [{"tag": TAG}, {"stat": STAT}, {"fertility": FERTILITY}]
    run(*stages)
    attributes = sorted(Path("w/attributes").rglob("*.parquet"))
    written = [path.stat().st_mtime_ns for path in attributes]
    plan = make_plan(recipe(*stages)).render()
    assert plan.count("to do") == 0
    # A task for each of two shards in the pass is done again, then the one that merges.
    stages[2] = {"fertility": FERTILITY | {"sample": 0.5}}
    plan = make_plan(recipe(*stages)).render()
    assert "6 tasks, 2 to do, 4 up to date" in plan
    run(*stages)
    assert [path.stat().st_mtime_ns for path in attributes] == written
    # The attributes are written anew, and with the same bytes: what was measured with them still holds.
    attributes[0].unlink()
    plan = make_plan(recipe(*stages)).render()
    assert "6 tasks, 1 to do, 5 up to date" in plan
    readings.clear()
    run(*stages)
    assert readings == {"documents/0.jsonl.gz": 1}
    assert verify_run("w") == []


def test_with_force_everything_is_done_again_in_one_reading(readings: Counter[str]) -> None:
    stages = ({"tag": TAG}, {"stat": STAT}, {"fertility": FERTILITY})
    first = run(*stages)
    readings.clear()
    assert run(*stages, force=True).digest == first.digest
    assert readings == {f"documents/{shard}.jsonl.gz": 1 for shard in range(2)}


def test_other_taggers_make_what_was_measured_with_them_stale() -> None:
    run({"tag": TAG}, {"stat": STAT})
    other = TAG | {"taggers": [*TAG["taggers"], "c4_v2"]}
    assert "4 tasks, 4 to do, 0 up to date" in make_plan(recipe({"tag": other}, {"stat": STAT})).render()


def test_verdicts_of_a_dedupe_end_the_reading() -> None:
    copies = {"name": "copies", "documents": {"key": "text"}, "partitions": 2}
    first = ["01-tag+", "02-copies-reduce", "02-copies"]
    drop = {"drop": {"copy": "copies.duplicate"}, "histograms": False}
    assert phases({"tag": TAG}, {"dedupe": copies}, {"stat": drop}) == [*first, "03-stat-shards", "03-stat"]
    assert phases({"tag": TAG}, {"dedupe": copies}, {"stat": STAT | {"histograms": False}}) == [*first, "03-stat"]


def test_json_lines_end_the_reading_for_who_reads_them() -> None:
    lines = TAG | {"format": "jsonl.gz"}
    stages: tuple[dict[str, Any], ...] = ({"tag": lines}, {"fertility": FERTILITY})
    assert phases(*stages) == ["01-tag", "02-fertility-shards", "02-fertility"]
    assert phases(stages[0], {"fertility": FERTILITY | {"by": None}}) == ["01-tag+", "02-fertility"]
    run(*stages, work_dir="lines")
    run({"tag": TAG}, {"fertility": FERTILITY}, work_dir="columns")
    assert results("lines") == results("columns")


def test_a_stage_that_looks_for_the_text_elsewhere_reads_by_itself(readings: Counter[str]) -> None:
    elsewhere = FERTILITY | {"text_field": "id", "by": None}
    manifest = run({"tag": TAG}, {"fertility": elsewhere})
    assert readings == {f"documents/{shard}.jsonl.gz": 2 for shard in range(2)}
    assert [(s.counts["a"].documents_in, s.counts["a"].quarantined) for s in manifest.stages] == [(82, 2), (82, 2)]


def test_two_workers_write_what_one_does() -> None:
    stages = ({"tag": TAG}, {"stat": STAT}, {"fertility": FERTILITY})
    one = run(*stages, work_dir="one")
    two = run(*stages, work_dir="two", processes=2)
    assert results("one") == results("two")
    assert [s.counts for s in one.stages] == [s.counts for s in two.stages]


TOKENS: dict[str, Any] = {"tokenizer": {"path": "bytes/tokenizer.json", "eos": "<eos>"}}


def budget(**more: Any) -> dict[str, Any]:
    drop = {"short": "char_length_v1.length < 8", "large": "toy_size.large > 1.2"}
    return {"mix": {"drop": drop, "budget": {"tokens": 300}, **more}}


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_the_source_is_read_once_before_a_mix_with_a_budget_and_once_by_it(readings: Counter[str], size: int) -> None:
    stages = (
        {"tag": TAG},
        {"stat": STAT},
        {"fertility": FERTILITY},
        budget(max_size_in_bytes=size),
        {"tokens": TOKENS},
    )
    assert phases(*stages)[:7] == [
        "01-tag+", "02-stat-files", "02-stat", "03-fertility", "04-mixed-sample", "04-mixed", "05-tokens-encode",
    ]  # fmt: skip
    manifest = run(*stages)
    given = {path: number for path, number in readings.items() if path.startswith("documents/")}
    assert given == {f"documents/{shard}.jsonl.gz": 2 for shard in range(2)}
    mixed = [number for path, number in readings.items() if "/mixed/" in path]
    assert mixed == [1] * (1 if size else 2)
    counts = manifest.stages[3].counts["a"]
    assert (counts.documents_in, counts.quarantined, counts.dropped["short"], counts.dropped["large"]) == (
        82,
        2,
        20,
        16,
    )
    assert manifest.stages[4].counts["a"].documents_in == counts.documents_out
    assert verify_run("w") == []


def test_a_measure_in_memory_is_that_of_the_files() -> None:
    run({"tag": TAG}, work_dir="files")
    run({"tag": TAG}, budget(), {"tokens": TOKENS}, work_dir="files")
    run({"tag": TAG}, budget(), {"tokens": TOKENS}, work_dir="memory")
    scratch = "scratch/02-mixed-measure/a/0.jsonl.gz.json"
    assert Path("memory", scratch).read_bytes() == Path("files", scratch).read_bytes()
    assert json.loads(Path("memory", scratch).read_bytes())["sample"]["tokens"] > 100


def test_how_inputs_are_put_together_changes_no_rate() -> None:
    rates = []
    for size in (0, 1 << 20):
        run({"tag": TAG}, budget(max_size_in_bytes=size), {"tokens": TOKENS}, work_dir=f"w{size}")
        rates.append(Path(f"w{size}", "scratch/02-mixed-sample/rates.json").read_bytes())
    assert rates[0] == rates[1]


def test_a_filter_of_dolma_ends_the_reading_for_it_may_see_every_attribute() -> None:
    select = {"select": {"include": ["$.attributes[?(@.base__char_length_v1__length[0][2] > 9)]"]}}
    assert phases({"tag": TAG}, budget(**select))[:2] == ["01-tag", "02-mixed-measure"]


def test_stages_behind_a_mix_share_the_reading_of_what_it_wrote(readings: Counter[str]) -> None:
    run({"mix": {"drop": {"short": "length < 8"}}}, {"tokens": TOKENS}, {"fertility": FERTILITY | {"by": None}})
    assert sorted(readings.values()) == [1] * 4
    assert verify_run("w") == []
