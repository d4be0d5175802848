"""Stages of users: kinds that a module brings, what is refused of them, and phases that apply a result."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dolma_pipeline import api
from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.config.recipe import config_of
from dolma_pipeline.engine.plan import State
from dolma_pipeline.engine.run import RunOptions, run_recipe
from dolma_pipeline.engine.stage import Reading, ShardInput
from dolma_pipeline.engine.task import Context, call
from dolma_pipeline.errors import ConfigError, StageError, VerifyError

RECIPE = """\
name: lengths
work_dir: run
stage_modules: [MODULE]
sources: {a: {documents: "*.jsonl"}}
stages:
  - lengths: {most: 2}
"""
CODE = '''
from dolma_pipeline.engine import stage
from dolma_pipeline.engine.stage import Call, Report


class Lengths(stage.Config, frozen=True):
    """Find documents longer than the mean."""

    most: int = 1


class Settings(stage.Config, frozen=True):
    out: str
    read: stage.ShardInput | None = None
    files: list[str] = []


def measure(config: Settings, context: stage.Context) -> Report:
    reading = stage.Reading(config.read)
    stage.write_json(config.out, [len(t) for d in reading for t in d.text.to_pylist()])
    return reading.report([config.out])


def mean(config: Settings, context: stage.Context) -> Report:
    lengths = [n for path in config.files for n in stage.read_json(path)]
    stage.write_json(config.out, sum(lengths) / len(lengths))
    return Report(outputs=[stage.output(config.out)], details={"documents": len(lengths)})


def longer(config: Settings, context: stage.Context) -> Report:
    limit = stage.read_json(config.files[0])
    rows = [row for d in stage.Reading(config.read) for row in zip(d.id.to_pylist(), d.text.to_pylist())]
    ids = [identifier for identifier, text in rows if len(text) > limit]
    stage.write_json(config.out, ids)
    return Report(outputs=[stage.output(config.out)])


def validate(checks, config, path):
    if config.most > 5:
        checks.note((*path, "most"), f"expected at most 5, found {config.most}")


def plan(builder, number, config):
    lengths = stage.MapReduce(builder, number, "lengths", version=1)
    shards, place = lengths.corpus.shards, builder.places.work_dir / "lengths"
    out = str(place / "mean.json")
    builder.claim(place, "*.json", where=f"$.stages[{number - 1}]", remedy="one stage alone")
    files = lengths.map(
        "shards",
        "measure",
        shards,
        lambda s, o: Call(measure, Settings(read=lengths.input(s), out=o), [s.path]),
        suffix=".json",
        alone=True,
    )
    lengths.reduce("mean", "take the mean", lambda state: Call(mean, Settings(files=files, out=out), files))
    lengths.apply(
        "longer",
        "find longer ones",
        shards,
        lambda s: Call(
            longer, Settings(read=lengths.input(s), files=[out], out=f"{place}/{s.name}.json"), [s.path, out]
        ),
    )
    lengths.finish(counted=["shards"])


STAGE = stage.StageKind(kind="lengths", config=Lengths, plan=plan, validate=validate)
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, lengths in (("x", (3, 9)), ("y", (4, 8, 5))):
        rows = [{"id": f"{name}{n}", "text": "t" * n} for n in lengths]
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "lengths.py").write_text(CODE)
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("MODULE", "lengths.py"))
    return tmp_path


def longer_ones() -> dict[str, list[str]]:
    return {name: json.loads(Path(f"run/lengths/{name}.jsonl.json").read_bytes()) for name in "xy"}


def test_the_result_of_a_reduction_is_applied(place: Path) -> None:
    manifest = run_recipe(load_recipe("recipe.yaml"), RunOptions(progress="none"))
    assert json.loads((place / "run/lengths/mean.json").read_bytes()) == 5.8
    assert longer_ones() == {"x": ["x9"], "y": ["y8"]}
    (stage,) = manifest.stages
    # The details are those of the reduction, though a phase follows it.
    assert (stage.id, stage.details, stage.counts["a"].documents_in) == ("01-lengths", {"documents": 5}, 5)
    assert (stage.accounts, stage.role) == (False, "")


def test_a_stage_that_accounts_for_documents_is_held_to_it(place: Path) -> None:
    line = "    return reading.report"
    lossy = CODE.replace(line, f"    reading.counts.documents_in = reading.counts.documents_out = 1\n{line}")
    (place / "lengths.py").write_text(lossy.replace("validate=validate", "validate=validate, accounts=True"))
    (place / "recipe.yaml").write_text((place / "recipe.yaml").read_text() + "  - tag: {taggers: [c4_v2]}\n")
    with pytest.raises(VerifyError) as error:
        run_recipe(load_recipe("recipe.yaml"), RunOptions(progress="none"))
    assert str(error.value).splitlines()[0] == ("source a: 2 documents after stage 01-lengths, but 5 in stage 02-tag")


def test_a_package_may_keep_its_functions_in_modules_of_its_own(place: Path) -> None:
    package = place / "my_stages_of_a_package"
    package.mkdir()
    (package / "work.py").write_text(CODE.split("def validate")[0])
    (package / "__init__.py").write_text(
        "from dolma_pipeline.engine import stage\nfrom dolma_pipeline.engine.stage import Call\n"
        f"from {package.name}.work import Lengths, Settings, measure, mean, longer\n\n\ndef validate"
        + CODE.split("def validate")[1]
    )
    (place / "recipe.yaml").write_text(RECIPE.replace("MODULE", f"./{package.name}"))
    run_recipe(load_recipe("recipe.yaml"), RunOptions(processes=2, progress="none"))
    assert longer_ones() == {"x": ["x9"], "y": ["y8"]}


def test_an_installed_package_brings_a_kind_by_an_entry_point(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = place / "site"
    info = site / "toy_lengths-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-lengths\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[dolma_pipeline.stages]\nlengths = toy_lengths_module:STAGE\n")
    (site / "toy_lengths_module.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(site))
    (place / "recipe.yaml").write_text(RECIPE.replace("stage_modules: [MODULE]\n", ""))
    run_recipe(load_recipe("recipe.yaml"), RunOptions(processes=2, progress="none"))
    assert longer_ones() == {"x": ["x9"], "y": ["y8"]}


def test_a_recipe_in_python_takes_settings_of_a_kind_of_ones_own(place: Path) -> None:
    names: dict[str, type] = {}
    exec(CODE, names)
    sources = {"a": api.Source(documents="*.jsonl")}
    made = api.recipe("l", sources, [names["Lengths"](most=3)], work_dir="run", stage_modules=["lengths.py"])
    config = config_of(made.stages[0])
    assert (type(config).__name__, getattr(config, "most", None)) == ("Lengths", 3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lengths: {", "lenths: {",
         "recipe.yaml:6: $.stages[0].lenths: unknown stage; did you mean `lengths`? (known: `tag`, `dedupe`, "
         "`decontaminate`, `mix`, "
         "`stat`, `tokens`, `reshard`, `convert`, `fertility`, `classifier`, `train`, `lengths`; a stage of your own "
         "is in a module that `stage_modules` names)"),
        ("most: 2", "mosst: 2",
         "recipe.yaml:6: $.stages[0].lengths.mosst: unknown key; did you mean `most`? (allowed: `most`)"),
        ("most: 2", "most: x", 'recipe.yaml:6: $.stages[0].lengths.most: expected `int`, found "x"'),
        ("most: 2", "most: 7", "recipe.yaml:6: $.stages[0].lengths.most: expected at most 5, found 7"),
        ("{most: 2}", "{most: 2}\n    tag: {taggers: [c4_v2]}",
         "recipe.yaml:6: $.stages[0]: expected exactly one of `tag`, `dedupe`, `decontaminate`, `mix`, `stat`, "
         "`tokens`, `reshard`, "
         "`convert`, `fertility`, `classifier`, `train`, `lengths`, found `tag` and `lengths`"),
        ("[lengths.py]", "[none.py]",
         "recipe.yaml:3: $.stage_modules[0]: expected a module name, a .py file or the directory of a package, found "
         "no file `none.py`"),
        ("[lengths.py]", "[json]",
         "recipe.yaml:3: $.stage_modules[0]: expected `json` to have a value `STAGE = StageKind(kind=...)`, found "
         "none"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(place: Path, old: str, new: str, message: str) -> None:
    text = (place / "recipe.yaml").read_text()
    assert old in text
    (place / "recipe.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_recipe("recipe.yaml")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind="lengths", c', 'kind="mix", c',
         "expected a kind with a name of its own, found `mix`, which is built in"),
        ('kind="lengths", c', 'kind="Le", c',
         "expected a kind of lower-case letters, digits and `_`, found `Le`: recipes name it"),
        ("class Lengths(stage.Config, frozen=True)", "import msgspec\nclass Lengths(msgspec.Struct)",
         "expected a frozen struct of settings, found Lengths; make it a `Config`"),
    ],
)  # fmt: skip
def test_kinds_that_cannot_be_are_refused(place: Path, old: str, new: str, message: str) -> None:
    assert old in CODE
    (place / "lengths.py").write_text(CODE.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load_recipe("recipe.yaml")
    assert str(error.value) == f"recipe.yaml:3: $.stage_modules[0]: {message}"


def test_two_modules_do_not_bring_the_same_kind(place: Path) -> None:
    (place / "other.py").write_text(CODE + "\n# other\n")
    (place / "recipe.yaml").write_text(RECIPE.replace("[MODULE]", "[lengths.py, other.py]"))
    with pytest.raises(ConfigError) as error:
        load_recipe("recipe.yaml")
    assert str(error.value) == (
        "recipe.yaml:3: $.stage_modules[1]: expected a kind with a name of its own, found `lengths`, which is one of "
        "lengths.py"
    )


def test_a_module_that_changes_while_a_run_goes_on_ends_it(place: Path) -> None:
    (place / "lengths.py").write_text(f"{CODE}\n# no other test has imported this")
    plan = api.plan(load_recipe("recipe.yaml"))
    task = next(iter(plan.phases[0].build(State())))
    assert re.fullmatch(r"lengths\.py@[0-9a-f]{16}:measure", task.run)
    (place / "lengths.py").write_text(CODE)
    with pytest.raises(StageError) as error:
        call(task, Context())
    assert str(error.value) == (
        "lengths.py: expected the module as it was when the run began, found it changed; run again"
    )


def test_a_report_before_the_last_batch_is_refused(place: Path) -> None:
    reading = Reading(ShardInput(source="a", path="x.jsonl"))
    next(iter(reading))
    with pytest.raises(StageError) as error:
        reading.report()
    assert str(error.value) == "x.jsonl: expected a report after the last batch, found it asked for before"


OP = """
class Measure(stage.Op):
    def __init__(self, config: Settings, context: stage.Context) -> None:
        self.config, self.found = config, []

    def add(self, documents):
        self.found += [len(text) for text in documents.text.to_pylist()]

    def finish(self, read):
        return Report(outputs=[stage.write_json(self.config.out, self.found)])


