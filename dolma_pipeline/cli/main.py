"""`dolma`: finds the command, hands it its arguments, and turns the result into one of `errors.EXIT_CODES`."""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dolma_pipeline import __version__
from dolma_pipeline.cli.parser import Parser
from dolma_pipeline.cli.signals import CODES, Signals, message, watched
from dolma_pipeline.errors import EXIT_CODES, ConfigError, DolmaError, WorkerFault, of_the_machine, unknown
from dolma_pipeline.secrets import hide


class Command(NamedTuple):
    """A module with `add_options(parser)` and `run(arguments) -> int`; one of two words stands below another."""

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "run": Command("dolma_pipeline.cli.run", "run a recipe: from raw text to tokens and a trained model"),
    "plan": Command("dolma_pipeline.cli.plan", "print what `run` would do, and what is done already"),
    "verify": Command("dolma_pipeline.cli.verify", "check the files and the accounts of a finished run"),
    "explain": Command("dolma_pipeline.cli.explain", "show why a document stayed or went, or what a rule dropped"),
    "clean": Command("dolma_pipeline.cli.clean", "remove the scratch files of runs"),
    "tag": Command("dolma_pipeline.cli.drop_in.tag", "tag documents, or spans of them, with taggers"),
    "dedupe": Command("dolma_pipeline.cli.drop_in.dedupe", "mark documents or paragraphs that were seen before"),
    "mix": Command("dolma_pipeline.cli.drop_in.mix", "filter and edit documents by their attributes"),
    "tokens": Command("dolma_pipeline.cli.drop_in.tokens", "turn documents into token files"),
    "tokens inspect": Command(
        "dolma_pipeline.cli.tokens.inspect", "look into token files, and check them against text"
    ),
    "tokens reshard": Command("dolma_pipeline.cli.tokens.reshard", "sample, shuffle and divide token files anew"),
    "tokens convert": Command(
        "dolma_pipeline.cli.tokens.convert", "turn token files into those of Megatron or datatrove, and back"
    ),
    "stat": Command("dolma_pipeline.cli.drop_in.stat", "show what attributes say, and what rules would remove"),
    "train-classifier": Command(
        "dolma_pipeline.cli.train_classifier", "train a fastText classifier on labelled documents"
    ),
    "train-tokenizer": Command(
        "dolma_pipeline.cli.train_tokenizer", "train a byte-level BPE tokenizer on a weighted sample of documents"
    ),
    "fertility": Command("dolma_pipeline.cli.fertility", "measure how many tokens texts need, by source and language"),
    "list": Command("dolma_pipeline.cli.list", "list the taggers, or the kinds of stages"),
}
LATER = ("warc",)
"""Commands of Dolma that this version does not have."""
BROKEN_PIPE = 141
TRACEBACK = "DOLMA_TRACEBACK"
"""The environment variable that asks for the tracebacks of errors that are one line otherwise."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; every error is reported on stderr."""
    # numpy starts a thread for each processor, which spin while nothing of ours asks for a product of matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What is there at the end goes with the process; to look through it for garbage first takes 50 ms.
    atexit.register(gc.freeze)
    with watched() as signals:
        return _guarded(list(sys.argv[1:] if argv is None else argv), signals)


def _guarded(argv: list[str], signals: Signals) -> int:
    """The exit code of a command line, whatever happens."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except DolmaError as error:
        _show_traceback(error.traceback)
        _report(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        number = signals.seen or signal.SIGINT
        print(message(number), file=sys.stderr)
        return CODES[signal.Signals(number)]
    except BrokenPipeError:
        # The reader has what it wanted; without this the interpreter complains when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except OSError as error:
        if error.errno is None:
            return _bug()
        _show_traceback()
        _report(of_the_machine(error))
        return 1
    except WorkerFault as error:
        return _bug(str(error))
    except Exception:
        return _bug()
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # that of native code is no Exception
            raise
        return _bug()
    return code


def make_parser(chosen: str | None = None) -> tuple[Parser, dict[str, Parser]]:
    """The parser, and that of each command; only the `chosen` one has its options, no other is imported."""
    codes = ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())
    parser = Parser(
        prog="dolma",
        usage="dolma [-c FILE] COMMAND [OPTION ...]",
        description="Raw text to training tokens to a trained, judged language model.",
        epilog=f"`dolma COMMAND --help` explains a command. Exit codes: {codes}. "
        f"{TRACEBACK}=1 shows the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"dolma-pipeline {__version__}")
    parser.add_argument("-c", "--config", metavar="FILE", help="YAML or JSON configuration; options go over it")
    commands = parser.add_subparsers(prog="dolma", dest="command", metavar="COMMAND", required=True, title="commands")
    children: dict[str, Parser] = {}
    for name, command in COMMANDS.items():
        description = f"{command.help[0].upper()}{command.help[1:]}."
        child = children[name] = commands.add_parser(name, help=command.help, description=description)
        child.add_argument("-c", "--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == chosen:
            importlib.import_module(command.module).add_options(child)
    return parser, children


def _run(argv: list[str]) -> int:
    place = _command(argv)
    if place is not None:
        argv[place : place + 2] = _joined(argv[place : place + 2])
    chosen = argv[place] if place is not None else None
    if chosen in LATER:
        raise ConfigError(f"`dolma {chosen}` is not in this version; dolma 1.2.1 has it and reads the same files")
    if chosen is not None and chosen not in COMMANDS:
        raise ConfigError(unknown("command", chosen, COMMANDS))
    parser, children = make_parser(chosen)
    if not argv:
        parser.print_help(sys.stderr)
        return ConfigError.exit_code
    arguments, extras = parser.parse_known_args(argv)
    if extras:
        children[arguments.command].refuse(extras)
    code: int = importlib.import_module(COMMANDS[arguments.command].module).run(arguments)
    return code


def _command(argv: Sequence[str]) -> int | None:
    """Where the first argument is that is neither an option nor the value of `-c`."""
    rest = iter(enumerate(argv))
    for place, argument in rest:
        if argument in ("-c", "--config"):
            next(rest, None)
        elif not argument.startswith("-"):
            return place
    return None


def _joined(words: list[str]) -> list[str]:
    """`tokens`, `inspect` as the one command that they are; the first takes no argument that is not an option."""
    below = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if not below or len(words) < 2 or words[1].startswith("-"):
        return words
    name = " ".join(words)
    if name not in below:
        raise ConfigError(unknown("command", name, below))
    return [name]


def _report(message: str) -> None:
    for line in hide(message).splitlines() or [""]:
        print(f"dolma: error: {line}", file=sys.stderr)


def _show_traceback(text: str | None = None) -> None:
    """Prints the traceback of the exception being handled, or that of a worker, for whoever asked for it."""
    if os.environ.get(TRACEBACK):
        print(hide((text or traceback.format_exc()).rstrip()), file=sys.stderr)


def _bug(text: str | None = None) -> int:
    print(hide((text or traceback.format_exc()).rstrip()), file=sys.stderr)
    print("dolma: this is a fault of dolma_pipeline; please report it with the lines above", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
