"""Comparison of the published outputs of one input partition with the digests in the commit metadata.

Commit metadata has the rolling digest of all outputs of its lineage. The comparison starts from the digest of a
checkpoint and extends it by the visible outputs; the result must equal the digest of the next checkpoint, or of the
committed offset. The module computes no predictions and reads the outputs as a stream, in constant memory.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Literal

from online_lstm.codec import extend_digest
from online_lstm.codec.published import EventPosition, PublishedRecord
from online_lstm.events import OutputRecord
from online_lstm.learning.partition import lineage_generation

EXAMPLES = 3
"""Number of records that a report lists for each kind of fault."""

Verdict = Literal["agrees", "differs", "cannot be judged"]


@dataclass(frozen=True, slots=True)
class OutputLog:
    """The records of an output or dead-letter partition about one input partition; ``read`` yields them, oldest first.

    ``cut`` is True if older records were deleted. ``holes`` is the reason why any record may be missing; empty without
    such a reason.
    """

    name: str
    read: Callable[[], Iterator[PublishedRecord]]
    cut: bool = False
    holes: str = ""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The input offsets between two digests of a lineage, and whether their outputs lead from one to the other."""

    first: int
    stop: int
    evaluation: Verdict


@dataclass(slots=True)
class ConsistencyReport:
    """The result of a consistency check; ``faults`` and ``notes`` are sentences for people.

    ``predictions`` and ``dead_letters`` count the checked outputs, ``earlier`` the outputs of earlier lineages and
    ``repeated`` the allowed repetitions. ``beyond`` is the highest input offset with an output at or after the
    committed offset; None without such an output.
    """

    stretches: list[OffsetRange] = field(default_factory=list)
    predictions: int = 0
    dead_letters: int = 0
    earlier: int = 0
    repeated: int = 0
    beyond: int | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def proven_from(self) -> int | None:
        """The first offset of the agreeing ranges at the end; None if there are none or they are empty."""
        first = None
        for stretch in reversed(self.stretches):
            if stretch.evaluation != "agrees":
                break
            if stretch.first < stretch.stop:
                first = stretch.first
        return first

    @property
    def agrees(self) -> bool:
        """Whether there are no faults, and either all ranges agree or at least the last non-empty ones do."""
        everything = bool(self.stretches) and all(stretch.evaluation == "agrees" for stretch in self.stretches)
        return not self.faults and (everything or self.proven_from is not None)


def check_consistency(
    lineage: str,
    points: Sequence[tuple[int, bytes]],
    *,
    outputs: OutputLog,
    letters: OutputLog,
    repeats_allowed: bool = False,
) -> ConsistencyReport:
    """Compare the published outputs with the digests of a lineage.

    Args:
        lineage: The committed lineage.
        points: Offset and digest of the lineage's undamaged checkpoints, ascending, then of the committed offset.
        outputs: The partition of the output topic.
        letters: The partition of the dead-letter topic.
        repeats_allowed: Whether outputs may be repeated after a crash (``at_least_once``).
    """
    checker = _Checker(lineage, points, outputs, letters, repeats_allowed=repeats_allowed, set_back=False)
    proof = checker.check()
    if checker.set_back_detected:  # rare, and known only after a full read: dead letters do not name their lineage
        proof = _Checker(lineage, points, outputs, letters, repeats_allowed=repeats_allowed, set_back=True).check()
    return proof