def mean("""


def test_an_op_of_a_user_shares_the_reading_with_the_stages_beside_it(place: Path) -> None:
    code = CODE.replace("def mean(", OP.lstrip()).replace("Call(measure", "Call(Measure").replace("alone=True,", "")
    (place / "lengths.py").write_text(code.replace("validate=validate", "validate=validate, accounts=True"))
    (place / "recipe.yaml").write_text((place / "recipe.yaml").read_text() + "  - tag: {taggers: [c4_v2]}\n")
    recipe = load_recipe("recipe.yaml")
    assert [phase.id for phase in api.plan(recipe).phases] == ["01-lengths-shards+", "01-lengths", "01-lengths-longer"]
    manifest = run_recipe(recipe, RunOptions(progress="none"))
    assert longer_ones() == {"x": ["x9"], "y": ["y8"]}
    counts = [stage.counts["a"] for stage in manifest.stages]
    assert [(c.documents_in, c.documents_out, c.bytes_in, c.bytes_out) for c in counts] == [(5, 5, 29, 29)] * 2


def test_a_function_is_no_op(place: Path) -> None:
    (place / "lengths.py").write_text(CODE.replace("alone=True,", ""))
    with pytest.raises(StageError) as error:
        api.plan(load_recipe("recipe.yaml"))
    assert str(error.value) == (
        "phase 01-lengths-shards: expected a class of `Op`, which shares the reading of a shard, found `measure`; "
        "`map(..., alone=True)` takes a function, which reads by itself"
    )
