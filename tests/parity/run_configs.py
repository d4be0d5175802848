"""Runs the mix and dedupe configurations of a Dolma checkout through both commands, on documents made for them.

    DOLMA_PEER_VENV=DIR python tests/parity/run_configs.py CHECKOUT [WORD ...]     (only paths that hold a WORD)

For each configuration, documents are made where its globs look, and attributes with the keys its filters name, with
scores around its thresholds. Scores are never integers and spans never overlap: what differs then is in
docs/differences.md. Each command runs in a directory of its own; documents (id and text) or attribute rows must be
equal.
Every configuration of the checkout is also read by our command alone (`--dryrun`). Exits with 1 if one differs.
"""

from __future__ import annotations

import gzip
import json
import operator
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
import zstandard

FEWEST, ENOUGH = 12, 300
"""Documents of a file, and of a configuration with few files."""
KEY = re.compile(r"(?:@|attributes)\.(?:\\\"([A-Za-z][\w-]+)|([A-Za-z]\w+))")
"""An attribute in expressions as JSON: a bare name, or one in quotes."""
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
ZSTD = (".zst", ".zstd")
COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
COMMANDS = ("mix", "dedupe", "tokens", "tag")


def configurations(checkout: Path) -> list[Path]:
    """Every configuration of a command, in order."""
    found = [
        path
        for folder in ("configs", "docs/examples")
        for path in sorted((checkout / folder).rglob("*"))
        if path.suffix in (".yaml", ".yml", ".json") and "resharding" not in path.as_posix()
    ]
    return [path for path in found if command_of(path.read_text()) is not None]


def command_of(text: str) -> str | None:
    if re.search(r"^\s*\"?streams\"?:", text, re.M):
        return "mix"
    if "bloom_filter" in text:
        return "dedupe"
    if re.search(r"^\s*\"?taggers\"?:", text, re.M):
        return "tag"
    return "tokens" if re.search(r"^\s*\"?tokenizer", text, re.M) else None


def localized(text: str, root: Path) -> str:
    """The configuration with remote and home paths below `root`, and filters of a size for a test."""
    text = text.replace("s3://", f"{root}/").replace("${oc.env:HOME}", str(root))
    # A filter at a fixed path would be shared by the two commands, which write it in different formats.
    text = re.sub(r"(\bfile\"?:\s*\"?)/tmp/", rf"\g<1>{root}/filter-", text)
    text = re.sub(r"\$\{oc\.env:TMPDIR[^}]*\}", str(root), text)
    text = re.sub(r"\$\{d\.processes:[^}]*\}|\$\{d\.procs:[^}]*\}", "1", text)
    text = re.sub(r"(\"?processes\"?:\s*)\d+", r"\g<1>1", text)
    text = re.sub(r"(\"?estimated_doc_count\"?:\s*)[\"']?[\d_]+[\"']?", r"\g<1>100000", text)
    return re.sub(r"(\"?size_in_bytes\"?:\s*)\d{8,}", r"\g<1>1048576", text)


def concrete(pattern: str) -> str:
    """One path that a glob matches."""
    path = re.sub(r"\*\*", "deep", pattern)
    return re.sub(r"\[[^\]]*\]|[*?]+", "0", path)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(zstandard.compress(content) if path.suffix in ZSTD else gzip.compress(content, mtime=0))


def read_rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix in ZSTD:
        with zstandard.open(path, "rb") as file:
            content = file.read()
    else:
        content = gzip.decompress(path.read_bytes())
    return [json.loads(line) for line in content.splitlines()]


def packed(root: Path) -> set[Path]:
    """The files of rows below a directory."""
    return {path for path in root.rglob("*") if path.suffix in (".gz", *ZSTD) and "ledger" not in path.parts}


def make_documents(rng: random.Random, name: str, count: int) -> list[dict[str, Any]]:
    rows = []
    for i in range(count):
        lines = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(rng.randint(1, 6))]
        url = f"http://{name}/{rng.randint(0, count)}"
        metadata = {"url": url, "length": 10.5, "warc_url": url, "sha1": url}
        rows.append({"id": f"{name}-{i}", "text": "\n".join(lines), "source": "made", "metadata": metadata})
    return rows


