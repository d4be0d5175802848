"""The contract of a stage: everything that the author of one imports.

A **stage** is an entry of a recipe. It plans **phases**, one behind the other; a phase consists of **tasks**, which
need nothing of each other and run on any worker. A task is a call of a function of a module with a frozen struct of
settings; it reads files, writes files, and returns a small report.

A stage consists of

- a frozen struct of settings, the mapping below its name in the recipe (`Config` is a base class for it);
- an `Op`, which takes the documents of a shard batch by batch, in a reading that it shares with other stages;
- functions of tasks, `run(settings, context) -> Report`, for all that needs no documents, or reads them by itself:
  `Reading` reads documents and counts them;
- `plan(builder, number, config)`, which adds the phases. Most stages measure each file alone and then bring the
  measures together: `MapReduce` plans those;
- a `StageKind`, which says all that the rest of the package must know of the stage.

See docs/stages.md and docs/reference/stages.md.
"""

from __future__ import annotations

from dolma_pipeline.config.checks import Checks as Checks
from dolma_pipeline.config.checks import Path as RecipePath
from dolma_pipeline.config.recipe_base import Base as Config
from dolma_pipeline.engine.builder import Builder as Builder
from dolma_pipeline.engine.builder import Phase as Phase
from dolma_pipeline.engine.builder import StageInfo as StageInfo
from dolma_pipeline.engine.builder import State as State
from dolma_pipeline.engine.corpus import Corpus as Corpus
from dolma_pipeline.engine.corpus import Places as Places
from dolma_pipeline.engine.corpus import Shard as Shard
from dolma_pipeline.engine.kind import StageKind as StageKind
from dolma_pipeline.engine.map_reduce import Call as Call
from dolma_pipeline.engine.map_reduce import MapReduce as MapReduce
from dolma_pipeline.engine.reading import Reading as Reading
from dolma_pipeline.engine.reading import ShardInput as ShardInput
from dolma_pipeline.engine.shared_reading import Op as Op
from dolma_pipeline.engine.shared_reading import ShardRead as ShardRead
from dolma_pipeline.engine.shared_reading import op_task as op_task
from dolma_pipeline.engine.table import Table as Table
from dolma_pipeline.engine.task import Context as Context
from dolma_pipeline.engine.task import Counts as Counts
from dolma_pipeline.engine.task import Output as Output
from dolma_pipeline.engine.task import Report as Report
from dolma_pipeline.engine.task import Task as Task
from dolma_pipeline.engine.task import make_task as make_task
from dolma_pipeline.formats.documents import Documents as Documents
from dolma_pipeline.formats.named_attributes import NamedAttributes
from dolma_pipeline.io.atomic import Published as Published
from dolma_pipeline.io.atomic import output as output
from dolma_pipeline.io.atomic import publishing as publishing
from dolma_pipeline.io.atomic import read_json as read_json
from dolma_pipeline.io.atomic import write_json as write_json

open_attributes = NamedAttributes
"""Opens the attribute file of a shard."""

__all__ = [
    "Builder",
    "Call",
    "Checks",
    "Config",
    "Context",
    "Corpus",
    "Counts",
    "Documents",
    "MapReduce",
    "Op",
    "Output",
    "Phase",
    "Places",
    "Published",
    "Reading",
    "RecipePath",
    "Report",
    "Shard",
    "ShardInput",
    "ShardRead",
    "StageInfo",
    "StageKind",
    "State",
    "Table",
    "Task",
    "make_task",
    "op_task",
    "open_attributes",
    "output",
    "publishing",
    "read_json",
    "write_json",
]
