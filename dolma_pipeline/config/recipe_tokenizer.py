"""What a recipe may say of tokenizers: which one, how to train one, and what to measure of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, field

from dolma_pipeline.config.recipe_base import Base

PreTokenizer: TypeAlias = Literal["gpt2", "gpt4", "qwen2"]
Digits: TypeAlias = Literal["as_rule", "apart", "single"]
Normalizer: TypeAlias = Literal["none", "nfc"]


class TrainTokenizer(Base, frozen=True):
    """Train a byte-level BPE on a sample of the documents."""

    vocab_size: Annotated[
        int, Meta(ge=300, description="how many tokens the vocabulary has, special ones included")
    ] = 8192
    sample_bytes: Annotated[int, Meta(ge=1, description="bytes of text to train on, the same from each file")] = (
        16_000_000
    )
    weights: Annotated[
        dict[str, float],
        Meta(description="the share of each source in the sample, by name; without it, each file gives the same"),
    ] = {}
    special_tokens: Annotated[
        list[str] | Literal["olmo", "dolma_v1_5"],
        Meta(
            description="the special tokens in the order of their ids, from 0; or those of OLMo's tokenizers at "
            "their ids"
        ),
    ] = field(default_factory=lambda: ["<|endoftext|>", "<|padding|>"])
    pre_tokenizer: Annotated[
        PreTokenizer,
        Meta(
            description="how text is cut into words: as OLMo 1 does, as OLMo 2 does (three digits at most), or with "
            "single digits"
        ),
    ] = "gpt2"
    digits: Annotated[
        Digits,
        Meta(
            description="how numbers are cut: as `pre_tokenizer` says, apart from the space before them, or digit by "
            "digit"
        ),
    ] = "as_rule"
    normalizer: Annotated[
        Normalizer,
        Meta(description="`nfc` normalizes text first, as OLMo 1 does; decoding then gives the normalized text"),
    ] = "none"
    min_frequency: Annotated[int, Meta(ge=1, description="how often a pair of tokens must occur to be merged")] = 2


class Tokenizer(Base, frozen=True):
    """A tokenizer that exists, or one to train; it has exactly one of `path` and `train`."""

    path: Annotated[
        str | None,
        Meta(description="a tokenizer.json, or the name of a tokenizer in the local cache of the Hugging Face Hub"),
    ] = None
    train: Annotated[TrainTokenizer | None, Meta(description="train a tokenizer on the documents of the stage")] = None
    bos: Annotated[str | int | None, Meta(description="the token, or its id, that is put before each document")] = None
    eos: Annotated[str | int | None, Meta(description="the token, or its id, that is put after each document")] = None
    pad: Annotated[str | int | None, Meta(description="the token, or its id, that fills up packed instances")] = None
    encode_special_tokens: Annotated[bool, Meta(description="treat special tokens that stand in a text as text")] = (
        False
    )
    segment_before_tokenization: Annotated[bool, Meta(description="encode each text line by line")] = False
    on_missing: Annotated[
        Literal["error", "warn"],
        Meta(
            description="what to do with a vocabulary that lacks bytes or characters and has no token for unknown "
            "ones: "
            "refuse it before any work, or warn and count the documents that lose text"
        ),
    ] = "error"
    engine: Annotated[
        Literal["auto", "fast", "reference"],
        Meta(
            description="the code that encodes: the built-in BPE, the library `tokenizers`, or the first if it gives "
            "the same ids"
        ),
    ] = "auto"


class Fertility(Base, frozen=True):
    """Measure how many tokens texts need, by source and by language; nothing is dropped."""

    tokenizers: Annotated[
        list[str],
        Meta(
            description="tokenizer.json files or directories to measure, besides the tokenizer of an earlier "
            "`tokens` stage"
        ),
    ] = []
    by: Annotated[
        str | None,
        Meta(
            description="what groups documents: a field such as `metadata.lang`, or a tagger of languages by its "
            "best score"
        ),
    ] = None
    baseline: Annotated[
        str | None, Meta(description="the group of `by` that others are compared with, such as `en`")
    ] = None
    sample: Annotated[
        float,
        Meta(gt=0.0, le=1.0, description="the share of documents that is measured, chosen by a hash of id and text"),
    ] = 1.0
    destination: Annotated[
        str | None, Meta(description="the directory of the output, instead of one in the work directory")
    ] = None
    text_field: Annotated[str, Meta(description="the field that holds the text")] = "text"
    id_field: Annotated[str | None, Meta(description="the field that holds the id; null makes ids from the texts")] = (
        "id"
    )
