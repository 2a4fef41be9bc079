"""What is usual at a time of the week: a profile by the clock, for streams that are not evenly timed.

The week has a slot for each half hour, UTC; events without a time have one of their own. The time of the target is the
time of the event and ``horizon`` running mean intervals.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daemon.experts.jit import compiled
from daemon.experts.numbers import profile
from daemon.rows import Field, Row

DAY_MS = 24 * 60 * 60 * 1000
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # 1970 began on a Thursday
SLOT_MS = 30 * 60 * 1000
TIMELESS = WEEK_MS // SLOT_MS
RATE = 0.01
MOST_INTERVAL = 4.0


class Clock(NamedTuple):
    """The arrays of one stream."""

    time_ms: NDArray[np.int64]  # (1,): of the last event that had one, -1 before
    interval_ms: NDArray[np.float64]  # (1,)
    intervals: NDArray[np.int64]  # (1,)


def fields() -> dict[str, Field]:
    """Describe the arrays of one stream."""
    return {
        "clock_time_ms": Field((1,), "int64", -1),
        "clock_interval_ms": Field((1,), "float64"),
        "clock_intervals": Field((1,), "int64"),
        **profile.fields(_PREFIX, TIMELESS + 1),
    }


def observe(row: Row, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64], *, horizon: int) -> profile.Scaled:
    """Learn K values by the clock.

    Args:
        row: The arrays of the stream, written to.
        values: At most 1e300 in size, float64 ``(K,)``.
        timestamps_ms: Since 1970, UTC, -1 where there is none, int64 ``(K,)``.
        horizon: Steps ahead that something is predicted for.
    """
    slots = np.empty((2, len(values)), np.int64)
    _find_slots(Clock(*[row["clock_" + name] for name in Clock._fields]), timestamps_ms, horizon, slots)
    return profile.observe(row, _PREFIX, values, slots)


def places(timestamps_ms: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give the places in the week from Monday and in the day, in turns from 0 to 1, float32 ``(2, K)``; 0 for none."""
    turns = np.stack([(timestamps_ms - MONDAY_MS) % WEEK_MS / WEEK_MS, timestamps_ms % DAY_MS / DAY_MS])
    return np.where(timestamps_ms < 0, 0, turns).astype(np.float32)


_PREFIX = "clock_profile_"


@compiled
def _find_slots(clock: Clock, timestamps_ms: NDArray[np.int64], horizon: int, slots: NDArray[np.int64]) -> None:
    """Write the slots of the events and of their targets."""
    for event in range(len(timestamps_ms)):
        time = timestamps_ms[event]
        if time < 0:
            slots[:, event] = TIMELESS
            continue
        if clock.time_ms[0] >= 0:
            interval = max(time - clock.time_ms[0], 0)
            if clock.intervals[0] > 0:
                interval = min(interval, MOST_INTERVAL * clock.interval_ms[0] + 1)
            clock.intervals[0] += 1
            clock.interval_ms[0] += max(RATE, 1 / clock.intervals[0]) * (interval - clock.interval_ms[0])
        clock.time_ms[0] = time
        target = time + np.int64(horizon * clock.interval_ms[0])
        slots[0, event] = (time - MONDAY_MS) % WEEK_MS // SLOT_MS
        slots[1, event] = (target - MONDAY_MS) % WEEK_MS // SLOT_MS
