"""The taggers of this package, of all kinds."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from dolma_pipeline import _native
from dolma_pipeline.models import LANGUAGE_ID
from dolma_pipeline.taggers import (
    classifiers,
    language,
    licenses,
    sampling,
    second_opinions,
    source_code,
    tokenizer,
    urls,
)
from dolma_pipeline.taggers.native import NativeTagger
from dolma_pipeline.taggers.registry import Entry


def entries() -> Iterator[Entry]:
    """In no order that matters; nothing is loaded."""
    for name, doc in _native.tagger_catalogue():
        attributes = tuple(a for a, _ in _native.tagger_attributes(name))
        yield Entry(name, "native", functools.partial(NativeTagger, name), doc, attributes=attributes)
    for name, load in language.FACTORIES.items():
        needs = " or ".join(LANGUAGE_ID.names)
        yield Entry(name, "model", load, (load.__doc__ or "").partition("\n")[0], needs=needs)
    yield Entry(
        language.PARAGRAPHS,
        "model",
        lambda: classifiers.language_paragraphs(language.PARAGRAPHS),
        "176 languages, by paragraph: a score for each",
        needs=" or ".join(LANGUAGE_ID.names),
    )
    for name, (factory, model, doc) in classifiers.FACTORIES.items():
        yield Entry(name, "model", factory, doc, needs=" or ".join(model.names))
    for name, (doc, tokenizer_files, factory) in tokenizer.FACTORIES.items():
        yield Entry(name, "model", factory, doc, needs=" or ".join(tokenizer_files.names))
    for name, (factory, files, doc) in urls.FACTORIES.items():
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        needs = f"metadata.url, list {files[0]}{more}"
        yield Entry(name, "list", factory, doc, attributes=("url",), needs=needs)
    for name, (factory, doc) in source_code.FACTORIES.items():
        attributes = tuple(a.name for a in factory().attributes or ())
        yield Entry(name, "native", factory, doc, attributes=attributes, needs="metadata.ext")
    for name, (factory, doc) in licenses.FACTORIES.items():
        yield Entry(name, "native", factory, doc, needs="metadata.html")
    for name, (factory, package, doc) in second_opinions.FACTORIES.items():
        yield Entry(name, "model", factory, doc, needs=f"package {package}")
    yield Entry(
        sampling.NAME,
        "native",
        sampling.RandomNumber,
        "a number in [0, 1) by seed, id, file and line",
        attributes=("random",),
    )
