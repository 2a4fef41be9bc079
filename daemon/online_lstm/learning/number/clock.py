"""What is usual at a time of the week: a profile by the clock, for streams that are not evenly timed.

The week has a slot for each half hour, UTC; events without a time have one of their own. The time of the target is the
time of the event and as many mean intervals as it is steps ahead.

The mean interval is learned from stretches of ``STRETCH`` events, or as many more as it takes until time has moved: the
latest time of a stretch, less that of the one before, per event. It is the mean of the last ``STRETCHES`` but the least
and the largest one, so neither events that come at once or in another order change it, nor a hole in the stream or one
time that is wrong. A stretch that ends before the last one did is left out. Until the first has ended, it is the mean.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.number import profile
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

DAY_MS = 24 * 60 * 60 * 1000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970 began on a Thursday
SLOT_MS = 30 * 60 * 1000
TIMELESS = WEEK_MS // SLOT_MS
STRETCH = 64
STRETCHES = 5


class Clock(NamedTuple):
    """The arrays of one stream."""

    start_ms: NDArray[np.int64]  # (1,): latest time of the stretch before, -1 where none leads up to this one
    latest_ms: NDArray[np.int64]  # (1,): of this stretch
    events: NDArray[np.int64]  # (1,): so far in this stretch
    stretches_ms: NDArray[np.float64]  # (STRETCHES,): intervals of the latest stretches, 0 before the first has ended
    interval_ms: NDArray[np.float64]  # (1,)


def fields() -> dict[str, ArraySpec]:
    """Describe the arrays of one stream."""
    described = {
        "start_ms": ArraySpec((1,), "int64", -1),
        "latest_ms": ArraySpec((1,), "int64", -1),
        "events": ArraySpec((1,), "int64"),
        "stretches_ms": ArraySpec((STRETCHES,), "float64"),
        "interval_ms": ArraySpec((1,), "float64"),
    }
    return {
        **{"clock_" + name: described[name] for name in Clock._fields},
        **profile.fields(_PREFIX, TIMELESS + 1),
    }


def break_sequence(row: ArrayViews) -> None:
    """Let no interval lead from the last event to the next."""
    row["clock_start_ms"][:] = -1
    profile.break_sequence(row, _PREFIX)


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    timestamps_ms: NDArray[np.int64],
    *,
    horizons: tuple[int, ...],
    learns: bool = True,
) -> profile.ProfileDeviations:
    """Learn K values by the clock, or only follow them; the mean interval is followed in any case.

    Args:
        row: The arrays of the stream, written to.
        values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
        timestamps_ms: Since 1970, UTC, -1 where there is none, int64 ``(K,)``.
        horizons: Steps ahead that something is predicted for.
        learns: Else the profile stays as it is.
    """
    slots = np.empty((1 + len(horizons), len(values)), np.int64)
    _find_slots(
        Clock(*[row["clock_" + name] for name in Clock._fields]), timestamps_ms, np.array(horizons, np.int64), slots
    )
    return profile.observe(row, _PREFIX, values, slots, learns=learns)


def places(timestamps_ms: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give the places in the week from Monday and in the day, in turns from 0 to 1, float32 ``(2, K)``; 0 for none."""
    turns = np.stack([(timestamps_ms - MONDAY_MS) % WEEK_MS / WEEK_MS, timestamps_ms % DAY_MS / DAY_MS])
    return np.where(timestamps_ms < 0, 0, turns).astype(np.float32)


_PREFIX = "clock_profile_"


@compiled
def _find_slots(
    clock: Clock, timestamps_ms: NDArray[np.int64], horizons: NDArray[np.int64], slots: NDArray[np.int64]
) -> None:
    """Write the slots of the events and of their targets."""
    for event in range(len(timestamps_ms)):
        time = timestamps_ms[event]
        if time < 0:
            slots[:, event] = TIMELESS
            continue
        _learn_interval(clock, time)
        slots[0, event] = (time - MONDAY_MS) % WEEK_MS // SLOT_MS
        for place in range(len(horizons)):
            target = time + np.int64(horizons[place] * clock.interval_ms[0])
            slots[1 + place, event] = (target - MONDAY_MS) % WEEK_MS // SLOT_MS


@compiled
def _learn_interval(clock: Clock, time: int) -> None:
    if clock.start_ms[0] < 0:
        clock.start_ms[0] = clock.latest_ms[0] = time
        clock.events[0] = 0
        return
    clock.events[0] += 1
    clock.latest_ms[0] = time if clock.events[0] == 1 else max(clock.latest_ms[0], time)
    interval = (clock.latest_ms[0] - clock.start_ms[0]) / clock.events[0]
    first = clock.stretches_ms[0] == 0
    if first:
        clock.interval_ms[0] = max(interval, 0.0)
    if clock.events[0] < STRETCH or interval == 0:
        return
    if interval > 0:
        for place in range(STRETCHES - 1):
            clock.stretches_ms[place] = interval if first else clock.stretches_ms[place + 1]
        clock.stretches_ms[-1] = interval
        clock.interval_ms[0] = np.sort(clock.stretches_ms)[1:-1].mean()
    clock.start_ms[0] = clock.latest_ms[0]
    clock.events[0] = 0
