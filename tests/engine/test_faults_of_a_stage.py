"""Mistakes in a stage of a user's own: none stays unseen, and each message says whose it is and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dolma_pipeline import api
from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.engine import failure
from dolma_pipeline.engine.manifest import RunManifest
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.stage import Table, open_attributes
from dolma_pipeline.engine.state import State
from dolma_pipeline.errors import ConfigError, DataError, DolmaError, StageError
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.report.account import load_run
from dolma_pipeline.report.html import render_page
from dolma_pipeline.report.summary import render_summary

RECIPE = """\
name: lines
work_dir: run
stage_modules: [lines.py]
sources: {a: {documents: "*.jsonl"}}
stages:
  - tag: {taggers: [char_length_v1], experiment: base}
  - lines: {}
"""
CODE = '''
from dolma_pipeline.engine import stage
from dolma_pipeline.engine.stage import Call, Report


class Lines(stage.Config, frozen=True):
    """Count lines."""


class Count(stage.Config, frozen=True):
    read: stage.ShardInput
    out: str


class Merge(stage.Config, frozen=True):
    files: list[str]
    out: str


class Mark(stage.Config, frozen=True):
    read: stage.ShardInput
    total: str
    out: str


class LineCounter(stage.Op):
    def __init__(self, config: Count, context: stage.Context) -> None:
        self.config, self.lines = config, 0

    def add(self, documents):
        self.lines += sum(text.count("l") for text in documents.text.to_pylist())

    def finish(self, read):
        return Report(outputs=[stage.write_json(self.config.out, self.lines)])


def merge(config: Merge, context: stage.Context) -> Report:
    total = sum(stage.read_json(path, int) for path in config.files)
    return Report(outputs=[stage.write_json(config.out, total)])


def mark(config: Mark, context: stage.Context) -> Report:
    reading = stage.Reading(config.read)
    documents = sum(len(batch) for batch in reading)
    stage.write_json(config.out, [documents, stage.read_json(config.total)])
    return reading.report([config.out])


def validate(checks, config, path):
    pass


def plan(builder, number, config):
    lines = stage.MapReduce(builder, number, "lines", version=1)
    place = builder.places.work_dir / "lines"
    out = str(place / "total.json")
    builder.claim(out, where=f"$.stages[{number - 1}].lines", remedy="one stage alone")
    builder.claim(place / "marks", "*.json", where=f"$.stages[{number - 1}].lines", remedy="one stage alone")
    shards = lines.corpus.shards
    files = lines.map(
        "shards", "count", shards, lambda s, o: Call(LineCounter, Count(read=lines.input(s), out=o), []), suffix=".json"
    )
    lines.reduce("merge", "add", lambda state: Call(merge, Merge(files=files, out=out), []))
    lines.apply(
        "marks",
        "mark",
        shards,
        lambda s: Call(mark, Mark(read=lines.input(s), total=out, out=f"{place}/marks/{s.name}.json"), []),
    )
    lines.finish(counted=["shards"])


STAGE = stage.StageKind(kind="lines", config=Lines, plan=plan, validate=validate, accounts=True)
'''
BESIDE = (
    ("    out: str\n\n\nclass Merge", "    out: str\n    beside: str\n\n\nclass Merge"),
    ("out=o), [])", 'out=o, beside=lines.corpus.attributes["base"][s.id]), [])'),
)
"""The op is told of the attribute file of its shard."""
Run = Callable[..., RunManifest]


def line_of(code: str, text: str) -> int:
    return next(n for n, line in enumerate(code.splitlines(), 1) if text in line)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the recipe with the code of the stage, some text in which is replaced."""
    monkeypatch.chdir(tmp_path)
    for name, texts in (("x", ["l", "ll"]), ("y", ["lll"])):
        rows = [{"id": f"{name}{n}", "text": text} for n, text in enumerate(texts)]
        Path(f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("recipe.yaml").write_text(RECIPE)

    def run(*changes: tuple[str, str]) -> RunManifest:
        code = CODE
        for old, new in changes:
            assert code.count(old) == 1, old
            code = code.replace(old, new)
        Path("lines.py").write_text(code)
        return run_recipe(load_recipe("recipe.yaml"), RunOptions(progress="none"))

    return run


def results() -> tuple[int, list[int], list[int]]:
    total, x, y = (
        json.loads(Path("run/lines", path).read_bytes())
        for path in ("total.json", "marks/x.jsonl.json", "marks/y.jsonl.json")
    )
    return total, x, y


@pytest.mark.parametrize("alone", [False, True])
def test_what_a_task_reads_counts_without_being_listed(run: Run, alone: bool) -> None:
    function = (
        "def merge(",
        "def count(config: Count, context: stage.Context) -> Report:\n"
        "    reading = stage.Reading(config.read)\n"
        '    lines = sum(text.count("l") for batch in reading for text in batch.text.to_pylist())\n'
        "    stage.write_json(config.out, lines)\n"
        "    return reading.report([config.out])\n\n\ndef merge(",
    )
    changes = [function, ("Call(LineCounter,", "Call(count,"), ('suffix=".json"', 'suffix=".json", alone=True')]
    run(*changes * alone)
    assert results() == (6, [2, 6], [1, 6])
    Path("y.jsonl").write_text('{"id": "y0", "text": "llllll"}\n{"id": "y1", "text": ""}\n')
    run(*changes * alone)
    assert results() == (9, [2, 9], [2, 9])
    found = api.plan(load_recipe("recipe.yaml"))
    assert found.render().count("up to date,") == len(found.phases)


def test_an_attribute_file_that_the_settings_name_counts(run: Run) -> None:
    run()
    Path("lines.py").write_text(CODE.replace(*BESIDE[0]).replace(*BESIDE[1]))
    plan = api.plan(load_recipe("recipe.yaml"))
    tasks = [task for task in plan.phases[0].build(State()) if task.phase == "02-lines-shards"]
    work_dir = Path.cwd() / "run"
    assert [task.inputs for task in tasks] == [
        (f"{name}.jsonl", f"{work_dir}/attributes/base/a/{name}.parquet") for name in "xy"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('counted=["shards"]', 'counted=["shard"]'),
         "stage 02-lines: `finish(counted=...)`: unknown map `shard`; did you mean `shards`? (known: `marks`, "
         "`shards`)"),
        (('counted=["shards"]', "counted=[]"),
         "$.stages[1].lines: its `plan`: expected a phase that counts the documents, as `accounts=True` says, found "
         "none; name the maps that do in `finish(counted=[...])`"),
        (('    lines.finish(counted=["shards"])\n', ""),
         "$.stages[1].lines: its `plan`: expected a stage that is entered at the end, found none: `MapReduce.finish` "
         "does it"),
        (('    lines.reduce("merge", "add", lambda state: Call(merge, Merge(files=files, out=out), []))\n', ""),
         "stage 02-lines: expected `reduce` before `apply`, found none before `marks`"),
        (("    lines.apply(\n", '    lines.map("more", "count", [], None, suffix="")\n    lines.apply(\n'),
         "stage 02-lines: expected every `map` before `reduce`, found `more` behind it"),
        (("    return Report(outputs=[stage.write_json(config.out, total)])",
          "    stage.write_json(config.out, total)\n    return Report()"),
         "$.stages[1].lines: expected a report that names {here}/run/lines/total.json, which the stage claims and has "
         "written, found none, so that the manifest would lack it; let the task return "
         "`Report(outputs=[stage.output(path)])`"),
        (("        return Report(outputs=[stage.write_json(self.config.out, self.lines)])", "        return Report()"),
         "task a/x.jsonl of 02-lines-shards: expected a report with the scratch file "
         "{here}/run/scratch/02-lines-shards/a/x.jsonl.json, found none; write it, and return "
         "`Report(outputs=[stage.output(path)])`"),
    ],
    ids=["counted", "none counted", "not finished", "not reduced", "late map", "not reported", "no scratch file"],
)  # fmt: skip
def test_what_nobody_would_have_seen_is_refused(run: Run, change: tuple[str, str], message: str) -> None:
    with pytest.raises(StageError) as error:
        run(change)
    assert str(error.value) == message.format(here=Path.cwd())


