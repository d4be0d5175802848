"""A directory of attribute files that recipes share: one recipe writes it, others read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.yaml_file import File
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.verify import verify_run
from dolma_pipeline.errors import ConfigError, DataError

TAG = {"tag": {"experiment": "base", "taggers": ["char_length_v1"]}}
DEDUPE = {"dedupe": {"name": "dup", "documents": {}}}
MIX = {"mix": {"drop": {"long": "char_length_v1.length > 3", "again": "dup.duplicate == 1"}, "format": "jsonl"}}


@pytest.fixture(autouse=True)
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, texts in {"a/0": ["one", "three"], "b/1": ["two", "one"]}.items():
        path = Path(f"data/documents/{name}.jsonl")
        path.parent.mkdir(parents=True)
        path.write_text("".join(f'{{"id":"{name}{i}","text":"{text}"}}\n' for i, text in enumerate(texts)))


def run(name: str, *stages: dict[str, Any], **source: Any) -> Any:
    whole = {"documents": "data/documents/**/*.jsonl", "attributes_dir": "shared/web", **source}
    data = {"name": name, "work_dir": f"runs/{name}", "sources": {"s": whole}, "stages": list(stages)}
    done = run_recipe(make_recipe(File(f"{name}.yaml", data)), RunOptions(progress="none"))
    assert verify_run(Path(f"runs/{name}")) == []
    return done


def shared() -> list[str]:
    return sorted(p.relative_to("shared").as_posix() for p in Path("shared").rglob("*") if p.is_file())


def test_one_recipe_tags_and_another_mixes() -> None:
    run("tags", TAG, DEDUPE)
    assert shared() == [f"web/{e}/{n}.parquet" for e in ("base", "dup") for n in ("a/0", "b/1")]
    assert not Path("runs/tags/attributes").exists()
    run("kept", MIX, attributes=["base", "dup"])
    rows = [json.loads(line) for p in sorted(Path("runs/kept/mixed").rglob("*.jsonl")) for line in p.open()]
    assert [row["id"] for row in rows] == ["a/00", "b/10"]
    # The second recipe has written nothing there, and a change of its own takes nothing away.
    run("kept", {"mix": {"format": "jsonl"}})
    assert len(shared()) == 4


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst", "jsonl"])
def test_attribute_files_of_every_form_are_found(form: str) -> None:
    run("tags", {"tag": {**TAG["tag"], "format": form}}, {"dedupe": {**DEDUPE["dedupe"], "format": form}})
    assert shared()[0] == f"web/base/a/0.{form}"
    assert run("kept", MIX, attributes=["base", "dup"]).stages[-1].counts["s"].documents_out == 2


def test_what_another_recipe_wrote_is_read_and_never_written_over() -> None:
    run("tags", TAG)
    before = Path("shared/web/base/a/0.parquet").read_bytes()
    with pytest.raises(ConfigError) as error:
        run("more", {"tag": {"experiment": "base", "taggers": ["gopher_v2"]}})
    place = Path("shared/web/base/a/0.parquet").absolute()
    assert str(error.value) == (
        f"$.stages[0].tag.experiment: expected a place without files of others, found {place} and 1 more, written by "
        f"`tags`, whose ledger is {Path('runs/tags').absolute()}; give another `experiment`, or read what is there by "
        f"`attributes` of the source in place of this stage, or remove the old files"
    )
    assert Path("shared/web/base/a/0.parquet").read_bytes() == before
    # The owner may: it is the same recipe with other taggers.
    run("tags", {"tag": {"experiment": "base", "taggers": ["gopher_v2"]}})
    assert Path("shared/web/base/a/0.parquet").read_bytes() != before


def test_documents_that_have_changed_since_are_told() -> None:
    run("tags", TAG, DEDUPE)
    Path("data/documents/a/0.jsonl").write_text('{"id":"new","text":"one"}\n{"id":"a/01","text":"three"}\n')
    with pytest.raises(DataError, match=r"expected the attributes of document `new`, found those of `a/00` \(line 1"):
        run("kept", MIX, attributes=["base", "dup"])


def test_attributes_that_are_not_there() -> None:
    with pytest.raises(ConfigError) as error:
        run("kept", MIX, attributes=["base"])
    assert str(error.value) == (
        f"$.sources.s.attributes: `base`: expected attributes for {Path('data/documents/a/0.jsonl')}, found no "
        f"{Path('shared/web/base/a/0').absolute()}.(parquet|jsonl.gz|jsonl.zst|jsonl)"
    )


def test_a_place_for_attributes_is_given_once() -> None:
    with pytest.raises(ConfigError) as error:
        run("tags", TAG, destination="out")
    assert str(error.value).splitlines()[0] == (
        "tags.yaml: $.sources.s: expected at most one of `attributes_dir` and `destination`, found both"
    )
