"""Several taggers as one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from dolma_pipeline.taggers import Attribute, Documents, TaggerSet
from dolma_pipeline.taggers.native import NativeTagger
from tests.taggers.toys import documents


class Model:
    """Reads a file, and more of a document than its text."""

    name = "model_v1"
    attributes = (Attribute("rows", "float64"),)
    needs_raw = True

    def __init__(self, model: Path) -> None:
        self.model = model

    def tag(self, documents: Documents) -> dict[str, pa.Array]:
        return {"rows": pa.array([float(len(documents))] * len(documents))}


def test_columns_keep_the_order_asked_for_whoever_computes_them(tmp_path: Path) -> None:
    taggers = TaggerSet([NativeTagger("doc_count_v1"), Model(tmp_path / "m.bin"), NativeTagger("char_length_v1")])
    columns = taggers.tag(documents(["ab", ""]))
    assert {key: column.to_pylist() for key, column in columns.items()} == {
        ("doc_count_v1", "docs"): [1.0, 1.0],
        ("model_v1", "rows"): [2.0, 2.0],
        ("char_length_v1", "length"): [2.0, 0.0],
    }
    assert list(columns) == taggers.attribute_names()


def test_a_set_knows_the_files_its_attributes_depend_on(tmp_path: Path) -> None:
    model, module = tmp_path / "m.bin", tmp_path / "m.py"
    taggers = TaggerSet([Model(model), Model(model)], [module, module])
    assert taggers.files() == (str(module), str(model))
    assert taggers.needs_raw
