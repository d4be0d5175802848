"""Joining links into components: in rounds over the partitions, or in one task where all links fit into its memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from dolma_pipeline.dedupe.near_components import (
    LINK_BYTES,
    JoinLinks,
    LabelPartition,
    StarPartition,
    join_links,
    label_partition,
    labels_file,
    star_partition,
)
from dolma_pipeline.engine.file_list import FileList
from dolma_pipeline.engine.stage import Phase, State
from dolma_pipeline.engine.task import Task
from dolma_pipeline.stages.near_units import Near

Star = Literal["large", "small"]
MOST_ROUNDS = 20
"""Rounds that are planned; what is not joined by then is joined in one task."""
STARS: tuple[Star, ...] = ("large", "small")
"""The halves of a round."""


def in_rounds(near: Near, state: State) -> bool:
    """Whether the links take more memory than one task may have."""
    links = sum(int(details["links"]) for details in near.reported(near.links, state))
    return LINK_BYTES * links > near.minhash.memory


def half(near: Near, star: str, number: int) -> str:
    """The phase of a half of a round."""
    return f"{near.id}-{star}-{number:02d}"


def halves(near: Near) -> list[tuple[str, Star, str]]:
    """Phase and star of each half of a round, and the phase before it."""
    found: list[tuple[str, Star, str]] = []
    before = near.links
    for number in range(1, MOST_ROUNDS + 1):
        for star in STARS:
            phase = half(near, star, number)
            found.append((phase, star, before))
            before = phase
    return found


def needed(near: Near, number: int, state: State) -> bool:
    """Whether there is a round of this number: the one before has changed something."""
    if number == 1:
        return in_rounds(near, state)
    before = [details for star in STARS for details in near.reported(half(near, star, number - 1), state)]
    return sum(int(details["changed"]) for details in before) > 0


def last(near: Near, state: State) -> str:
    """The last phase that has written links."""
    return next((phase for phase, _, _ in reversed(halves(near)) if state.reports.get(phase)), near.links)


def link_list(near: Near, reader: str, writer: str) -> FileList:
    """The list of the links that the phase `writer` has written, for `reader`."""
    return near.list_of(reader, "links", near.parts(writer, "links"))


def round_phases(near: Near) -> Iterator[Phase]:
    """The halves of all rounds that there may be."""
    after = [near.keys, near.links]
    for place, (phase, star, before) in enumerate(halves(near)):
        number = place // 2 + 1
        after = [*after, before] if before not in after else list(after)
        yield _half_phase(near, phase, star, before, number, after)


def _half_phase(near: Near, phase: str, star: Star, before: str, number: int, after: list[str]) -> Phase:
    links = link_list(near, phase, before)

    def build(state: State) -> list[Task]:
        if not needed(near, number, state):
            return []
        space = near.space(state)

        def config(partition: int) -> StarPartition:
            out = near.part(phase, partition, "links")
            return StarPartition(star=star, links=links.path, space=space, partition=partition, out=out)

        return near.each(phase, star_partition, config, links.path)

    def lists(state: State) -> list[FileList]:
        return [links] if needed(near, number, state) else []

    what = f"round {number} of joining links: {star} stars"
    return Phase(id=phase, what=what, build=build, after=after, later_lists=lists, repeats=True)


def build_components(near: Near, state: State) -> list[Task]:
    space, links = near.space(state), link_list(near, near.components, last(near, state)).path
    unfinished = needed(near, MOST_ROUNDS + 1, state)
    if in_rounds(near, state) and not unfinished:

        def config(partition: int) -> LabelPartition:
            out = labels_file(near.labels, partition)
            return LabelPartition(links=links, space=space, partition=partition, labels=out)

        return near.each(near.components, label_partition, config, links)
    warnings = []
    if unfinished:
        warnings.append(
            f"dedupe `{near.config.name}`: links were not joined after {MOST_ROUNDS} rounds; one task joins what "
            f"is left, in more memory than `memory` says if it has to"
        )
    one = JoinLinks(links=links, space=space, labels=near.labels, warnings=warnings)
    return [near.task(near.components, "all", join_links, one, links)]
