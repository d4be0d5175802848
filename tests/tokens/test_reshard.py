"""Resharding: which documents are taken, how often, in which order, and what is said of them."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.recipe import Convert, Pack, Recipe, Reshard, Source, Stage, Tokenizer, Tokens
from dolma_pipeline.tokens import select
from dolma_pipeline.tokens.amount import Amount
from dolma_pipeline.tokens.inspect import Place, read_places, read_tokens
from dolma_pipeline.tokens.manifest import read_manifest
from dolma_pipeline.tokens.source import SourceFile, open_source
from tests.tokens.test_source import bare
from tests.tokens.token_toys import (
    file_bytes,
    letters,
    run_recipe,
    run_stage,
    word_tokens,
    write_shard,
    write_tokenizer,
)

Found = tuple[str, str, int, tuple[int, ...]]


def make(work: Path, documents: list[tuple[str, str]], name: str = "s", **options: Any) -> Path:
    """Token files of the toy tokenizer; `name` is that of the source, and of the shard in the index."""
    path = write_tokenizer(work / "tokenizer.json")
    shard = write_shard(work / name / "a.jsonl", documents)
    run_stage(work / name, {f"{name}/a": shard}, word_tokens(path, **options))
    return work / name / "out"


def recipe(work: Path, sources: dict[str, Path], seed: int = 17, **options: Any) -> Recipe:
    stage = Stage(reshard=Reshard(destination=str(work / "out"), **options))
    found = {name: Source(tokens=str(path)) for name, path in sources.items()}
    return Recipe(name="toy", work_dir=str(work), sources=found, stages=[stage], seed=seed)


def reshard(work: Path, sources: dict[str, Path], **options: Any) -> Path:
    run_recipe(recipe(work, sources, **options))
    return work / "out"


def contents(directory: Path) -> list[Found]:
    """(id, src, loc, tokens) of every document, read from the files."""
    return [
        (p.id, p.src, p.loc, tuple(read_tokens(directory, p.file, p.start, p.end).tolist()))
        for p in read_places(directory)
    ]


@pytest.mark.parametrize("block", [1, 20, 1 << 26])
@pytest.mark.parametrize("order", ["shuffle", "input"])
def test_whole_rates_are_exact(block: int, order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "BLOCK_TOKENS", block)
    a, b = make(tmp_path, letters(30), "a", max_tokens=50), make(tmp_path, letters(20, 100), "b", max_tokens=50)
    out = reshard(tmp_path, {"a": a, "b": b}, rates={"a": 2, "b": 1}, order=order, max_tokens=40)
    assert Counter(contents(out)) == Counter(contents(a) * 2 + contents(b))
    manifest = read_manifest(out)
    whole, other = read_manifest(a), read_manifest(b)
    assert manifest.sources == {
        "a": Amount(documents=60, tokens=2 * whole.tokens, text_bytes=2 * whole.text_bytes),
        "b": Amount(documents=20, tokens=other.tokens, text_bytes=other.text_bytes),
    }
    assert max(f.tokens for f in manifest.files) <= 40
    assert (manifest.dtype, manifest.eos_token_id, manifest.tokenizer) == ("uint8", 1, whole.tokenizer)


def test_input_order_keeps_copies_together(tmp_path: Path) -> None:
    a = make(tmp_path, [("x", "a b"), ("y", "c")], "a", order="input")
    out = reshard(tmp_path, {"a": a}, rates={"a": 2}, order="input")
    assert list(read_places(out)) == [
        Place(file="part-00000.npy", start=0, end=3, id="x", src="a/a", loc=1),
        Place(file="part-00000.npy", start=3, end=6, id="x", src="a/a", loc=1),
        Place(file="part-00000.npy", start=6, end=8, id="y", src="a/a", loc=2),
        Place(file="part-00000.npy", start=8, end=10, id="y", src="a/a", loc=2),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(rate=st.floats(0, 4), seed=st.integers(0, 100))
def test_rates(tmp_path_factory: pytest.TempPathFactory, rate: float, seed: int) -> None:
    """Each document is taken floor(rate) or one more times, in all about rate times."""
    work = tmp_path_factory.mktemp("rates")
    documents = [(f"d{n}", "a") for n in range(400)]
    a = make(work, documents, "a")
    reports = run_recipe(recipe(work, {"a": a}, seed=seed, rates={"a": rate}))
    times = Counter(name for name, *_ in contents(work / "out"))
    assert {times[name] for name, _ in documents} <= {int(rate), int(rate) + 1}
    # Five standard deviations of 400 draws at most.
    assert abs(sum(times.values()) - rate * 400) <= 50
    counts = reports["01-reshard-select"][0].counts["a"]
    assert counts.balanced
    assert (counts.documents_in, counts.documents_out) == (400, sum(times.values()))


def test_a_larger_rate_takes_what_a_smaller_one_takes(tmp_path: Path) -> None:
    a = make(tmp_path, letters(200), "a")
    taken = [Counter(contents(reshard(tmp_path / str(r), {"a": a}, rates={"a": r}))) for r in (0.2, 0.5, 1.0, 1.2)]
    assert 20 < sum(taken[0].values()) < 60 < sum(taken[1].values()) < 140
    for less, more in itertools.pairwise(taken):
        assert less < more
    # The rest of a rate is drawn as a rate is.
    assert taken[3] - taken[2] == taken[0]


def test_an_amount_of_tokens(tmp_path: Path) -> None:
    """By the rate that gives them: 150 of 200 documents of two tokens, but for the chance of the draw."""
    a = make(tmp_path, [(f"d{n}", "a") for n in range(200)], "a")
    by_amount = reshard(tmp_path / "x", {"a": a}, tokens={"a": 300})
    assert 260 <= read_manifest(by_amount).tokens <= 340
    assert file_bytes(by_amount) == file_bytes(reshard(tmp_path / "y", {"a": a}, rates={"a": 0.75}))


def test_what_is_taken_depends_on_the_document_alone(tmp_path: Path) -> None:
    """Not on how its tokens are divided into files, their order, or who else is there."""
    small = make(tmp_path / "1", letters(200), "a", max_tokens=50)
    large = make(tmp_path / "2", letters(200), "a", order="input")
    other = make(tmp_path / "3", letters(50, 300), "b")
    one = reshard(tmp_path / "x", {"a": small}, rates={"a": 0.5})
    two = reshard(tmp_path / "y", {"b": other, "renamed": large}, rates={"renamed": 0.5, "b": 0})
    three = reshard(tmp_path / "z", {"a": small}, rates={"a": 0.5}, seed=18)
    assert sorted(contents(one)) == sorted(contents(two))
    assert sorted(contents(one)) != sorted(contents(three))


def test_copies_are_spread(tmp_path: Path) -> None:
    """Those made here, and those that a former resharding made, whose rows are all alike."""
    a = make(tmp_path, [(f"d{n}", "a") for n in range(300)], "a")
    twice = reshard(tmp_path / "x", {"a": a}, rates={"a": 2})
    again = reshard(tmp_path / "y", {"a": twice}, seed=5)
    for out in (twice, again):
        ids = [name for name, *_ in contents(out)]
        assert len(ids) == 600
        assert sum(x == y for x, y in itertools.pairwise(ids)) < 10


def test_order_of_tasks_does_not_matter(tmp_path: Path) -> None:
    sources = {n: make(tmp_path, letters(40, 100 * i), n, max_tokens=30) for i, n in enumerate("ab")}
    options: dict[str, Any] = {"rates": {"a": 0.6, "b": 1.7}, "max_tokens": 50}
    run_recipe(recipe(tmp_path / "x", sources, **options))
    run_recipe(recipe(tmp_path / "y", sources, **options), reorder=lambda tasks: list(reversed(tasks)))
    assert file_bytes(tmp_path / "x" / "out") == file_bytes(tmp_path / "y" / "out")


@pytest.mark.parametrize("files", [1, 2, 3, 7])
def test_number_of_files(files: int, tmp_path: Path) -> None:
    a = make(tmp_path, letters(100), "a")
    found = read_manifest(reshard(tmp_path, {"a": a}, max_files=files)).files
    assert len(found) == files
    assert max(f.tokens for f in found) - min(f.tokens for f in found) < 60


def test_bytes_of_a_file(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    shard = write_shard(tmp_path / "a.jsonl", letters(50))
    run_stage(tmp_path, {"s/a": shard}, word_tokens(path, dtype="uint32"))
    out = reshard(tmp_path / "r", {"s": tmp_path / "out"}, max_bytes=100)
    sizes = [(out / f.path).stat().st_size for f in read_manifest(out).files]
    assert max(sizes) <= 100
    assert sorted(contents(out)) == sorted(contents(tmp_path / "out"))


def test_dolmas_files_alone(tmp_path: Path) -> None:
    """Neither type nor tokenizer is needed; without the tokenizer there is no manifest, which is said."""
    directory = bare(tmp_path / "d")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-00007.npy").touch()
    reports = run_recipe(recipe(tmp_path, {"d": directory}, order="input", max_tokens=5))
    out = tmp_path / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "part-00000.csv.gz",
        "part-00000.npy",
        "part-00001.csv.gz",
        "part-00001.npy",
    ]
    assert np.fromfile(out / "part-00000.npy", "<u2").tolist() == [4, 5, 1, 6, 1]
    assert np.fromfile(out / "part-00001.npy", "<u2").tolist() == [7, 1]
    assert gzip.decompress((out / "part-00001.csv.gz").read_bytes()) == b"0,2,d1-0,s,2\n"
    assert reports["01-reshard"][0].warnings == [
        f"{out}: removed 1 file of an earlier run, part-00007.npy to part-00007.npy",
        f"{out}: no manifest.json is written, as nothing says which tokenizer made the tokens; with "
        "`tokenizer_name_or_path` (in a recipe `tokenizer: {path: …}`) there is one",
    ]
    assert reports["01-reshard-select"][0].counts["d"].tokens == 5


def test_a_manifest_of_other_files_is_removed(tmp_path: Path) -> None:
    out = reshard(tmp_path, {"a": make(tmp_path, letters(5), "a")})
    assert (out / "manifest.json").is_file()
    reports = run_recipe(recipe(tmp_path, {"d": bare(tmp_path / "d")}))
    assert not (out / "manifest.json").exists()
    assert f"{out}: removed manifest.json of an earlier run, which describes other files" in (
        reports["01-reshard"][0].warnings
    )


def test_all_directories_below_one(tmp_path: Path) -> None:
    """As Dolma's prefixes: every token file below them is taken."""
    for name in ("g0", "deep/g1"):
        made = make(tmp_path / name.replace("/", "-"), letters(6, 10 * len(name)), "a")
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        made.rename(tmp_path / "all" / name)
    out = reshard(tmp_path, {"all": tmp_path / "all"})
    places = [tmp_path / "all" / "g0", tmp_path / "all" / "deep" / "g1"]
    assert sorted(contents(out)) == sorted([*contents(places[0]), *contents(places[1])])
    text_bytes = sum(read_manifest(p).text_bytes for p in places)
    assert read_manifest(out).sources["all"].text_bytes == text_bytes > 0
    with pytest.raises(ConfigError, match=r"expected a directory outside of .*/all, all of whose files are read"):
        run_recipe(recipe(tmp_path / "all", {"all": tmp_path / "all"}))
    (tmp_path / "all" / "x.npy").touch()
    with pytest.raises(ConfigError, match=r"expected all token files below .* found .*/all/x\.npy; name the dir"):
        reshard(tmp_path, {"all": tmp_path / "all"})
    (tmp_path / "all" / "x.npy").unlink()
    other = write_tokenizer(tmp_path / "more.json", extra=1)
    run_stage(tmp_path / "b", {"b/b": write_shard(tmp_path / "b.jsonl", letters(5))}, word_tokens(other))
    (tmp_path / "b" / "out").rename(tmp_path / "all" / "g2")
    with pytest.raises(
        ConfigError, match=r"expected one tokenizer \(BLAKE3\) below .*/all`, found \w{64} in .*/g1 and"
    ):
        reshard(tmp_path, {"all": tmp_path / "all"})


