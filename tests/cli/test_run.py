"""Which recipe `dolma run` and `dolma plan` take, and what becomes of it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.run import load_given
from dolma_pipeline.config.load import make_recipe
from dolma_pipeline.config.shipped import find_recipe, shipped
from dolma_pipeline.errors import ConfigError

RECIPE = "name: t\nwork_dir: w\nsources: {s: {documents: 'd/*'}}\nstages: [{mix: {}}]\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path


def arguments(
    recipe: str | None, *overrides: str, work_dir: str | None = None, config: str | None = None
) -> argparse.Namespace:
    return argparse.Namespace(recipe=recipe, config=config, set=list(overrides), work_dir=work_dir, scratch_dir=None)


def test_shipped_recipes_are_valid() -> None:
    assert "quickstart" in shipped()
    for name in shipped():
        assert make_recipe(find_recipe(name)).name == name


def test_a_file_by_name_or_with_c() -> None:
    assert load_given(arguments("mine.yaml")).config.name == "t"
    assert load_given(arguments(None, config="mine.yaml")).config.name == "t"


def test_a_file_goes_before_a_shipped_recipe() -> None:
    Path("quickstart").write_text(RECIPE)
    assert load_given(arguments("quickstart")).config.name == "t"


def test_set_and_work_dir() -> None:
    recipe = load_given(arguments("mine.yaml", "seed=4", "work_dir=x", work_dir="runs/a: b")).config
    assert (recipe.seed, recipe.work_dir) == (4, "runs/a: b")


def test_work_dir_is_named_in_messages() -> None:
    with pytest.raises(ConfigError) as error:
        load_given(arguments("mine.yaml", work_dir=""))
    assert str(error.value) == '--work-dir: $.work_dir: expected `str` of length >= 1, found ""'


def test_no_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    names = ", ".join(f"`{name}`" for name in shipped())
    assert main(["plan"]) == 2
    assert capsys.readouterr().err == (
        f"dolma: error: expected a recipe: a file, or {names}, as in `dolma run quickstart`\n"
    )
    assert main(["plan", "quickstar"]) == 2
    assert capsys.readouterr().err == (
        f"dolma: error: expected a recipe file, or one of {names}, found neither for `quickstar`; "
        "did you mean `quickstart`?\n"
    )
    assert main(["run", "mine2.yaml"]) == 2
    assert capsys.readouterr().err == (
        "dolma: error: mine2.yaml: expected a YAML or JSON file, found none; in . there are mine.yaml\n"
    )
