"""What a recipe may say of documents: the stages `tag`, `dedupe`, `mix` and `stat`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dolma_pipeline.config.recipe_base import AttributeFormat, Base, DocumentFormat, Fraction, PositiveInt
from dolma_pipeline.config.recipe_minhash import MinHash
from dolma_pipeline.config.recipe_mix import Budget, Edit, Select


class CustomTagger(Base, frozen=True):
    """A tagger made from a file; it has exactly one of `url_list` and `fasttext`."""

    name: Annotated[str, Meta(min_length=1, description="the name of the tagger in attribute files and rules")]
    url_list: Annotated[
        str | list[str] | None,
        Meta(
            description="a file of domains, URLs or rules, or several; the attribute `url` is 1 if metadata.url is "
            "listed"
        ),
    ] = None
    mode: Annotated[
        Literal["domain", "url", "adblock"],
        Meta(
            description="what the lines of `url_list` are: domains with all their subdomains, whole URLs, or Adblock "
            "rules"
        ),
    ] = "domain"
    fasttext: Annotated[
        str | None, Meta(description="the file of a fastText classifier (.bin, .ftz); each label becomes an attribute")
    ] = None
    by: Annotated[
        Literal["document", "paragraph", "sentence"], Meta(description="the unit of text that gets a score")
    ] = "document"
    labels: Annotated[list[str], Meta(description="the labels to write, without `__label__`; none means all")] = []
    threshold: Annotated[Fraction, Meta(description="scores up to this one are left out")] = 0.0
    lower: Annotated[
        bool, Meta(description="lower-case the text first; use it for a model that was trained on lower-cased text")
    ] = False


class Tag(Base, frozen=True):
    """Measure documents: each tagger writes attributes, and nothing is dropped."""

    taggers: Annotated[
        list[str | CustomTagger],
        Meta(min_length=1, description="names of taggers, and taggers made from files; all run in one pass"),
    ]
    experiment: Annotated[
        str | None, Meta(description="the directory of the attribute files; without it, each tagger has its own")
    ] = None
    tagger_modules: Annotated[
        list[str], Meta(description="modules, .py files or package directories that add taggers")
    ] = []
    format: Annotated[AttributeFormat, Meta(description="the format of the attribute files")] = "parquet"
    on_error: Annotated[
        Literal["fail", "quarantine"],
        Meta(description="what to do when a tagger fails on a document: end the run, or set the document aside"),
    ] = "fail"
    keep: Annotated[
        bool,
        Meta(
            description="write attribute files; `false` lets the mix right behind this stage run the taggers in its "
            "own "
            "reading, each only on documents that no earlier rule has dropped"
        ),
    ] = True

    @property
    def names(self) -> list[str]:
        """The names of all taggers, in order."""
        return [t if isinstance(t, str) else t.name for t in self.taggers]


class DocumentKey(Base, frozen=True):
    """Compare whole documents: they are duplicates if their keys are equal."""

    key: Annotated[
        str, Meta(description="the field that is compared, such as `text` or `metadata.url`; it holds strings")
    ] = "text"
    attribute: Annotated[str, Meta(description="the name of the attribute that marks duplicates")] = "duplicate"


class Ngrams(Base, frozen=True):
    """Compare paragraphs by their n-grams of words rather than as wholes."""

    length: Annotated[PositiveInt, Meta(description="words in an n-gram")] = 13
    stride: Annotated[
        int, Meta(ge=0, description="words from the start of one n-gram to the next; 0 and 1 both take every n-gram")
    ] = 0
    overlap_threshold: Annotated[
        Fraction, Meta(description="the share of n-grams that must have been seen for a paragraph to be a duplicate")
    ] = 1.0
    skip_short_paragraphs: Annotated[
        bool, Meta(description="leave out paragraphs of fewer than two n-grams, instead of comparing them as a whole")
    ] = False


class Paragraphs(Base, frozen=True):
    """Compare paragraphs: one is a duplicate if its text was seen before, anywhere in the corpus."""

    separator: Annotated[str, Meta(min_length=1, description="the string between paragraphs")] = "\n"
    ngrams: Annotated[
        Ngrams | None, Meta(description="compare paragraphs by n-grams of words; without it, by their whole text")
    ] = None
    attribute: Annotated[str, Meta(description="the name of the attribute that marks duplicates")] = "duplicate"


class Bloom(Base, frozen=True):
    """A Bloom filter takes constant memory and has a chosen share of false positives."""

    false_positive_rate: Annotated[
        float,
        Meta(gt=0.0, lt=1.0, description="the share of new keys that are taken for duplicates when all keys are in"),
    ] = 1e-6
    size_in_bytes: Annotated[
        int,
        Meta(
            ge=0, description="the size of the filter, all partitions together; 0 computes it from the number of keys"
        ),
    ] = 0
    estimated_keys: Annotated[
        int, Meta(ge=0, description="the number of keys to expect; 0 counts those of the corpus")
    ] = 0
    file: Annotated[
        str | None, Meta(description="the file that the filter is loaded from, if it exists, and saved to")
    ] = None
    read_only: Annotated[bool, Meta(description="mark what the filter in `file` holds, and add nothing to it")] = False


class KeyPart(Base, frozen=True):
    """Which part of the keys is compared, in one of several jobs that share the work; each marks what it finds."""

    index: Annotated[int, Meta(ge=0, description="which part this run compares, from 0")]
    of: Annotated[int, Meta(ge=1, le=4096, description="how many parts there are")]


class Dedupe(Base, frozen=True):
    """Mark documents or paragraphs that were seen before, in input order, or documents that nearly repeat another.

    A stage has exactly one of `documents`, `paragraphs` and `minhash`.
    """

    name: Annotated[
        str,
        Meta(min_length=1, description="the name of the stage, of its attribute files and of its attributes in rules"),
    ]
    documents: Annotated[DocumentKey | None, Meta(description="compare documents by one of their fields")] = None
    paragraphs: Annotated[Paragraphs | None, Meta(description="compare paragraphs by their text")] = None
    minhash: Annotated[
        MinHash | None, Meta(description="find documents whose text is nearly that of another, and compare them")
    ] = None
    bloom: Annotated[
        Bloom | None, Meta(description="use a Bloom filter, which is approximate; without it the comparison is exact")
    ] = None
    partitions: Annotated[
        int,
        Meta(
            ge=1,
            le=4096,
            description="into how many parts keys are divided, which is the parallel work; a Bloom filter depends on "
            "it",
        ),
    ] = 8
    part: Annotated[
        KeyPart | None,
        Meta(description="compare only the keys of one part, in one of several jobs that share the work"),
    ] = None
    skip_empty: Annotated[
        bool, Meta(description="leave out documents or paragraphs without text other than white space")
    ] = True
    min_length: Annotated[int, Meta(ge=0, description="leave out documents or paragraphs of fewer code points")] = 0
    min_words: Annotated[
        int, Meta(ge=0, description="leave out documents or paragraphs of fewer words, as white space divides them")
    ] = 0
    format: Annotated[AttributeFormat, Meta(description="the format of the attribute files")] = "parquet"


class Mix(Base, frozen=True):
    """Keep, edit and sample documents by their attributes, and write those that stay."""

    name: Annotated[
        str, Meta(min_length=1, description="the name of the output: its directory and the beginning of its file names")
    ] = "mixed"
    drop: Annotated[
        dict[str, str],
        Meta(description="rules by name, each an expression; a document is dropped by the first that is true"),
    ] = {}
    select: Annotated[Select | None, Meta(description="filters in the form of Dolma, applied after `drop`")] = None
    edit: Annotated[list[Edit], Meta(description="changes of the text of documents that stay")] = []
    budget: Annotated[Budget | None, Meta(description="how much to keep; without it, everything stays")] = None
    min_text_length: Annotated[
        int,
        Meta(
            ge=0,
            description="drop documents whose text has fewer bytes than this after the edits, without white space at "
            "the ends",
        ),
    ] = 0
    discard_fields: Annotated[list[str], Meta(description="top-level fields of a document that are not written")] = []
    keep_attributes: Annotated[
        bool, Meta(description="merge all attributes of a document into its field `attributes`, as Dolma does")
    ] = False
    provenance: Annotated[
        bool, Meta(description="write the file and line of each document to `metadata.provenance`")
    ] = True
    destination: Annotated[
        str | None, Meta(description="the directory of the output, instead of one in the work directory")
    ] = None
    max_size_in_bytes: Annotated[
        int,
        Meta(ge=0, description="join small input files into outputs of this size; 0 writes one output for each input"),
    ] = 0
    format: Annotated[
        DocumentFormat | Literal["input"],
        Meta(description="the format of the files; `input` keeps the format of each input file"),
    ] = "jsonl.zst"
    as_dolma: Annotated[
        bool,
        Meta(
            description="follow Dolma 1.2.1 in the names and layout of files, in provenance (base names of files) "
            "and in jq "
            "(an index of null fails)"
        ),
    ] = False


class Sweep(Base, frozen=True):
    """What a rule would remove at each of several thresholds."""

    expression: Annotated[
        str, Meta(min_length=1, description="an expression as in `drop`, with `{t}` in place of the threshold")
    ]
    at: Annotated[list[int | float], Meta(min_length=1, description="the thresholds to try")]

    def __post_init__(self) -> None:
        # A whole number that a double rounds stays what it is; `3` and `3.0` are one setting.
        try:
            exact = [t if float(t) != t else float(t) for t in self.at]
        except OverflowError:
            raise ValueError("expected thresholds up to 1.8e308 in `at`, found a longer number") from None
        msgspec.structs.force_setattr(self, "at", exact)


class Stat(Base, frozen=True):
    """Describe attributes, and what rules on them would remove; nothing is dropped."""

    inputs: Annotated[
        Literal["documents", "attributes"],
        Meta(description="what the files of the sources are: documents, or attribute files without their documents"),
    ] = "documents"
    histograms: Annotated[
        bool, Meta(description="show the distribution of the scores and lengths of every attribute")
    ] = True
    bins: Annotated[PositiveInt, Meta(description="the largest number of bins in a histogram")] = 1000
    regex: Annotated[
        str | None, Meta(description="describe only attributes whose key contains a match of this regular expression")
    ] = None
    sweeps: Annotated[list[Sweep], Meta(description="rules to try at several thresholds")] = []
    drop: Annotated[
        dict[str, str],
        Meta(description="rules as in a mix; the result says what each removes alone and together with the others"),
    ] = {}
    examples: Annotated[int, Meta(ge=0, description="how many documents are shown on either side of a threshold")] = 3
    destination: Annotated[
        str | None, Meta(description="the directory of the output, instead of one in the work directory")
    ] = None