def fitting(key: str, scores: list[float], config: dict[str, Any]) -> list[float]:
    """The scores of an attribute with which no comparison of a filter drops a document; all where none is such."""
    filters = config.get("filter") or {}
    wanted = comparisons(key, json.dumps(filters.get("include")))
    unwanted = comparisons(key, json.dumps(filters.get("exclude")))
    found = [
        score
        for score in scores
        if all(COMPARE[sign](score, number) for sign, number in wanted)
        and not any(COMPARE[sign](score, number) for sign, number in unwanted)
    ]
    return found or scores


def may_lack(key: str, filters: dict[str, Any]) -> bool:
    """Whether a document may lack an attribute: a jq program that does not ask for it first ends both commands."""
    expressions = json.dumps(filters)
    return filters.get("syntax") != "jq" or re.search(rf'{key}[\\"]*\s*(?:!= null|\|)', expressions) is not None


def comparisons(key: str, expressions: str) -> list[tuple[str, float]]:
    """The sign and number of each comparison of an attribute's score: `@.KEY[0][2] < 5`, `.KEY | … .[0][2] < 5`."""
    found = re.findall(rf"{key}(?:\[\d\]|\b[^()]*?\.\[\d\])\[2\]\s*([<>=!]+)\s*(-?[\d.]+)", expressions)
    return [(sign, float(number)) for sign, number in found]


def make_attributes(
    rng: random.Random, config: dict[str, Any], row: dict[str, Any], *, kept: bool = False
) -> dict[str, Any]:
    """A value for each key that a stream's expressions name; now and then none.

    With `kept` no score is one that drops the document: of filters with twenty thresholds no document would pass all.
    """
    expressions = json.dumps([config.get("filter"), config.get("span_replacement")])
    spans = json.dumps(config.get("span_replacement") or [])
    attributes: dict[str, Any] = {}
    cuts = sorted(rng.sample(range(len(row["text"]) + 1), k=min(12, len(row["text"]) + 1)))
    ranges = list(zip(cuts[::2], cuts[1::2], strict=False))
    rng.shuffle(ranges)
    for key in dict.fromkeys(quoted or bare for quoted, bare in KEY.findall(expressions)):
        if rng.random() < (0.05 if kept else 0.2) and may_lack(key, config.get("filter") or {}):
            continue
        numbers = [number for _, number in comparisons(key, expressions)]
        around = [n + d for n in numbers or [0.5] for d in (-0.625, -0.125, 0.125, 0.625, 7.5)]
        length = len(row["text"])
        if key in spans and not numbers:
            # The ranges of all keys together, so that no span of one overlaps one of another.
            mine, ranges = sorted(ranges[:2]), ranges[2:]
            scores = [rng.choice([-12.5, -3.5, 0.125, 0.375, 0.625, 0.875]) for _ in mine]
            attributes[key] = [[a, b, score] for (a, b), score in zip(mine, scores, strict=True)]
        else:
            attributes[key] = [[0, length, rng.choice(fitting(key, around, config) if kept else around)]]
    return attributes


