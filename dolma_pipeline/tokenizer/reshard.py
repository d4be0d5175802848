"""`python -m dolma_pipeline.tokenizer.reshard CONFIG`, for scripts that call `python -m dolma.tokenizer.reshard`.

It is `dolma -c CONFIG tokens reshard`; options of that command may follow the file. `-` reads the configuration from
standard input.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dolma_pipeline.cli.main import main as dolma
from dolma_pipeline.errors import ConfigError

USAGE = """usage: python -m dolma_pipeline.tokenizer.reshard CONFIG [OPTION ...]

`dolma tokens reshard --help` lists the options and the keys of CONFIG."""


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr if not argv else sys.stdout)
        return 0 if argv else ConfigError.exit_code
    name, *options = argv
    if name != "-":
        return dolma(["-c", name, "tokens", "reshard", *options])
    with tempfile.TemporaryDirectory(prefix="dolma-reshard-") as directory:
        file = Path(directory) / "stdin.yaml"
        file.write_text(sys.stdin.read())
        return dolma(["-c", str(file), "tokens", "reshard", *options])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
