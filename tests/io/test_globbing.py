from pathlib import Path

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io.files import find_files
from dolma_pipeline.io.globbing import expand, matches
from dolma_pipeline.io.url import local


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.gz", "x/b.gz", "x/y/c.gz", ".hidden/d.gz", "x/.e.gz", "[1].gz"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).touch()
    return tmp_path / "top"


def found(top: Path, pattern: str) -> list[str]:
    return [p.relative_to(top).as_posix() for p in expand(f"{top}/{pattern}")]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.gz", ["[1].gz", "a.gz"]),
        ("**/*.gz", ["[1].gz", "a.gz", "x/b.gz", "x/y/c.gz"]),
        ("**", ["[1].gz", "a.gz", "x", "x/b.gz", "x/y", "x/y/c.gz"]),
        ("**/y/**/*.gz", ["x/y/c.gz"]),
        ("x/**/**/*.gz", ["x/b.gz", "x/y/c.gz"]),
        ("*/[bc].gz", ["x/b.gz"]),
        (".hidden/*", [".hidden/d.gz"]),
        ("x/.*.gz", ["x/.e.gz"]),
        ("a.gz", ["a.gz"]),
        ("[[]1].gz", ["[1].gz"]),
        ("a.gz/*", []),
        ("none/*", []),
        ("x/../*.gz", ["x/../[1].gz", "x/../a.gz"]),
    ],
)
def test_patterns_match_as_in_a_shell(tree: Path, pattern: str, expected: list[str]) -> None:
    assert found(tree, pattern) == expected


def test_links_to_directories_above_give_no_file_again(tree: Path) -> None:
    # Three of them: by name alone there would be more paths than anyone can list.
    for name in ("up", "x/up", "x/y/up"):
        (tree / name).symlink_to(tree)
    (tree / "x" / "self").symlink_to("self")
    assert found(tree, "**/*.gz") == ["[1].gz", "a.gz", "x/b.gz", "x/y/c.gz"]
    assert found(tree, "*/*.gz") == ["up/[1].gz", "up/a.gz", "x/b.gz"]


def test_a_directory_that_two_paths_lead_to_is_read_once(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "x" / "y")
    assert found(tree, "**/c.gz") == ["link/c.gz"]
    patterns = [f"{tree}/x/y/*.gz", f"{tree}/link/*.gz"]
    assert find_files(patterns, "$.here") == [tree / "x" / "y" / "c.gz"]


def test_links_to_files_are_files_of_their_own(tree: Path) -> None:
    (tree / "b.gz").symlink_to("a.gz")
    (tree / "c.gz").hardlink_to(tree / "a.gz")
    assert [p.name for p in find_files(f"{tree}/?.gz", "$.here")] == ["a.gz", "b.gz", "c.gz"]


def test_a_directory_that_may_not_be_listed_is_not_passed_over(tree: Path) -> None:
    (tree / "x").chmod(0o000)
    try:
        list((tree / "x").iterdir())
    except PermissionError:
        with pytest.raises(
            ConfigError, match=rf"^{tree}/x: expected a directory that may be listed: Permission denied"
        ):
            expand(f"{tree}/**/*.gz")
    finally:
        (tree / "x").chmod(0o755)


def test_names_that_are_not_utf_8_are_named(tree: Path) -> None:
    (tree / "bad\udcff.gz").touch()
    with pytest.raises(ConfigError) as caught:
        find_files(f"{tree}/*.gz", "$.sources.s.documents")
    text = rf"expected a name in UTF-8, found {tree}/bad\xff.gz; rename it"
    assert str(caught.value) == f"$.sources.s.documents: {text}"
    with pytest.raises(ConfigError) as caught:
        local(f"{tree}/bad\udcff.gz")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/d/*.gz", "/d/a.gz", True),
        ("/d/*.gz", "/d/x/a.gz", False),
        ("/d/*.gz", "/d/.a.gz", False),
        ("/d/**/*.gz", "/d/a.gz", True),
        ("/d/**/*.gz", "/d/x/y/a.gz", True),
        ("/d/**/*.gz", "/d/.x/a.gz", False),
        ("/d/**", "/d/x/y", True),
        ("/d/**", "/e", False),
        ("d/p-[0-9]", "d/p-1", True),
        ("d/p-[0-9]", "d/p-1/x", False),
    ],
)
def test_whether_a_pattern_would_find_a_path(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected
