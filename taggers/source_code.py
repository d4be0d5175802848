"""StarCoder's signals of source code: comments, visible text of HTML, XML, stars. They read `metadata.ext`.

Comments and HTML are read natively, by rules of our own: Dolma 1.2.1 asks Pygments, BeautifulSoup and the `ast` module
of the Python that runs it, whose versions give different figures. Sources of Python 2, and broken ones, lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dolma_pipeline import _native
from dolma_pipeline.taggers.base import Attribute, Documents, Tagger, TaggerFailure

XML_WITHIN = 100
"""Code points at the beginning of a text in which its XML declaration counts."""
UNDECIDED = 0.5
"""What version 2 says of languages whose comments it does not count: it lies between any thresholds."""
COUNTED = ("java", "javascript", "python")

EXTENSIONS = {
    "c": "c h",
    "c++": "cpp c++ cc cxx hpp hh hxx inl ipp tcc tpp",
    "c-sharp": "cs csx",
    "clojure": "clj cljs cljc edn",
    "cmake": "cmake",
    "common-lisp": "lisp lsp asd",
    "css": "css",
    "cuda": "cu cuh",
    "dart": "dart",
    "dockerfile": "dockerfile",
    "elixir": "ex exs",
    "emacs-lisp": "el",
    "go": "go",
    "groovy": "groovy gradle",
    "haskell": "hs hsc",
    "html": "html htm xht xhtml",
    "java": "java",
    "javascript": "js _js bones es6 jake jsb jscad jsfl jsm jss njs pac sjs ssjs xsjs xsjslib",
    "jsx": "jsx",
    "julia": "jl",
    "kotlin": "kt ktm kts",
    "lua": "lua wlua",
    "makefile": "mak mk mkfile Makefile",
    "perl": "pl pm perl plx t",
    "php": "php php3 php4 php5 phps phpt",
    "protocol-buffer": "proto",
    "python": "py bzl gyp lmi pyde pyp pyt pyw tac wsgi xpy",
    "r": "r R",
    "ruby": "rb builder gemspec jbuilder podspec rake ru",
    "rust": "rs",
    "scala": "scala sbt",
    "scheme": "scm ss",
    "shell": "sh bash bats command ksh zsh",
    "sql": "sql ddl",
    "swift": "swift",
    "tex": "tex ltx sty",
    "toml": "toml",
    "typescript": "ts tsx",
    "xml": "xml xsd xslt svg plist wsdl rss csproj",
    "yaml": "yml yaml",
}
"""Extensions of the languages whose comments are known, without the dot."""
LANGUAGES = {extension: language for language, extensions in EXTENSIONS.items() for extension in extensions.split()}


class _Metadata(msgspec.Struct):
    ext: Any = None
    max_stars_count: Any = None


class _Line(msgspec.Struct):
    metadata: _Metadata | None = None


class StarCoder:
    """`code_starcoder_taggers_v1` and `_v2`: XML declaration, GitHub stars, share of comments, share of visible text.

    Version 1 has `nl_ratio_doc` for all languages, and -1 for both shares where the language is not known or the text
    is empty; version 2 has `code_to_comment_ratio_doc` for Java, JavaScript and Python, and 0.5 for others. Version 1
    knows the languages in EXTENSIONS, Dolma's those of Pygments.
    """

    needs_raw = True

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self._version = version
        comments = "nl_ratio_doc" if version == 1 else "code_to_comment_ratio_doc"
        names = ("has_xml_template_doc", "num_github_stars_doc", comments, "code_to_text_ratio_html_doc")
        self.attributes = tuple(Attribute(n, "float64") for n in names)

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        languages, stars = self._metadata(documents)
        text = documents.text
        known = pa.array(languages, pa.large_string())
        xml = pc.match_substring(pc.utf8_slice_codeunits(text, 0, XML_WITHIN), "<?xml version=").cast(pa.float64())
        html = np.array([language == "html" for language in languages], bool)
        visible = np.ones(len(documents))
        visible[html] = _native.visible_shares(text.filter(pa.array(html))).to_numpy(zero_copy_only=False)
        if self._version == 1:
            empty = pc.equal(pc.binary_length(text), 0)
            comments = pc.if_else(empty, -1.0, pc.fill_null(_native.comment_shares(text, known), -1.0))
            visible = np.where(comments.to_numpy(zero_copy_only=False) == -1.0, -1.0, visible)
        else:
            counted = pc.if_else(pc.is_in(known, pa.array(COUNTED, pa.large_string())), known, None)
            comments = pc.fill_null(_native.comment_shares(text, counted), UNDECIDED)
        columns = [xml, pa.array(stars, pa.float64()), comments, pa.array(visible)]
        return {a.name: _native.round_scores(c) for a, c in zip(self.attributes, columns, strict=True)}

    def _metadata(self, documents: Documents) -> tuple[list[str | None], list[float]]:
        if documents.raw is None:
            raise TaggerFailure(self.name, "expected documents read with their metadata")
        decoder = msgspec.json.Decoder(_Line)
        languages: list[str | None] = []
        stars = []
        for row, line in enumerate(documents.raw):
            try:
                found = decoder.decode(line.as_buffer()).metadata or _Metadata()
                stars.append(float(found.max_stars_count or 0))
            except (msgspec.ValidationError, TypeError, ValueError) as error:
                raise TaggerFailure(self.name, str(error), row=row, document=documents.id[row].as_py()) from None
            languages.append(LANGUAGES.get(found.ext) if isinstance(found.ext, str) else None)
        return languages, stars


def _load(name: str, version: int) -> Tagger:
    return StarCoder(name, version)


FACTORIES: dict[str, tuple[Callable[[], Tagger], str]] = {
    f"code_starcoder_taggers_v{version}": (
        partial(_load, f"code_starcoder_taggers_v{version}", version),
        f"XML, stars, comments ({what}), visible text of HTML",
    )
    for version, what in ((1, "any language"), (2, "Java, JavaScript, Python"))
}
