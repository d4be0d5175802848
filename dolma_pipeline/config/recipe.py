"""The recipe: sources, then stages, decoded in one strict call into frozen structs.

Field descriptions are what `--help` prints. An unknown key is an error that names its `$.path` (see config.py).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, field

from dolma_pipeline.config.recipe_mix import Budget as Budget
from dolma_pipeline.config.recipe_mix import Edit as Edit
from dolma_pipeline.config.recipe_mix import OnError as OnError
from dolma_pipeline.config.recipe_mix import Select as Select
from dolma_pipeline.config.recipe_tokenizer import Fertility as Fertility
from dolma_pipeline.config.recipe_tokenizer import Tokenizer as Tokenizer
from dolma_pipeline.config.recipe_tokenizer import TrainTokenizer as TrainTokenizer
from dolma_pipeline.formats.columns import Columns

AttributeFormat: TypeAlias = Literal["parquet", "jsonl.zst", "jsonl.gz", "jsonl"]
DocumentFormat: TypeAlias = Literal["jsonl.zst", "jsonl.gz", "jsonl", "parquet"]
PositiveInt: TypeAlias = Annotated[int, Meta(ge=1)]
Fraction: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]


class Base(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Every part of a recipe: immutable, and strict about its keys."""


class Source(Base, frozen=True):
    """Where documents come from; exactly one of `documents`, `collect` and `tokens`."""

    documents: Annotated[
        str | list[str] | None, Meta(description="glob, or globs, of document files (JSONL or Parquet)")
    ] = None
    columns: Annotated[
        Columns | None, Meta(description="where the documents keep `id`, `text` and so on, if under other names")
    ] = None
    collect: Annotated[
        str | None, Meta(description="a built-in collection of text that any Python installation has")
    ] = None
    tokens: Annotated[
        str | None, Meta(description="directory of token files (ours, Dolma's, Megatron's, datatrove's), to reshard")
    ] = None
    attributes: Annotated[
        list[str], Meta(description="experiments already tagged, found beside the documents or in `attributes_dir`")
    ] = []
    attributes_dir: Annotated[
        str | None,
        Meta(
            description="directory that other recipes share, where `EXPERIMENT/` holds attribute files: `tag` and "
            "`dedupe` write there, and `attributes` are found there"
        ),
    ] = None
    destination: Annotated[
        str | None, Meta(description="directory of the attribute files a `tag` stage writes, instead of the default")
    ] = None
    document_dir: Annotated[
        str, Meta(description="path component that `attributes/<experiment>` takes the place of")
    ] = "documents"
    priority: Annotated[int, Meta(description="the duplicate from the source of higher priority stays")] = 0
    order: Annotated[
        Literal["name", "given"],
        Meta(description="order of the files: by name, or pattern by pattern as `documents` lists them, as in Dolma"),
    ] = "name"


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


class Pack(Base, frozen=True):
    """Make training instances of one length as the files are written, and a label mask beside each file."""

    length: Annotated[int, Meta(ge=2, le=1 << 20, description="tokens of an instance; of `bucket` the most")]
    by: Annotated[
        Literal["best_fit", "concatenate", "bucket"],
        Meta(
            description="best_fit: no document is cut that fits; concatenate: in a row, cut where an instance ends; "
            "bucket: pieces of power-of-two lengths, each length in files of its own"
        ),
    ] = "best_fit"
    long_documents: Annotated[
        Literal["fragment", "truncate"],
        Meta(description="for `best_fit`, a document longer than `length`: cut it up, or keep its head"),
    ] = "fragment"
    min_length: Annotated[PositiveInt, Meta(description="for `bucket`, the shortest length")] = 256
    rest: Annotated[
        Literal["pad", "drop"],
        Meta(description="for `bucket`, what is left of a document, shorter than `min_length`: pad it, or drop it"),
    ] = "pad"
    label_mask: Annotated[bool, Meta(description="write part-NNNNN.mask: false where a label is not learnt from")] = (
        True
    )
    mask_first: Annotated[
        bool, Meta(description="nor is the first token of a document learnt from another document before it")
    ] = False

    @property
    def pads(self) -> bool:
        """Whether instances may have to be filled up."""
        return self.by != "bucket" or self.rest == "pad"

    @property
    def min_tokens(self) -> int:
        """The fewest tokens of a document of which something is packed."""
        return self.min_length if self.by == "bucket" and self.rest == "drop" else 0


