from pathlib import Path

import pytest

from dolma_pipeline.config.extends import extended
from dolma_pipeline.config.load import load_recipe
from dolma_pipeline.config.yaml_file import read
from dolma_pipeline.errors import ConfigError

BASE = """
name: base
work_dir: runs/${name}
sources:
  web: {documents: "web/*", priority: 1}
stages:
  - tag: {experiment: x, taggers: [c4_v2]}
  - mix: {}
"""


def write(directory: Path, **files: str) -> None:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)


def test_mappings_are_merged_and_lists_replaced(tmp_path: Path) -> None:
    own = "extends: base.yaml\nname: own\nsources: {web: {priority: 2}, books: {documents: b}}\nstages: [{stat: {}}]\n"
    write(tmp_path, base=BASE, own=own)
    recipe = load_recipe(str(tmp_path / "own.yaml"))
    assert (recipe.name, recipe.work_dir) == ("own", "runs/own")
    assert {n: (s.documents, s.priority) for n, s in recipe.sources.items()} == {"web": ("web/*", 2), "books": ("b", 0)}
    assert len(recipe.stages) == 1
    assert extended(read(str(tmp_path / "base.yaml"))).data["name"] == "base"


def test_a_base_may_extend_another_in_another_directory(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path, base=BASE)
    write(tmp_path / "a", middle="extends: ../base.yaml\nseed: 3\n")
    write(tmp_path / "a" / "b", own="extends: ../middle.yaml\nname: own\n")
    recipe = load_recipe(str(tmp_path / "a" / "b" / "own.yaml"), ["sources.web.priority=7"])
    assert (recipe.name, recipe.seed, recipe.sources["web"].priority) == ("own", 3, 7)


def test_a_mistake_is_told_in_the_file_that_has_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        base=BASE.replace("priority: 1", "priority: 1, x: 2"),
        own="extends: base.yaml\nsources: {web: {y: 1}}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(tmp_path / "own.yaml"))
    assert [line.split(" unknown")[0] for line in str(caught.value).splitlines()] == [
        f"{tmp_path}/base.yaml:5: $.sources.web.x:",
        f"{tmp_path}/own.yaml:2: $.sources.web.y:",
    ]
    # A list is the file's that gave it last: what is missing in it is missing there.
    write(tmp_path, base=BASE, own="extends: base.yaml\nstages:\n  - tag: {}\n")
    with pytest.raises(
        ConfigError, match=rf"^{tmp_path}/own\.yaml:3: \$\.stages\[0\]\.tag: expected the key `taggers`"
    ):
        load_recipe(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("extends: none.yaml\n", "{own}:1: $.extends: {directory}/none.yaml: expected a YAML or JSON file, found none"),
        ("name: a\nextends: own.yaml\n", "{own}:2: $.extends: expected a recipe that does not extend itself, found "),
        ("extends: [a]\n", "{own}:1: $.extends: expected the path of one recipe, such as `base.yaml`, found ['a']"),
        (
            "extends: list.yaml\n",
            "{own}:1: $.extends: expected a recipe, found {directory}/list.yaml, which is no mapping",
        ),
    ],
)
def test_a_base_that_is_none(tmp_path: Path, own: str, expected: str) -> None:
    write(tmp_path, own=own, list="[1]")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(tmp_path / "own.yaml"))
    assert str(caught.value).startswith(expected.format(own=tmp_path / "own.yaml", directory=tmp_path))