def test_dolmas_files_and_ours(tmp_path: Path) -> None:
    """Without a manifest the stage says what it would; the source of text is not known."""
    path = write_tokenizer(tmp_path / "tokenizer.json")
    directory = bare(tmp_path / "d", dtype="<u1")
    ours = make(tmp_path, [("x", "a")], "a")
    stage: dict[str, Any] = {"tokenizer": Tokenizer(path=str(path), eos="</s>"), "order": "input"}
    out = reshard(tmp_path, {"d": directory, "a": ours}, **stage)
    assert contents(out) == [
        ("d0-0", "s", 3, (4, 5, 1)),
        ("d0-3", "s", 5, (6, 1)),
        ("d1-0", "s", 2, (7, 1)),
        ("x", "a/a", 1, (4, 1)),
    ]
    assert read_manifest(out).sources["d"] == Amount(documents=3, tokens=7, text_bytes=0)


def test_tokens_in_no_document_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path / "tokenizer.json")
    directory = bare(tmp_path / "d", dtype="<u1")
    with (directory / "part-1-00000.npy").open("ab") as file:
        file.write(b"\5\5")
    stage: dict[str, Any] = {"tokenizer": Tokenizer(path=str(path), eos="</s>")}
    reports = run_recipe(recipe(tmp_path, {"d": directory}, **stage))
    assert [r.warnings for r in reports["01-reshard-select"]] == [
        [],
        [f"{directory}/part-1-00000.npy: 2 of its 4 tokens are in no document and are left out"],
    ]


