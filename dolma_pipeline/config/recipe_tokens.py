"""What a recipe may say of tokens: the stages `tokens`, `reshard`, `convert` and `train`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base, Fraction, PositiveInt
from dolma_pipeline.config.recipe_tokenizer import Tokenizer


class Pack(Base, frozen=True):
    """Make training instances of one length as the files are written, and a label mask beside each file."""

    length: Annotated[
        int, Meta(ge=2, le=1 << 20, description="tokens in an instance; with `bucket`, in the longest one")
    ]
    by: Annotated[
        Literal["best_fit", "concatenate", "bucket"],
        Meta(
            description="how instances are filled. best_fit: no document is cut that fits; concatenate: documents "
            "follow each "
            "other and are cut where an instance ends; bucket: pieces of power-of-two lengths, in files by length"
        ),
    ] = "best_fit"
    long_documents: Annotated[
        Literal["fragment", "truncate"],
        Meta(description="what `best_fit` does with a document longer than `length`: cut it up, or keep its beginning"),
    ] = "fragment"
    min_length: Annotated[PositiveInt, Meta(description="the shortest length that `bucket` makes")] = 256
    rest: Annotated[
        Literal["pad", "drop"],
        Meta(description="what `bucket` does with a last piece shorter than `min_length`: fill it up, or drop it"),
    ] = "pad"
    label_mask: Annotated[
        bool, Meta(description="write part-NNNNN.mask, which is false where a label is not to be learnt")
    ] = True
    mask_first: Annotated[
        bool, Meta(description="also mask the first token of a document that follows another one in its instance")
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

    tokenizer: Annotated[Tokenizer, Meta(description="the tokenizer, given or trained in the run")]
    order: Annotated[Literal["shuffle", "input"], Meta(description="the order of the documents in the files")] = (
        "shuffle"
    )
    holdout: Annotated[Fraction, Meta(description="the share of documents that is set aside for validation")] = 0.0
    max_tokens: Annotated[PositiveInt, Meta(description="the largest number of tokens in a file")] = 512 * 1024 * 1024
    max_bytes: Annotated[
        PositiveInt | None, Meta(description="the largest number of bytes in a file, if that is fewer tokens")
    ] = None
    pack: Annotated[
        Pack | None, Meta(description="make instances of fixed length; without it, documents follow each other")
    ] = None
    dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(description="the type of a token in the files; without it, the smallest that holds the vocabulary"),
    ] = None
    destination: Annotated[
        str | None, Meta(description="the directory of the output, instead of one in the work directory")
    ] = None
    text_field: Annotated[str, Meta(description="the field that holds the text")] = "text"
    id_field: Annotated[str | None, Meta(description="the field that holds the id; null makes ids from the texts")] = (
        "id"
    )
    as_dolma: Annotated[
        bool, Meta(description="name the files part-0-NNNNN, as one worker of Dolma 1.2.1 does, instead of part-NNNNN")
    ] = False


MOST_COPIES = 10_000
"""The most copies of a document in a sample of tokens: more is most likely a typing error, and takes any memory."""


class Reshard(Base, frozen=True):
    """Turn token files into others, sampled by documents, without tokenizing; every source has `tokens`."""

    rates: Annotated[
        dict[str, Annotated[float, Meta(ge=0.0, le=MOST_COPIES)]],
        Meta(
            description="how often documents of a source are taken, by its name: 0.3 takes three in ten, 2.5 each "
            "two or three times"
        ),
    ] = {}
    tokens: Annotated[
        dict[str, PositiveInt],
        Meta(description="about how many tokens are taken of a source, by its name, instead of a rate"),
    ] = {}
    order: Annotated[Literal["shuffle", "input"], Meta(description="the order of the documents in the files")] = (
        "shuffle"
    )
    max_tokens: Annotated[PositiveInt, Meta(description="the largest number of tokens in a file")] = 512 * 1024 * 1024
    max_bytes: Annotated[
        PositiveInt | None, Meta(description="the largest number of bytes in a file, if that is fewer tokens")
    ] = None
    max_files: Annotated[
        PositiveInt | None,
        Meta(
            description="the largest number of files, of about the same size, instead of `max_tokens` and `max_bytes`"
        ),
    ] = None
    pack: Annotated[
        Pack | None, Meta(description="make instances of fixed length; without it, documents follow each other")
    ] = None
    tokenizer: Annotated[
        Tokenizer | None,
        Meta(description="the tokenizer of files that have no manifest: its `path`, and `eos` or `bos`"),
    ] = None
    dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(description="the type of a token in files that have no manifest"),
    ] = None
    destination: Annotated[
        str | None, Meta(description="the directory of the output, instead of one in the work directory")
    ] = None


class Convert(Base, frozen=True):
    """Turn the token files of the one source into those of another format, document by document."""

    to: Annotated[Literal["dolma", "megatron", "datatrove"], Meta(description="the format that is written")]
    from_: Annotated[
        Literal["dolma", "megatron", "datatrove"] | None,
        Meta(description="the format that is read; without it, it is recognised"),
    ] = field(default=None, name="from")
    tokenizer: Annotated[
        Tokenizer | None,
        Meta(description="the tokenizer of files that have no manifest: its `path`, and `eos` or `bos`"),
    ] = None
    dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(
            description="the type of a token in files of format `dolma`; without it, as before or the smallest that "
            "will do"
        ),
    ] = None
    source_dtype: Annotated[
        Literal["uint8", "uint16", "uint32", "uint64"] | None,
        Meta(description="the type of a token in input files that do not say it"),
    ] = None
    max_tokens: Annotated[
        PositiveInt | None,
        Meta(description="the largest number of tokens in a file; without it, files stay as they are divided"),
    ] = None
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
