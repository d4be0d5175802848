"""The Python face, used as a notebook would."""

from __future__ import annotations

import datetime
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import dolma_pipeline as dp
from tests.train.train_toys import write_tokens

LONG = "The quick brown fox jumps over the lazy dog. "


def documents(directory: Path) -> str:
    rows = [
        {"id": "a", "text": LONG * 3},
        {"id": "b", "text": "short"},
        {"id": "c", "text": LONG * 3},
        {"id": "d", "text": LONG * 4},
    ]
    folder = directory / "web" / "documents"
    folder.mkdir(parents=True)
    lines = [*map(json.dumps, rows), "no document"]
    (folder / "x.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return f"{folder}/*.jsonl.gz"


def small(tmp_path: Path) -> dp.Recipe:
    return dp.recipe(
        "small",
        {"web": dp.Source(documents=documents(tmp_path))},
        [
            dp.Tag(experiment="base", taggers=["char_length_v1"]),
            dp.Dedupe(name="exact", documents=dp.DocumentKey(key="text", attribute="duplicate")),
            dp.Mix(name="kept", drop={"short": "base.char_length_v1.length < 100", "copy": "exact.duplicate == 1"}),
        ],
        work_dir=tmp_path / "run",
        max_bad_fraction=0.5,
    )


def test_a_run_and_its_account(tmp_path: Path) -> None:
    made = small(tmp_path)
    assert "to do" in str(dp.plan(made))
    events: list[str] = []
    done = dp.run(made, on_event=lambda event: events.append(event["event"]))
    assert events[0] == "begin"
    assert "end" in events
    assert "quarantined" in events
    assert done.counts().select(
        ["stage", "source", "documents_in", "documents_out", "dropped", "quarantined"]
    ).to_pylist() == [
        {"stage": "01-tag", "source": "web", "documents_in": 5, "documents_out": 4, "dropped": 0, "quarantined": 1},
        {"stage": "02-exact", "source": "web", "documents_in": 5, "documents_out": 4, "dropped": 0, "quarantined": 1},
        {"stage": "03-kept", "source": "web", "documents_in": 5, "documents_out": 2, "dropped": 2, "quarantined": 1},
    ]
    assert done.dropped().to_pylist() == [
        {"stage": "03-kept", "source": "web", "rule": "short", "documents": 1},
        {"stage": "03-kept", "source": "web", "rule": "copy", "documents": 1},
    ]
    bad = done.quarantined().to_pylist()
    assert {b["documents"] for b in bad} == {1}
    assert Path(bad[0]["quarantine"]).is_file()
    [mixed] = done.files("mixed/")
    with pytest.raises(dp.DolmaError) as error:
        done.files("mixd/")
    assert str(error.value).endswith("found `mixd/`; did you mean `mixed/`?")
    batches = list(dp.read_documents(str(mixed)))
    assert pa.Table.from_batches(batches).column("id").to_pylist() == ["a", "d"]
    [attributes] = done.files("attributes/exact/")
    table = pa.Table.from_batches(dp.read_attributes(str(attributes)))
    assert table.to_pydict() == {"id": ["a", "b", "c", "d"], "duplicate": [None, None, 1.0, None]}
    assert dp.verify(tmp_path / "run") == []
    assert dp.open_run(tmp_path / "run").manifest == done.manifest
    assert "to do" not in str(dp.plan(made))


def test_an_exception_of_the_observer_ends_the_run_and_a_later_call_resumes_it(tmp_path: Path) -> None:
    made = small(tmp_path)

    def stop(event: dict[str, object]) -> None:
        if event["event"] == "end":
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        dp.run(made, on_event=stop)
    failure = json.loads((Path(made.work_dir) / "failure.json").read_text())
    assert (failure["kind"], failure["exit_code"]) == ("caller", 1)
    assert failure["message"] == "`on_event`, which the caller of `run` has given, raised KeyError: 'stop'"
    skipped: list[object] = []
    dp.run(made, on_event=lambda event: skipped.append(event.get("skipped")))
    assert skipped[0] == 2


def test_mistakes_in_a_recipe_are_those_of_a_recipe_file(tmp_path: Path) -> None:
    with pytest.raises(dp.DolmaError, match=r"^\$\.stages\[0\]\.tag\.taggers: expected .*, found "):
        dp.recipe("r", {"web": dp.Source(documents="x/*")}, [dp.Tag(experiment="e", taggers=[])], work_dir=tmp_path)
    wrong = dp.recipe("r", {"web": dp.Source(documents="x/*")}, [dp.Mix(name="m")], work_dir=tmp_path)
    with pytest.raises(dp.DolmaError, match=r"^\$\.sources\.web\.documents: no file matches `x/\*`"):
        dp.plan(wrong)
    with pytest.raises(dp.DolmaError, match=r"expected a stage \(Tag, Dedupe, .*\), found Source"):
        dp.recipe("r", {"web": dp.Source(documents="x/*")}, [dp.Source(documents="y")], work_dir=tmp_path)


def test_a_rule_that_comes_too_late_is_told_where_its_attribute_was(tmp_path: Path) -> None:
    made = small(tmp_path)
    rule = {"short": "char_length_v1.length < 2"}
    tag = dp.Tag(experiment="e", taggers=["char_length_v1"])
    late = dp.recipe(
        "r", made.sources, [tag, dp.Mix(name="one"), dp.Mix(name="two", drop=rule)], work_dir=tmp_path / "late"
    )
    with pytest.raises(dp.DolmaError, match=r"the documents had it before \$\.stages\[1\]\.mix, which has written"):
        dp.plan(late)


def test_tag_texts_in_memory() -> None:
    table = dp.tag(["one two", "", "naïve"], ["char_length_v1", "whitespace_tokenizer_with_paragraphs_v1"])
    assert table.column("char_length_v1__length").to_pylist() == [7.0, 0.0, 5.0]
    assert table.num_rows == 3
    assert dp.tag([], ["char_length_v1"]).num_rows == 0
    with pytest.raises(dp.DolmaError, match=r"char_length_v1"):
        dp.tag(["x"], ["char_lenght_v1"])


def test_readers_refuse_what_is_no_document(tmp_path: Path) -> None:
    read = dp.read_documents(documents(tmp_path))
    with pytest.raises(dp.DolmaError, match=r"x\.jsonl\.gz:5: "):
        list(read)


def test_a_token_dataset(tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens", 10, masks=[[1] * 9 + [0]])
    dataset = dp.TokenDataset(tmp_path / "tokens", 5)
    assert len(dataset) == 2
    assert [dataset[i]["input_ids"].tolist() for i in (0, 1, -1)] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [5, 6, 7, 8, 9]]
    assert dataset[1]["label_mask"].tolist() == [True, True, True, True, False]
    with pytest.raises(IndexError, match="expected an instance from 0 to 1, found 2"):
        dataset[2]


def test_the_package_imports_nothing_heavy_and_shows_its_names() -> None:
    code = "import sys, dolma_pipeline as dp; assert 'pyarrow' not in sys.modules; print('recipe' in dir(dp))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_every_public_name_is_there() -> None:
    assert [name for name in dp.__all__ if not hasattr(dp, name)] == []


def test_what_is_no_list_or_no_text_is_told_in_one_line() -> None:
    for call, message in (
        (lambda: dp.tag("one text", ["char_length_v1"]), "expected a list of texts, found str"),
        (lambda: dp.tag({"a": "b"}, ["char_length_v1"]), "expected a list of texts, found dict"),
        (lambda: dp.tag(["a", 3], ["char_length_v1"]), "text 1: expected a string, found int"),  # type: ignore[list-item]
        (lambda: dp.tag(["\ud800"], ["char_length_v1"]), "text 0: expected a string, found a text that is not Unicode"),
        (lambda: dp.tag(["a"], "char_length_v1"), "expected a list for `taggers`, such as"),
        (lambda: dp.tag(["a"], []), "expected at least one tagger, found none"),
        (lambda: list(dp.read_attributes(__file__, "key")), "expected a list for `keys`, such as"),
        (lambda: dp.run("r.yaml"), "expected a Recipe, found 'r.yaml'; load_recipe\\('r.yaml'\\) reads a file"),  # type: ignore[arg-type]
        (lambda: dp.TokenDataset("x", 0), "expected a whole number of tokens from 1 as `sequence_length`, found 0"),
    ):
        with pytest.raises(dp.DolmaError, match=message):
            call()


@pytest.mark.parametrize("processes", [0, -1, 1.5, "2"])
def test_processes_that_cannot_be(tmp_path: Path, processes: object) -> None:
    with pytest.raises(dp.DolmaError, match="expected a whole number of `processes` from 1, found "):
        dp.run(small(tmp_path), processes=processes)  # type: ignore[arg-type]


def test_paths_and_numbers_of_numpy_are_plain_values(tmp_path: Path) -> None:
    made = dp.recipe(
        str(np.str_("r")),
        {"web": dp.Source(documents=Path(documents(tmp_path)))},  # type: ignore[arg-type]
        [dp.Mix(name=np.str_("kept"))],
        work_dir=tmp_path / "run",
        seed=np.int64(3),
        max_bad_fraction=0.5,
    )
    assert made.seed == 3
    done = dp.run(made)
    assert [batch.num_rows for batch in dp.read_documents(done.files("mixed/"))] == [4]
    expected = dp.tag(["a", "bc"], ["char_length_v1"])
    for texts in (np.array(["a", "bc"]), pa.array(["a", "bc"]), pa.chunked_array([["a"], ["bc"]]), ("a", "bc")):
        assert dp.tag(texts, ["char_length_v1"]).equals(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": b"r"}, "$.name: expected values as in a recipe file, found bytes; `.decode()` makes a text"),
        ({"work_dir": b"w"}, "$.work_dir: expected values as in a recipe file, found bytes; `.decode()` makes a text"),
        ({"work_dir": datetime.date(2026, 1, 2)}, "$.work_dir: expected values as in a recipe file, found date"),
        ({"resources": {"a": b"x"}}, "$.resources.a: expected values as in a recipe file, found bytes; `.decode()`"),
        ({"stage_modules": {"a", "b"}}, "$.stage_modules: expected values as in a recipe file, found set; `sorted("),
        (
            {"sources": {"s": dp.Source(documents=b"a/*")}},  # type: ignore[arg-type]
            "$.sources.s.documents: expected values as in a recipe file, found bytes",
        ),
        ({"sources": {3: dp.Source(documents="a/*")}}, "$.sources: expected texts as names, found 3"),
        (
            {"stages": [dp.Tag(experiment="e", taggers={"a", "b"})]},  # type: ignore[arg-type]
            "$.stages[0].tag.taggers: expected values as in a recipe file, found set; `sorted(...)` makes a list",
        ),
        (
            {"stages": [dp.Tag(experiment="e", taggers=[b"a"])]},  # type: ignore[list-item]
            "$.stages[0].tag.taggers[0]: expected values as in a recipe file, found bytes",
        ),
        ({"stages": (stage for stage in [dp.Mix()])}, "`stages` as a list, found dict and generator"),
        ({"stages": None}, "`stages` as a list, found dict and NoneType"),
        ({"seed": -1}, "$.seed: expected a whole number from 0 to 18446744073709551615, found -1"),
        ({"seed": 2**64}, "$.seed: expected a whole number from 0 to 18446744073709551615, found 18446744073709551616"),
        (
            {"stages": [dp.Train(model="1m", steps=1, seed=-2)]},
            "$.stages[0].train.seed: expected a whole number from 0 to 18446744073709551615, found -2",
        ),
    ],
)
def test_values_that_no_recipe_file_has(change: dict[str, Any], message: str) -> None:
    parts: dict[str, Any] = {
        "name": "r",
        "sources": {"s": dp.Source(documents="a/*")},
        "stages": [dp.Tag(experiment="e", taggers=["char_length_v1"])],
        "work_dir": "w",
    }
    with pytest.raises(dp.DolmaError, match=re.escape(message)):
        dp.recipe(**parts | change)


def test_arguments_of_other_kinds_are_told_before_anything_runs(tmp_path: Path) -> None:
    made = small(tmp_path)
    with pytest.raises(dp.DolmaError, match="expected a function of one event as `on_event`, found 3"):
        dp.run(made, on_event=3)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
    with pytest.raises(dp.DolmaError, match="expected a list for `taggers`"):
        dp.tag(["a"], {"char_length_v1"})  # type: ignore[arg-type]
    with pytest.raises(dp.DolmaError, match="expected a list for `paths`"):
        next(dp.read_documents({"a", "b"}))
    with pytest.raises(dp.DolmaError, match="expected a list for `paths`"):
        next(dp.read_attributes(b"a"))  # type: ignore[arg-type]
    done = dp.run(made)
    with pytest.raises(dp.DolmaError, match="expected a text as `prefix`, such as `mixed/`, found 3"):
        done.files(3)  # type: ignore[arg-type]
    assert dp.clean(tmp_path / "run", dry_run=True) == dp.Cleaned(files=0, bytes=0)
