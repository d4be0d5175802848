"""The account of a run as aligned text, for the end of a run and for logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from dolma_pipeline.engine.asked import budget_line
from dolma_pipeline.engine.idle_rules import idle
from dolma_pipeline.engine.manifest import StageAccount
from dolma_pipeline.engine.registry import role
from dolma_pipeline.engine.table import table_of
from dolma_pipeline.engine.task import Counts
from dolma_pipeline.report.account import Run, Training, load_run, rules, total
from dolma_pipeline.report.packing import packing
from dolma_pipeline.report.units import count, counted, duration, share, short, size

WIDEST = 6
"""Sources with a column each; of more only the sum is shown, and the HTML report has the rest."""
ROWS = 20
"""Most rows shown of a stage's own table."""
BLOCKS = "▁▂▃▄▅▆▇█"
Row = Sequence[str]


def render_summary(run_dir: Path) -> str:
    """What went in, what was dropped by which rule, tokens by source, loss, rates, and where the files are.

    Plain text, each line short enough for a terminal of 100 columns with up to five sources. A DataError if the run
    has not finished.
    """
    run = load_run(run_dir)
    manifest = run.manifest
    blocks = [f"{manifest.name}: dolma_pipeline {manifest.version}, seed {manifest.seed}"]
    gates = [s for s in manifest.stages if role(s) == "filter" or (s.counts and _gone(total(s.counts.values())))]
    blocks += [_gate(run, stage) for stage in gates]
    if not gates and run.first.documents_in:
        blocks.append(f"documents  {count(run.first.documents_in)}, {size(run.first.bytes_in)} of text")
    blocks += [_dedupe(run), _tokens(run), _training(run.training), *_own_tables(run)]
    blocks += [_times(run), _warnings(run), _files(run)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(rows: Sequence[Row], indent: int = 2, right: Sequence[bool] = ()) -> str:
    """Columns as wide as their widest cell, aligned to the right where `right` says so; else all but the first."""
    clean = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in clean) for i in range(len(clean[0]))]
    lines = []
    for row in clean:
        sides = right or [i > 0 for i in range(len(row))]
        cells = [c.rjust(w) if side else c.ljust(w) for c, w, side in zip(row, widths, sides, strict=True)]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """`values` as a row of up to `width` blocks, each the mean of its share of them."""
    if not values:
        return ""
    width = min(width, len(values))
    edges = [i * len(values) // width for i in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((mean - low) * scale)] for mean in means)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _gone(counts: Counts) -> bool:
    return bool(counts.quarantined or counts.unread or counts.repeated or any(counts.dropped.values()))


def _gate(run: Run, stage: StageAccount) -> str:
    """Documents in, less those dropped by each rule, are documents kept."""
    sources = sorted(stage.counts)
    everything = total(stage.counts.values())
    columns = [everything, *(stage.counts[s] for s in sources if 1 < len(sources) <= WIDEST)]
    head = ["", "all", "", *(s for s in sources if 1 < len(sources) <= WIDEST)]

    def row(name: str, values: list[int], sign: str = "") -> Row:
        cells = [f"{sign}{count(v)}" if v else "·" for v in values]
        return [name, cells[0], share(values[0], everything.documents_in), *cells[1:]]

    rows = [head, row("documents in", [c.documents_in for c in columns])]
    if everything.repeated:
        rows.append(row("repeated", [c.repeated for c in columns], "+"))
    rows += [row(name, [c.dropped.get(name, 0) for c in columns], "-") for name in rules([everything])]
    if everything.quarantined:
        rows.append(row("quarantined", [c.quarantined for c in columns], "-"))
    if everything.unread:
        rows.append(row("unread", [c.unread for c in columns], "-"))
    rows.append(row("documents out", [c.documents_out for c in columns]))
    rows.append(["text in", size(everything.bytes_in), "", *(size(c.bytes_in) for c in columns[1:])])
    kept = share(everything.bytes_out, everything.bytes_in)
    rows.append(["text out", size(everything.bytes_out), kept, *(size(c.bytes_out) for c in columns[1:])])
    lines = [run.label(stage), table(rows)]
    if everything.edited:
        edits = ", ".join(f"{count(n)} {name}" for name, n in sorted(everything.edited.items()))
        lines.append(f"  edits: {_printable(edits)}")
    if everything.unjudged:
        failed = ", ".join(f"{count(n)} {name}" for name, n in sorted(everything.unjudged.items()))
        lines.append(f"  documents on which an expression failed: {_printable(failed)}")
    if quiet := idle(stage.details.get("use", {}), everything.documents_in):
        lines.append(f"  without effect: {_printable(', '.join(quiet))}")
    if everything.lacking:
        fates = ", ".join(f"{count(n)} {_printable(fate)}" for fate, n in sorted(everything.lacking.items()))
        first = _printable(everything.first_lacking)
        lines.append(f"  documents with text that the vocabulary lacks: {fates}; the first is {first}")
    if "budget" in stage.details:
        lines.append(f"  budget: {budget_line(stage.details['budget'])}")
    return "\n".join(lines)


def _dedupe(run: Run) -> str:
    rows: list[Row] = [["", "keys", "duplicates", "", "marked", "filter full", "false positives"]]
    for stage in run.stages("duplicates"):
        d = stage.details
        keys, duplicates = int(d.get("keys", 0)), int(d.get("duplicates", 0))
        marked = sum(total(stage.counts.values()).edited.values())
        fill = f"{d['fill']:.1%}" if "fill" in d else ""
        positives = f"{d['false_positive_rate']:.1e}" if "false_positive_rate" in d else ""
        row = [run.label(stage), count(keys), count(duplicates), share(duplicates, keys), count(marked)]
        rows.append([*row, fill, positives])
    return "duplicates\n" + table(rows) if len(rows) > 1 else ""


def _tokens(run: Run) -> str:
    tokens = run.tokens
    if not tokens:
        return ""
    documents: dict[str, Counts] = {}
    for stage in run.token_stages:
        for source, counts in stage.counts.items():
            documents.setdefault(source, Counts()).add(counts)
    everything = sum(tokens.values())
    rows: list[Row] = [["", "tokens", "", "documents", "bytes/token"]]
    for source in [*sorted(tokens), ""]:
        counts = documents.get(source, Counts()) if source else total(documents.values())
        number = tokens[source] if source else everything
        per_token = f"{counts.bytes_in / number:.2f}" if number and counts.bytes_in else ""
        read = count(counts.documents_in) if counts.documents_in else ""
        rows.append([source or "all", count(number), share(number, everything), read, per_token])
    form = run.token_stages[-1].details.get("form")
    lines = [f"  {line}" for line in map(packing, run.token_stages) if line]
    lines += [f"  budget: {budget_line(s.details['budget'])}" for s in run.token_stages if "budget" in s.details]
    return "\n".join([f"tokens ({form})" if form else "tokens", table(rows), *lines])


def _own_tables(run: Run) -> Iterator[str]:
    """The first rows of the tables that stages have put into their details."""
    for stage in run.manifest.stages:
        for found in table_of(stage.details):
            cells = [[count(cell) if isinstance(cell, int) else str(cell) for cell in row] for row in found.rows[:ROWS]]
            more = f"\n  and {counted(len(found.rows) - ROWS, 'row')} more" if len(found.rows) > ROWS else ""
            shown = table([list(found.head), *cells], right=found.of_numbers())
            yield f"{run.label(stage)}: {_printable(found.title)}\n{shown}{more}"


def _training(training: Training | None) -> str:
    if training is None:
        return ""
    facts = []
    if training.parameters:
        facts.append(f"{short(training.parameters)} parameters")
    if training.loss:
        facts.append(f"{counted(training.loss[-1][0], 'step')}")
    if training.tokens_per_second:
        facts.append(f"{short(training.tokens_per_second)} tokens/s")
    lines = ["training" + (f" ({', '.join(facts)})" if facts else "")]
    if training.loss and training.last_loss is not None:
        line = sparkline([loss for _, loss in training.loss])
        lines.append(f"  loss        {training.loss[0][1]:.3f} {line} {training.last_loss:.3f}")
    if training.perplexity is not None:
        of = f" of {counted(training.validation_tokens, 'token')} set aside" if training.validation_tokens else ""
        lines.append(f"  perplexity  {training.perplexity:.2f}{of}")
    return "\n".join(lines)


def _times(run: Run) -> str:
    if run.timings is None:
        return ""
    rows: list[Row] = [["", "time", "tasks", "MB/s", "documents/s"]]
    for phase in run.timings.phases:
        timed = phase.seconds > 0
        rate = f"{phase.bytes / 1e6 / phase.seconds:.1f}" if timed and phase.bytes else ""
        documents = count(round(phase.documents / phase.seconds)) if timed and phase.documents else ""
        rows.append([phase.phase, duration(phase.seconds), count(phase.tasks), rate, documents])
    ran = f"{duration(run.timings.wall_seconds)} with {counted(run.timings.processes, 'process')}"
    return f"time ({ran})\n{table(rows)}"


def _warnings(run: Run) -> str:
    warnings = run.manifest.warnings
    return "\n".join(["warnings", *(f"  {_printable(w)}" for w in warnings)]) if warnings else ""


def _files(run: Run) -> str:
    """Files by the first directory of their path: what there is to look at, not each of them."""
    groups: dict[str, list[int]] = {}
    for file in run.manifest.files:
        head, slash, _ = file.path.partition("/")
        # An absolute path is one outside the run directory.
        group = "elsewhere" if file.path.startswith("/") else head + slash
        groups.setdefault(group, []).append(file.bytes)
    rows = [[name, counted(len(sizes), "file"), size(sum(sizes))] for name, sizes in groups.items()]
    return "\n".join([f"files in {run.directory}", *([table(rows)] if rows else [])])
