"""Checks of the part `minhash` of a `dedupe` stage."""

from __future__ import annotations

import re

from dolma_pipeline.config.checks import Checks, Path
from dolma_pipeline.config.recipe import Dedupe
from dolma_pipeline.config.recipe_minhash import KeepBy, MinHash
from dolma_pipeline.errors import listed

MOST_KEPT = 4096
"""Most minima of a document that there may be."""


def check_minhash(checks: Checks, dedupe: Dedupe, minhash: MinHash, path: Path) -> None:
    """Notes what is wrong with `minhash`, and keys beside it that have no meaning there; `path`: that of the stage."""
    own = (*path, "minhash")
    _check_beside(checks, dedupe, path)
    _check_scheme(checks, minhash, own)
    for i, rule in enumerate(minhash.keep):
        place = (*own, "keep", i)
        if rule in minhash.keep[:i]:
            checks.note(place, "expected each rule once, found one again")
        if isinstance(rule, KeepBy):
            checks.exactly_one(place, {"newest": rule.newest, "score": rule.score})
            if rule.newest is not None and not re.fullmatch(r"[^.\s$]+(\.[^.\s$]+)*", rule.newest):
                text = f"expected a dotted path such as `metadata.date`, found `{rule.newest}`"
                checks.note((*place, "newest"), text)


def _check_beside(checks: Checks, dedupe: Dedupe, path: Path) -> None:
    """Keys of the other kinds would be ignored."""
    beside = {
        "bloom": dedupe.bloom is not None,
        "part": dedupe.part is not None,
        "skip_empty": not dedupe.skip_empty,
        "min_words": dedupe.min_words > 0,
    }
    for key, given in beside.items():
        if given:
            checks.note((*path, key), "expected none beside `minhash`, which does not know it, found one")


def _check_scheme(checks: Checks, minhash: MinHash, path: Path) -> None:
    # The formulas are no part of the configuration, and most recipes do without them.
    from dolma_pipeline.dedupe.near_scheme import LEAST_FOUND, MOST_PERMUTATIONS, for_threshold, scheme_of

    if (minhash.bands is None) != (minhash.rows is None):
        checks.note(path, "expected `bands` and `rows` together, found only one of them")
        return
    given = {"preset": minhash.preset, "bands": minhash.bands, "threshold": minhash.threshold}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        checks.note(path, f"expected at most one of {listed(given)}, found {listed(named, ' and ')}")
        return
    scheme = scheme_of(minhash)
    if scheme is None:
        text = f"expected a threshold that {MOST_PERMUTATIONS} hashes can find, found {minhash.threshold:g}"
        checks.note((*path, "threshold"), f"{text}; `bands` and `rows` take any number of them")
        return
    if scheme.bands * scheme.rows > MOST_KEPT:
        text = f"expected at most {MOST_KEPT} hashes, found {scheme}, which are {scheme.bands * scheme.rows}"
        checks.note((*path, "bands"), text)
        return
    wanted = minhash.verify.threshold
    if minhash.force or scheme.found(wanted) >= LEAST_FOUND:
        return
    better = for_threshold(wanted)
    works = f"{better} find {better.found(wanted):.1%}; " if better is not None else ""
    text = (
        f"expected bands that find at least {LEAST_FOUND:.0%} of the pairs with the similarity {wanted:g} of "
        f"`verify.threshold`, found {scheme}, which find {scheme.found(wanted):.1%} ({scheme.curve()}); {works}"
        f"`force: true` takes them as they are"
    )
    checks.note(path, text)
