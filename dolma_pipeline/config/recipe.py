"""The recipe: sources, then stages, decoded in one strict call into frozen structs.

Field descriptions are what `--help` prints. An unknown key is an error that names its `$.path` (see load.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from dolma_pipeline.config.recipe_base import AttributeFormat as AttributeFormat
from dolma_pipeline.config.recipe_base import Base as Base
from dolma_pipeline.config.recipe_base import DocumentFormat as DocumentFormat
from dolma_pipeline.config.recipe_base import Fraction as Fraction
from dolma_pipeline.config.recipe_base import PositiveInt as PositiveInt
from dolma_pipeline.config.recipe_classifier import Classifier as Classifier
from dolma_pipeline.config.recipe_classifier import FastText as FastText
from dolma_pipeline.config.recipe_classifier import Labelled as Labelled
from dolma_pipeline.config.recipe_classifier import Quantize as Quantize
from dolma_pipeline.config.recipe_dedupe import Bloom as Bloom
from dolma_pipeline.config.recipe_dedupe import Dedupe as Dedupe
from dolma_pipeline.config.recipe_dedupe import DocumentKey as DocumentKey
from dolma_pipeline.config.recipe_dedupe import KeyPart as KeyPart
from dolma_pipeline.config.recipe_dedupe import Ngrams as Ngrams
from dolma_pipeline.config.recipe_dedupe import Paragraphs as Paragraphs
from dolma_pipeline.config.recipe_mix import Budget as Budget
from dolma_pipeline.config.recipe_mix import Edit as Edit
from dolma_pipeline.config.recipe_mix import OnError as OnError
from dolma_pipeline.config.recipe_mix import Select as Select
from dolma_pipeline.config.recipe_tokenizer import Fertility as Fertility
from dolma_pipeline.config.recipe_tokenizer import Tokenizer as Tokenizer
from dolma_pipeline.config.recipe_tokenizer import TrainTokenizer as TrainTokenizer
from dolma_pipeline.config.recipe_tokens import MOST_COPIES as MOST_COPIES
from dolma_pipeline.config.recipe_tokens import Convert as Convert
from dolma_pipeline.config.recipe_tokens import Pack as Pack
from dolma_pipeline.config.recipe_tokens import Reshard as Reshard
from dolma_pipeline.config.recipe_tokens import Tokens as Tokens
from dolma_pipeline.formats.columns import Columns


class Source(Base, frozen=True):
    """Where documents come from; a source has exactly one of `documents`, `collect` and `tokens`."""

    documents: Annotated[
        str | list[str] | None, Meta(description="a glob of document files (JSON lines or Parquet), or a list of globs")
    ] = None
    columns: Annotated[
        Columns | None,
        Meta(description="the names of the fields that hold `id`, `text` and so on, if documents call them otherwise"),
    ] = None
    collect: Annotated[
        str | None, Meta(description="a built-in collection of text that any Python installation has")
    ] = None
    tokens: Annotated[
        str | None,
        Meta(
            description="a directory of token files (ours, Dolma's, Megatron's or datatrove's), for `reshard` and "
            "`convert`"
        ),
    ] = None
    attributes: Annotated[
        list[str],
        Meta(description="names of attribute files that exist already, beside the documents or in `attributes_dir`"),
    ] = []
    attributes_dir: Annotated[
        str | None,
        Meta(
            description="a directory of attribute files that recipes share: `tag` and `dedupe` write to "
            "`EXPERIMENT/` in it, "
            "and `attributes` are read from there"
        ),
    ] = None
    destination: Annotated[
        str | None,
        Meta(description="the directory to which a `tag` stage writes its attribute files, instead of the default"),
    ] = None
    document_dir: Annotated[str, Meta(description="the part of each path that `attributes/<experiment>` replaces")] = (
        "documents"
    )
    priority: Annotated[int, Meta(description="the duplicate in the source with the higher number stays")] = 0
    order: Annotated[
        Literal["name", "given"],
        Meta(
            description="the order of the files: by name, or pattern by pattern as `documents` lists them (as Dolma "
            "does)"
        ),
    ] = "name"


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
    at: Annotated[list[float], Meta(min_length=1, description="the thresholds to try")]


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


class Train(Base, frozen=True):
    """Train an OLMo on the tokens with FSDP, and measure its perplexity on held-out ones."""

    model: Annotated[str, Meta(description="a preset of `dolma_pipeline.train.presets`, or a YAML or JSON file")]
    steps: Annotated[PositiveInt, Meta(description="how many optimizer steps to train")]
    name: Annotated[
        str | None,
        Meta(description="the name of the model, and of its directory in `train/`; needed if a recipe trains several"),
    ] = None
    nproc: Annotated[int, Meta(ge=1, description="how many ranks train on this machine")] = 1
    batch_size: Annotated[int, Meta(ge=1, description="instances in a step, over all ranks")] = 32
    microbatch_size: Annotated[int, Meta(ge=1, description="instances that a rank processes at once")] = 8
    sequence_length: Annotated[PositiveInt, Meta(description="tokens in an instance")] = 256
    learning_rate: Annotated[float, Meta(gt=0, description="the highest learning rate, after the warm-up")] = 1e-3
    warmup_steps: Annotated[
        int, Meta(ge=0, description="steps in which the learning rate rises to its highest value")
    ] = 20
    schedule: Annotated[
        Literal["linear", "cosine", "constant"], Meta(description="how the learning rate falls after the warm-up")
    ] = "cosine"
    final_fraction: Annotated[Fraction, Meta(description="the last learning rate, as a fraction of the highest")] = 0.1
    weight_decay: Annotated[float, Meta(ge=0, description="the weight decay of AdamW")] = 0.1
    checkpoint_every: Annotated[PositiveInt, Meta(description="steps between two checkpoints")] = 100
    evaluate_every: Annotated[PositiveInt, Meta(description="steps between two measurements on held-out tokens")] = 100
    threads: Annotated[
        int, Meta(ge=1, description="threads of the process if `nproc` is 1; with more ranks each has one")
    ] = 2
    precision: Annotated[
        Literal["fp32", "bf16"], Meta(description="the precision of matrix products; sums stay in fp32")
    ] = "fp32"
    seed: Annotated[
        int | None, Meta(description="the seed of the weights and the order, instead of that of the recipe")
    ] = None


class Stage(Base, frozen=True):
    """One stage; it has exactly one of these keys."""

    tag: Annotated[Tag | UnsetType, Meta(description="runs taggers over documents")] = UNSET
    dedupe: Annotated[Dedupe | UnsetType, Meta(description="marks documents or paragraphs that were seen before")] = (
        UNSET
    )
    mix: Annotated[Mix | UnsetType, Meta(description="drops, edits and samples documents")] = UNSET
    stat: Annotated[Stat | UnsetType, Meta(description="describes attributes and tries rules")] = UNSET
    tokens: Annotated[Tokens | UnsetType, Meta(description="turns documents into token files")] = UNSET
    reshard: Annotated[Reshard | UnsetType, Meta(description="samples and shuffles token files anew")] = UNSET
    convert: Annotated[Convert | UnsetType, Meta(description="changes the format of token files")] = UNSET
    fertility: Annotated[Fertility | UnsetType, Meta(description="measures how many tokens texts need")] = UNSET
    classifier: Annotated[Classifier | UnsetType, Meta(description="trains a fastText classifier")] = UNSET
    train: Annotated[Train | UnsetType, Meta(description="trains a language model")] = UNSET


class Recipe(Base, frozen=True):
    """A recipe: which documents, and which stages they go through."""

    name: Annotated[str, Meta(min_length=1, description="the name of the recipe, to which its work directory belongs")]
    work_dir: Annotated[str, Meta(min_length=1, description="the directory that everything is written to")]
    sources: Annotated[dict[str, Source], Meta(min_length=1, description="the sources of documents by name")]
    stages: Annotated[list[Stage], Meta(min_length=1, description="the stages in the order in which they run")]
    seed: Annotated[int, Meta(description="the seed of every random choice")] = 17
    layout: Annotated[
        Literal["work_dir", "beside"],
        Meta(description="the place of attribute files: the work directory, or beside the documents as with Dolma"),
    ] = "work_dir"
    max_bad_fraction: Annotated[
        Fraction,
        Meta(description="the largest share of documents or files that may be unreadable; above it the run exits 3"),
    ] = 0.01
