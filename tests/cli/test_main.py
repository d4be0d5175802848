"""The command line as a whole: exit codes, the text of mistakes, and what starting costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dolma_pipeline import __version__
from dolma_pipeline.cli import main as cli
from dolma_pipeline.errors import BadInputError, StageError

Fails = Callable[..., tuple[int, str]]
HEAVY = ("pyarrow", "numpy", "ray", "torch", "rich", "tokenizers", "zstandard", "smart_open", "dolma_pipeline._native")


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command line and returns its exit code and what it says on stderr."""

    def run(*argv: str) -> tuple[int, str]:
        code = cli.main(argv)
        return code, capsys.readouterr().err

    return run


def loaded_by(code: str) -> list[str]:
    """The heavy modules that are imported once `code` has run in a fresh interpreter."""
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return list(eval(done.stdout.splitlines()[-1]))


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    assert loaded_by("import dolma_pipeline.cli.main") == []


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_imports_nothing_heavy(command: str) -> None:
    argv = [command, "--help"] if command else ["--help"]
    assert loaded_by(f"from dolma_pipeline.cli.main import main\nassert main({argv!r}) == 0") == []


def test_top_level_help_needs_no_configuration_library() -> None:
    code = "from dolma_pipeline.cli.main import main\nmain(['--help'])\nimport sys\nassert 'msgspec' not in sys.modules"
    assert loaded_by(code) == []


def test_a_mix_is_planned_and_read_without_the_library_of_tokenizers() -> None:
    assert "tokenizers" not in loaded_by("import dolma_pipeline.stages.mix, dolma_pipeline.stages.tag")


def test_the_end_of_a_command_looks_for_no_garbage() -> None:
    code = "from dolma_pipeline.cli.main import main\nmain(['--version'])\nimport atexit, gc\natexit._run_exitfuncs()"
    done = subprocess.run([sys.executable, "-c", f"{code}\nassert gc.get_freeze_count() > 1000"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dolma-pipeline {__version__}\n"


def test_help_lists_every_command_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out.partition("COMMAND\n")[2].partition("\n\n")[0]
    names = [
        line.strip().partition("  ")[0]
        for line in listed.splitlines()
        if line.startswith("    ") and not line.startswith("     ")
    ]
    assert names == list(cli.COMMANDS)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-c", "x"], "the following arguments are required: COMMAND (`dolma --help` lists what it takes)"),
        (
            ["tags"],
            "unknown command `tags`; did you mean `tag`? (known: `clean`, `dedupe`, `explain`, `fertility`, `list`, "
            "`mix`, `plan`, `run`, `stat`, `tag`, `tokens`, `tokens convert`, `tokens inspect`, `tokens reshard`, "
            "`train-classifier`, `train-tokenizer`, `verify`)",
        ),
        (
            ["tokens", "inspekt", "x"],
            "unknown command `tokens inspekt`; did you mean `tokens inspect`? (known: `tokens convert`, "
            "`tokens inspect`, `tokens reshard`)",
        ),
        (["warc"], "`dolma warc` is not in this version; dolma 1.2.1 has it and reads the same files"),
        (
            ["tag", "--documentz", "a"],
            "unknown option `--documentz`; did you mean `--documents`? (`dolma tag --help` lists what it takes)",
        ),
        (["tag", "--xyzzy=3"], "unknown option `--xyzzy` (`dolma tag --help` lists what it takes)"),
        (["run", "a", "b"], "unexpected argument `b` (`dolma run --help` lists what it takes)"),
        (["tag", "--doc", "a"], "unknown option `--doc`; did you mean `--documents`? (`dolma tag --help` lists "
         "what it takes)"),
        (["tokens", "--seed"], "argument --seed: expected one argument (`dolma tokens --help` lists what it takes)"),
        (["tag", "--processes", "two"], '--processes: $.processes: expected `int`, found "two"'),
        (["tag", "--documents", "a"], "$.taggers: expected names of taggers, found none; give it in the file or "
         "as `--taggers`"),
        (["-c", "none.yaml", "tag"], "none.yaml: expected a YAML or JSON file, found none"),
        (["run", "quickstart", "--processes", "0"], "argument --processes: expected a whole number from 1, "
         "found `0` (`dolma "
         "run --help` lists what it takes)"),
        (["run", "quickstart", "--set", "sed=1"], "--set sed: $.sed: unknown key; did you mean `seed`? "
         "(allowed: `name`, "
         "`work_dir`, `sources`, `stages`, `stage_modules`, `scratch_dir`, `seed`, `layout`, "
        "`max_bad_fraction`, `piece_bytes`)"),
    ],
)  # fmt: skip
def test_usage_errors_are_one_line_and_exit_code_2(
    argv: list[str], message: str, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fails(*argv) == (2, f"dolma: error: {message}\n")


def raising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Makes `dolma boom` a command whose module raises `error`."""
    (tmp_path / "dolma_boom.py").write_text("def add_options(parser): pass\ndef run(arguments): raise error\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "dolma_boom", raising=False)
    import dolma_boom

    dolma_boom.error = error
    monkeypatch.setattr(cli, "COMMANDS", {"boom": cli.Command("dolma_boom", "raise")})


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StageError("shard 3: no"), 1, "dolma: error: shard 3: no\n"),
        (BadInputError("2 of 3 bad"), 3, "dolma: error: 2 of 3 bad\n"),
        (StageError("one\ntwo"), 1, "dolma: error: one\ndolma: error: two\n"),
        (KeyboardInterrupt(), 130, "dolma: interrupted; the same command again resumes where it stopped\n"),
        (OSError(28, "No space left on device", "/full"), 1, "dolma: error: No space left on device: /full\n"),
        (
            PermissionError(13, "Permission denied", "/none/x"),
            1,
            "dolma: error: /none/x: expected a directory that may be written to, found / (Permission denied); choose "
            "another place\n",
        ),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, text: str, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(tmp_path, monkeypatch, error)
    assert fails("boom") == (code, text)


def test_a_bug_shows_its_traceback(fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(tmp_path, monkeypatch, ZeroDivisionError("oops"))
    code, text = fails("boom")
    assert code == 1
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.splitlines()[-2:] == [
        "ZeroDivisionError: oops",
        "dolma: this is a fault of dolma_pipeline; please report it with the lines above",
    ]


def test_a_closed_pipe_is_no_error() -> None:
    code = (
        "import sys\nfrom dolma_pipeline.cli import main as cli\nimport types\n"
        "module = types.ModuleType('dolma_long')\nmodule.add_options = lambda parser: None\n"
        "def run(arguments):\n    for i in range(100_000): print(i)\n    return 0\n"
        "module.run = run\nsys.modules['dolma_long'] = module\n"
        "cli.COMMANDS = {'long': cli.Command('dolma_long', 'print')}\nsys.exit(cli.main(['long']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == cli.BROKEN_PIPE
    process.stderr.close()
