"""`dolma tokens inspect`: what token files hold, any part of them as text, and whether it is that of the documents."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from dolma_pipeline.cli.command import say_passed_over
from dolma_pipeline.errors import ConfigError, VerifyError
from dolma_pipeline.report.units import counted

if TYPE_CHECKING:
    from dolma_pipeline.tokens.inspect import TokenDocument
    from dolma_pipeline.tokens.source import TokenSource


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s TOKENS [--range FILE:START:END | --id ID | --document N | --verify GLOB ...] [OPTION ...]"
    parser.epilog = (
        "Without `--range`, `--id`, `--document` and `--verify` it prints statistics. The exit code is 1 if there is "
        "no such "
        "document, or if `--verify` finds another one."
    )
    parser.add_argument("tokens", metavar="TOKENS", help="a directory of token files (also Megatron's and datatrove's)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--range", metavar="FILE:START:END", help="show these tokens, as in part-00000.npy:0:200")
    what.add_argument("--id", metavar="ID", help="show every document of that id")
    what.add_argument(
        "--document", type=_number, metavar="N", help="show document N, counted from 0 in the order of the files"
    )
    what.add_argument("--verify", nargs="+", metavar="GLOB", help="encode these documents again and compare")
    parser.add_argument(
        "--scan", action="store_true", help="read all tokens for the statistics: their ids, ends of documents, BLAKE3"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    verify = parser.add_argument_group("with --verify")
    verify.add_argument(
        "--sample",
        type=_share,
        default=1.0,
        metavar="SHARE",
        help="the share of documents that is compared (default: 1)",
    )
    verify.add_argument("--allow-missing", action="store_true", help="accept tokens of documents that were not given")
    verify.add_argument(
        "--text-field", default="text", metavar="NAME", help="the field that holds the text (default: text)"
    )
    verify.add_argument(
        "--id-field",
        default="id",
        metavar="NAME",
        help="the field of the id; '' makes ids of files and lines (default: id)",
    )
    verify.add_argument(
        "--encode-special-tokens", action="store_true", help="the tokens were made with special tokens as text"
    )
    verify.add_argument("--segment", action="store_true", help="the tokens were made line by line")
    bare = parser.add_argument_group("files without a manifest")
    bare.add_argument("--tokenizer", metavar="FILE", help="the tokenizer.json of the files")
    bare.add_argument("--bos", metavar="TOKEN", help="the token, or its id, that begins documents")
    bare.add_argument("--eos", metavar="TOKEN", help="the token, or its id, that ends documents")
    bare.add_argument("--pad", metavar="TOKEN", help="the token, or its id, that fills up instances")
    bare.add_argument("--dtype", choices=("uint8", "uint16", "uint32", "uint64"), help="the type of a token")


def run(arguments: argparse.Namespace) -> int:
    from dolma_pipeline.tokens.inspect import read_document, read_numbered

    source = _open(arguments)
    if arguments.verify is not None:
        return _verify(source, arguments)
    if arguments.range is not None:
        _show_range(source, arguments)
    elif arguments.id is not None:
        _show(read_document(source, arguments.id), arguments)
    elif arguments.document is not None:
        _show([read_numbered(source, arguments.document)], arguments)
    else:
        from dolma_pipeline.tokens.statistics import render, statistics

        found = statistics(source, scan=arguments.scan)
        _print(found if arguments.json else render(found), arguments)
        if found.changed:
            raise VerifyError(f"{counted(len(found.changed), 'file')} not as the manifest has them")
    return 0


def _open(arguments: argparse.Namespace) -> TokenSource:
    from dolma_pipeline.config.recipe import Tokenizer
    from dolma_pipeline.tokens.source import open_source

    tokenizer = None
    special = {name: _token(getattr(arguments, name)) for name in ("bos", "eos", "pad")}
    if arguments.tokenizer is not None:
        tokenizer = Tokenizer(path=arguments.tokenizer, bos=special["bos"], eos=special["eos"], pad=special["pad"])
    else:
        given = next((name for name, value in special.items() if value is not None), None)
        if given is not None:
            raise ConfigError(f"--{given}: expected `--tokenizer` beside it, found none")
    return open_source(arguments.tokens, tokenizer=tokenizer, dtype=arguments.dtype, where="TOKENS")


def _token(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdecimal() else text


def _show_range(source: TokenSource, arguments: argparse.Namespace) -> None:
    from dolma_pipeline.tokens.inspect import decode_range, read_tokens

    file, start, end = _range(arguments.range)
    tokens = read_tokens(source, file, start, end)
    end = start + len(tokens)
    text = decode_range(source, file, start, end)
    if arguments.json:
        _print({"file": file, "start": start, "end": end, "tokens": tokens.tolist(), "text": text}, arguments)
        return
    print(f"{file}: tokens {start} to {end}")
    _print_tokens(tokens.tolist(), text)


def _range(text: str) -> tuple[str, int, int | None]:
    file, _, rest = text.rpartition(":")
    file, _, start = file.rpartition(":")
    if not file or not start.isdecimal() or not (rest.isdecimal() or not rest):
        raise ConfigError(f"--range: expected FILE:START:END, as in part-00000.npy:0:200, found `{text}`")
    return file, int(start), int(rest) if rest else None


def _show(documents: list[TokenDocument], arguments: argparse.Namespace) -> None:
    if arguments.json:
        shown = [
            {
                "id": d.place.id,
                "file": d.place.file,
                "start": d.place.start,
                "end": d.place.end,
                "src": d.place.src,
                "loc": d.place.loc,
                "tokens": d.tokens.tolist(),
                "text": d.text,
            }
            for d in documents
        ]
        _print(shown, arguments)
        return
    for i, document in enumerate(documents):
        place = document.place
        if i:
            print()
        print(f"{place.file}: tokens {place.start} to {place.end}, `{place.id}`, line {place.loc} of {place.src}")
        _print_tokens(document.tokens.tolist(), document.text)


def _print_tokens(tokens: list[int], text: str | None) -> None:
    print(" ".join(map(str, tokens)))
    print("(the tokenizer is not known: --tokenizer)" if text is None else text)


def _verify(source: TokenSource, arguments: argparse.Namespace) -> int:
    from dolma_pipeline.io.files import find_files
    from dolma_pipeline.tokens.compare import Settings, compare, render

    settings = Settings(
        text_field=arguments.text_field,
        id_field=arguments.id_field or None,
        encode_special_tokens=arguments.encode_special_tokens,
        segment=arguments.segment,
    )
    files = find_files(arguments.verify, "--verify")
    found = compare(source, files, sample=arguments.sample, settings=settings)
    say_passed_over(found.bad)
    _print(found if arguments.json else render(found), arguments)
    wrong = found.different + (0 if arguments.allow_missing else found.missing)
    if wrong:
        what = f"{wrong:,} of {found.sampled:,} documents"
        also = "" if found.different else "; --allow-missing if not all documents were given"
        raise VerifyError(f"{what} do not have the tokens of their text{also}")
    if found.sampled and not found.equal:
        raise VerifyError(f"none of {found.sampled:,} documents was compared: none has the id of a document given")
    return 0


def _print(found: Any, arguments: argparse.Namespace) -> None:
    import msgspec

    print(msgspec.json.encode(found).decode() if arguments.json else found)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number from 0, found `{text}`")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"expected a share above 0, up to 1, found `{text}`")
    return share