def test_nothing_taken(tmp_path: Path) -> None:
    a = make(tmp_path, letters(5), "a")
    reports = run_recipe(recipe(tmp_path, {"a": a}, rates={"a": 0}))
    assert read_manifest(tmp_path / "out").files == []
    assert reports["01-reshard"][0].warnings == [f"{tmp_path}/out: no document, so there is no token file"]
    assert reports["01-reshard-select"][0].counts["a"].dropped == {"not_sampled": 5}


def test_other_tokens_are_refused(tmp_path: Path) -> None:
    a = make(tmp_path, letters(5), "a")
    path = write_tokenizer(tmp_path / "more.json", extra=1)
    shard = write_shard(tmp_path / "b.jsonl", letters(5))
    run_stage(tmp_path / "b", {"b/b": shard}, word_tokens(path))
    message = (
        r"\$\.sources\.b\.tokens: expected the tokenizer of source `a` \(BLAKE3 \w{16}…\), found another \(\w{16}…\)"
    )
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "b": tmp_path / "b" / "out"})
    run_stage(tmp_path / "c", {"b/b": shard}, word_tokens(tmp_path / "tokenizer.json", dtype="uint16"))
    message = (
        r"\$\.sources\.c\.tokens: expected tokens of uint8, as source `a` has them, found uint16; "
        "`dolma tokens convert --source .*/c/out --to dolma --dtype uint8` makes them so"
    )
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "c": tmp_path / "c" / "out"})
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), bos="<s>", eos="</s>")
    run_stage(tmp_path / "d", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    message = r"\$\.sources\.d\.tokens: expected the bos id of source `a`, None, found 0"
    with pytest.raises(ConfigError, match=message):
        reshard(tmp_path, {"a": a, "d": tmp_path / "d" / "out"})
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), eos="</s>", pad="<pad>")
    run_stage(tmp_path / "e", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    assert read_manifest(reshard(tmp_path, {"a": a, "e": tmp_path / "e" / "out"})).pad_token_id == 2
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), eos="</s>", pad="<s>")
    run_stage(tmp_path / "f", {"b/b": shard}, Tokens(tokenizer=tokenizer))
    with pytest.raises(ConfigError, match="expected the pad id of source `e`, 2, found 0"):
        reshard(tmp_path, {"e": tmp_path / "e" / "out", "f": tmp_path / "f" / "out"})