class _Checker:
    """A check that reads both logs once; ``set_back`` allows that the group returned to an earlier offset.

    Such a return is legitimate at the start of a lineage.
    """

    def __init__(
        self,
        lineage: str,
        points: Sequence[tuple[int, bytes]],
        outputs: OutputLog,
        letters: OutputLog,
        *,
        repeats_allowed: bool,
        set_back: bool,
    ) -> None:
        self.set_back_detected = False
        self._set_back = set_back
        self._lineage, self._points = lineage, points
        self._outputs, self._letters = outputs, letters
        self._repeats_allowed = repeats_allowed
        self._complete_from = 0.0
        self._inexact = ""
        self._wrong: dict[str, deque[str]] = {}
        self._counts: dict[str, int] = {}
        self._proof = ConsistencyReport()

    def check(self) -> ConsistencyReport:
        published = merge(self._predictions(), self._dead_letters(), key=itemgetter(0))
        matches = self._walk(published)
        for (first, _), (stop, _), same in zip(self._points, self._points[1:], matches, strict=False):
            self._proof.stretches.append(OffsetRange(first, stop, self._evaluation(first, same=same)))
        for kind, examples in self._wrong.items():
            more = self._counts[kind] - len(examples)
            self._proof.faults.append(f"{kind}: {'; '.join(examples)}" + (f"; and {more:,} more" if more else ""))
        for stretch in self._proof.stretches:
            offsets = f"offsets {stretch.first} to {stretch.stop}"
            if stretch.evaluation == "differs":
                self._proof.faults.append(f"the outputs for {offsets} are not those that were committed")
            elif stretch.evaluation != "agrees":
                self._proof.notes.append(f"the outputs for {offsets} cannot be judged: {self._reason()}")
        return self._proof

    def _walk(self, published: Iterator[tuple[EventPosition, OutputRecord]]) -> list[bool]:
        """Extend the digest of each point by the outputs up to the next point; return whether the digests match."""
        matches: list[bool] = []
        digest = self._points[0][1]
        for (offset, _), record in published:
            while len(matches) + 1 < len(self._points) and offset >= self._points[len(matches) + 1][0]:
                digest = self._arrive(matches, digest)
            if self._points[0][0] <= offset < self._points[-1][0]:
                digest = extend_digest(digest, record)
        while len(matches) + 1 < len(self._points):
            digest = self._arrive(matches, digest)
        return matches

    def _arrive(self, matches: list[bool], digest: bytes) -> bytes:
        expected = self._points[len(matches) + 1][1]
        matches.append(digest == expected)
        return expected

    def _evaluation(self, first: int, *, same: bool) -> Verdict:
        if same:
            return "agrees"
        return "cannot be judged" if first < self._complete_from or self._reason_beside_age() else "differs"

    def _reason_beside_age(self) -> str:
        return self._outputs.holes or self._letters.holes or self._inexact

    def _reason(self) -> str:
        return self._reason_beside_age() or "records are gone from the output or the dead-letter topic by its retention"

    def _predictions(self) -> Iterator[tuple[EventPosition, OutputRecord]]:
        """Yield the outputs of the lineage with their events, unique and ascending; record all other faults."""
        before, last, seen = "", (-1, -1), False
        for published in self._outputs.read():
            if not seen and self._outputs.cut and published.lineage == self._lineage:
                self._complete_from = max(self._complete_from, published.offset + (published.index > 0))
            seen = True
            if published.lineage is None:
                self._blame("not by this daemon, though it says so", self._outputs, published)
            elif published.lineage != before and self._follows(before, published.lineage):
                self._blame(f"of another lineage, after {before} had begun", self._outputs, published)
            elif published.lineage == before and published.event <= last:
                self._repeat(self._outputs, published)
            else:
                self.set_back_detected |= published.event <= last
                before, last = published.lineage, published.event
                if published.lineage == self._lineage:
                    yield self._count(published)
                else:
                    self._proof.earlier += 1
        if not seen and self._outputs.cut:
            self._complete_from = float("inf")

    def _follows(self, lineage: str, other: str) -> bool:
        """Return whether a lineage must be later than another one."""
        return lineage == self._lineage or lineage_generation(other) < lineage_generation(lineage)

    def _dead_letters(self) -> Iterator[tuple[EventPosition, OutputRecord]]:
        """Yield the dead letters of the lineage with their events, unique and ascending; record other faults.

        Dead letters do not name their lineage. If the group was set back, the dead letters before the last step back
        belong to earlier lineages.
        """
        begin = self._last_step_back() if self._set_back else 0
        last, seen = (-1, -1), begin > 0
        for published in islice(self._letters.read(), begin, None):
            if not seen and self._letters.cut:
                self._complete_from = max(self._complete_from, published.offset + (published.index > 0))
            seen = True
            if published.event <= last:
                self._repeat(self._letters, published)
                continue
            last = published.event
            if published.offset < self._points[-1][0] or not self._set_back:
                yield self._count(published)
        if not seen and self._letters.cut:
            self._complete_from = float("inf")

    def _last_step_back(self) -> int:
        """Return the number of dead letters before the last one whose offset is not above its predecessor's."""
        begin, last = 0, (-1, -1)
        for number, published in enumerate(self._letters.read()):
            if published.event <= last and not self._repeats_allowed:
                begin = number
            last = published.event
        return begin

    def _count(self, published: PublishedRecord) -> tuple[EventPosition, OutputRecord]:
        proof = self._proof
        if published.offset >= self._points[-1][0]:
            proof.beyond = max(published.offset, proof.beyond or 0)
        elif published.offset >= self._points[0][0]:
            proof.dead_letters += published.record.dead_letter
            proof.predictions += not published.record.dead_letter
            if not published.exact:
                self._inexact = "the broker replaced timestamps that are part of what was committed (LogAppendTime)"
        return published.event, published.record

    def _repeat(self, log: OutputLog, published: PublishedRecord) -> None:
        if self._repeats_allowed:
            self._proof.repeated += 1
        else:
            self._blame("there twice or out of order", log, published)

    def _blame(self, kind: str, log: OutputLog, published: PublishedRecord) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        examples = self._wrong.setdefault(kind, deque())
        if len(examples) < EXAMPLES:
            examples.append(f"{log.name} at {published.position}, for input offset {published.offset}")
