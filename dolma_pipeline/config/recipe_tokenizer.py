"""What a recipe may say of tokenizers: which one, how to train one, and what to measure of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

PreTokenizer: TypeAlias = Literal["gpt2", "gpt4", "qwen2"]
Digits: TypeAlias = Literal["as_rule", "apart", "single"]
Normalizer: TypeAlias = Literal["none", "nfc"]


class Part(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """As every part of a recipe: immutable, and strict about its keys."""


class TrainTokenizer(Part, frozen=True):
    """Train a byte-level BPE on a sample of the documents."""

    vocab_size: Annotated[int, Meta(ge=300, description="tokens, special ones included")] = 8192
    sample_bytes: Annotated[int, Meta(ge=1, description="bytes of text to train on, alike from each file")] = 16_000_000
    weights: Annotated[dict[str, float], Meta(description="instead: share of the sample of each source, by name")] = {}
    special_tokens: Annotated[
        list[str] | Literal["olmo", "dolma_v1_5"],
        Meta(description="in the order of their ids, from 0; or those of OLMo's tokenizers at the ids that they have"),
    ] = field(default_factory=lambda: ["<|endoftext|>", "<|padding|>"])
    pre_tokenizer: Annotated[
        PreTokenizer,
        Meta(description="rule for words: of OLMo 1; of OLMo 2 (three digits at most); the same with single digits"),
    ] = "gpt2"
    digits: Annotated[
        Digits,
        Meta(description="apart: numbers are words without the space before them; single: one by one"),
    ] = "as_rule"
    normalizer: Annotated[Normalizer, Meta(description="nfc: as OLMo 1; decoding gives the NFC back")] = "none"
    min_frequency: Annotated[int, Meta(ge=1, description="how often a pair must occur to be merged")] = 2


class Tokenizer(Part, frozen=True):
    """A tokenizer.json, or one to train; exactly one of `path` and `train`."""

    path: str | None = None
    train: TrainTokenizer | None = None
    bos: Annotated[str | int | None, Meta(description="token or id put before each document")] = None
    eos: Annotated[str | int | None, Meta(description="token or id put after each document")] = None
    pad: str | int | None = None
    encode_special_tokens: Annotated[bool, Meta(description="treat special tokens in a text as text")] = False
    segment_before_tokenization: Annotated[bool, Meta(description="encode line by line")] = False
    on_missing: Annotated[
        Literal["error", "warn"],
        Meta(
            description="what to do with a vocabulary that lacks bytes or characters and has no token in their place: "
            "refuse it before any work, or warn and count the documents that lose text"
        ),
    ] = "error"
    engine: Annotated[
        Literal["auto", "fast", "reference"],
        Meta(description="fast: the built-in BPE; reference: `tokenizers`; auto: fast where it gives the same ids"),
    ] = "auto"


class Fertility(Part, frozen=True):
    """Measure how many tokens texts need, by source and by language; nothing is dropped."""

    tokenizers: Annotated[
        list[str], Meta(description="tokenizer.json files or directories, beside that of the `tokens` stage before")
    ] = []
    by: Annotated[
        str | None,
        Meta(description="a field (`metadata.lang`), or a tagger of languages, whose best score decides"),
    ] = None
    baseline: Annotated[str | None, Meta(description="the group of `by` to compare others with, such as `en`")] = None
    sample: Annotated[float, Meta(gt=0.0, le=1.0, description="share of documents, chosen by hash of id and text")] = (
        1.0
    )
    destination: Annotated[str | None, Meta(description="directory; default: in the work directory")] = None
    text_field: str = "text"
    id_field: str | None = "id"
