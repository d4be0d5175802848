"""Runs in the environment of `scripts/olmo_environment.sh`: answers, a line of JSON for a line, what the peers read."""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import Any

import numpy as np

Given = dict[str, Any]


def olmo_memmap(given: Given) -> Any:
    """OLMo's MemMapDataset."""
    from olmo.data import MemMapDataset

    dataset = MemMapDataset(
        *given["paths"],
        chunk_size=given["length"],
        memmap_dtype=getattr(np, given["dtype"]),
        generate_doc_lengths=True,
        eos_token_id=given["eos"],
        label_mask_paths=given["masks"],
    )
    return instances(dataset)


def olmo_order(given: Given) -> Any:
    """The order of OLMo's IterableDataset: of all ranks together, and what each rank is given."""
    from olmo.data import IterableDataset, MemMapDataset

    dataset = MemMapDataset(*given["paths"], chunk_size=given["length"], memmap_dtype=getattr(np, given["dtype"]))

    def of(rank: int) -> Any:
        return IterableDataset(
            dataset,
            given["world"],
            seed=given["seed"],
            epoch=given["epoch"],
            drop_last=given["drop_last"],
            world_size=given["world"],
            rank=rank,
            fs_local_rank=rank,
            num_threads=0,
        )

    ranks = [[item["index"] for item in of(rank)] for rank in range(given["world"])]
    return {"global": of(0).get_global_indices().tolist(), "ranks": ranks}


def core_fixed(given: Given) -> Any:
    """OLMo-core's NumpyFSLDataset."""
    from olmo_core.data import NumpyFSLDataset

    dataset = NumpyFSLDataset(
        *given["paths"], label_mask_paths=given["masks"], sequence_length=given["length"], **core(given)
    )
    dataset.prepare()
    return instances(dataset)


def core_packed(given: Given) -> Any:
    """OLMo-core's NumpyPackedFSLDataset: whole documents, padded to the length."""
    from olmo_core.data import NumpyPackedFSLDataset

    dataset = NumpyPackedFSLDataset(*given["paths"], sequence_length=given["length"], **core(given))
    dataset.work_dir = given["work_dir"]
    dataset.prepare()
    return instances(dataset)


def core(given: Given) -> Given:
    return {
        "pad_token_id": given["pad"],
        "eos_token_id": given["eos"],
        "vocab_size": given["vocab_size"],
        "dtype": getattr(np, given["dtype"]),
        "generate_doc_lengths": True,
    }


def core_documents(given: Given) -> Any:
    """Where OLMo-core finds the documents: by the csv.gz, and by EOS."""
    from olmo_core.data.utils import iter_document_indices

    found: dict[str, list[list[int]]] = {"index": [], "eos": []}
    for path in given["paths"]:
        by_index = iter_document_indices(path)
        by_eos = iter_document_indices(path, eos_token_id=given["eos"], dtype=getattr(np, given["dtype"]))
        found["index"].append([int(x) for pair in by_index for x in pair])
        found["eos"].append([int(x) for pair in by_eos for x in pair])
    return found


def instances(dataset: Any) -> Any:
    found: dict[str, list[list[int]]] = {"input_ids": [], "doc_lens": [], "label_mask": []}
    for i in range(len(dataset)):
        item = dataset[i]
        for name, rows in found.items():
            if name in item:
                rows.append(item[name].tolist())
    return found


def megatron_read(given: Given) -> Any:
    """Every sequence and the document indices of an IndexedDataset, mapped and read."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    found = {}
    for name, mmap in (("mapped", True), ("read", False)):
        dataset = IndexedDataset(given["prefix"], mmap=mmap)
        found[name] = [dataset[i].tolist() for i in range(len(dataset))]
        found["dtype"] = dataset.index.dtype.__name__
        found["documents"] = dataset.document_indices.tolist()
    return found


def megatron_write(given: Given) -> Any:
    """Documents, each a list of sequences, by the IndexedDatasetBuilder."""
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(f"{given['prefix']}.bin", dtype=getattr(np, given["dtype"]))
    for document in given["documents"]:
        builder.add_document(list(itertools.chain(*document)), [len(sequence) for sequence in document])
    builder.finalize(f"{given['prefix']}.idx")
    return None


def datatrove_read(given: Given) -> Any:
    """Windows and the positions in their documents, of a DatatroveFileDataset."""
    from datatrove.utils.dataset import DatatroveFileDataset

    dataset = DatatroveFileDataset(
        given["path"], seq_len=given["length"] - 1, token_size=given["size"], return_positions=True
    )
    items = [dataset[i] for i in range(len(dataset))]
    return {
        "input_ids": [i["input_ids"].tolist() for i in items],
        "positions": [i["positions"].tolist() for i in items],
    }


def datatrove_write(given: Given) -> Any:
    """Documents by datatrove's TokenizedFile, as its DocumentTokenizer writes them."""
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    file = TokenizedFile(
        given["directory"],
        given["name"],
        tokenizer_name_or_path=given["tokenizer"],
        save_final_metadata=given["tokenizer"] is not None,
        token_size=given["size"],
    )
    for document in given["documents"]:
        file.write(document, None)
    file.close()
    return None


def datatrove_merge(given: Given) -> Any:
    """datatrove's DocumentTokenizerMerger over a directory."""
    from datatrove.pipeline.tokens.merger import DocumentTokenizerMerger

    DocumentTokenizerMerger(given["directory"], given["output"], "merged", shuffle=False, progress=False).run(None)
    return None


def people(given: Given) -> Any:
    import humanize

    return [humanize.metric(n, unit="T") for n in given["numbers"]]


def main() -> None:
    # Whatever a peer prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        given = json.loads(line)
        answers.write(json.dumps(globals()[given.pop("do")](given)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
