"""`dolma mix` beside Dolma 1.2.1: recorded outputs always, live ones where $DOLMA_PEER_VENV names its home.

Documents are compared as values: Dolma sorts their fields and spells numbers anew. What is merged into `attributes` is
compared byte for byte. `python -m tests.mixers.test_mix_parity` records dolma_mix_expected.json anew.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from dolma_pipeline.cli.main import main
from tests import needs

EXPECTED = Path(__file__).resolve().parent / "dolma_mix_expected.json"

DOCUMENTS = [
    '{"id":"1","text":"hello wörld one","source":"s","z":1.5,"metadata":{"u":1000.0}}',
    '{"id":"2","text":"second é text","attributes":{"own":[[0,1,1.1]],"a__t__x":[[9,9,9]],"b__m__n":7},"zeta":[]}',
    '{"text":"third","id":"3","attributes":null}',
    '{"text":"fourth","id":"4","attributes":[1,2]}',
    '{"text":"fifth","id":"5","attributes":{}}',
    '{"text":"sixth \\"attributes\\"","id":"6","source":"q","attributes":{"z":1.0,"a":2.5},'
    '"metadata":{"attributes":{}}}',
]
FILES = {
    "documents": DOCUMENTS,
    "attributes/a": [
        '{"id":"1","attributes":{"a__t__x":[[0,15,0.5]],"a__t__b":[[0,5,1.0],[6,11,0.1]]},"source":"s"}',
        '{"id":"2","attributes":{"a__t__x":[[0,13,0.25]],"shared":[[0,1,1.0]],"dup":[[0,1,1.0]],"dup":[[0,2,2.0]]}}',
        '{"id":"3","attributes":{"a__t__x":[[0,5,12.0]]}}',
        '{"id":"4","attributes":{}}',
        '{"attributes":{},"id":"5"}',
        '{"id":"6","attributes":{"z":[[0,5,0.7]]}}',
    ],
    "attributes/b": [
        '{"id":"1","attributes":{"b__m__n":[[0,15,2.0]],"empty":[]}}',
        '{"id":"2","attributes":{"shared":[[0,1,2.0]]}}',
        '{"id":"3","attributes":{}}',
        '{"id":"4","attributes":{"k\\u0065y \\u00e9":[[0,1,3.14159]]}}',
        '{"id":"5","attributes":{}}',
        '{"id":"6","attributes":{"a":[[0,5,0.0]],"B":[],"é":[[0,0,-0.5]]}}',
    ],
}
EVERYTHING = {"filter": {"exclude": ["$.attributes[?(@.none && @.none[0][2] > 0)]"]}}
CASES: dict[str, dict[str, Any]] = {
    "all are merged": {**EVERYTHING, "attributes": ["a", "b"]},
    "the last file wins": {**EVERYTHING, "attributes": ["b", "a"]},
    "named twice": {**EVERYTHING, "attributes": ["a", "b", "a"]},
    "no files": {**EVERYTHING, "attributes": []},
    "filters see what is written": {
        "attributes": ["a", "b"],
        "filter": {"include": ["$.attributes[?(@.own)]", "$.attributes[?(@.z[0][2] > 0.5)]"]},
    },
    "spans keep their offsets": {
        **EVERYTHING,
        "attributes": ["a", "b"],
        "span_replacement": [{"span": "$.attributes.a__t__b", "min_score": 0.05, "replacement": "—"}],
    },
    "discarded": {**EVERYTHING, "attributes": ["a", "b"], "output": {"discard_fields": ["attributes", "z"]}},
}


def mixed(directory: Path, case: dict[str, Any], peer: Path | None = None) -> list[str]:
    """The lines that ours, or the command of a peer, writes."""
    for name, lines in FILES.items():
        path = directory / "in" / name / "f.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    output = {"path": str(directory / "out"), "max_size_in_bytes": 1_000_000_000, **case.get("output", {})}
    stream = {"name": "m", "documents": [str(directory / "in/documents/*")], **case, "output": output}
    work = {"input": str(directory / "w/i"), "output": str(directory / "w/o")}
    config = directory / "mix.yaml"
    config.write_text(yaml.safe_dump({"streams": [stream], "processes": 1, "work_dir": work}))
    if peer is None:
        assert main(["-c", str(config), "mix"]) == 0
    else:
        subprocess.run([peer, "-c", config, "mix"], capture_output=True, check=True, cwd=directory)
    (path,) = (p for p in (directory / "out").iterdir() if p.is_file())
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def comparable(line: str) -> tuple[dict[str, Any], bytes | None]:
    """The document without the place it came from, of which Dolma gives the file's name alone; its attributes."""
    document = json.loads(line)
    place = document["metadata"].pop("provenance")
    assert place.rpartition("/")[2].startswith("f.jsonl:")
    raw = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).get("attributes")
    return document, None if raw is None else bytes(raw)


def untouched(attributes: bytes | None) -> Any:
    """Where no file stands beside a document its attributes are left as they are spelled."""
    return None if attributes is None else json.loads(attributes)


@pytest.mark.parametrize("case", CASES)
def test_documents_are_dolmas(case: str, tmp_path: Path) -> None:
    recorded = json.loads(EXPECTED.read_text())
    ours = [comparable(line) for line in mixed(tmp_path, CASES[case])]
    theirs = [comparable(line) for line in recorded[case]]
    assert [d for d, _ in ours] == [d for d, _ in theirs]
    spelled = [a for _, a in ours], [a for _, a in theirs]
    if not CASES[case]["attributes"]:
        spelled = [untouched(a) for a in spelled[0]], [untouched(a) for a in spelled[1]]
    assert spelled[0] == spelled[1]


def test_there_is_something_to_compare() -> None:
    recorded = json.loads(EXPECTED.read_text())
    assert {case: len(lines) for case, lines in recorded.items()} == {
        case: 2 if "see" in case else len(DOCUMENTS) for case in CASES
    }
    (second,) = (line for line in recorded["all are merged"] if '"id":"2"' in line)
    assert second.startswith(
        '{"attributes":{"a__t__x":[[0,13,0.25]],"b__m__n":7,"dup":[[0,2,2.0]],"own":[[0,1,1.1]],"shared":[[0,1,2.0]]},'
    )


def peer_command() -> Path | None:
    venv = os.environ.get("DOLMA_PEER_VENV")
    return Path(venv) / "bin" / "dolma" if venv else None


@pytest.mark.parametrize("case", CASES)
def test_what_was_recorded_is_what_dolma_writes(case: str, tmp_path: Path) -> None:
    peer = peer_command()
    if peer is None:
        needs.skip("$DOLMA_PEER_VENV names no environment that has dolma 1.2.1", "make parity")
    assert mixed(tmp_path, CASES[case], peer) == json.loads(EXPECTED.read_text())[case]


if __name__ == "__main__":
    command = peer_command()
    assert command is not None, "set DOLMA_PEER_VENV"
    found = {}
    for name, settings in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            found[name] = mixed(Path(temporary), settings, command)
    EXPECTED.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
