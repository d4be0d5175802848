"""Taggers that look a document's `metadata.url` up in lists; `url` is 1 where it is on one, else absent.

The lists are not ours to ship: they are found below $DOLMA_LISTS by the names they have at Dolma's (see
`dolma_pipeline.models.find_list`). Where Dolma 1.2.1 errs we do not: a domain that is listed stands for those below it;
`www.` is taken off as a word, not letter by letter; the address in a line of a hosts file is not listed, whichever it
is; a domain of three dots and more does not stand for its public suffix; the filter of the cleaned Wikidata list is
applied. Of Adblock's rules those count that can speak of a page (rust_ext/core/src/urls/adblock.rs says which).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa

from dolma_pipeline import _native
from dolma_pipeline.errors import ConfigError, DataError
from dolma_pipeline.io.arrow import open_stream
from dolma_pipeline.io.cache import local_copy
from dolma_pipeline.models import find_list
from dolma_pipeline.taggers.base import Attribute, Documents, Tagger, TaggerFailure
from dolma_pipeline.taggers.url_lists import LISTS, WIKIDATA

Mode = Literal["domain", "url", "adblock"]
FIELD = "metadata.url"


class UrlTagger:
    """Looks URLs up in the lists at `files`."""

    needs_raw = True
    attributes = (Attribute("url", "float64"),)

    def __init__(self, name: str, mode: Mode, files: Sequence[Path], found: _native.UrlList | None = None) -> None:
        self.name = name
        self.files = tuple(files)
        self._list = found if found is not None else load_list(mode, self.files)
        if len(self._list) == 0:
            shown = ", ".join(f"`{f}`" for f in files)
            raise ConfigError(
                f"tagger `{name}`: expected entries of a list of mode `{mode}` in {shown}, found none "
                f"({self._list.ignored} lines of no known form)"
            )

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        if documents.raw is None:
            raise TaggerFailure(self.name, "expected documents read with their metadata")
        return {"url": self._list.hits(_native.string_field(documents.raw, FIELD))}


@functools.lru_cache(maxsize=32)
def load_list(mode: Mode, files: tuple[Path, ...]) -> _native.UrlList:
    """The list in `files`, read once per process."""
    return _native.UrlList(mode, [str(local_copy(f)) for f in files])


class _Site(msgspec.Struct):
    url: Any = None
    description: Any = None


UNWANTED = (
    "adult", "betting", "casino", "celebrity", "comedy", "comic", "crowdfunding", "dating", "escort", "gambling",
    "gossip", "hentai", "humor", "humour", "image", "joke", "nudity", "porn", "satire", "satirical", "sex",
    "social media", "tabloid", "tracker", "webcam",
)  # fmt: skip
"""Words in Wikidata's description of a site that keep it off the cleaned list."""
UNWANTED_ENDINGS = (".adult", ".cam", ".chat", ".dating", ".porn", ".sex", ".sexy", ".tube", ".xxx")
SAYS_NOTHING = ("company", "website")


def is_clean(url: str, description: str | None) -> bool:
    """Whether a site of Wikidata is described, and as nothing that one would not train on."""
    if not description:
        return False
    described = description.lower()
    host = url.split("//")[-1].split("/")[0].lower()
    return not any(word in described for word in (*UNWANTED, *SAYS_NOTHING)) and not host.endswith(UNWANTED_ENDINGS)


def _wikidata(name: str, clean: bool) -> Tagger:
    files = [find_list(path) for path in WIKIDATA]
    urls = []
    for file in files:
        try:
            with open_stream(file) as stream:
                sites = msgspec.json.decode(stream.read(), type=list[_Site])
        except msgspec.DecodeError as error:
            raise DataError(f"{file}: expected a JSON list of sites with `url` and `description`: {error}") from None
        for site in sites:
            described = site.description if isinstance(site.description, str) else None
            if isinstance(site.url, str) and (not clean or is_clean(site.url, described)):
                urls.append(site.url)
    return UrlTagger(name, "domain", files, _native.UrlList("domain", [], urls))


def _listed(name: str, mode: Mode, names: Sequence[str]) -> Tagger:
    return UrlTagger(name, mode, [find_list(n) for n in names])


_Factory = tuple[Callable[[], Tagger], tuple[str, ...], str]
_SITES: dict[str, _Factory] = {
    name: (functools.partial(_wikidata, name, clean), WIKIDATA, about)
    for name, clean, about in (
        ("allowlist_wikidata_v1", False, "sites that Wikidata knows as periodicals or websites"),
        (
            "allowlist_wikidata_cleaned_v1",
            True,
            "sites of Wikidata that have a description, without those of unwanted kinds",
        ),
    )
}
FACTORIES: dict[str, _Factory] = _SITES | {
    name: (functools.partial(_listed, name, mode, files), files, about) for name, (mode, files, about) in LISTS.items()
}
"""Loader, list files and a line by Dolma's names; a loader finds the files or raises ModelNotFound."""