class Tokens(Base, frozen=True):
    """Turn documents into flat token files with an index and a manifest."""

    tokenizer: Tokenizer
    order: Annotated[Literal["shuffle", "input"], Meta(description="order of the documents in the files")] = "shuffle"
    holdout: Annotated[Fraction, Meta(description="share of documents set aside for validation")] = 0.0
    max_tokens: Annotated[PositiveInt, Meta(description="most tokens in a file")] = 512 * 1024 * 1024
    max_bytes: Annotated[PositiveInt | None, Meta(description="most bytes in a file, if that is fewer")] = None
    pack: Annotated[Pack | None, Meta(description="into instances of fixed length; without it, documents in a row")] = (
        None
    )
    dtype: Literal["uint8", "uint16", "uint32", "uint64"] | None = None
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None
    text_field: str = "text"
    id_field: str | None = "id"
    as_dolma: Annotated[
        bool, Meta(description="call the files part-0-NNNNN, as one worker of Dolma 1.2.1 does, instead of part-NNNNN")
    ] = False


MOST_COPIES = 10_000
"""The most copies of a document in a sample of tokens: more is most likely a typing error, and takes any memory."""


class Reshard(Base, frozen=True):
    """Turn token files into others, sampled by documents, without tokenizing; every source has `tokens`."""

    rates: Annotated[
        dict[str, Annotated[float, Meta(ge=0.0, le=MOST_COPIES)]],
        Meta(description="how often the documents of a source are taken: 0.3 of them, 2.5 times each; default: 1"),
    ] = {}
    tokens: Annotated[
        dict[str, PositiveInt],
        Meta(description="instead of the rate of a source: about how many tokens of it, by the rate that gives them"),
    ] = {}
    order: Annotated[Literal["shuffle", "input"], Meta(description="order of the documents in the files")] = "shuffle"
    max_tokens: Annotated[PositiveInt, Meta(description="most tokens in a file")] = 512 * 1024 * 1024
    max_bytes: Annotated[PositiveInt | None, Meta(description="most bytes in a file, if that is fewer")] = None
    max_files: Annotated[
        PositiveInt | None, Meta(description="instead of either: most files, of about the same size")
    ] = None
    pack: Annotated[Pack | None, Meta(description="into instances of fixed length; without it, documents in a row")] = (
        None
    )
    tokenizer: Annotated[
        Tokenizer | None, Meta(description="tokenizer of files without a manifest: its `path`, and `eos` or `bos`")
    ] = None
    dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None, Meta(description="token type where there is no manifest")
    ] = None
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None


class Convert(Base, frozen=True):
    """Turn the token files of the one source into those of another format, document by document."""

    to: Annotated[Literal["dolma", "megatron", "datatrove"], Meta(description="format that is written")]
    from_: Annotated[
        Literal["dolma", "megatron", "datatrove"] | None, Meta(description="format that is read; default: as found")
    ] = field(default=None, name="from")
    tokenizer: Annotated[
        Tokenizer | None, Meta(description="tokenizer of files without a manifest: its `path`, and `eos` or `bos`")
    ] = None
    dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(description="to dolma: of a token in the files written; default: as before, or the smallest that will do"),
    ] = None
    source_dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(description="token type of files that lack it"),
    ] = None
    max_tokens: Annotated[PositiveInt | None, Meta(description="most tokens in a file; default: as they are")] = None
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None


class Train(Base, frozen=True):
    """Train an OLMo on the tokens with FSDP and measure held-out perplexity."""

    model: Annotated[str, Meta(description="a preset of dolma_pipeline.train.presets, or a YAML/JSON file")]
    steps: PositiveInt
    name: Annotated[
        str | None,
        Meta(description="name of the model: its directory in `train/`; needed where a recipe trains several"),
    ] = None
    nproc: Annotated[int, Meta(ge=1, description="ranks on this machine")] = 1
    batch_size: Annotated[int, Meta(ge=1, description="instances in a global batch")] = 32
    microbatch_size: Annotated[int, Meta(ge=1, description="instances a rank forwards at once")] = 8
    sequence_length: PositiveInt = 256
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-3
    warmup_steps: Annotated[int, Meta(ge=0)] = 20
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    final_fraction: Annotated[Fraction, Meta(description="learning rate at the end, as a fraction of the peak")] = 0.1
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    checkpoint_every: PositiveInt = 100
    evaluate_every: PositiveInt = 100
    threads: Annotated[int, Meta(ge=1, description="threads of one process; several have one each")] = 2
    precision: Annotated[Literal["fp32", "bf16"], Meta(description="precision of products; sums stay in fp32")] = "fp32"
    seed: Annotated[int | None, Meta(description="default: the seed of the recipe")] = None


