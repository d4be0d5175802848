"""`python -m dolma_pipeline.tokenizer.reshard CONFIG`, for scripts that call `python -m dolma.tokenizer.reshard`.

It is `dolma -c CONFIG tokens reshard`; options of that command may follow the file, and `-c` or `--config` may stand
before it. `-` reads the configuration from standard input.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dolma_pipeline.cli.main import main as dolma
from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io.atomic import write_text
from dolma_pipeline.io.cache import scratch_directory

USAGE = """usage: python -m dolma_pipeline.tokenizer.reshard [-c] CONFIG [OPTION ...]

`dolma tokens reshard --help` lists the options and the keys of CONFIG."""


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr if not argv else sys.stdout)
        return 0 if argv else ConfigError.exit_code
    try:
        name, options = configuration(argv)
    except ConfigError as error:
        print(f"{error}\n{USAGE}", file=sys.stderr)
        return error.exit_code
    if name != "-":
        return dolma(["-c", name, "tokens", "reshard", *options])
    with scratch_directory("dolma-reshard-") as directory:
        file = directory / "stdin.yaml"
        write_text(file, sys.stdin.read())
        return dolma(["-c", str(file), "tokens", "reshard", *options])


def configuration(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The file of the configuration, which stands first or behind `-c` or `--config`, and the other arguments."""
    for i, argument in enumerate(argv):
        if argument.startswith("--config="):
            return argument.removeprefix("--config="), [*argv[:i], *argv[i + 1 :]]
        if argument in ("-c", "--config"):
            if i + 1 == len(argv):
                raise ConfigError(f"expected a file behind `{argument}`, found nothing")
            return argv[i + 1], [*argv[:i], *argv[i + 2 :]]
    if argv[0].startswith("-") and argv[0] != "-":
        raise ConfigError(f"expected a configuration first, or behind `-c`, found `{argv[0]}`")
    return argv[0], list(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
