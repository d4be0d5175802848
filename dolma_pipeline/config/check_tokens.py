"""Checks of the settings of stages that write token files, of `train` and of `fertility`."""

from __future__ import annotations

from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.config.recipe import Convert, Fertility, Pack, Reshard, Tokenizer, Tokens, Train, config_of
from dolma_pipeline.errors import listed
from dolma_pipeline.tokens.specials import special_tokens


def check_tokens(checks: Checks, tokens: Tokens, path: Path) -> None:
    checks.exactly_one((*path, "tokenizer"), {"path": tokens.tokenizer.path, "train": tokens.tokenizer.train})
    checks.destination("tokens", tokens.destination, path)
    train = tokens.tokenizer.train
    if train is not None:
        checks.weights(train.weights, (*path, "tokenizer", "train", "weights"))
    if tokens.pack is not None:
        _pack(checks, tokens.pack, tokens, (*path, "pack"))


def _shape(checks: Checks, pack: Pack, max_tokens: int, path: Path) -> None:
    if pack.length > max_tokens:
        text = f"expected at most `max_tokens`, {max_tokens}, found {pack.length}: an instance is in one file"
        checks.note((*path, "length"), text)
    if pack.by == "bucket":
        for key in ("length", "min_length"):
            found = getattr(pack, key)
            if found.bit_count() != 1:
                near = 1 << (found.bit_length() - 1)
                text = f"expected a power of two for `bucket`, found {found}; {near} or {2 * near} would do"
                checks.note((*path, key), text)
        if pack.min_length > pack.length:
            text = f"expected at most `length`, {pack.length}, found {pack.min_length}"
            checks.note((*path, "min_length"), text)
    for key, by in (("min_length", "bucket"), ("rest", "bucket"), ("long_documents", "best_fit")):
        if by != pack.by and getattr(pack, key) != getattr(Pack(length=2), key):
            checks.note((*path, key), f"expected only with `by: {by}`, found with `by: {pack.by}`")
    if pack.mask_first and not pack.label_mask:
        checks.note((*path, "mask_first"), "expected `label_mask: true`, found false: it is the mask that says so")


def _pack(checks: Checks, pack: Pack, tokens: Tokens, path: Path) -> None:
    _shape(checks, pack, tokens.max_tokens, path)
    train = tokens.tokenizer.train
    pad = tokens.tokenizer.pad
    if pad is None and train is not None and "<|padding|>" in special_tokens(train).names:
        pad = "<|padding|>"
    if pack.pads and pad is None:
        remedy = "; or `rest: drop`" if pack.by == "bucket" else ""
        checks.note(
            path,
            "expected `tokenizer.pad`, a token to fill instances with, found none; that of `eos` would do, for the "
            f"label mask keeps it from being learnt{remedy}",
        )
    if pack.pads and pad is not None and pad == tokens.tokenizer.eos and not pack.label_mask:
        text = "expected `true` where `pad` is `eos`, found false: padding could not be told from ends of documents"
        checks.note((*path, "label_mask"), text)


def check_reshard(checks: Checks, reshard: Reshard, path: Path) -> None:
    _reads_token_files(checks, path)
    for key, amounts in (("rates", reshard.rates), ("tokens", reshard.tokens)):
        for name in amounts:
            checks.known_source(name, (*path, key, name))
    for name in reshard.rates:
        if name in reshard.tokens:
            checks.note((*path, "rates", name), "expected `rates` or `tokens` of a source, found both")
    if reshard.pack is not None:
        _shape(checks, reshard.pack, reshard.max_tokens, (*path, "pack"))
        if reshard.max_files is not None:
            text = "expected none with `pack`: how many files that takes only packing can tell"
            checks.note((*path, "max_files"), text)
    if reshard.max_files is not None and reshard.max_bytes is not None:
        checks.note(path, "expected at most one of `max_bytes` and `max_files`, found both")
    _tokenizer_of_files(checks, reshard.tokenizer, path)
    checks.destination("tokens", reshard.destination, path)


def check_convert(checks: Checks, convert: Convert, path: Path) -> None:
    _reads_token_files(checks, path)
    if len(checks.recipe.sources) > 1:
        checks.note(path, f"expected one source, found {listed(checks.recipe.sources, ' and ')}; `reshard` joins them")
    if convert.dtype is not None and convert.to != "dolma":
        text = f"expected `dtype` with `to: dolma` alone: {convert.to} has types of its own"
        checks.note((*path, "dtype"), text)
    _tokenizer_of_files(checks, convert.tokenizer, path)
    checks.destination("tokens", convert.destination, path)


def _reads_token_files(checks: Checks, path: Path) -> None:
    if path[1]:
        checks.note(path, "expected to be the first stage: token files of the sources are all it reads")
    for name, source in checks.recipe.sources.items():
        if source.tokens is None and (source.documents is not None or source.collect is not None):
            text = f"expected `tokens`, which is what `{path[-1]}` reads, found documents"
            checks.note(("sources", name), text)


def _tokenizer_of_files(checks: Checks, tokenizer: Tokenizer | None, path: Path) -> None:
    if tokenizer is not None and tokenizer.path is None:
        checks.note((*path, "tokenizer", "path"), "expected the tokenizer that the files were made with, found none")


def check_train(checks: Checks, train: Train, path: Path) -> None:
    if train.name is not None:
        checks.name(train.name, (*path, "name"))
    if sum(isinstance(config_of(s), Train) for s in checks.recipe.stages) > 1:
        if train.name is None:
            checks.note(path, "expected a `name`, for there are several `train` stages, found none")
        else:
            checks.destination(f"train/{train.name}", None, path, "give one another `name`")
    tokens = _tokens_before(checks, path)
    if tokens is None:
        checks.note(path, "expected a `tokens` stage before it to train on, found none")
    elif isinstance(tokens, Convert) or tokens.pack is None:
        return
    elif tokens.pack.by == "bucket":
        text = "expected tokens packed to one length, found buckets of several; `by: best_fit` would do"
        checks.note(path, text)
    elif tokens.pack.length != train.sequence_length:
        text = f"expected the length that tokens are packed to, {tokens.pack.length}, found {train.sequence_length}"
        checks.note((*path, "sequence_length"), text)


def check_fertility(checks: Checks, fertility: Fertility, path: Path) -> None:
    checks.destination("fertility", fertility.destination, path)
    if not fertility.tokenizers and not any(isinstance(config_of(s), Tokens) for s in checks.before(path)):
        checks.note(path, "expected `tokenizers`, or a `tokens` stage before it, found neither to measure")
    if fertility.baseline is not None and fertility.by is None:
        checks.note((*path, "baseline"), "expected it beside `by`, found it alone")


def _tokens_before(checks: Checks, path: Path) -> Tokens | Reshard | Convert | None:
    """The last stage before `path` that writes token files; None if those are not ours."""
    found: Tokens | Reshard | Convert | None = None
    for config in map(config_of, checks.before(path)):
        if isinstance(config, (Tokens, Reshard)):
            found = config
        elif isinstance(config, Convert):
            found = config if config.to == "dolma" else None
    return found