def test_a_claimed_file_that_is_not_written_is_told(run: Run) -> None:
    other = (
        "    shards = lines.corpus",
        '    builder.claim(place / "b.txt", where="w", remedy="r")\n    shards = lines.corpus',
    )
    assert run(other).warnings == [
        "w: the stage `lines` claims lines/b.txt and has not written it; it should claim what it writes, or files that "
        "may be missing by a pattern: `builder.claim(directory, pattern, ...)`"
    ]


@pytest.mark.parametrize(
    ("change", "at", "message"),
    [
        (("    total = sum(", "    config.fils\n    total = sum("), "config.fils",
         "02-lines of merge, which reads {here}/run/scratch/02-lines-shards/a/x.jsonl.json: expected a result, found "
         "AttributeError: 'Merge' object has no attribute 'fils'. This is a fault of the stage `lines` (lines.py:{at}, "
         "in `merge`); DOLMA_TRACEBACK=1 shows the traceback"),
        (('text.count("l")', "text.count(1)"), "text.count(1)",
         "02-lines-shards of a/x.jsonl, which reads x.jsonl: expected a result, found TypeError: must be str, "
         "not int. This is a fault of the stage `lines` (lines.py:{at}, in `<genexpr>`); DOLMA_TRACEBACK=1 shows the "
         "traceback"),
        (("config, self.lines = config, 0", "config, self.lines = config, {}[1]"), "{}[1]",
         "02-lines-shards of a/x.jsonl, which reads x.jsonl: expected a result, found KeyError: 1. This is a "
         "fault of the stage `lines` (lines.py:{at}, in `__init__`); DOLMA_TRACEBACK=1 shows the traceback"),
        (("    place = builder", "    number.place\n    place = builder"), "number.place",
         "$.stages[1].lines: its `plan`: expected a result, found AttributeError: 'int' object has no attribute "
         "'place'. This is a fault of the stage `lines` (lines.py:{at}, in `plan`); DOLMA_TRACEBACK=1 shows the "
         "traceback"),
        (("Merge(files=files, out=out)", "Merge(files=files[9], out=out)"), "files[9]",
         "the tasks of the stage `lines`: expected a result, found IndexError: list index out of range. This is a "
         "fault of the stage `lines` (lines.py:{at}, in `<lambda>`); DOLMA_TRACEBACK=1 shows the traceback"),
        (("path):\n    pass", "path):\n    path.most"), "path.most",
         "recipe.yaml:7: $.stages[1].lines: its `validate`: expected a result, found AttributeError: 'tuple' object "
         "has no attribute 'most'. This is a fault of the stage `lines` (lines.py:{at}, in `validate`); "
         "DOLMA_TRACEBACK=1 shows the traceback"),
        (("    total = sum(", '    open("none/t.txt", "w")\n    total = sum('), "none/t.txt",
         "02-lines of merge, which reads {here}/run/scratch/02-lines-shards/a/x.jsonl.json: expected a result, found "
         "FileNotFoundError: [Errno 2] No such file or directory: 'none/t.txt'. This is a fault of the stage `lines` "
         "(lines.py:{at}, in `merge`); `stage.publishing` and `stage.write_json` make the directories that they write "
         "to; DOLMA_TRACEBACK=1 shows the traceback"),
    ],
    ids=["merge", "add", "init", "plan", "tasks", "validate", "no directory"],
)  # fmt: skip
def test_a_bug_is_told_as_one_of_the_stage(run: Run, change: tuple[str, str], at: str, message: str) -> None:
    with pytest.raises(DolmaError) as error:
        run(change)
    line = line_of(Path("lines.py").read_text(), at)
    assert str(error.value) == message.format(here=Path.cwd(), at=line)
    assert type(error.value) is StageError


