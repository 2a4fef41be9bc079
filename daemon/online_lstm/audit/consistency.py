"""Does what was published agree with the marks? Judged for one input partition, without computing a prediction.

Each mark has the rolling digest of all outputs of its lineage. Between two of them, a checkpoint's and the next
checkpoint's or the committed one, the digest of the outputs that readers see has to lead from one to the other.
Outputs stream through; what is kept does not grow with them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Literal

from online_lstm.codec import extend_digest
from online_lstm.codec.published import PublishedRecord
from online_lstm.events import OutputRecord
from online_lstm.learning.partition import lineage_generation

EXAMPLES = 3
"""How many of the records that are wrong in the same way are told."""

Verdict = Literal["agrees", "differs", "cannot be judged"]


@dataclass(frozen=True, slots=True)
class OutputLog:
    """What an output or dead-letter partition says of one input partition: ``read`` gives it, oldest first.

    ``cut`` says that older records were deleted, ``holes`` why any may be missing, if there is a reason.
    """

    name: str
    read: Callable[[], Iterator[PublishedRecord]]
    cut: bool = False
    holes: str = ""


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The input offsets between two marks of a lineage, and whether the outputs for them lead from one to the other."""

    first: int
    stop: int
    evaluation: Verdict


@dataclass(slots=True)
class ConsistencyReport:
    """What came of it; ``faults`` and ``notes`` are sentences for people."""

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
        """The offset from which on all stretches agree, up to the last one; None if there is nothing in them."""
        found = None
        for stretch in reversed(self.stretches):
            if stretch.evaluation != "agrees":
                break
            if stretch.first < stretch.stop:
                found = stretch.first
        return found

    @property
    def agrees(self) -> bool:
        """Whether all agrees that can be judged, and something can."""
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
    """Compare what was published with the marks of a lineage.

    Args:
        lineage: The one that is committed.
        points: Offset and digest of its whole checkpoints, ascending, and then of the committed mark.
        outputs: Of the partition of the output topic.
        letters: Of that of the dead-letter topic.
        repeats_allowed: Whether a record may be there again after a crash (``at_least_once``).
    """
    judge = _Checker(lineage, points, outputs, letters, repeats_allowed=repeats_allowed, set_back=False)
    proof = judge.judge()
    if judge.found_set_back:  # rare, and known only now: dead letters do not name their lineage
        proof = _Checker(lineage, points, outputs, letters, repeats_allowed=repeats_allowed, set_back=True).judge()
    return proof


class _Checker:
    """Reads both logs once; ``set_back`` says that the group went back when a lineage began, which is no fault."""

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
        self.found_set_back = False
        self._set_back = set_back
        self._lineage, self._points = lineage, points
        self._outputs, self._letters = outputs, letters
        self._repeats_allowed = repeats_allowed
        self._complete_from = 0.0
        self._inexact = ""
        self._wrong: dict[str, deque[str]] = {}
        self._counts: dict[str, int] = {}
        self._proof = ConsistencyReport()

    def judge(self) -> ConsistencyReport:
        published = merge(self._predictions(), self._dead_letters(), key=itemgetter(0))
        matches = self._walk(published)
        for (first, _), (stop, _), same in zip(self._points, self._points[1:], matches, strict=False):
            self._proof.stretches.append(OffsetRange(first, stop, self._evaluation(first, same=same)))
        for kind, examples in self._wrong.items():
            more = self._counts[kind] - len(examples)
            self._proof.faults.append(f"{kind}: {'; '.join(examples)}" + (f"; and {more:,} more" if more else ""))
        for stretch in self._proof.stretches:
            where = f"offsets {stretch.first} to {stretch.stop}"
            if stretch.evaluation == "differs":
                self._proof.faults.append(f"the outputs for {where} are not those that were committed")
            elif stretch.evaluation != "agrees":
                self._proof.notes.append(f"the outputs for {where} cannot be judged: {self._reason()}")
        return self._proof

    def _walk(self, published: Iterator[tuple[int, OutputRecord]]) -> list[bool]:
        """Chain the outputs from each point on, and say whether it came to the next one's digest."""
        matches: list[bool] = []
        digest = self._points[0][1]
        for offset, record in published:
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

    def _predictions(self) -> Iterator[tuple[int, OutputRecord]]:
        """Give the outputs of the lineage by their offsets, each once and ascending; note what is wrong with others."""
        before, last, seen = "", -1, False
        for said in self._outputs.read():
            if not seen and self._outputs.cut and said.lineage == self._lineage:
                self._complete_from = max(self._complete_from, said.offset)
            seen = True
            if said.lineage is None:
                self._blame("not by this daemon, though it says so", self._outputs, said)
            elif said.lineage != before and self._follows(before, said.lineage):
                self._blame(f"of another lineage, after {before} had begun", self._outputs, said)
            elif said.lineage == before and said.offset <= last:
                self._repeat(self._outputs, said)
            else:
                self.found_set_back |= said.offset <= last
                before, last = said.lineage, said.offset
                if said.lineage == self._lineage:
                    yield self._count(said)
                else:
                    self._proof.earlier += 1
        if not seen and self._outputs.cut:
            self._complete_from = float("inf")

    def _follows(self, lineage: str, other: str) -> bool:
        """Say whether a lineage can only have begun after another one."""
        return lineage == self._lineage or lineage_generation(other) < lineage_generation(lineage)

    def _dead_letters(self) -> Iterator[tuple[int, OutputRecord]]:
        """Give the dead letters of the lineage likewise.

        They do not name it. Where the group was set back, what came before the last step back is of lineages before.
        """
        begin = self._last_step_back() if self._set_back else 0
        last, seen = -1, begin > 0
        for said in islice(self._letters.read(), begin, None):
            if not seen and self._letters.cut:
                self._complete_from = max(self._complete_from, said.offset)
            seen = True
            if said.offset <= last:
                self._repeat(self._letters, said)
                continue
            last = said.offset
            if said.offset < self._points[-1][0] or not self._set_back:
                yield self._count(said)
        if not seen and self._letters.cut:
            self._complete_from = float("inf")

    def _last_step_back(self) -> int:
        """Count the dead letters before the last one that does not follow on the one before it."""
        begin, last = 0, -1
        for number, said in enumerate(self._letters.read()):
            if said.offset <= last and not self._repeats_allowed:
                begin = number
            last = said.offset
        return begin

    def _count(self, said: PublishedRecord) -> tuple[int, OutputRecord]:
        proof = self._proof
        if said.offset >= self._points[-1][0]:
            proof.beyond = max(said.offset, proof.beyond or 0)
        elif said.offset >= self._points[0][0]:
            proof.dead_letters += said.record.dead_letter
            proof.predictions += not said.record.dead_letter
            if not said.exact:
                self._inexact = "the broker replaced time stamps that are part of what was committed (LogAppendTime)"
        return said.offset, said.record

    def _repeat(self, log: OutputLog, said: PublishedRecord) -> None:
        if self._repeats_allowed:
            self._proof.repeated += 1
        else:
            self._blame("there twice or out of order", log, said)

    def _blame(self, kind: str, log: OutputLog, said: PublishedRecord) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        examples = self._wrong.setdefault(kind, deque())
        if len(examples) < EXAMPLES:
            examples.append(f"{log.name} at {said.position}, for input offset {said.offset}")
