"""The native extension: readers, writers and kernels over Arrow arrays. Every call releases the GIL.

Raises OSError (by errno), DataError for bytes that are not what a format promises, ValueError and TypeError for
arguments.
"""

from collections.abc import Iterator, Sequence
from typing import Any, final

from typing_extensions import Self

@final
class DocumentReader:
    """Streams the documents of a JSONL file as pyarrow.RecordBatch (see formats/documents.py for the columns)."""

    def __new__(
        cls,
        path: str,
        *,
        batch_bytes: int = ...,
        max_line_bytes: int = ...,
        keep_raw: bool = False,
        columns: Sequence[tuple[str, str | None]] | None = None,
        as_dolma: bool = False,
        piece: tuple[int, int] = ...,
    ) -> Self:
        """`columns`: (name in a document, field of the line, or None for an id made from the text).

        `as_dolma`: an id that is no string is a NUL and its JSON; of a key given twice the last one counts.
        `piece`: (number from 0, how many there are); a reader of any but the first begins with calls of `skip`.
        """

    def skip(self, most: int) -> bool:
        """Steps over about `most` bytes of the text before the piece; False once there is nothing more to step over."""

    def go_on(self, number: int) -> bool:
        """Goes on to a later piece when this one has been read; False where the reader cannot."""

    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def take_bad(self) -> list[tuple[int, int, str, bytes, int]]:
        """(line, offset, reason, the first 4 kB, bytes of the line) of the bad lines met since the last call."""

    @property
    def damage(self) -> str | None: ...
    @property
    def unread_bytes(self) -> int:
        """Bytes of the file, as it is stored, that lie behind the damage that ended it."""

    @property
    def bytes_read(self) -> int: ...

@final
class AttributeReader:
    """Streams the rows of a JSONL attribute file: id, raw where asked for, a column per key.

    A column has the type of the kind that the rows show: float64, int64, large_string, bool, or spans, also where no
    row has had the key so far. `next_rows` raises DataError at a row whose value has another kind.
    """

    def __new__(
        cls,
        path: str,
        keys: Sequence[str],
        *,
        raw: bool = False,
        any_id: bool = False,
        kinds: Sequence[str | None] = ...,
    ) -> Self:
        """`any_id`: an id that is no string is a NUL and its JSON. `kinds`: of `keys`, as far as they are known."""

    def skip_rows(self, rows: int) -> bool:
        """Steps over rows without looking at them; False if the file has fewer."""

    def next_rows(self, rows: int) -> Any: ...

@final
class SpanScanner:
    """Streams every value of a JSONL attribute file, whatever its keys; an empty list is one span (0, 0, 0.0)."""

    def __new__(cls, path: str) -> Self: ...
    def next_rows(self, rows: int) -> Any | None:
        """key: uint32 (into `keys`), start, end: int64, score: float64, of the next rows; None at the end.

        A number that stands alone ends at -1.
        """

    def take_values(self) -> Any:
        """key: uint32, value: large_string (a flag is `true` or `false`) of the rows of the last `next_rows`."""

    @property
    def keys(self) -> list[str]:
        """Those met so far, in order of appearance."""

    @property
    def kinds(self) -> list[str | None]:
        """What each of `keys` holds: `spans`, `number`, `string`, `bool`, or None for nothing but nulls."""

@final
class LineWriter:
    """Writes a file atomically, compressed by its extension, hashed on the way."""

    def __new__(cls, path: str, *, level: int | None = None) -> Self: ...
    def write(self, data: bytes) -> None: ...
    def write_documents(
        self,
        batch: Any,
        *,
        copies: Any | None = None,
        texts: Any | None = None,
        attributes: Sequence[Any] = ...,
        provenance: str | None = None,
        discard: Sequence[str] = ...,
        always_provenance: bool = False,
    ) -> tuple[int, int]:
        """Documents (read with keep_raw) as JSON lines; returns (documents, UTF-8 bytes of text) written.

        `always_provenance`: the provenance is written even where `discard` names `metadata`.

        `attributes`: per attribute file the JSON object of each document (large_binary), merged in order into its own.
        """

    def write_attributes(
        self,
        ids: Any,
        lengths: Any,
        sources: Any | None,
        keys: Sequence[str],
        columns: Sequence[Any],
        *,
        empty: bool = False,
        any_id: bool = False,
    ) -> None:
        """`empty`: texts without a span, and scores that are not numbers, have `"key":[]`.

        `any_id`: what follows the NUL at the beginning of an id is written as it stands.
        """

    def write_token_rows(self, starts: Any, ends: Any, ids: Any, files: Any, labels: Sequence[str], lines: Any) -> None:
        """Rows `start,end,id,src,loc` of the table of a token file; `files` are indexes into `labels`."""

    def finish(self) -> tuple[int, str]:
        """(bytes, BLAKE3 in hex) of the file, now under its name."""

    def abort(self) -> None: ...