def test_the_account_of_a_failure_names_the_stage_whose_op_has_failed(run: Run) -> None:
    with pytest.raises(StageError):
        run(('text.count("l")', "text.count(1)"))
    found = failure.read(Path("run"))
    assert found is not None
    assert (found.kind, found.stage, found.task, found.file) == (
        "stage", "02-lines", "a/x.jsonl", "x.jsonl"
    )  # fmt: skip


def test_a_bug_of_a_stage_in_a_worker_is_told_alike(run: Run) -> None:
    Path("lines.py").write_text(CODE.replace("    total = sum(", "    config.fils\n    total = sum("))
    with pytest.raises(
        StageError, match=r"AttributeError.* a fault of the stage `lines` \(lines\.py:\d+, in `merge`\)"
    ):
        run_recipe(load_recipe("recipe.yaml"), RunOptions(processes=2, progress="none"))


def test_a_module_that_a_recipe_in_python_does_not_name_is_asked_for(run: Run) -> None:
    names: dict[str, type] = {}
    exec(CODE, names)
    with pytest.raises(ConfigError) as error:
        api.recipe("l", {"a": api.Source(documents="*.jsonl")}, [names["Lines"]()], work_dir="run")
    assert str(error.value) == (
        "expected a stage (Tag, Dedupe, Decontaminate, Mix, Stat, Tokens, Reshard, Convert, Fertility, Classifier, "
        'Train), found Lines; name the module of your own stage: `recipe(..., stage_modules=["my_stage.py"])`'
    )