def test_what_cannot_be_resharded(tmp_path: Path) -> None:
    directory = bare(tmp_path / "d")
    a = make(tmp_path, letters(5), "a")
    with pytest.raises(
        ConfigError, match=r"expected a manifest, or the `tokenizer` that .* was made with, found neither"
    ):
        reshard(tmp_path, {"a": a, "d": bare(tmp_path / "b", dtype="<u1")})
    with pytest.raises(ConfigError, match=r"\.pack: expected the tokenizer of the files that are to be packed"):
        reshard(tmp_path, {"d": directory}, pack=Pack(length=4))
    with pytest.raises(ConfigError, match="expected another directory than that of source `a`"):
        run_recipe(
            Recipe(
                name="toy",
                work_dir=str(tmp_path),
                sources={"a": Source(tokens=str(a))},
                stages=[Stage(reshard=Reshard(destination=str(a)))],
            )
        )


def test_a_wrong_type_does_not_pass(tmp_path: Path) -> None:
    """uint8 read as uint16 is Dolma's own mistake: ids that the vocabulary does not have give it away."""
    directory = bare(tmp_path / "d", dtype="<u1", index=False)
    (directory / "part-0-00000.npy").unlink()
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")), eos="</s>")
    with pytest.raises(DataError, match=r"token 0 is 263, outside of the vocabulary of 14 ids: read as uint16"):
        reshard(tmp_path, {"d": directory}, tokenizer=tokenizer, dtype="uint16")