def read_head(path: str, limit: int) -> tuple[str, bytes, bool, str | None]:
    """(`plain`, `gzip` or `zstd`; the first decompressed bytes; whether the file ends there; why they are no more)."""

def read_lines(
    lines: Any, numbers: Any, *, keep_raw: bool = False, columns: Sequence[tuple[str, str | None]] | None = None
) -> tuple[Any, list[tuple[int, int, str, bytes, int]]]:
    """The documents among JSON lines (large_binary), as DocumentReader gives them, and the bad lines.

    `numbers`: the place of each line in its file, from 0.
    """

def json_field(lines: Any, path: str) -> Any:
    """The JSON text of the value at a dotted path of each document; null where it is missing or null."""

def field_kinds(lines: Any) -> list[tuple[str, int]]:
    """The fields of JSON lines (large_binary) in order of appearance, and the kinds of their values.

    1: string, 2: boolean, 4: integer that a float64 holds too, 8: other int64, 16: number that a float64 holds to its
    last digit, 32: anything else but null.
    """

def content_ids(texts: Any) -> Any:
    """An id for each text that has none: the 128 bits of its xxh3 in hexadecimal."""

def blake3_file(path: str) -> str: ...
def look_at_files(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """The size of each file and when it was written, in ns; None for one that cannot be looked at."""

@final
class Blake3:
    """A BLAKE3 of bytes that come piece by piece."""

    def __new__(cls) -> Self: ...
    def update(self, data: Any) -> None:
        """Adds `data`: bytes, or a uint8 array without nulls."""

    def hexdigest(self) -> str:
        """Returns the hash of all bytes so far, in hexadecimal digits."""

def keyed_hash(values: Any, seed: int) -> Any:
    """xxh3_64 of each string under `seed`: a uint64 array."""

def apply_edits(texts: Any, edits: Any, replacements: Sequence[str]) -> Any:
    """Texts with spans of code points replaced; null where nothing changed."""

def edit_spans(
    texts: Any,
    rows: Any,
    spans: Sequence[Any],
    bounds: Sequence[tuple[float | None, float | None]],
    replacements: Sequence[str],
) -> tuple[Any | None, list[int], int]:
    """Replaces spans of texts, by edits that each have a column of spans, bounds of scores and a replacement.

    `rows`: the text that each row of the columns tells of, in order, -1 where it stays as it is; `bounds`: the least
    score of the spans that go, and the least of those that stay. Returns the texts, null where nothing changed, or None
    where no text changed; the spans found by each edit; and how many texts have spans that overlap so that replacing
    their union is not replacing the first of them.
    """

def char_lengths(texts: Any) -> Any:
    """Code points per text: int64."""

def stripped_bytes(texts: Any) -> Any:
    """UTF-8 bytes of each text without white space at its ends: int64."""

def string_field(raw: Any, path: str) -> Any:
    """The string at a dotted path of each JSON line; null where there is none."""

def attribute_objects(lengths: Any, keys: Sequence[str], columns: Sequence[Any], wanted: Any | None = None) -> Any:
    """Columns of attributes as an attribute file's JSON objects: large_binary, null where not `wanted` (booleans).

    `lengths`: code points of each text.
    """

def attribute_keys(path: str, rows: int) -> list[str]: ...
def attribute_kinds(path: str, rows: int) -> list[tuple[str, str | None]]:
    """The attributes in the first rows of a JSONL file in order, and the kind that each shows (None: only nulls)."""

@final
class BytePairEncoder:
    """A byte-level BPE from a tokenizer.json; a ValueError says what in the file is not supported.

    Threads may share it. Its caches are of a fixed size.
    """

    def __new__(cls, path: str, *, encode_special_tokens: bool = False, segment: bool = False) -> Self: ...
    @property
    def added(self) -> list[tuple[str, int]]:
        """The added tokens and their ids as the file has them."""

    def encode(
        self, texts: Any, *, strip: bool = True, bos: int | None = None, eos: int | None = None
    ) -> tuple[Any, Any, Any]:
        """ids (uint32) of all texts, one after the other; of each text the tokens and the UTF-8 bytes (int64)."""

def word_probe() -> str:
    """A text in which an engine with tables of another Unicode version finds other words."""

def gather_bytes(data: Any, starts: Any, lengths: Any) -> Any:
    """The bytes of documents (uint8), given by where they start and how long they are, in the order of these."""

def scatter_bytes(path: str, data: Any, starts: Any, lengths: Any, places: Any) -> None:
    """The same to byte `places` (int64) of a file that is there."""

def pack_best_fit(lengths: Any, capacity: int) -> tuple[Any, Any, Any]:
    """Best-fit-decreasing: the instance of each item and its offset there, and the item that opened each instance.

    All int64. A ValueError where a length is not from 1 to `capacity`.
    """

@final
class FastText:
    """A fastText classifier from a `.bin` or `.ftz` file: texts in as a large_string array, a RecordBatch out.

    In a text a line break counts as a space; `lower` and `strip` are Python's `str.lower` and `str.strip`. Among equal
    scores the label with the higher index comes first. Threads may share a model.
    """

    def __new__(cls, path: str) -> Self: ...
    @property
    def labels(self) -> list[str]:
        """As the model has them, `__label__` and all; predictions index into it."""

    def predict(
        self, texts: Any, k: int = 1, threshold: float = 0.0, *, lower: bool = False, strip: bool = False
    ) -> Any:
        """`label: list<int32>`, `score: list<float32>`: the k best labels (-1: all) above `threshold`."""

    def scores(self, texts: Any, labels: Sequence[str], *, lower: bool = False, strip: bool = False) -> Any:
        """A float64 column per label; null where a prediction of all labels leaves it out."""

    def label_scores(self, texts: Any, label: str, *, lower: bool = False, strip: bool = False) -> Any:
        """`positive`, `negative`: the score of `label` (0 if left out) and 1 minus it, to five decimals."""

    def paragraph_scores(self, texts: Any, label: str, *, lower: bool = False, strip: bool = False) -> Any:
        """`positive`, `negative` as spans by paragraph, `doc_positive`, `doc_negative` weighted by length."""

def tag_texts(texts: Any, names: Sequence[str]) -> list[Any]:
    """A RecordBatch per tagger: its attributes in the types of their kinds."""

@final
class TextChain:
    """Rules over texts, which measure a text only as far as it reaches them."""

    def __new__(
        cls,
        attributes: Sequence[tuple[str, str]],
        rules: Sequence[Sequence[tuple[str, float, int]]],
        wanted: Sequence[int],
    ) -> Self:
        """`attributes`: (tagger, attribute), each once, of all that rules name or that are wanted.

        `rules`: conditions in postfix order; see `mixers/chain.py`. `wanted`: positions of attributes to be given.
        """

    def filter(self, texts: Any, rows: Any) -> tuple[Any, list[Any]]:
        """Asks the rules of the texts at `rows`, int64.

        Returns the first rule that is true of each (int16, -1: none), and the wanted columns of those without one.
        """

def tagger_catalogue() -> list[tuple[str, str]]:
    """(name, one line of description) of the native taggers, sorted by name."""

def tagger_names() -> list[str]: ...
def periodic_sequences(ids: Any, offsets: Any, longest: int) -> Any:
    """Stretches of uint32 `ids` that repeat a period of up to `longest` three times or more: (row, start, end, times).

    `offsets`, int64: row i is `ids[offsets[i]:offsets[i + 1]]`, and `start` and `end` count within it.
    """

def tagger_attributes(name: str) -> list[tuple[str, str]]:
    """(attribute, its kind) in the order of the columns."""

def round_scores(scores: Any) -> Any:
    """Scores with five decimals, as `round(score, 5)`."""

@final
class Selector:
    """Dolma's include and exclude filters, compiled; ValueError for an expression that does not compile.

    `strict`: in jq, indexing null is an error, as it is in Dolma.
    """

    def __new__(
        cls, include: Sequence[str], exclude: Sequence[str], syntax: str = "jsonpath", strict: bool = False
    ) -> Self: ...
    @property
    def names(self) -> list[str]:
        """Attribute keys that the expressions name."""

    @property
    def errors(self) -> list[tuple[int, str]]:
        """(row, reason) of the documents of the last call that could not be judged."""

    @property
    def spelled(self) -> int:
        """Documents of the last call that Dolma would judge otherwise: it compares numbers by how they are spelled."""

    @property
    def reads(self) -> list[tuple[int, str]]:
        """The fields that the expressions surely read, each after the position of its expression, `include` first."""

    @property
    def seen(self) -> list[int]:
        """How many documents of the last call have each of `reads`."""

    def select(self, raw: Any, attributes: Sequence[Any] = ..., columns: Sequence[tuple[str, Any]] = ...) -> Any:
        """Whether each document stays: boolean, null where that cannot be told."""

@final
class SpanSelector:
    """An expression that selects spans of attributes."""

    def __new__(cls, expression: str, syntax: str = "jsonpath", strict: bool = False) -> Self: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def errors(self) -> list[tuple[int, str]]: ...
    @property
    def spelled(self) -> int: ...
    @property
    def reads(self) -> list[tuple[int, str]]: ...
    @property
    def seen(self) -> list[int]: ...
    def spans(self, raw: Any, attributes: Sequence[Any] = ..., columns: Sequence[tuple[str, Any]] = ...) -> Any:
        """The spans it reaches in each document: list<struct<start, end, score>>."""

@final
class Replacement:
    """A jq program that makes the replacement of a span from the document; ValueError if it does not compile."""

    def __new__(cls, program: str, strict: bool = False) -> Self: ...
    @property
    def errors(self) -> list[tuple[int, str]]:
        """(row, reason) of the rows of the last call that have no string."""

    def strings(
        self,
        rows: Sequence[int],
        raw: Any,
        attributes: Sequence[Any] = ...,
        columns: Sequence[tuple[str, Any]] = ...,
    ) -> list[str | None]:
        """The string that the program gives for each of `rows`; None where it gives anything else."""

@final
class KeyWriter:
    """Writes the keys of a shard's items, by partition in item order; bounded memory, atomic."""

    def __new__(
        cls,
        path: str,
        mode: str,
        partitions: int,
        *,
        separator: str = ...,
        skip_empty: bool = True,
        min_length: int = 0,
        min_words: int = 0,
        ngram_length: int = 0,
        ngram_stride: int = 0,
        skip_short: bool = False,
        part: tuple[int, int] | None = None,
        buffer_bytes: int = ...,
    ) -> Self: ...
    def add(self, texts: Any) -> None: ...
    def finish(self) -> tuple[int, str, dict[str, int]]:
        """(bytes, BLAKE3 in hex, {"rows", "items", "keys"}) of the file, now under its name."""

    def abort(self) -> None: ...

@final
class VerdictColumns:
    """The verdicts on a shard's keys as an attribute column, in the order of its documents."""

    def __new__(
        cls,
        key_file: str,
        verdict_files: Sequence[str],
        shard_index: int,
        *,
        overlap_threshold: float = 1.0,
        skipped: float | None = None,
    ) -> Self: ...
    def next_rows(self, rows: int) -> Any: ...
    @property
    def rows_left(self) -> int: ...

def reduce_keys(
    key_files: Sequence[str],
    partition: int,
    out: str,
    *,
    false_positive_rate: float | None = None,
    size_in_bytes: int = 0,
    estimated_keys: int = 0,
    load: str | None = None,
    save: str | None = None,
    keys: str = "",
    read_only: bool = False,
) -> dict[str, Any]:
    """Writes the verdicts on one partition's keys: against an exact set, or a Bloom filter of that rate."""

MINHASH_VERSION: int
"""Raised whenever a hash of MinHash changes: signatures, keys and tokens of different versions cannot be compared."""

def minhash_signatures(texts: Any, *, unit: str, ngram: int, permutations: int, seed: int) -> Any:
    """The MinHash signature of each text: fixed_size_list<uint32>[permutations], null where a text has no token.

    Tokens are, by `unit`, `words` (the segments of UAX 29 that hold a letter or a digit, each lower-cased by Unicode's
    full mapping, as `str.lower()` does) or `chars` (the code points of the lower-cased text, in which each run of
    white space is one blank, and none at its ends). Nothing else is normalised. Shingles are `ngram` tokens in a row; a
    text of fewer has one, all of it. `permutations`: at most 4096.
    """

def minhash_bands(texts: Any, *, unit: str, ngram: int, bands: int, rows: int, seed: int) -> Any:
    """The keys of a text's bands: fixed_size_list<uint64>[bands], null where a text has no token.

    A key is a hash of the number of the band and of `rows` values of the signature of bands * rows permutations, at
    most 4096. Texts that share a key are candidates to be near-duplicates.
    """

def minhash_tokens(texts: Any, *, unit: str) -> Any:
    """The 64-bit hash of every token in order: list<uint64>, null where the text is null."""

def minhash_compare(tokens: Any, left: Any, right: Any, *, ngram: int) -> Any:
    """A RecordBatch of `jaccard` and `containment` of the pairs of rows `left` and `right` (int32 or int64).

    They are those of the distinct n-grams of tokens; containment is the share of the left row's that the right row
    has. Both are null where one of the two has no token.
    """

def minhash_resolve(
    tokens: Any, groups: Any, *, rule: str, ngram: int, threshold: float, large: int
) -> tuple[Any, int]:
    """Which rows go: (a RecordBatch of `kept`, `similarity`, `containment`, the pairs of which sets were compared).

    Rows are sorted by group (int64), and within a group the better to keep comes first. A row goes in favour of the
    first row kept so far, of its group, that satisfies the rule; `kept` is the number of that row. Else the row is
    kept, `kept` is its own number, and the shares are null. A row without tokens is kept.

    `jaccard`: the similarity of distinct n-grams is at least `threshold`. `contained`, which has no threshold: the kept
    row has no fewer tokens and all distinct n-grams of the other; where fewer than 0.9 of the n-grams of one of the two
    are distinct, it has all tokens of the other in a row; a row of fewer than `ngram` tokens goes only in favour of one
    of the same tokens.

    In a group of `large` rows or more, `jaccard` compares only the rows of the same tokens and those that share one of
    200 bands of 31 values (0.3 % of pairs of a similarity of 0.7, 18 % of 0.8, 73 % of 0.85, 99.9 % of 0.9);
    `contained` still finds all, by the rarest n-gram of a row. Bands save time beyond some 8,000 rows.
    """

def bloom_plan(false_positive_rate: float) -> tuple[int, float]:
    """(probes, keys per block of 512 bits) of the smallest filter with this false-positive rate."""

def describe_filter(path: str) -> dict[str, Any]:
    """What a filter file says of itself: `keys` (the text it was saved with), `partitions`, `held` and `capacity`."""

def merge_filters(parts: Sequence[str], out: str) -> tuple[int, str]:
    """Joins the filters of single partitions into one file: (bytes, BLAKE3 in hex)."""

@final
class UrlList:
    """Domains, addresses or Adblock rules, by `mode`: `domain`, `url`, `adblock`; from files and from `lines`."""

    def __new__(cls, mode: str, paths: Sequence[str], lines: Sequence[str] = ...) -> Self: ...
    def __len__(self) -> int:
        """Entries, equal ones once."""

    @property
    def ignored(self) -> int:
        """Lines that say nothing this list can use."""

    def hits(self, urls: Any) -> Any:
        """float64: 1 for each URL on the list, else null."""

def comment_shares(texts: Any, languages: Any) -> Any:
    """Code points of comments per code point of each source: float64, null where the language is not known."""

def visible_shares(texts: Any) -> Any:
    """Code points of visible text per code point of each HTML source: float64, 0 where there are no more than 100."""

def licenses(pages: Any, anywhere: bool) -> Any:
    """The Creative Commons licences of each page in order, such as `by-sa_4.0_de`: list<large_string>."""

def text_pieces(texts: Any, unit: str) -> Any:
    """A RecordBatch of every `paragraph`, `sentence`, `word` or `segment`: `row`, `start`, `end` (code points), `text`.

    Words are those of UAX 29, punctuation marks too; segments are the same with the white space between them.
    """

def word_spans(texts: Any) -> tuple[Any, Any, Any]:
    """Words by Unicode's rules (UAX 29) that hold a letter or a number, all int64.

    How many each text has, and where each begins and ends, in UTF-8 bytes from the beginning of the first text: the
    texts stand one after the other. A null has none.
    """
