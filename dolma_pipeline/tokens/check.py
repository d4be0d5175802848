"""Checks of a tokenizer before any work: what would otherwise be found when hours of other stages are done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dolma_pipeline.config.recipe import Tokenizer, TrainTokenizer
from dolma_pipeline.errors import ConfigError, listed, suggest
from dolma_pipeline.tokens.coverage import byte_letters
from dolma_pipeline.tokens.engine import Engine, load_engine, tokenizer_file
from dolma_pipeline.tokens.specials import special_tokens
from dolma_pipeline.tokens.vocabulary import END_OF_TEXT, neither, special_ids, token_dtype


def check_tokenizer(tokenizer: Tokenizer, dtype: str | None, where: str) -> list[str]:
    """Raises ConfigError with a line for each setting that cannot work; the warnings of those that can.

    `where` is the path of the stage, such as `$.stages[3].tokens`, which has `tokenizer` and `dtype`. Of a tokenizer
    that is yet to be trained its settings are checked alone.
    """
    if tokenizer.train is not None:
        _check_trained(tokenizer, tokenizer.train, dtype, where)
        return []
    path, segment = tokenizer.path or "", tokenizer.segment_before_tokenization
    _located(f"{where}.tokenizer.path", lambda: tokenizer_file(path))
    key = "segment_before_tokenization" if segment else "path"
    engine: Engine = _located(
        f"{where}.tokenizer.{key}", lambda: load_engine(path, segment=segment, choice="reference")
    )
    problems = _problems(
        lambda: special_ids(engine, tokenizer, f"{where}.tokenizer"),
        lambda: token_dtype(engine.vocab_size, dtype, f"{where}.dtype"),
        lambda: _check_engine(tokenizer, where),
        lambda: _check_coverage(engine, tokenizer, f"{where}.tokenizer.path"),
    )
    if problems:
        raise ConfigError("\n".join(problems))
    return coverage_warnings(engine, path)


def check_measured(path: str, where: str) -> list[str]:
    """Raises ConfigError if there is no tokenizer at `path`; the warnings of one that is only measured."""
    engine: Engine = _located(where, lambda: load_engine(path, choice="reference"))
    return coverage_warnings(engine, path)


def coverage_warnings(engine: Engine, path: str) -> list[str]:
    """What is to be said before the start of text that the vocabulary cannot spell; documents are counted anyway.

    Vocabularies of words have a token for what they lack, by design: those are not worth a warning.
    """
    coverage = engine.coverage
    if coverage.fate == "none" or (coverage.fate == "unknown" and not coverage.missing):
        return []
    return [f"tokenizer `{path}` has {coverage.lack}: {coverage.loss}"]


def _check_coverage(engine: Engine, tokenizer: Tokenizer, where: str) -> None:
    coverage = engine.coverage
    if coverage.fate not in ("left out", "error") or tokenizer.on_missing == "warn":
        return
    raise ConfigError(
        f"{where}: expected a vocabulary that spells every text, or has a token for what it lacks, found "
        f"{coverage.lack} and no such token: {coverage.loss}; another tokenizer would do, or `on_missing: warn` beside "
        "`path`, which counts the documents"
    )


def _check_engine(tokenizer: Tokenizer, where: str) -> None:
    """Raises ConfigError if the engine that is asked for cannot do this tokenizer."""
    if tokenizer.engine == "fast":
        options: dict[str, bool] = {
            "encode_special_tokens": tokenizer.encode_special_tokens,
            "segment": tokenizer.segment_before_tokenization,
        }
        _located(f"{where}.tokenizer", lambda: load_engine(tokenizer.path or "", choice="fast", **options), joint=".")


def _check_trained(tokenizer: Tokenizer, train: TrainTokenizer, dtype: str | None, where: str) -> None:
    """What is known of a tokenizer before it is trained: its special tokens, its bytes, and how large it may be."""
    named = special_tokens(train).names
    problems = _problems(lambda: token_dtype(train.vocab_size, dtype, f"{where}.dtype"))
    if tokenizer.bos is None and tokenizer.eos is None and END_OF_TEXT not in named:
        problems.append(neither(named, f"{where}.tokenizer"))
    letters = set(byte_letters().values())
    for key in ("bos", "eos", "pad"):
        token = getattr(tokenizer, key)
        at = f"{where}.tokenizer.{key}"
        if isinstance(token, int) and not 0 <= token < train.vocab_size:
            problems.append(
                f"{at}: expected an id from 0 to {train.vocab_size - 1}, as `vocab_size` says, found {token}"
            )
        elif isinstance(token, str) and token not in named and token not in letters:
            problems.append(
                f"{at}: expected one of the special tokens of the tokenizer that is to be trained ({listed(named)}), "
                f"found `{token}`, which training would make by chance at most; name it in `train.special_tokens`"
                f"{suggest(token, named)}"
            )
    if problems:
        raise ConfigError("\n".join(problems))


def _problems(*checks: Callable[[], object]) -> list[str]:
    found = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            found.append(str(error))
    return found


def _located(where: str, load: Callable[[], Any], joint: str = ": ") -> Any:
    """What `load` gives; its ConfigError begins with the path of the setting."""
    try:
        return load()
    except ConfigError as error:
        raise ConfigError(f"{where}{joint}{error}") from None