class Labelled(Base, frozen=True):
    """Which documents have a label."""

    sources: Annotated[list[str], Meta(description="names of sources; none: all of them")] = []
    where: Annotated[str | None, Meta(description="an expression as in `drop`, true of its documents")] = None


class FastText(Base, frozen=True):
    """How fastText trains: a softmax over the mean of the vectors of words and n-grams."""

    dim: Annotated[PositiveInt, Meta(description="dimensions of the vectors")] = 100
    epoch: Annotated[PositiveInt, Meta(description="times that every document is seen")] = 5
    learning_rate: Annotated[float, Meta(gt=0)] = 0.5
    word_ngrams: Annotated[PositiveInt, Meta(description="longest n-gram of words")] = 2
    min_count: Annotated[PositiveInt, Meta(description="leave out rarer words")] = 3
    bucket: Annotated[int, Meta(ge=1, description="vectors that all n-grams share")] = 200_000
    min_n: Annotated[int, Meta(ge=0, description="shortest n-gram of characters; 0: none")] = 0
    max_n: Annotated[int, Meta(ge=0, description="longest n-gram of characters; 0: none")] = 0
    loss: Literal["softmax", "hs", "ova"] = "softmax"


class Quantize(Base, frozen=True):
    """Make the model some ten times smaller, a `.ftz`, and a little less exact."""

    cutoff: Annotated[int, Meta(ge=0, description="most words and n-grams that are kept; 0: all")] = 0
    retrain: Annotated[bool, Meta(description="train on what is kept, where there is a cutoff")] = False
    qnorm: Annotated[bool, Meta(description="quantise norms apart")] = True
    dsub: Annotated[PositiveInt, Meta(description="numbers of a vector that become one byte")] = 2


class Classifier(Base, frozen=True):
    """Train a fastText classifier on labelled documents, and judge it on some that are held out."""

    labels: Annotated[dict[str, Labelled], Meta(min_length=2, description="which documents; the first rule that holds")]
    name: Annotated[str, Meta(min_length=1, description="name of the model: its file")] = "classifier"
    target: Annotated[str | None, Meta(description="label whose score the thresholds are on; default: the first")] = (
        None
    )
    held_out: Annotated[
        Fraction, Meta(description="share of documents that are not trained on, by hash of id and text")
    ] = 0.1
    max_documents: Annotated[
        PositiveInt | None, Meta(description="most of a label, drawn by hash of id and text; of those held out as well")
    ] = None
    lower: Annotated[bool, Meta(description="lower-case texts, in training and in use")] = False
    strip: Annotated[bool, Meta(description="drop white space at the ends, in training and in use")] = True
    fasttext: FastText = FastText()
    quantize: Quantize | None = None
    removal_rates: Annotated[list[Fraction], Meta(description="shares to find thresholds for")] = field(
        default_factory=lambda: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    )
    destination: Annotated[
        str | None, Meta(description="file of the model, .bin or .ftz; default: in the work directory")
    ] = None


class Stage(Base, frozen=True):
    """One stage; exactly one key."""

    tag: Tag | UnsetType = UNSET
    dedupe: Dedupe | UnsetType = UNSET
    mix: Mix | UnsetType = UNSET
    stat: Stat | UnsetType = UNSET
    tokens: Tokens | UnsetType = UNSET
    reshard: Reshard | UnsetType = UNSET
    convert: Convert | UnsetType = UNSET
    fertility: Fertility | UnsetType = UNSET
    classifier: Classifier | UnsetType = UNSET
    train: Train | UnsetType = UNSET


class Recipe(Base, frozen=True):
    """What to make of which documents."""

    name: Annotated[str, Meta(min_length=1)]
    work_dir: Annotated[str, Meta(min_length=1, description="everything that is written goes here")]
    sources: Annotated[dict[str, Source], Meta(min_length=1)]
    stages: Annotated[list[Stage], Meta(min_length=1)]
    seed: int = 17
    layout: Annotated[
        Literal["work_dir", "beside"],
        Meta(description="attribute files in the work directory, or beside the documents as Dolma puts them"),
    ] = "work_dir"
    max_bad_fraction: Annotated[
        Fraction, Meta(description="share of documents or files that could not be read, over which the run fails")
    ] = 0.01
