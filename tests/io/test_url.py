from pathlib import Path

import pytest

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io import fs
from dolma_pipeline.io.url import Url


@pytest.mark.parametrize(
    ("url", "scheme", "path", "parent", "name"),
    [
        ("s3://bucket/a/b.gz", "s3", "bucket/a/b.gz", "s3://bucket/a", "b.gz"),
        ("s3://bucket", "s3", "bucket", "s3://bucket", "bucket"),
        ("file:///a/b", "file", "/a/b", "file:///a", "b"),
        ("/a/b/", "file", "/a/b/", "/a", "b"),
        ("/a", "file", "/a", "/", "a"),
        ("/", "file", "/", "/", ""),
        ("a", "file", "a", ".", "a"),
        ("C://x", "file", "C://x", "C:/", "x"),
    ],
)
def test_parts(url: str, scheme: str, path: str, parent: str, name: str) -> None:
    found = Url(url)
    assert (found.scheme, found.path, found.parent, found.name) == (scheme, path, parent, name)


def test_names_beside_and_below() -> None:
    url = Url("s3://bucket/a")
    assert url / "b/c.jsonl.gz" == "s3://bucket/a/b/c.jsonl.gz"
    assert Url("s3://bucket/") / "b" == "s3://bucket/b"
    assert Url("/") / "b" == "/b"
    assert Url("a") / "/b" == "/b"
    assert (url / "b.gz").with_name("c.gz") == "s3://bucket/a/c.gz"
    assert Url("b.gz").with_name("c.gz") == "c.gz"
    assert (url / "b.jsonl.gz").suffixes == [".jsonl", ".gz"]
    assert (url / "b.jsonl.gz").suffix == ".gz"
    assert (url / ".hidden").suffix == ""
    assert (url / "b" / "c").relative_to("s3://bucket/a/") == "b/c"
    with pytest.raises(ValueError, match=r"^s3://bucket/a: expected a name below s3://bucket/b$"):
        url.relative_to("s3://bucket/b")
    assert isinstance(url.parent / "x", Url)


def test_a_local_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Url("~/a").local() == tmp_path / "a"
    assert Url(f"file://{tmp_path}/a").local() == tmp_path / "a"


def test_a_scheme_without_a_backend_is_refused_everywhere() -> None:
    for call in (fs.stat, fs.is_file, fs.read_bytes, fs.walk, fs.remove, fs.resolve, lambda u: Url(u).local()):
        with pytest.raises(ConfigError) as error:
            call("s3://bucket/x")
        assert str(error.value) == ("s3://bucket/x: expected a local path, found `s3://`; copy the files here first")