def test_a_file_that_was_cut_meanwhile(tmp_path: Path) -> None:
    file = open_source(str(make(tmp_path, letters(5), "a"))).files[0]
    from dolma_pipeline.task import Context

    config = select.SelectDocuments(
        source="a", file=msgspec.structs.replace(file, size=file.size + 1), output=str(tmp_path / "x"), rate=1.0,
        seed=1, order="shuffle", vocab_size=14,
    )  # fmt: skip
    assert select.select_documents(config, Context()).warnings
    path = Path(file.tokens)
    path.write_bytes(path.read_bytes()[:-1])
    config = msgspec.structs.replace(config, file=file)
    with pytest.raises(DataError, match=r"part-00000\.npy: expected \d+ tokens or more, found \d+: the file was cut"):
        select.select_documents(config, Context())


@given(
    lengths=st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=5),
    tokens=st.integers(1, 20),
    documents=st.integers(1, 5),
)
def test_blocks(lengths: list[list[int]], tokens: int, documents: int) -> None:
    """Every document once, in order; none larger than allowed but by a single document."""
    from dolma_pipeline.tokens.rows import Rows, numbered

    batches: list[Rows] = []
    number = 0
    for batch in lengths:
        sizes = np.array(batch, dtype=np.int64)
        batches.append(numbered("x", np.cumsum(sizes) - sizes, sizes, number))
        number += len(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(select, "BLOCK_TOKENS", tokens)
        blocks = list(select._blocks(batches, documents))
    assert [i for b in blocks for i in b.ids.to_pylist()] == [f"x-{n}" for n in range(number)]
    assert [n for b in blocks for n in b.lengths.tolist()] == [n for batch in lengths for n in batch]
    for block in blocks:
        assert 1 <= len(block) <= documents
        assert block.lengths.sum() <= tokens or len(block) == 1 or block.lengths[:-1].sum() == 0


def test_source_files_are_plain_json() -> None:
    file = SourceFile(form="megatron", name="x", tokens="x.bin", index="x.idx", rows=None, dtype="uint16", size=3)
    assert msgspec.convert(msgspec.to_builtins(file), SourceFile) == file
    assert file.inputs == ["x.bin", "x.idx"]


PAD = 2


def padded(work: Path, documents: list[tuple[str, str]], **options: Any) -> Path:
    """As `make`, with a token to fill instances with."""
    path = write_tokenizer(work / "tokenizer.json")
    shard = write_shard(work / "p" / "a.jsonl", documents)
    tokenizer = Tokenizer(path=str(path), eos="</s>", pad="<pad>")
    run_stage(work / "p", {"p/a": shard}, Tokens(tokenizer=tokenizer, **options))
    return work / "p" / "out"


@pytest.mark.parametrize("by", ["best_fit", "concatenate"])
def test_packed_on_the_way(by: str, tmp_path: Path) -> None:
    """Instances of all sources together, with masks; every token of every copy once."""
    a = padded(tmp_path, letters(40))
    pack = Pack(length=12, by=by)  # type: ignore[arg-type]
    out = reshard(tmp_path, {"a": a, "b": a}, rates={"a": 2}, pack=pack, max_tokens=48)
    manifest = read_manifest(out)
    assert manifest.packed is not None
    assert (manifest.packed.by, manifest.packed.length, manifest.documents) == (by, 12, 120)
    whole = Counter(t for *_, tokens in contents(a) for t in tokens)
    found: Counter[int] = Counter()
    for file in manifest.files:
        tokens = np.fromfile(out / file.path, "u1")
        assert len(tokens) % 12 == 0
        mask = np.fromfile(out / (file.mask or ""), np.bool_)
        assert (tokens[~mask] == PAD).all()
        found.update(tokens[mask].tolist())
    assert found == Counter({t: 3 * n for t, n in whole.items()})
    assert {src for _, src, *_ in contents(out)} == {"p/a"}


def test_packed_like_the_tokens_stage(tmp_path: Path) -> None:
    """In input order and of one source, a reshard packs what the stage itself would."""
    plain = padded(tmp_path / "1", letters(40), order="input")
    packed = padded(tmp_path / "2", letters(40), order="input", pack=Pack(length=12))
    assert file_bytes(reshard(tmp_path, {"p": plain}, order="input", pack=Pack(length=12))) == file_bytes(packed)


def test_what_is_too_short_for_a_bucket(tmp_path: Path) -> None:
    a = padded(tmp_path, [("x", "a"), ("y", "a b c"), ("z", "a b c d e f g")])
    pack = Pack(length=8, by="bucket", min_length=4, rest="drop")
    reports = run_recipe(recipe(tmp_path, {"a": a}, rates={"a": 2}, pack=pack))
    counts = reports["01-reshard-select"][0].counts["a"]
    assert (counts.documents_in, counts.documents_out, counts.repeated) == (3, 4, 2)
    assert counts.dropped == {"shorter_than_bucket": 1}
    assert counts.balanced
    assert sorted((i, len(t)) for i, _, _, t in contents(tmp_path / "out")) == [("y", 4), ("y", 4), ("z", 8), ("z", 8)]


def test_packed_files_are_no_source(tmp_path: Path) -> None:
    packed = padded(tmp_path, letters(9), pack=Pack(length=12))
    with pytest.raises(ConfigError, match=r"\$\.sources\.a\.tokens: expected token files of whole documents, found"):
        reshard(tmp_path, {"a": packed})
    stage = Stage(convert=Convert(to="megatron", destination=str(tmp_path / "m")))
    with pytest.raises(ConfigError, match=r"is packed into instances; take the files it was made of, and pack as the"):
        run_recipe(Recipe(name="t", work_dir=str(tmp_path), sources={"a": Source(tokens=str(packed))}, stages=[stage]))


def test_the_directory_of_a_single_file_is_the_sources(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    (a / "manifest.json").unlink()
    before = file_bytes(a)
    source = Source(tokens=str(a / "part-00000.npy"))
    stage = Reshard(destination=str(a), tokenizer=Tokenizer(path=str(tmp_path / "tokenizer.json"), eos=1))
    with pytest.raises(ConfigError, match="expected another directory than that of source `a`"):
        run_recipe(Recipe(name="toy", work_dir=str(tmp_path), sources={"a": source}, stages=[Stage(reshard=stage)]))
    assert file_bytes(a) == before


def test_tokens_made_without_padding_are_packed_with_one_that_is_named(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    with pytest.raises(ConfigError, match=r"reshard.pack: expected a token to fill instances with, found none in the"):
        reshard(tmp_path, {"a": a}, pack=Pack(length=8))
    tokenizer = Tokenizer(path=str(tmp_path / "tokenizer.json"), pad=1)
    out = reshard(tmp_path, {"a": a}, pack=Pack(length=8), tokenizer=tokenizer)
    assert (read_manifest(out).pad_token_id, read_manifest(out).tokens) == (1, read_manifest(a).tokens)


def test_more_copies_than_anybody_wants(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    there = read_manifest(a).tokens
    with pytest.raises(ConfigError, match=rf"reshard.tokens.a: expected at most {10_000 * there}, 10000 times the"):
        reshard(tmp_path, {"a": a}, tokens={"a": 10_000 * there + 1})


def test_blocks_are_bounded_by_their_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = make(tmp_path, letters(9), "a", order="input")
    whole = file_bytes(reshard(tmp_path, {"a": a}, rates={"a": 30.5}))
    monkeypatch.setattr(select, "BLOCK_DOCUMENTS", 61)
    sizes = []
    write: Callable[..., Any] = select._write

    def watched(*arguments: Any) -> Any:
        sizes.append(len(arguments[3]))
        return write(*arguments)

    monkeypatch.setattr(select, "_write", watched)
    run_recipe(recipe(tmp_path / "again", {"a": a}, rates={"a": 30.5}))
    assert file_bytes(tmp_path / "again" / "out") == whole
    assert max(sizes) <= 62


def test_a_tokenizer_that_is_not_there_is_missed_before_anything_is_written(tmp_path: Path) -> None:
    a = make(tmp_path, letters(9), "a")
    (a / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"a/out/tokenizer.json: expected the tokenizer of `.*/a/out`, found no file"):
        reshard(tmp_path, {"a": a})


@pytest.mark.parametrize("pack", [Pack(length=4, by=by) for by in ("best_fit", "concatenate")], ids=lambda p: p.by)
def test_documents_without_a_token_are_not_packed(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    np.array([4, 5, 1, 6, 1], dtype="u1").tofile(tmp_path / "raw" / "x.npy")
    rows = "0,3,a,s,1\r\n3,3,b,s,2\r\n3,5,c,s,3\r\n"
    (tmp_path / "raw" / "x.csv.gz").write_bytes(gzip.compress(rows.encode()))
    tokenizer = Tokenizer(path=str(write_tokenizer(tmp_path / "tokenizer.json")), eos=1, pad=1)
    reports = run_recipe(recipe(tmp_path, {"raw": tmp_path / "raw"}, pack=pack, tokenizer=tokenizer))
    assert read_manifest(tmp_path / "out").documents == 2
    assert reports["01-reshard-select"][0].counts["raw"].dropped == {"empty": 1}
