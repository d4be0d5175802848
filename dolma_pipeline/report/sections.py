"""The sections of the page, each a function of the run; one that has nothing to show is empty."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from dolma_pipeline.engine.bad_input import find
from dolma_pipeline.engine.manifest import StageAccount
from dolma_pipeline.engine.registry import role
from dolma_pipeline.engine.table import table_of
from dolma_pipeline.engine.task import Counts
from dolma_pipeline.formats.quarantine import QuarantineRow
from dolma_pipeline.report.account import MOST_EXAMPLES, Run, rules, total
from dolma_pipeline.report.charts import Segment, bar, loss_chart
from dolma_pipeline.report.markup import Content, Markup, element
from dolma_pipeline.report.packing import packing
from dolma_pipeline.report.units import count, counted, duration, share, short, size

NOTHING = Markup("")
COLOURS = 8
"""Classes `s0` ... `s7` of the style sheet."""
LISTED_FILES = 2000
EXCERPT = 160
"""Code points of a bad line that are shown."""


def section(title: str, *content: Content) -> Markup:
    return element("section", element("h2", title), *content)


def data_table(
    head: Sequence[str],
    rows: Sequence[Sequence[Content]],
    wide: int = -1,
    last_is_sum: bool = False,
    numbers: Sequence[bool] = (),
) -> Markup:
    """A table whose first column is names; column `wide` is of charts and takes the room that is left.

    The other columns have numbers, unless `numbers` says of each column whether it has.
    """

    def cell(kind: str, i: int, content: Content) -> Markup:
        number = numbers[i] if numbers else i > 0
        style = "wide" if i == wide else "number" if number else "name"
        return element(kind, content, class_=style)

    body = [
        element(
            "tr",
            [cell("td", i, c) for i, c in enumerate(row)],
            class_="sum" if last_is_sum and number == len(rows) - 1 else None,
        )
        for number, row in enumerate(rows)
    ]
    top = element("thead", element("tr", [cell("th", i, c) for i, c in enumerate(head)]))
    return element("div", element("table", top, element("tbody", body)), class_="scroll")


def cards(run: Run) -> Markup:
    """The figures one asks for first."""
    shown: list[tuple[str, str, str]] = []
    read, kept = run.first, _kept(run)
    shown.append(("documents", count(kept.documents_out), f"kept of {count(read.documents_in)}"))
    shown.append(("text", size(kept.bytes_out), f"kept of {size(read.bytes_in)}"))
    marked = sum(int(s.details.get("duplicates", 0)) for s in run.stages("duplicates"))
    if run.stages("duplicates"):
        shown.append(("duplicates", count(marked), "documents and paragraphs"))
    if run.tokens:
        shown.append(("tokens", short(sum(run.tokens.values())), f"from {counted(len(run.tokens), 'source')}"))
    t = run.training
    if t is not None and t.perplexity is not None:
        shown.append(("perplexity", f"{t.perplexity:.2f}", "on text set aside"))
    elif t is not None and t.last_loss is not None:
        shown.append(("loss", f"{t.last_loss:.3f}", "at the end of training"))
    if run.timings is not None:
        workers = f"with {counted(run.timings.processes, 'process')}"
        shown.append(("time", duration(run.timings.wall_seconds), workers))
    boxes = [
        element("div", element("dt", name), element("dd", value), element("dd", note, class_="soft"))
        for name, value, note in shown
    ]
    return element("dl", boxes, class_="cards")


def _kept(run: Run) -> Counts:
    """What the mixes let through, or without one what the last stage that counted documents did."""
    mixed = [c for s in run.stages("filter") for c in s.counts.values()]
    if mixed:
        return total(mixed)
    counted = [s for s in run.manifest.stages if s.counts and role(s) not in ("tokens", "training")]
    return total(counted[-1].counts.values()) if counted else Counts()


def warnings(run: Run) -> Markup:
    listed = [element("li", w) for w in run.manifest.warnings]
    return (
        element("section", element("h2", "Warnings"), element("ul", listed), class_="warnings") if listed else NOTHING
    )


def gates(run: Run) -> Markup:
    """Shows, for each stage that drops documents, all of them rule by rule, and then each source."""
    shown = []
    for stage in run.manifest.stages:
        everything = total(stage.counts.values())
        gone = everything.quarantined or everything.unread or everything.repeated
        if role(stage) == "filter" or gone or rules([everything]):
            shown.append(_gate(run, stage, everything))
    return section("Where the documents went", *shown) if shown else NOTHING


def _gate(run: Run, stage: StageAccount, everything: Counts) -> Markup:
    unseen = {"quarantined": everything.quarantined, "unread": everything.unread}
    order = [*rules([everything]), *(name for name, number in unseen.items() if number)]
    colour = {name: f"s{i % COLOURS}" for i, name in enumerate(order)}
    whole = everything.documents_in + everything.repeated

    def gone(counts: Counts, name: str) -> int:
        beside = {"quarantined": counts.quarantined, "unread": counts.unread}
        return beside[name] if name in beside else counts.dropped.get(name, 0)

    rows: list[list[Content]] = []

    def step(name: str, sign: str, number: int, start: float, style: str) -> None:
        drawn = bar([Segment(start, number, style, f"{name}: {count(number)}")], whole)
        rows.append([name, f"{sign}{count(number)}", share(number, everything.documents_in), drawn])

    step("documents in", "", everything.documents_in, 0, "all")
    if everything.repeated:
        step("repeated", "+", everything.repeated, everything.documents_in, "more")
    left = whole
    for name in order:
        left -= gone(everything, name)
        step(name, "−", gone(everything, name), left, colour[name])
    step("documents out", "", everything.documents_out, 0, "kept")
    edits = ", ".join(f"{count(n)} × {name}" for name, n in sorted(everything.edited.items()))
    kept = share(everything.bytes_out, everything.bytes_in)
    facts = f"Text: {size(everything.bytes_in)} in, {size(everything.bytes_out)} out ({kept or 'none'})."
    parts: list[Content] = [
        element("h3", run.label(stage)),
        data_table(["", "documents", "", ""], rows, wide=3, last_is_sum=True),
        element("p", facts + (f" Edits: {edits}." if edits else ""), class_="soft"),
    ]
    if len(stage.counts) > 1:
        legend = [
            element("li", element("i", class_=style), name) for name, style in (("kept", "kept"), *colour.items())
        ]
        by_source: list[list[Content]] = []
        for source, counts in sorted(stage.counts.items()):
            segments = [Segment(0, counts.documents_out, "kept", f"kept: {count(counts.documents_out)}")]
            start = counts.documents_out
            for name in order:
                segments.append(
                    Segment(start, gone(counts, name), colour[name], f"{name}: {count(gone(counts, name))}")
                )
                start += gone(counts, name)
            figures = [count(counts.documents_in), count(counts.documents_out), size(counts.bytes_out)]
            by_source.append([source, *figures, bar(segments, counts.documents_in + counts.repeated)])
        parts.append(element("ul", legend, class_="legend"))
        parts.append(data_table(["source", "in", "out", "text out", ""], by_source, wide=4))
    return element("div", parts)


def duplicates(run: Run) -> Markup:
    rows: list[list[Content]] = []
    for stage in run.stages("duplicates"):
        d = stage.details
        keys, found = int(d.get("keys", 0)), int(d.get("duplicates", 0))
        marked = sum(total(stage.counts.values()).edited.values())
        drawn = bar([Segment(0, found, "kept", f"{counted(found, 'duplicate')} of {count(keys)}")], keys)
        fill = f"{float(d['fill']):.1%}" if "fill" in d else "exact"
        positives = f"{float(d['false_positive_rate']):.1e}" if "false_positive_rate" in d else "none"
        figures = [count(keys), count(found), share(found, keys), count(marked), fill, positives]
        rows.append([run.label(stage), *figures, drawn])
    head = ["", "keys", "duplicates", "", "marked", "filter full", "false positives", ""]
    return section("Duplicates", data_table(head, rows, wide=7)) if rows else NOTHING


def tokens(run: Run) -> Markup:
    found = run.tokens
    if not found:
        return NOTHING
    everything, largest = sum(found.values()), max(found.values())
    rows: list[list[Content]] = []
    for source, number in sorted(found.items(), key=lambda pair: (-pair[1], pair[0])):
        drawn = bar([Segment(0, number, "kept", f"{source}: {count(number)}")], largest)
        rows.append([source, count(number), share(number, everything), drawn])
    rows.append(["all", count(everything), "", ""])
    form = run.token_stages[-1].details.get("form")
    facts = [form] if form else []
    facts += [line for line in map(packing, run.token_stages) if line]
    note = element("p", ", ".join(facts) + ".", class_="soft") if facts else NOTHING
    return section("Tokens by source", data_table(["source", "tokens", "", ""], rows, wide=3, last_is_sum=True), note)


def training(run: Run) -> Markup:
    t = run.training
    if t is None:
        return NOTHING
    facts = []
    if t.parameters is not None:
        facts.append(f"{count(t.parameters)} parameters")
    if t.tokens_per_second is not None:
        facts.append(f"{count(round(t.tokens_per_second))} tokens per second")
    if t.last_loss is not None:
        facts.append(f"last loss {t.last_loss:.4f}")
    if t.perplexity is not None:
        facts.append(f"perplexity {t.perplexity:.3f}")
    if t.validation_tokens is not None:
        facts.append(f"{counted(t.validation_tokens, 'token')} set aside")
    drawn = element(
        "figure",
        loss_chart(t.loss),
        element("figcaption", "Loss of the training batches; the heavy line is a running mean."),
    )
    note = element("p", ", ".join(facts) + ".", class_="soft") if facts else NOTHING
    return section("Training", drawn if t.loss else NOTHING, note)


def times(run: Run) -> Markup:
    if run.timings is None:
        return NOTHING
    phases = run.timings.phases
    longest = max((p.seconds for p in phases), default=0.0)
    rows: list[list[Content]] = []
    for p in phases:
        rate = f"{p.bytes / 1e6 / p.seconds:.1f}" if p.bytes and p.seconds > 0 else ""
        documents = count(round(p.documents / p.seconds)) if p.documents and p.seconds > 0 else ""
        memory = size(p.peak_rss) if p.peak_rss else ""
        drawn = bar([Segment(0, p.seconds, "kept", f"{p.phase}: {duration(p.seconds)}")], longest)
        figures = [count(p.tasks), duration(p.seconds), duration(p.cpu_seconds), rate, documents, memory]
        rows.append([p.phase, *figures, drawn])
    wall = duration(run.timings.wall_seconds)
    rows.append(
        ["all", count(sum(p.tasks for p in phases)), wall, duration(sum(p.cpu_seconds for p in phases)), "", "", "", ""]
    )
    head = ["phase", "tasks", "time", "CPU", "MB/s", "documents/s", "memory", ""]
    note = "Rates are of text read, by wall time. A phase that was up to date keeps the figures of the run that did it."
    return section("Time", data_table(head, rows, wide=7, last_is_sum=True), element("p", note, class_="soft"))


def own_tables(run: Run) -> list[Markup]:
    """Shows the tables that stages have put into their details."""
    found = [(stage, table) for stage in run.manifest.stages for table in table_of(stage.details)]
    return [
        section(
            f"{run.label(stage)}: {table.title}",
            data_table(list(table.head), [shown_row(r) for r in table.rows], numbers=table.of_numbers()),
        )
        for stage, table in found
    ]


def shown_row(row: Sequence[str | int | float]) -> list[Content]:
    """The cells of a row of a stage's table as text."""
    return [count(cell) if isinstance(cell, int) else str(cell) for cell in row]