def test_a_key_that_no_attribute_has_is_refused(run: Run) -> None:
    key, wrong = "base__char_length_v1__length", "base__char_length_v1__lenght"
    opened = "self.lines = config, 0\n        self.columns = stage.open_attributes(config.beside, [KEY], context.made)"
    added = '.to_pylist())\n        self.lines += int(sum(self.columns.next(documents)["KEY"].to_pylist()))\n'
    changes = ((".to_pylist())\n\n    def finish", f"{added}\n    def finish"), ("self.lines = config, 0", opened))

    def with_key(key: str) -> list[tuple[str, str]]:
        return [*BESIDE, *((old, new.replace("[KEY]", f'["{key}"]').replace("KEY", key)) for old, new in changes)]

    run(*with_key(key))
    assert results()[0] == 12
    path = str(Path.cwd() / "run/attributes/base/a/x.parquet")
    message = (
        f"{path}: expected an attribute of the file, found the key `{wrong}`; did you mean `{key}`? (keys: `{key}`)"
    )
    with pytest.raises(DataError) as error:
        open_attributes(path, [wrong])
    assert str(error.value) == message
    (batch,) = read_documents("x.jsonl")
    columns = open_attributes(path, [key, wrong], absent=True)
    assert {name: column.to_pylist() for name, column in columns.next(batch).items()} == {
        key: [1.0, 2.0],
        wrong: [None, None],
    }
    # In the reading of the stage that makes it.
    Path("run/ledger").rename("away")
    with pytest.raises(DataError) as error:
        run(*with_key(wrong))
    assert str(error.value) == message


def test_columns_of_text_stand_on_the_left_in_a_table(run: Run) -> None:
    rows: list[list[str | int | float]] = [["a", "one", 1], ["b", "three", 22], ["c", "", 3.5]]
    table = Table(title="t", head=["x", "text", "n"], rows=rows)
    assert table.of_numbers() == [False, False, True]
    run(
        (
            "[stage.write_json(config.out, total)]",
            "[stage.write_json(config.out, total)], "
            f"details=stage.Table(title='t', head=['x', 'text', 'n'], rows={rows}).details()",
        )
    )
    shown = "02-lines: t\n  x  text     n\n  a  one      1\n  b  three   22\n  c         3.5\n"
    assert shown in render_summary(Path("run"))
    page = render_page(load_run(Path("run")))
    assert '<td class="name">three</td><td class="number">22</td>' in page


def test_parquet_is_written_whole_to_a_directory_that_is_made(run: Run) -> None:
    run(
        ("    return Report(outputs=[stage.write_json(config.out, total)])",
         "    import pyarrow, pyarrow.parquet\n"
         "    with stage.publishing(config.out) as published:\n"
         '        pyarrow.parquet.write_table(pyarrow.table({"total": [total]}), published.file)\n'
         "    return Report(outputs=[published.output])"),
        ('"total.json"', '"deep" / "total.parquet"'),
        ("[documents, stage.read_json(config.total)]", "[documents]"),
    )  # fmt: skip
    assert pq.read_table("run/lines/deep/total.parquet").to_pydict() == {"total": [6]}
    assert api.verify("run") == []
