"""The settings of stages that write token files, and of the one that trains on them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base, Fraction, PositiveInt
from dolma_pipeline.config.recipe_tokenizer import Tokenizer


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
