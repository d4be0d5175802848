"""The shipped quickstart: a recipe as it stands, made of collections, with weights that any machine can reach."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest
import yaml
from msgspec import UNSET

from dolma_pipeline.collect.base import COLLECTIONS
from dolma_pipeline.config.recipe import Mix, Recipe
from dolma_pipeline.mixers.sampling import ASSUMED


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    written = files("dolma_pipeline").joinpath("recipes", "quickstart.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(written), Recipe)


def mix_of(recipe: Recipe) -> Mix:
    mix: Mix
    (mix,) = (stage.mix for stage in recipe.stages if stage.mix is not UNSET)
    return mix


def test_sources_are_collections(recipe: Recipe) -> None:
    assert [source.collect in COLLECTIONS for source in recipe.sources.values()] == [True] * 5


def test_weights_cover_the_sources_and_add_up(recipe: Recipe) -> None:
    budget = mix_of(recipe).budget
    assert budget is not None
    assert list(budget.weights) == list(recipe.sources)
    assert sum(budget.weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("source", ["topics", "descriptions", "licenses"])
def test_small_sources_have_half_of_their_share_on_this_machine(recipe: Recipe, source: str) -> None:
    """Filters may take half of them, and three epochs still fill the share."""
    budget = mix_of(recipe).budget
    assert budget is not None
    assert budget.tokens is not None
    collection = COLLECTIONS[recipe.sources[source].collect or ""]
    share = budget.weights[source] * budget.tokens * (budget.bytes_per_token or ASSUMED)
    assert budget.max_epochs * sum(item.size for item in collection.items) * 0.5 >= share