def populate(config: dict[str, Any], root: Path) -> None:
    rng = random.Random(1)
    parts = config.get("streams") or [config]
    for part in parts:
        for i, pattern in enumerate(part["documents"]):
            path = root / concrete(pattern)
            if path.suffix not in (".gz", ".json", ".jsonl", *ZSTD):
                path = path / "0.gz"
            if path.is_file():
                rows = read_rows(path)
            else:
                count = max(FEWEST, ENOUGH // sum(len(p["documents"]) for p in parts))
                rows = make_documents(rng, f"d{i}-{path.parent.name}", count)
                write_rows(path, rows)
            for number, name in enumerate(part.get("attributes") or []):
                beside = Path(str(path).replace("/documents/", f"/attributes/{name}/"))
                known = {}
                if beside.is_file():
                    known = {r["id"]: r for r in read_rows(beside)}
                made: list[dict[str, Any]] = [{} for _ in rows]
                if number == 0:
                    made = [make_attributes(rng, part, row, kept=n % 3 == 0) for n, row in enumerate(rows)]
                old = [known.get(row["id"], {}).get("attributes", {}) for row in rows]
                write_rows(
                    beside, [{"id": r["id"], "attributes": {**m, **o}} for r, m, o in zip(rows, made, old, strict=True)]
                )


def outputs(config: dict[str, Any], root: Path, given: set[Path]) -> Counter[str]:
    """What a command wrote, as strings that do not depend on the place or on the names of files."""
    found: Counter[str] = Counter()
    for path in sorted(packed(root) - given):
        for row in read_rows(path):
            if "text" in row:
                found[json.dumps([row["id"], row["text"]])] += 1
            else:
                # The end of a document's span is the length of its key in Dolma: see docs/differences.md.
                whole = "documents" in (config.get("dedupe") or {})
                ends = (lambda span: None) if whole else (lambda span: span[1])
                attributes = {k: [[s[0], ends(s), float(s[2])] for s in v] for k, v in row["attributes"].items() if v}
                found[json.dumps([row["id"], attributes], sort_keys=True)] += 1
    return found


def run(command: list[str], path: Path, kind: str, root: Path) -> tuple[int, str, Counter[str]]:
    text = localized(path.read_text(), root)
    config = yaml.safe_load(text)
    populate(config, root)
    given = packed(root)
    file = root / path.name
    filled = re.sub(r"(read_only\"?:\s*)true", r"\1false", text)
    if filled != text:
        # The filter that is to be read is made of the same documents first: then all of them are duplicates.
        file.write_text(filled)
        subprocess.run([*command, "-c", str(file), kind], cwd=root, capture_output=True, check=False)
        for made in packed(root) - given:
            made.unlink()
    file.write_text(text)
    done = subprocess.run([*command, "-c", str(file), kind], cwd=root, capture_output=True, text=True, check=False)
    said = (done.stderr.strip().splitlines() or [""])[-1]
    return done.returncode, said, outputs(config, root, given)


def main(checkout: Path, words: list[str]) -> int:
    peer = Path(os.environ["DOLMA_PEER_VENV"]) / "bin" / "dolma"
    ours = [sys.executable, "-m", "dolma_pipeline"]
    chosen = [p for p in configurations(checkout) if not words or any(w in p.as_posix() for w in words)]
    os.environ["ALPHA"] = "0.5"  # one of the configurations asks for it
    problems = 0
    totals: Counter[str] = Counter()
    for path in chosen:
        name = path.relative_to(checkout).as_posix()
        kind = command_of(path.read_text()) or ""
        read = subprocess.run([*ours, "-c", str(path), kind, "--dryrun"], capture_output=True, text=True, check=False)
        totals["read"] += read.returncode == 0
        if read.returncode:
            print(f"REFUSED {name}: {read.stderr.strip().splitlines()[-1][:200]}")
            problems += 1
        if kind not in ("mix", "dedupe"):
            continue
        results = []
        for command in (ours, [str(peer)]):
            root = Path(tempfile.mkdtemp())
            try:
                results.append(run(command, path, kind, root))
            finally:
                shutil.rmtree(root)
        (code, said, mine), (their_code, _, theirs) = results
        same = mine == theirs and (code == 0) == (their_code == 0)
        # Two commands that write nothing are the same, and show nothing.
        totals[f"{kind} same"] += same and bool(mine)
        totals[kind] += 1
        problems += not same
        state = "DIFFERS" if not same else "same   " if mine else "nothing"
        detail = "" if same else f" exit {code} | {their_code}; only ours {sum((mine - theirs).values())}, only theirs "
        detail += "" if same else f"{sum((theirs - mine).values())}; {said[:200]}"
        print(f"{state} {kind:<6} {sum(mine.values()):>6} | {sum(theirs.values()):>6} {name}{detail}", flush=True)
    for kind in ("mix", "dedupe"):
        print(f"{kind}: {totals[f'{kind} same']} of {totals[kind]} the same, and not empty")
    print(f"read: {totals['read']} of {len(chosen)}")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "configs").is_dir() or "DOLMA_PEER_VENV" not in os.environ:
        raise SystemExit("usage: DOLMA_PEER_VENV=DIR run_configs.py CHECKOUT [WORD ...]")
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
