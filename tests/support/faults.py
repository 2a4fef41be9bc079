"""Schedules of faults: data that is drawn from a seed, printed with a failing test, and pasted back to repeat it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill",  # SIGKILL and start again; with a duration, once more after it, wherever the start has come to
    "terminate",  # SIGTERM, which has to end it with exit code 0, and start again
    "freeze",  # SIGSTOP for the duration
    "join",  # one more member
    "leave",  # SIGTERM, for good
    "crash broker",  # SIGKILL, stay away for the duration, start again on the same data
    "restart broker",  # the same in order
    "away",  # the broker cannot be reached for the duration: connections are reset and refused
    "stall",  # connections stay, but nothing passes for the duration
    "cut",  # connections are reset once
    "slow",  # for the duration, each request to the coordinators takes SLOW_S longer
    # the same in the middle of a transaction: all is sent, and its end is on the way
    "hold commit",  # the end of the transaction arrives after the duration
    "lose answer",  # it arrives, and the connection is reset before the answer is heard
    "freeze in commit",
    "crash broker in commit",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SLOW_S = 0.2
MAX_MEMBERS = 4


@dataclass(frozen=True)
class Fault:
    """One fault; it happens when this share of the input is committed, so that it does not depend on speed."""

    kind: Kind
    moment: float
    duration_s: float = 0.0
    member: int = 0
    """Counted among those that run then, modulo their number."""


Schedule = tuple[Fault, ...]


def draw(
    seed: int,
    count: int,
    *,
    kinds: Sequence[Kind] = KINDS,
    members: int = 1,
    longest_s: float = 4.0,
) -> Schedule:
    """Draw a schedule; members that join and leave stay between 1 and ``MAX_MEMBERS``."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    for moment in sorted(round(chance.random(), 3) for _ in range(count)):
        fits = [
            k for k in kinds if not (k == "join" and members == MAX_MEMBERS) and not (k == "leave" and members == 1)
        ]
        kind = chance.choice(fits)
        members += (kind == "join") - (kind == "leave")
        lasts = kind not in {"terminate", "join", "leave", "cut", "lose answer"}
        duration_s = round(chance.uniform(0, longest_s), 1) if lasts else 0.0
        faults.append(Fault(kind, moment, duration_s, chance.randrange(MAX_MEMBERS)))
    return tuple(faults)


def show(schedule: Schedule) -> str:
    """Write a schedule as the Python that makes it."""
    return "(\n" + "".join(f"    {fault!r},\n" for fault in schedule) + ")"
