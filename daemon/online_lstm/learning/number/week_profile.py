"""The profile of the week: seasonal means by clock time, for streams whose events are not evenly spaced in time.

The week has one slot for each half hour, in UTC. Events without a timestamp share one further slot. The time of a
target is the timestamp of the event plus the horizon times the mean interval between events.

The mean interval is learned from stretches of events. A stretch has ``STRETCH`` events, and goes on beyond them until
time has moved. Its interval is the latest timestamp of the stretch minus the latest timestamp of the previous stretch,
divided by the number of events. The mean interval is the mean over the last ``STRETCHES`` stretches without the
smallest and the largest interval, so simultaneous events, events out of order, a gap in the stream and a single wrong
timestamp do not change it. A stretch that ends before the previous stretch ended is ignored. Until the first stretch
has ended, the mean interval is the mean over its events so far.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.number import season_profile
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

    start_ms: NDArray[np.int64]  # (1,): latest time of the previous stretch, -1 if there is none
    latest_ms: NDArray[np.int64]  # (1,): latest time of this stretch
    events: NDArray[np.int64]  # (1,): number of events so far in this stretch
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
        **season_profile.fields(_PREFIX, TIMELESS + 1),
    }


def break_sequence(row: ArrayViews) -> None:
    """Discard the interval between the last event and the next."""
    row["clock_start_ms"][:] = -1
    season_profile.break_sequence(row, _PREFIX)


def observe(
    row: ArrayViews,
    values: NDArray[np.float64],
    timestamps_ms: NDArray[np.int64],
    *,
    horizons: tuple[int, ...],
    learns: bool = True,
) -> season_profile.ProfileDeviations:
    """Learn K values by the clock, and return their deviations from the profile of the week.

    Args:
        row: The arrays of the stream, written to.
        values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
        timestamps_ms: Milliseconds since 1970, UTC, -1 where there is no timestamp, int64 ``(K,)``.
        horizons: Steps from an event to its targets.
        learns: If false, the profile learns nothing; the mean interval is updated in any case.
    """
    slots = np.empty((len(values), 1 + len(horizons)), np.int64)
    _find_slots(
        Clock(*[row["clock_" + name] for name in Clock._fields]), timestamps_ms, np.array(horizons, np.int64), slots
    )
    return season_profile.observe(row, _PREFIX, values, slots, learns=learns)


def phases(timestamps_ms: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the phases in the week (from Monday) and in the day, 0 to 1, float32 ``(2, K)``; 0 if no timestamp."""
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
            slots[event] = TIMELESS
            continue
        _learn_interval(clock, time)
        slots[event, 0] = (time - MONDAY_MS) % WEEK_MS // SLOT_MS
        for step in range(len(horizons)):
            target = time + np.int64(horizons[step] * clock.interval_ms[0])
            slots[event, 1 + step] = (target - MONDAY_MS) % WEEK_MS // SLOT_MS


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
        for index in range(STRETCHES - 1):
            clock.stretches_ms[index] = interval if first else clock.stretches_ms[index + 1]
        clock.stretches_ms[-1] = interval
        clock.interval_ms[0] = np.sort(clock.stretches_ms)[1:-1].mean()
    clock.start_ms[0] = clock.latest_ms[0]
    clock.events[0] = 0
