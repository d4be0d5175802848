"""The settings of stages that read documents: `tag`, `dedupe`, `mix` and `stat`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dolma_pipeline.config.recipe_base import AttributeFormat, Base, DocumentFormat, Fraction, PositiveInt
from dolma_pipeline.config.recipe_mix import Budget, Edit, Select


class CustomTagger(Base, frozen=True):
    """A tagger made of a file: exactly one of `url_list` and `fasttext`."""

    name: Annotated[str, Meta(min_length=1, description="by which files and rules know it")]
    url_list: Annotated[
        str | list[str] | None,
        Meta(description="files of domains, URLs or rules; `url` is 1 where metadata.url is on it"),
    ] = None
    mode: Annotated[
        Literal["domain", "url", "adblock"],
        Meta(description="what the lines are: domains (and all below them), whole URLs, Adblock rules"),
    ] = "domain"
    fasttext: Annotated[str | None, Meta(description="a classifier (.bin, .ftz); an attribute for each label")] = None
    by: Annotated[Literal["document", "paragraph", "sentence"], Meta(description="what is classified")] = "document"
    labels: Annotated[list[str], Meta(description="those wanted, without `__label__`; default: all")] = []
    threshold: Annotated[Fraction, Meta(description="scores that are not above it are left out")] = 0.0
    lower: Annotated[bool, Meta(description="lower the text first, if that is what the model was trained on")] = False


class Tag(Base, frozen=True):
    """Measure documents: each tagger writes attributes, nothing is dropped."""

    taggers: Annotated[
        list[str | CustomTagger],
        Meta(min_length=1, description="names of taggers, and taggers made of files, run in one pass"),
    ]
    experiment: Annotated[
        str | None, Meta(description="directory of the attribute files; without it one per tagger")
    ] = None
    tagger_modules: Annotated[
        list[str], Meta(description="modules, .py files or directories of packages that add taggers")
    ] = []
    format: Annotated[AttributeFormat, Meta(description="form of the attribute files")] = "parquet"
    on_error: Annotated[
        Literal["fail", "quarantine"],
        Meta(description="where a tagger fails on a document: end the run, or set the document aside"),
    ] = "fail"
    keep: Annotated[
        bool,
        Meta(
            description="write the attributes; without them the mix right behind it runs the taggers in its own "
            "reading, each on the documents that no earlier rule has dropped"
        ),
    ] = True

    @property
    def names(self) -> list[str]:
        """The names of all taggers, in order."""
        return [t if isinstance(t, str) else t.name for t in self.taggers]


class DocumentKey(Base, frozen=True):
    """Whole documents are duplicates when their keys are equal."""

    key: Annotated[str, Meta(description="dotted path of a string field: text, metadata.url")] = "text"
    attribute: Annotated[str, Meta(description="name of the attribute written")] = "duplicate"


class Ngrams(Base, frozen=True):
    """Compare paragraphs by their n-grams of words rather than as wholes."""

    length: PositiveInt = 13
    stride: Annotated[int, Meta(ge=0)] = 0
    overlap_threshold: Fraction = 1.0
    skip_short_paragraphs: bool = False


class Paragraphs(Base, frozen=True):
    """Paragraphs are duplicates when their text was seen before, anywhere in the corpus."""

    separator: Annotated[str, Meta(min_length=1, description="string between paragraphs")] = "\n"
    ngrams: Ngrams | None = None
    attribute: Annotated[str, Meta(description="name of the attribute written")] = "duplicate"


class Bloom(Base, frozen=True):
    """A Bloom filter: constant memory, a chosen share of false positives."""

    false_positive_rate: Annotated[float, Meta(gt=0.0, lt=1.0)] = 1e-6
    size_in_bytes: Annotated[int, Meta(ge=0, description="size of all partitions; 0 sizes them by their keys")] = 0
    estimated_keys: Annotated[int, Meta(ge=0, description="0 uses the exact count of the corpus")] = 0
    file: Annotated[str | None, Meta(description="load the filter from here if it exists, save it there")] = None
    read_only: Annotated[bool, Meta(description="mark what the loaded filter holds; insert nothing")] = False


class KeyPart(Base, frozen=True):
    """One part of the key space, for one of several jobs that share the work; each marks what it finds."""

    index: Annotated[int, Meta(ge=0)]
    of: Annotated[int, Meta(ge=1, le=4096)]


class Dedupe(Base, frozen=True):
    """Mark documents or paragraphs that were seen before, in input order; exactly one of the two."""

    name: Annotated[str, Meta(min_length=1, description="directory of the attribute files")]
    documents: DocumentKey | None = None
    paragraphs: Paragraphs | None = None
    bloom: Annotated[Bloom | None, Meta(description="approximate; without it the set of keys is exact")] = None
    partitions: Annotated[int, Meta(ge=1, le=4096, description="parts of the key space; the unit of parallel work")] = 8
    part: Annotated[
        KeyPart | None, Meta(description="compare only keys of this part of the key space; other jobs take the others")
    ] = None
    skip_empty: Annotated[bool, Meta(description="leave out documents or paragraphs of white space")] = True
    min_length: Annotated[int, Meta(ge=0, description="leave out shorter ones, in code points")] = 0
    min_words: Annotated[int, Meta(ge=0, description="leave out those of fewer white-space words")] = 0
    format: AttributeFormat = "parquet"


class Mix(Base, frozen=True):
    """Keep, edit and sample documents by their attributes; one output stream."""

    name: Annotated[str, Meta(min_length=1, description="name of the stream: its directory and file prefix")] = "mixed"
    drop: Annotated[dict[str, str], Meta(description="rule name: expression; the first that hits drops")] = {}
    select: Select | None = None
    edit: list[Edit] = []
    budget: Budget | None = None
    min_text_length: Annotated[int, Meta(ge=0, description="bytes of stripped text after the edits")] = 0
    discard_fields: Annotated[list[str], Meta(description="top-level fields to leave out")] = []
    keep_attributes: Annotated[
        bool, Meta(description="merge all attributes beside a document into its field `attributes`, as Dolma does")
    ] = False
    provenance: Annotated[bool, Meta(description="write metadata.provenance = file:line")] = True
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None
    max_size_in_bytes: Annotated[
        int, Meta(ge=0, description="join small inputs into outputs of this size; 0: one output per input")
    ] = 0
    format: Annotated[
        DocumentFormat | Literal["input"], Meta(description="format of the files; `input`: that of each input file")
    ] = "jsonl.zst"
    as_dolma: Annotated[
        bool,
        Meta(
            description="do as Dolma 1.2.1 does: names and layout of files, provenance with the file's base name, jq "
            "that fails on an index of null"
        ),
    ] = False


class Sweep(Base, frozen=True):
    """What a rule would remove at each of several thresholds."""

    expression: Annotated[str, Meta(min_length=1, description="a `drop` expression, `{t}` where the threshold goes")]
    at: Annotated[list[float], Meta(min_length=1, description="thresholds")]


class Stat(Base, frozen=True):
    """Describe attributes, and what rules on them would remove; nothing is dropped."""

    inputs: Annotated[
        Literal["documents", "attributes"],
        Meta(description="`attributes`: the files of the sources are attribute files, without their documents"),
    ] = "documents"
    histograms: Annotated[bool, Meta(description="draws the scores and lengths of every attribute")] = True
    bins: Annotated[PositiveInt, Meta(description="most bins of a histogram")] = 1000
    regex: Annotated[str | None, Meta(description="only attributes whose key this finds")] = None
    sweeps: Annotated[list[Sweep], Meta(description="what a rule removes, by threshold")] = []
    drop: Annotated[
        dict[str, str], Meta(description="rules, as of a mix: what each removes alone and with others")
    ] = {}
    examples: Annotated[int, Meta(ge=0, description="documents shown on either side of a threshold")] = 3
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None
