"""Values of environment variables stay out of everything that is written down or shown."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from dolma_pipeline import secrets
from dolma_pipeline.cli.main import main

SECRET = "p4ss <word> & 'more'"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, two variables, and nothing remembered of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOLMA_TEST_SECRET", SECRET)
    monkeypatch.setenv("DOLMA_TEST_DATA", "data")
    monkeypatch.setattr(secrets, "_names", set())
    monkeypatch.setattr(secrets, "_adopted", {})
    Path("data/documents").mkdir(parents=True)
    rows = [{"id": str(i), "text": f"text {i}", "metadata": {"k": "v"}} for i in range(5)]
    Path("data/documents/a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))


def files_with_the_secret() -> list[str]:
    forms = [SECRET.encode(), json.dumps(SECRET)[1:-1].encode(), b"p4ss &lt;word&gt;"]
    return [str(p) for p in Path().rglob("*") if p.is_file() and any(f in p.read_bytes() for f in forms)]


def recipe(**changes: object) -> str:
    made = {
        "name": "run for ${oc.env:DOLMA_TEST_SECRET}",
        "work_dir": "run",
        "sources": {"s": {"documents": "${oc.env:DOLMA_TEST_DATA}/documents/*"}},
        "stages": [
            {"tag": {"experiment": "e", "taggers": ["char_length_v1"]}},
            {"stat": {"drop": {"mine": 'id == "${oc.env:DOLMA_TEST_SECRET}"'}}},
            {"mix": {"drop": {"short": "char_length_v1.length < 3", "mine": "${stages[1].stat.drop.mine}"}}},
        ],
    }
    Path("r.yaml").write_text(yaml.safe_dump(made | changes, sort_keys=False))
    return "r.yaml"


def test_a_run_writes_and_shows_the_name_of_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", recipe()]) == 0
    assert main(["run", recipe()]) == 0
    assert main(["run", recipe(), "--json"]) == 0
    said = capsys.readouterr()
    assert "p4ss" not in said.out + said.err
    assert "run for ${oc.env:DOLMA_TEST_SECRET}" in said.out
    assert files_with_the_secret() == []
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert manifest["name"] == "run for ${oc.env:DOLMA_TEST_SECRET}"
    rule = 'id == "${oc.env:DOLMA_TEST_SECRET}"'
    stages = manifest["recipe"]["stages"]
    assert (stages[1]["stat"]["drop"], stages[2]["mix"]["drop"]["mine"]) == ({"mine": rule}, rule)
    assert manifest["recipe"]["sources"]["s"]["documents"] == "${oc.env:DOLMA_TEST_DATA}/documents/*"
    assert main(["verify", "run"]) == 0


def test_messages_have_the_name_of_the_variable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", recipe(seed="${oc.env:DOLMA_TEST_SECRET}")]) == 2
    assert 'r.yaml:18: $.seed: expected `int`, found "${oc.env:DOLMA_TEST_SECRET}"' in capsys.readouterr().err
    assert main(["run", recipe(sources={"s": {"documents": "${oc.env:DOLMA_TEST_SECRET}/*.gz"}})]) == 2
    assert "no file matches `${oc.env:DOLMA_TEST_SECRET}/*.gz`" in capsys.readouterr().err


def test_a_long_value_is_hidden_before_it_is_shortened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLMA_TEST_SECRET", "x1" * 2000)
    assert main(["run", recipe(seed="${oc.env:DOLMA_TEST_SECRET}")]) == 2
    assert "x1x1" not in capsys.readouterr().err


def test_a_configuration_is_printed_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    config = {"documents": ["data/documents/*"], "taggers": ["char_length_v1"], "dryrun": True}
    Path("c.yaml").write_text(yaml.safe_dump(config | {"work_dir": {"output": "${oc.env:DOLMA_TEST_SECRET}"}}))
    assert main(["-c", "c.yaml", "tag"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["work_dir"]["output"] == "${oc.env:DOLMA_TEST_SECRET}"


def test_a_worker_hides_what_the_driver_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.remember("DOLMA_TEST_SECRET")
    shown = secrets.known()
    assert shown == {SECRET: "${oc.env:DOLMA_TEST_SECRET}"}
    monkeypatch.delenv("DOLMA_TEST_SECRET")
    assert secrets.hide(f"at {SECRET}") == f"at {SECRET}"
    secrets.adopt(shown)
    assert secrets.hide(f"at {SECRET}") == "at ${oc.env:DOLMA_TEST_SECRET}"


def test_short_values_and_paths_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"A": "abc", "B": "word", "C": str(tmp_path), "D": "longer word", "E": ""}.items():
        monkeypatch.setenv(f"DOLMA_TEST_{name}", value)
        secrets.remember(f"DOLMA_TEST_{name}")
    text = f"abc word longer word {tmp_path}/x"
    assert secrets.hide(text) == f"abc word ${{oc.env:DOLMA_TEST_D}} {tmp_path}/x"
    assert secrets.hide_in_settings({"k": [text, 3, None]}) == {
        "k": ["abc ${oc.env:DOLMA_TEST_B} ${oc.env:DOLMA_TEST_D} ${oc.env:DOLMA_TEST_C}/x", 3, None]
    }


NAME = "${oc.env:DOLMA_TEST_SECRET}"


def hidden(monkeypatch: pytest.MonkeyPatch, value: str, text: str) -> str:
    monkeypatch.setenv("DOLMA_TEST_SECRET", value)
    secrets.remember("DOLMA_TEST_SECRET")
    return secrets.hide(text)


@pytest.mark.parametrize(
    "write",
    [
        lambda v: v,
        json.dumps,
        lambda v: json.dumps(v, ensure_ascii=False),
        lambda v: json.dumps(json.dumps(v)),
        lambda v: json.dumps(v).replace("<", "\\u003c"),
        repr,
        lambda v: repr(v.encode()),
        html.escape,
        lambda v: html.escape(html.escape(v)),
        shlex.quote,
        lambda v: re.sub(r"(\W)", r"\\\1", v),
        quote,
        quote_plus,
        lambda v: quote(v, safe=""),
        lambda v: quote(quote(v, safe="/$&")),
        lambda v: re.sub("%..", lambda m: m[0].lower(), quote(v)),
        lambda v: v.strip("$"),
        lambda v: v.strip("$ '\""),
        lambda v: v.encode().hex(),
        lambda v: v.encode().hex().upper(),
        lambda v: "\n".join(textwrap.wrap(v, 7)),
        lambda v: textwrap.fill(v, 12, subsequent_indent="    "),
        lambda v: "\n".join(v[i : i + 5] for i in range(0, len(v), 5)),
        lambda v: base64.encodebytes(v.encode() * 4).decode(),
    ],
)
def test_a_value_is_hidden_however_it_is_written(write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    value = "$p4s/é😀 <w&x>\\n'y\"z{} +%=1"
    written = write(value)
    said = hidden(monkeypatch, value, f"before {written} behind")
    assert (said[:7], said[-7:]) == ("before ", " behind")
    left = said.replace(NAME, "").removeprefix("before ").removesuffix(" behind")
    # Quotes, the `$` that was stripped of the value, and the end of base64 may stay: they tell nothing.
    assert re.fullmatch(r"""b?[\s"'$=\\]*([A-Za-z0-9+/=]{1,2}[\s=]*)?""", left), said
    assert NAME in said


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_base64_of_a_longer_text_has_no_value_in_it(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        written = code(f"{before}?>hunter2?>hunter2~{before}".encode()).decode()
        said = hidden(monkeypatch, "?>hunter2?>hunter2~", f"Authorization: Basic {written}")
        assert NAME in said
        left = said.removeprefix("Authorization: Basic ").replace(NAME, "")
        # A byte of the value shares its character with the byte beside it.
        assert len(left) <= len(code((before * 2).encode()).decode()) + 4


@pytest.mark.parametrize(
    ("value", "text", "said"),
    [
        ("https://bob:hunter2@host/x", "login hunter2 of bob at host", f"login {NAME} of bob at host"),
        ("https://bob:p%40ss%2Fword@host", "p@ss/word or p%40ss%2fword", f"{NAME} or {NAME}"),
        ("https://ghp_token@host/x", "ghp_token@host", f"{NAME}@host"),
        ("https://bob:hunter2@host/x", "GET https://bob:hunter2@host/y", f"GET https://{NAME}@host/y"),
        ("https://hooks/T0/a1b2c3d4e5f6g7h8i9", "no a1b2c3d4e5f6g7h8i9 there", f"no {NAME} there"),
        ("Account=me;Key=a1b2c3d4e5f6g7h8+i9==", "key a1b2c3d4e5f6g7h8%2Bi9", f"key {NAME}"),
        ('{"user": "bob", "password": "hunter2"}', "password of bob: hunter2", f"password of bob: {NAME}"),
        ("{user: bob, keys: [one-key, two-key]}", "keys two-key, one-key", f"keys {NAME}, {NAME}"),
        ("first line\nsecond line\n", "> second line\n> first line", f"> {NAME}\n> {NAME}"),
        ("https://host/a/b", "host, a and b", "host, a and b"),
        ("http://[broken", "http, broken", "http, broken"),
        ("[broken: {", "broken", "broken"),
        ("x", "x marks six boxes", "x marks six boxes"),
        ("$x$y", "x and $x$ and y", "x and $x$ and y"),
        ("   ", "a   b", "a   b"),
        ("\\\\\\\\\\\\", "a \\\\\\\\\\\\ b", f"a {NAME} b"),
    ],
)
def test_parts_that_are_secret_are_hidden_and_others_stay(
    value: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hidden(monkeypatch, value, text) == said


def test_of_values_that_overlap_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A": "abcdefgh", "B": "efghijkl", "C": "bcdefg", "D": "oc.env:DOLMA_TEST_A"}.items():
        monkeypatch.setenv(f"DOLMA_TEST_{name}", value)
        secrets.remember(f"DOLMA_TEST_{name}")
    a, b, c = (f"${{oc.env:DOLMA_TEST_{name}}}" for name in "ABC")
    assert secrets.hide("abcdefghijkl") == f"{a}{b}"
    assert secrets.hide("-abcdefghabcdefgh- bcdefg") == f"-{a}{a}- {c}"


def test_a_short_value_is_hidden_in_settings_as_a_word_and_never_as_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A": "text", "B": "x", "C": "sources", "D": "s3cret-key"}.items():
        monkeypatch.setenv(f"DOLMA_TEST_{name}", value)
        secrets.remember(f"DOLMA_TEST_{name}")
    settings = {"sources": {"s3cret-key": "context/text/x"}, "text": ["textual", "my_sources"], "max": "six"}
    a, c, d = (f"${{oc.env:DOLMA_TEST_{name}}}" for name in "ACD")
    assert secrets.hide_in_settings(settings) == {
        "sources": {d: f"context/{a}/x"},
        "text": ["textual", f"my_{c}"],
        "max": "six",
    }


def test_what_a_resolver_takes_out_of_a_value_is_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOLMA_TEST_SECRET", "{who: bob, key: p4ss-word}")
    assert main(["run", recipe(seed="${oc.decode:${oc.env:DOLMA_TEST_SECRET}}")]) == 2
    assert "p4ss" not in capsys.readouterr().err
    Path("r.yaml").write_text("login: ${oc.decode:${oc.env:DOLMA_TEST_SECRET}}\nseed: ${login.key}\n")
    assert main(["run", "r.yaml"]) == 2
    assert f'$.seed: expected `int`, found "{NAME}"' in capsys.readouterr().err


def test_long_runs_cost_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    value = "a    b \\\\\\\\ c '''' d" * 10
    for text in ("a" + " " * 10_000, "a b " + "\\" * 10_000, "a" + "\n" * 10_000, "''" * 10_000, "%25" * 5_000):
        assert hidden(monkeypatch, value, text) == text
