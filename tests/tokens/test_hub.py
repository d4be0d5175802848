"""Tokenizers by their names on the Hugging Face Hub, from the caches of this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.tokens.engine import tokenizer_file
from dolma_pipeline.tokens.hub import cache_directories, cached_tokenizer, is_hub_name


def write_revision(hub: Path, name: str, revision: str, *, main: bool = True) -> Path:
    repository = hub / f"models--{name.replace('/', '--')}"
    file = repository / "snapshots" / revision / "tokenizer.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    if main:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(revision)
    return file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("allenai/dolma2-tokenizer", True),
        ("gpt2", True),
        ("EleutherAI/gpt-neox-20b", True),
        ("./gpt2", False),
        ("/a/b", False),
        ("a/b/c", False),
        ("~/gpt2", False),
        ("tokenizer.json", False),
    ],
)
def test_names_of_the_hub(name: str, expected: bool) -> None:
    assert is_hub_name(name) is expected


def test_where_the_caches_are() -> None:
    home = Path.home()
    assert cache_directories({}) == [home / ".cache/huggingface/hub"]
    assert cache_directories({"XDG_CACHE_HOME": "/x"}) == [Path("/x/huggingface/hub")]
    given = {"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/a", "TRANSFORMERS_CACHE": "/b", "HF_HOME": "~/c"}
    assert cache_directories(given) == [Path("/a"), Path("/b"), home / "c/hub"]


def test_the_main_revision_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    expected = write_revision(tmp_path, "org/name", "aaa")
    write_revision(tmp_path, "org/name", "bbb", main=False)
    assert tokenizer_file("org/name") == expected
    # A file or directory of that name goes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "name" / "tokenizer.json").write_text("{}")
    assert tokenizer_file("org/name") == Path("org/name/tokenizer.json")


def test_the_only_revision_is_taken_and_several_are_refused(tmp_path: Path) -> None:
    environment = {"HF_HUB_CACHE": str(tmp_path)}
    file = write_revision(tmp_path, "gpt2", "aaa", main=False)
    assert cached_tokenizer("gpt2", environment) == file
    write_revision(tmp_path, "gpt2", "bbb", main=False)
    with pytest.raises(ConfigError) as several:
        cached_tokenizer("gpt2", environment)
    assert str(several.value) == (
        f"tokenizer `gpt2`: expected `refs/main` or one revision in {tmp_path}/models--gpt2, found 2 revisions; name "
        f"one of them by its path, such as {file}"
    )


def test_a_name_that_no_cache_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        cached_tokenizer("org/name", {"HF_HUB_CACHE": str(tmp_path), "HF_HOME": "/h"})
    assert str(missing.value) == (
        "tokenizer `org/name`: expected a tokenizer.json, a directory that holds one, or a repository of the Hugging "
        "Face Hub that was downloaded before; found no such file, and no `models--org--name` with a tokenizer.json in "
        f"`{tmp_path}` or `/h/hub`; `hf download org/name tokenizer.json` puts it there, HF_HOME says where else to "
        "look"
    )
