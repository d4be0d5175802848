"""`dolma tokens inspect`, `reshard` and `convert` as they are typed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from dolma_pipeline.cli.main import main
from dolma_pipeline.cli.tokens import convert, reshard
from dolma_pipeline.config.load import decode
from dolma_pipeline.config.recipe import Convert, Recipe, Reshard, Source, Stage, Tokenizer
from dolma_pipeline.config.validation import validate
from dolma_pipeline.errors import ConfigError
from tests.corpus import entered

RECIPE = """\
name: toy
work_dir: w
sources: {toy: {documents: toy/documents/*.jsonl}}
stages:
  - tokens: {tokenizer: {train: {vocab_size: 300}, eos: <|endoftext|>}, order: input, max_tokens: 40}
"""
CONFIG = """\
source_prefixes:
  - {prefix: w/tokens, sample_rate: 1.5}
  - {prefix: w/tokens, name: again}
destination_prefix: r
max_size_bytes: 200
random_seed: 3
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Token files of ten documents, made by a recipe in `w`."""
    monkeypatch.chdir(tmp_path)
    path = Path("toy", "documents", "a.jsonl")
    path.parent.mkdir(parents=True)
    rows = [{"id": f"a{i}", "text": f"document {i} of a"} for i in range(10)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("recipe.yaml").write_text(RECIPE)
    Path("reshard.yaml").write_text(CONFIG)
    assert main(["run", "recipe.yaml", "--quiet"]) == 0
    capsys.readouterr()


def said(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    """What a command prints: on stdout, or where it fails on stderr."""
    assert main(list(argv)) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "tokens", "inspect", "w/tokens").splitlines()
    assert lines[0] == "w/tokens: dolma, uint16, vocabulary of 268, eos 0, pad 1"
    assert lines[1].startswith("10 documents, ")
    found = json.loads(said(capsys, "tokens", "inspect", "w/tokens", "--scan", "--json"))
    assert (found["documents"], found["ids"]["ended"], found["sources"]["toy"]["documents"]) == (10, 10, 10)


def test_a_changed_file_fails(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("w/tokens/part-00000.npy")
    path.write_bytes(path.read_bytes()[2:] + path.read_bytes()[:2])
    assert said(capsys, "tokens", "inspect", "w/tokens", "--scan", code=1) == (
        "dolma: error: 1 file not as the manifest has them\n"
    )


def test_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    by_id = said(capsys, "tokens", "inspect", "w/tokens", "--id", "a3")
    head, ids, text = by_id.splitlines()
    assert head.startswith("part-00000.npy: tokens ")
    assert head.endswith(", `a3`, line 4 of toy/documents/a.jsonl")
    assert ids.endswith(" 0")
    assert text == "document 3 of a<|endoftext|>"
    assert said(capsys, "tokens", "inspect", "w/tokens", "--document", "3") == by_id
    (found,) = json.loads(said(capsys, "tokens", "inspect", "w/tokens", "--id", "a3", "--json"))
    assert (found["id"], found["loc"], found["text"]) == ("a3", 4, text)
    where = f"{found['file']}:{found['start']}:{found['end']}"
    ranged = json.loads(said(capsys, "tokens", "inspect", "w/tokens", "--range", where, "--json"))
    assert (ranged["tokens"], ranged["text"]) == (found["tokens"], text)
    assert said(capsys, "tokens", "inspect", "w/tokens", "--range", where).splitlines()[1:] == [ids, text]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--id", "b"], 1, "w/tokens: expected a document `b`, found none of that id"),
        (["--document", "10"], 1, "w/tokens: expected a document from 0 to 9, found 10"),
        (["--document", "-1"], 2, "argument --document: expected a number from 0, found `-1` (`dolma tokens inspect "
         "--help` lists what it takes)"),
        (["--range", "part-00000.npy"], 2, "--range: expected FILE:START:END, as in part-00000.npy:0:200, found "
         "`part-00000.npy`"),
        (["--range", "x.npy:0:1"], 1, "w/tokens: expected one of the 2 token files of its manifest, found `x.npy`"),
        (["--eos", "0"], 2, "--eos: expected `--tokenizer` beside it, found none"),
        (["--dtype", "uint32"], 2, "TOKENS: the manifest of `w/tokens` says dtype `uint16`, found `uint32` given"),
        (["--verify", "none/*"], 2, "--verify: no file matches `none/*`"),
        (["--sample", "2"], 2, "argument --sample: expected a share above 0, up to 1, found `2` (`dolma tokens inspect "
         "--help` lists what it takes)"),
    ],
)  # fmt: skip
def test_mistakes(argv: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "tokens", "inspect", "w/tokens", *argv, code=code) == f"dolma: error: {message}\n"


def test_verify(capsys: pytest.CaptureFixture[str]) -> None:
    verify = ["tokens", "inspect", "w/tokens", "--verify"]
    assert said(capsys, *verify, "toy/documents/*.jsonl").startswith("10 of 10 documents have the tokens of their text")
    rows = Path("toy/documents/a.jsonl").read_text().splitlines()
    Path("some.jsonl").write_text("\n".join(rows[:4]) + "\n")
    assert said(capsys, *verify, "some.jsonl", code=1) == (
        "dolma: error: 6 of 10 documents do not have the tokens of their text; --allow-missing if not all documents "
        "were given\n"
    )
    assert "4 of 10 documents" in said(capsys, *verify, "some.jsonl", "--allow-missing")
    Path("some.jsonl").write_text(rows[0].replace("document", "Document") + "\n")
    assert said(capsys, *verify, "some.jsonl", "--allow-missing", code=1) == (
        "dolma: error: 1 of 10 documents do not have the tokens of their text\n"
    )
    Path("some.jsonl").write_text('{"id":"z","text":"z"}\n')
    assert said(capsys, *verify, "some.jsonl", "--allow-missing", code=1) == (
        "dolma: error: none of 10 documents was compared: none has the id of a document given\n"
    )


def test_reshard(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    assert out.startswith("tokens reshard: done; its account is in .dolma/reshard-r-")
    found = json.loads(said(capsys, "tokens", "inspect", "r", "--json"))
    assert 20 <= found["documents"] <= 30
    assert found["sources"]["again"]["documents"] == 10
    assert max(f["tokens"] for f in found["files"]) <= 100
    assert "documents have the tokens of their text" in said(
        capsys, "tokens", "inspect", "r", "--verify", "toy/documents/*"
    )
    (work_dir,) = Path(".dolma").glob("reshard-r-*")
    assert "every file and every count is as its manifest says" in said(capsys, "verify", str(work_dir))


def test_packed(capsys: pytest.CaptureFixture[str]) -> None:
    said(
        capsys, "tokens", "reshard", "--source_prefixes", "w/tokens", "--destination_prefix", "p", "--pack.length", "16"
    )
    found = json.loads(said(capsys, "tokens", "inspect", "p", "--json"))
    assert found["packed"]
    assert found["tokens"] % 16 == 0
    assert sorted(p.name for p in Path("p").glob("part*")) == [
        "part-00000.csv.gz",
        "part-00000.mask",
        "part-00000.npy",
    ]
    verified = said(capsys, "tokens", "inspect", "p", "--verify", "toy/documents/*")
    assert verified.startswith(f"{found['documents']} of {found['documents']} documents have the tokens of their text")
    argv = ["tokens", "reshard", "--source_prefixes", "p", "--destination_prefix", "q"]
    assert "expected token files of whole documents, found `p`" in said(capsys, *argv, code=2)


def test_dolmas_keys() -> None:
    config = {
        "source_prefixes": [{"prefix": "a/x", "sample_rate": 0.5}, "b/x", {"prefix": "c", "tokens": 1000}],
        "destination_prefix": "out/mix",
        "local_tempdir": "tmp",
        "max_num_files": 4,
        "max_workers": 3,
        "random_seed": 9,
        "tokenizer_name_or_path": "t.json",
        "eos_token_id": 7,
    }
    decoded = decode(reshard.ReshardConfig, config, lax=True)
    (recipe,) = reshard.to_recipes(decoded)
    validate(recipe)
    assert decoded.max_workers == 3
    assert recipe == Recipe(
        name="tokens reshard",
        work_dir=recipe.work_dir,
        sources={"x": Source(tokens="a/x"), "x-2": Source(tokens="b/x"), "c": Source(tokens="c")},
        stages=[
            Stage(
                reshard=Reshard(
                    rates={"x": 0.5},
                    tokens={"c": 1000},
                    max_files=4,
                    tokenizer=Tokenizer(path="t.json", eos=7),
                    destination="out/mix",
                )
            )
        ],
        seed=9,
    )
    assert recipe.work_dir.startswith("tmp/reshard-mix-")


@pytest.mark.parametrize(
    ("module", "config", "message"),
    [
        (reshard, {}, "$.source_prefixes: expected directories of token files, found none; give it in the file or as "
         "`--source_prefixes`"),
        (reshard, {"source_prefixes": ["a"], "destination_prefix": "b", "max_size_bytes": 1, "max_num_files": 1},
         "$: expected at most one of `max_size_bytes` and `max_num_files`, found both"),
        (reshard, {"source_prefixes": ["a"], "destination_prefix": "b", "eos_token_id": 1},
         "$.eos_token_id: expected `tokenizer_name_or_path` beside it, found none"),
        (convert, {"source": "a", "destination": "b"}, "$.to: expected the format `dolma`, `megatron` or `datatrove`, "
         "found none; give it in the file or as `--to`"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(module: Any, config: dict[str, Any], message: str) -> None:
    form = reshard.ReshardConfig if module is reshard else convert.ConvertConfig
    with pytest.raises(ConfigError) as error:
        module.to_recipes(decode(form, config, lax=True))
    assert str(error.value) == message


def test_convert(capsys: pytest.CaptureFixture[str]) -> None:
    for to, back in (("megatron", "1"), ("datatrove", "2")):
        said(capsys, "tokens", "convert", "--source", "w/tokens", "--to", to, "--destination", to)
        assert said(capsys, "tokens", "inspect", to).startswith(
            f"{to}: {to}, uint16, vocabulary of 268, eos 0, pad 1\n"
        )
        said(capsys, "tokens", "convert", "--source", to, "--to", "dolma", "--from", to, "--destination", back)
        for path in Path("w/tokens").iterdir():
            assert (Path(back) / path.name).read_bytes() == path.read_bytes()


def test_convert_to_recipe() -> None:
    config = {"source": "d/x", "destination": "m", "to": "dolma", "from": "megatron", "dtype": "uint32"}
    (recipe,) = convert.to_recipes(decode(convert.ConvertConfig, config, lax=True))
    validate(recipe)
    assert recipe.sources == {"x": Source(tokens="d/x")}
    stage = Convert(to="dolma", from_="megatron", dtype="uint32", destination="m")
    assert recipe.stages == [Stage(convert=stage)]


def test_errors_name_the_key_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["tokens", "convert", "--source", "w/tokens", "--to", "megatron", "--destination", "m", "--dtype", "uint32"]
    assert said(capsys, *argv, code=2) == (
        "dolma: error: --dtype: $.dtype: expected `dtype` with `to: dolma` alone: megatron has types of its own\n"
    )
    reshard = ["tokens", "reshard", "--source_prefixes", "w/tokens", "--destination_prefix", "p"]
    assert said(capsys, *reshard, "--pack.length", "1000", "--pack.by", "bucket", code=2) == (
        "dolma: error: --pack.length: $.pack.length: expected a power of two for `bucket`, found 1000; 512 or 1024 "
        "would do\n"
    )
    assert said(capsys, *reshard, "--pack.length", "16", "--max_num_files", "2", code=2) == (
        "dolma: error: --max_num_files: $.max_num_files: expected none with `pack`: how many files that takes only "
        "packing can tell\n"
    )
    assert said(capsys, *reshard, "--pack.length", "16", "--max_size_bytes", "8", code=2).endswith(
        "dolma: error: --pack.length: $.pack.length: expected at most 4, the tokens that the most bytes of a file "
        "leave to it, found 16: an instance is in one file\n"
    )
    assert said(capsys, *reshard[:3], "none", *reshard[4:], code=2).startswith(
        "dolma: error: --source_prefixes: $.source_prefixes: expected token files of one format "
    )
    assert said(capsys, *reshard, "--eos_token_id", "0", code=2) == (
        "dolma: error: --eos_token_id: $.eos_token_id: expected `tokenizer_name_or_path` beside it, found none\n"
    )
    Path("packed.yaml").write_text("pack: {length: 16}\nmax_num_files: 2\n")
    assert said(capsys, "-c", "packed.yaml", *reshard, code=2).startswith(
        "dolma: error: packed.yaml:2: $.max_num_files: expected none with `pack`"
    )


def bytes_of(directory: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(Path(directory).iterdir()) if p.is_file()}


def start(*options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dolma_pipeline", "-c", "reshard.yaml", "tokens", "reshard", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def finish(process: subprocess.Popen[bytes]) -> None:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out.decode()


@pytest.mark.slow
def test_two_processes_on_ray_write_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    finish(start("--destination_prefix", "two", "--max_workers", "2"))
    assert bytes_of("two") == bytes_of("r")
    assert len(bytes_of("r")) > 5


def test_killed_and_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL at random moments; what is half written is never taken for whole."""
    config = yaml.safe_load(CONFIG) | {"max_size_bytes": 60}
    config["source_prefixes"] += [{"prefix": "w/tokens", "name": f"s{i}"} for i in range(12)]
    Path("reshard.yaml").write_text(yaml.safe_dump(config))
    rng = random.Random(4)
    for _ in range(3):
        process = start("--destination_prefix", "killed")
        ledger = Path(".dolma")
        wanted = entered(ledger) + rng.randint(1, 15)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and entered(ledger) < wanted:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finish(start("--destination_prefix", "killed"))
    said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    assert bytes_of("killed") == bytes_of("r")


def test_what_a_killed_run_left_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("r").mkdir()
    left, other = Path("r/.part-00000.npy.tmp-1"), Path("r/.part-99999.npy.tmp-1")
    left.touch()
    other.touch()
    said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    assert (left.exists(), other.exists()) == (False, True)


def test_what_is_damaged_is_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    before = bytes_of("r")
    times = {p: p.stat().st_mtime_ns for p in Path("r").glob("part-*.npy")}
    Path("r/part-00001.npy").write_bytes(b"\0")
    said(capsys, "-c", "reshard.yaml", "tokens", "reshard")
    assert bytes_of("r") == before
    assert {p.name for p, t in times.items() if p.stat().st_mtime_ns != t} == {"part-00001.npy"}


def test_a_recipe_from_tokens_to_training_data(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixture.yaml").write_text("""\
name: mixture
work_dir: m
sources:
  a: {tokens: w/tokens}
  b: {tokens: w/tokens}
stages:
  - reshard: {rates: {a: 2, b: 0.5}, max_files: 2}
""")
    plan = said(capsys, "plan", "mixture.yaml")
    assert "sample the documents of 4 token files" in plan
    out = said(capsys, "run", "mixture.yaml")
    assert "not_sampled" in out
    assert Path("m/report.html").read_text().count("Tokens by source") == 1
    assert "up to date" in said(capsys, "plan", "mixture.yaml")
    assert len(list(Path("m/tokens").glob("part-*.npy"))) == 2
