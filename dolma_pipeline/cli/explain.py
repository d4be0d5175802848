"""`dolma explain`: why a document of a finished run stayed or went, and what a rule dropped."""

from __future__ import annotations

import argparse
import sys

import msgspec

from dolma_pipeline.errors import ConfigError
from dolma_pipeline.io.url import local


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the work directory of a finished run")
    parser.add_argument("id", metavar="ID", nargs="?", help="the id of a document")
    parser.add_argument("--source", metavar="NAME", help="look for the document in this source alone")
    parser.add_argument("--rule", metavar="NAME", help="show documents that this rule of a mix dropped")
    parser.add_argument("--sample", metavar="N", type=int, default=20, help="how many documents of a rule to show")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--html", metavar="FILE", help="also write the documents of a rule as a page to read")


def run(arguments: argparse.Namespace) -> int:
    if (arguments.id is None) == (arguments.rule is None):
        raise ConfigError("expected the ID of a document, or `--rule NAME`, and not both")
    if arguments.rule is None and arguments.html is not None:
        raise ConfigError("--html: expected `--rule NAME` beside it: a page shows the documents of a rule")
    return _rule(arguments) if arguments.rule is not None else _document(arguments)


def _document(arguments: argparse.Namespace) -> int:
    from dolma_pipeline.explanation.explain import explain
    from dolma_pipeline.explanation.render import render

    stories = explain(arguments.run, arguments.id, source=arguments.source)
    if arguments.json:
        for story in stories:
            print(msgspec.json.encode(story).decode())
        return 0
    print("\n\n".join(render(story) for story in stories))
    if len(stories) > 1:
        print(f"\n{len(stories)} documents have this id; `--source NAME` looks in one source")
    return 0


def _rule(arguments: argparse.Namespace) -> int:
    from dolma_pipeline.explanation.page import render_sample, write_sample
    from dolma_pipeline.explanation.sample import sample_rule

    if arguments.sample < 1:
        raise ConfigError(f"--sample: expected a number from 1, found {arguments.sample}")
    if arguments.source is not None:
        raise ConfigError("--source: expected the ID of a document beside it; those of a rule are of all sources")
    found = sample_rule(arguments.run, arguments.rule, arguments.sample)
    if arguments.json:
        for each in found:
            print(msgspec.json.encode(each).decode())
    else:
        print(render_sample(arguments.rule, found))
    if arguments.html is not None:
        write_sample(local(arguments.html), arguments.rule, found)
        print(f"{arguments.html}: {len(found)} documents", file=sys.stderr)
    return 0
