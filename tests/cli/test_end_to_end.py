"""Whole commands on toy documents, as they are typed: a recipe, and a drop-in that uses what it made."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import tokenizers

from dolma_pipeline.cli.main import main
from dolma_pipeline.formats.documents import read_documents

RECIPE = """\
name: toy
work_dir: w
sources: {toy: {documents: toy/documents/*.jsonl}}
stages:
  - tokens: {tokenizer: {train: {vocab_size: 300}, eos: <|endoftext|>}, order: input}
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        path = Path("toy", "documents", f"{name}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"id": f"{name}{i}", "text": f"document {i} of {name}"} for i in range(5)]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    Path("recipe.yaml").write_text(RECIPE)


def test_run_plan_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "recipe.yaml"]) == 0
    assert ", up to date" not in capsys.readouterr().out
    assert main(["run", "recipe.yaml", "--no-report"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("toy: dolma_pipeline ")
    assert "01-tokens-encode: encode 2 shards (2 tasks)" in err
    assert not Path("w/report.html").exists()
    assert main(["verify", "w"]) == 0
    capsys.readouterr()
    assert main(["plan", "recipe.yaml"]) == 0
    assert capsys.readouterr().out.count(", up to date, fingerprint") == 5


def test_run_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--json", "--work-dir", "v"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"event": "finished", "manifest": "v/manifest.json", "report": "v/report.html"}
    assert Path("v/report.html").is_file()
    assert {json.loads(line)["event"] for line in err.splitlines()} >= {"begin", "done", "end"}


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_drop_in_resumes_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--quiet"]) == 0
    tokenizer = "w/tokenizer/01-tokens/tokenizer.json"
    command = ["tokens", "--documents", "toy/documents/*.jsonl", "--destination", "out", "--dtype", "uint16"]
    command += ["--tokenizer.name_or_path", tokenizer, "--tokenizer.eos_token_id", "0"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    account = out.removeprefix("tokens: done; its account is in ").strip()
    assert Path(account).is_file()
    assert Path(account).parts[0] == ".dolma"
    assert "(2 tasks)" in err
    written = Path("out/part-0-00000.npy").stat().st_mtime_ns
    assert main(command) == 0
    assert "01-tokens-encode: encode 2 shards (2 tasks, 2 up to date)" in capsys.readouterr().err
    assert Path("out/part-0-00000.npy").stat().st_mtime_ns == written
    assert main(["verify", str(Path(account).parent)]) == 0


def tokens(destination: str, tokenizer: str, engine: str) -> list[str]:
    command = ["tokens", "--documents", "toy/documents/*.jsonl", "--destination", destination, "--dtype", "uint16"]
    return [
        *command,
        "--tokenizer.name_or_path",
        tokenizer,
        "--tokenizer.eos_token_id",
        "0",
        "--tokenizer.engine",
        engine,
    ]


def test_the_engine_changes_no_byte(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--quiet"]) == 0
    made = []
    for engine in ("auto", "fast", "reference"):
        assert main(tokens(engine, "w/tokenizer/01-tokens/tokenizer.json", engine)) == 0
        made.append({p.name: p.read_bytes() for p in sorted(Path(engine).glob("*.*")) if p.is_file()})
    assert list(made[0]) == ["manifest.json", "part-0-00000.csv.gz", "part-0-00000.npy", "tokenizer.json"]
    assert made[0] == made[1] == made[2]


def test_a_slower_engine_is_said_once_and_refused_where_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[eos]": 0, "[unk]": 1, "of": 2}, unk_token="[unk]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.save("words.json")
    command = [part if part != "uint16" else "uint8" for part in tokens("out", "words.json", "auto")]
    assert main(command) == 0
    warning = "warning: words.json: encoded by the `tokenizers` library, which is slower: expected a model of type BPE"
    assert capsys.readouterr().err.count(warning) == 1
    assert main([*command[:-1], "fast", "--destination", "other"]) == 2
    assert "expected a tokenizer that the fast engine can do exactly, found words.json" in capsys.readouterr().err


def test_too_much_bad_input_ends_with_3_after_the_work_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy/documents/b.jsonl").write_text("{}\nnope\n")
    assert main(["run", "recipe.yaml", "--no-report"]) == 3
    out, err = capsys.readouterr()
    assert out.startswith("toy: dolma_pipeline ")
    assert err.splitlines()[-1].startswith("dolma: error: 2 of 7 documents (28.57%) could not be read, over the ")
    assert main(["verify", "w"]) == 0


def test_tag_then_mix(capsys: pytest.CaptureFixture[str]) -> None:
    tag = ["tag", "--documents", "toy/documents/*.jsonl", "--taggers", "char_length_v1", "--experiment", "base"]
    assert main(tag) == 0
    assert Path("toy/attributes/base/a.jsonl").read_text().splitlines()[0] == (
        '{"id":"a0","attributes":{"base__char_length_v1__length":[[0,15,15.0]]}}'
    )
    rows = Path("toy/documents/a.jsonl").read_text().splitlines()
    Path("toy/documents/a.jsonl").write_text("\n".join([*rows, '{"id":"long","text":"a longer document"}', ""]))
    assert main(tag) == 0
    assert "(2 tasks, 1 up to date)" in capsys.readouterr().err
    Path("mix.yaml").write_text(
        "streams:\n"
        "  - name: long\n"
        "    documents: [toy/documents/*.jsonl]\n"
        "    attributes: [base]\n"
        "    filter: {include: ['$.attributes[?(@.base__char_length_v1__length[0][2] > 15)]']}\n"
        "    output: {path: mixed}\n"
        "    compression: {output: ''}\n"
    )
    assert main(["-c", "mix.yaml", "mix"]) == 0
    (mixed,) = [json.loads(line) for line in Path("mixed/long-0000.json").read_text().splitlines()]
    assert (mixed["id"], mixed["text"]) == ("long", "a longer document")
    assert mixed["metadata"] == {"provenance": "a.jsonl:6"}
    assert mixed["attributes"] == {"base__char_length_v1__length": [[0, 17, 17.0]]}
    capsys.readouterr()
    assert main(["-c", "mix.yaml", "mix"]) == 0
    assert "(1 task, 1 up to date)" in capsys.readouterr().err
    discarding = Path("mix.yaml").read_text().replace("{path: mixed}", "{path: mixed, discard_fields: [attributes]}")
    Path("mix.yaml").write_text(discarding)
    capsys.readouterr()
    assert main(["-c", "mix.yaml", "mix"]) == 0
    told = capsys.readouterr().err
    assert (
        "warning: this command wrote mixed/long-0000.json before with other settings; its files are written anew"
        in told
    )
    assert "(1 task)" in told
    (mixed,) = [json.loads(line) for line in Path("mixed/long-0000.json").read_text().splitlines()]
    assert list(mixed) == ["id", "text", "metadata"]


MIX = """\
name: kept
work_dir: {work_dir}
sources: {{toy: {{documents: toy/documents/*.jsonl}}}}
stages:
  - tag: {{experiment: base, taggers: [char_length_v1, whitespace_tokenizer_with_paragraphs_v1], format: {form}}}
  - dedupe: {{name: exact, documents: {{key: text}}, format: {form}}}
  - mix:
      drop: {{short: char_length_v1.length < 15}}
      keep_attributes: true
      budget: {{bytes: 300, max_epochs: 2}}
      format: {output}
"""


def test_a_recipe_keeps_the_attributes_of_all_stages_in_either_form() -> None:
    with Path("toy/documents/a.jsonl").open("a") as file:
        file.write('{"id":"copy","text":"document 3 of a","n":1.50}\n')
    made = {}
    for form, output in (("parquet", "jsonl"), ("jsonl", "jsonl"), ("parquet", "parquet")):
        work_dir = f"{form}-{output}"
        Path("kept.yaml").write_text(MIX.format(form=form, output=output, work_dir=work_dir))
        assert main(["run", "kept.yaml", "--quiet", "--no-report"]) == 0
        assert main(["verify", work_dir]) == 0
        streams = [read_documents(p, keep_raw=True) for p in sorted(Path(work_dir, "mixed").rglob("*.*"))]
        raws = [b for s in streams for d in s for b in (d.raw or pa.array([])).to_pylist()]
        made[form, output] = raws if output == "jsonl" else [json.loads(r) for r in raws]
    assert made["parquet", "jsonl"] == made["jsonl", "jsonl"]
    assert made["parquet", "parquet"] == [json.loads(r) for r in made["parquet", "jsonl"]]
    copies = [raw for raw in made["jsonl", "jsonl"] if b'"copy"' in raw]
    assert len(copies) == 2
    assert b'"n":1.50,"attributes":{"base__char_length_v1__length":[[0,15,15.0]],"base__whitespace_' in copies[0]
    assert list(json.loads(copies[0])["attributes"])[-1] == "duplicate"


def test_ignore_existing_does_everything_again_and_debug_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    tag = ["tag", "--documents", "toy/documents/*.jsonl", "--taggers", "char_length_v1", "--experiment", "base"]
    assert main(tag) == 0
    capsys.readouterr()
    assert main([*tag, "--ignore_existing", "--debug", "--processes", "4"]) == 0
    out, err = capsys.readouterr()
    assert "(2 tasks)" in err
    timings = Path(out.removeprefix("tag base: done; its account is in ").strip()).with_name("timings.json")
    assert json.loads(timings.read_text())["processes"] == 1


def test_a_stream_with_bad_input_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    bad = Path("bad", "documents", "a.jsonl")
    bad.parent.mkdir(parents=True)
    bad.write_text('{"nope": 1}\n')
    Path("mix.yaml").write_text(
        "streams:\n"
        "  - {name: one, documents: [bad/documents/*.jsonl], output: {path: mixed}}\n"
        "  - {name: two, documents: [toy/documents/*.jsonl], output: {path: mixed}}\n"
    )
    assert main(["-c", "mix.yaml", "mix"]) == 3
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["mix one", "mix two"]
    assert Path("mixed/two-0000.json.gz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_two_processes_end_at_a_signal_and_say_one_line(number: int, code: int, word: str) -> None:
    """Ray has lines of its own for workers that are killed, some on stdout, and another end for SIGTERM."""
    Path("slow.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from dolma_pipeline import tagger\n"
        "@tagger('slow_v1')\n"
        "def slow(text: str) -> float:\n"
        '    """Never done."""\n'
        "    Path('at-work').touch()\n"
        "    time.sleep(600)\n"
        "    return 0.0\n"
    )
    command = [sys.executable, "-m", "dolma_pipeline", "tag", "--documents", "toy/documents/*.jsonl", "--processes"]
    command += ["2", "--taggers", "slow_v1", "--tagger_modules", "slow.py"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 100
    while not Path("at-work").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    # Now and then Ray's core logs, with a time in brackets, that it could not tell the driver of the lost workers.
    said = [line for line in err.splitlines() if not line.startswith(("01-tag: ", "["))]
    assert (process.returncode, out) == (code, "")
    assert said == [f"dolma: {word}; the same command again resumes where it stopped"]


def test_a_home_directory_in_a_file_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The shell does not expand what stands in YAML: a directory called `~` was made."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = RECIPE.replace("work_dir: w", "work_dir: ~/w").replace("order: input", "destination: ~/t, order: input")
    Path("recipe.yaml").write_text(text)
    assert main(["run", "recipe.yaml", "--quiet"]) == 0
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["t", "w"]
    assert Path("home/w/report.html").is_file()
    assert not Path("~").exists()


def test_a_remote_destination_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--work-dir", "s3://bucket/w"]) == 2
    assert "s3://bucket/w: expected a local path, found `s3://`" in capsys.readouterr().err
    assert not Path("s3:").exists()


def test_a_file_where_a_directory_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "recipe.yaml", "--work-dir", "recipe.yaml/w"]) == 1
    file = Path("recipe.yaml").absolute()
    assert capsys.readouterr().err == (
        f"dolma: error: {file}/w: expected a directory, found the file {file}; choose another place\n"
    )


def test_what_is_found_when_the_plan_is_made_has_its_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("recipe.yaml").write_text(RECIPE + "  - train: {model: olmo-20, steps: 3}\n")
    for command in ("plan", "run"):
        assert main([command, "recipe.yaml"]) == 2
        assert capsys.readouterr().err.startswith(
            "dolma: error: recipe.yaml:6: $.stages[1].train.model: unknown model `olmo-20`; did you mean `olmo-20m`?"
        )
        assert main([command, "recipe.yaml", "--set", "sources.toy.documents=none/*"]) == 2
        assert capsys.readouterr().err == (
            "dolma: error: --set sources.toy.documents: $.sources.toy.documents: no file matches `none/*`\n"
        )
    assert not Path("w/tokens").exists()