def stage_table(run: Run) -> Markup:
    """The account in full: every document of every stage."""
    rows: list[list[Content]] = []
    for stage in run.manifest.stages:
        c = total(stage.counts.values())
        gone = sum(c.dropped.values())
        figures = [c.documents_in, c.repeated, gone, c.quarantined, c.unread, c.documents_out]
        texts = [size(c.bytes_in) if c.bytes_in else "", size(c.bytes_out) if c.bytes_out else ""]
        rows.append([run.label(stage), *(count(n) if n else "" for n in figures), *texts])
    head = ["stage", "in", "repeated", "dropped", "quarantined", "unread", "out", "text in", "text out"]
    return section("Stages", data_table(head, rows)) if rows else NOTHING


def quarantine(run: Run) -> Markup:
    bad = find(run.manifest, run.directory / run.manifest.work_dir).documents
    if not bad and not run.quarantined:
        return NOTHING
    rows: list[list[Content]] = [
        [element("code", r.file), count(r.line), count(r.offset), r.reason, element("code", _excerpt(r))]
        for r in run.quarantined
    ]
    note = f"{counted(bad, 'document')}, set aside whole in quarantine/, could not be read."
    if len(rows) == MOST_EXAMPLES:
        note += f" The first {MOST_EXAMPLES}:"
    table = data_table(["file", "line", "byte", "reason", "text"], rows, wide=4) if rows else NOTHING
    return section("Quarantine", element("p", note), element("div", table, class_="quarantine"))


def _excerpt(row: QuarantineRow) -> str:
    if row.raw is None:
        encoded = row.raw_base64 or ""
        return f"{counted(len(encoded) * 3 // 4 - encoded.count('='), 'byte')} that are not UTF-8"
    return row.raw if len(row.raw) <= EXCERPT else row.raw[:EXCERPT] + "…"


def recipe(run: Run) -> Markup:
    written = yaml.safe_dump(run.manifest.recipe, sort_keys=False, allow_unicode=True, width=100)
    folded = element(
        "details", element("summary", "The recipe as it was run"), element("pre", element("code", written))
    )
    return section("Recipe", folded)


def file_list(run: Run) -> Markup:
    listed = run.manifest.files
    rows: list[list[Content]] = [
        [element("code", f.path), count(f.bytes), element("code", f.blake3, class_="hash")]
        for f in listed[:LISTED_FILES]
    ]
    more = f"; the first {count(LISTED_FILES)}, manifest.json has all" if len(listed) > LISTED_FILES else ""
    title = f"{counted(len(listed), 'file')} with their BLAKE3{more}"
    table = data_table(["path", "bytes", "BLAKE3"], rows)
    return section("Files", element("details", element("summary", title), table)) if rows else NOTHING
