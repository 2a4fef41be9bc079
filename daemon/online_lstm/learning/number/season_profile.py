"""The profile: the seasonal mean and spread of each phase of the season, and the deviations of values from it.

Each step of a period is a slot; in the profile of the week, each half hour is a slot. Without a season there is one
slot. A slot has a fast and a slow running mean of its values, and a running mean of the absolute differences from the
fast mean (seasonal exponential smoothing without a trend: Winters, "Forecasting sales by exponentially weighted moving
averages", 1960). With u the mean absolute difference in a slot and v the mean absolute difference over all slots, the
spread of a slot is s = 0.7 u + 0.3 v. The experts use and predict the deviation:

    deviation d_t = (y_t - fast mean of t's slot) / s, limited to 8 in size

It is dimensionless and free of level and season.

Outliers have a limited influence: the means move as if a difference were at most 2.5 spreads; u and v move as if it
were at most 4 v and 20 v. A value is *far* if it is more than 12 s and more than 12 v from the fast mean. The level
changes, which moves all slots by the same shift,

- after ``JUMP`` far values in a row that agree: by the median of their differences; their mean distance from it is at
  most ``AGREEMENT`` times the median. The next values correct the shift to the mean of ``LEVEL_EVENTS`` values;
- after ``SCATTERED`` far values in a row that do not agree: also by their median, and v is their mean distance from it;
- at the first value that is far from this level, by half of ``FAR``, and near the level before: back to that.
  Afterwards, the first value near the other level changes to it again.

v and u change with the level: each level has its own. A slot whose values were far and agreed at ``SLOT_JUMP`` visits
in a row, while other slots were not far, restarts with the latest value.

A missing value is replaced by the seasonal mean plus the part of the last deviation that persists on average,
phi d_(t-1), with phi = sum d_t d_(t-1) / (1 + sum d_(t-1)^2) over pairs of known values. Nothing is learned from the
replacement.

The module is long because numba renews its cache of a function only when the function's own file changes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import ArraySpec, ArrayViews

FAST, SLOW = 0.1, 0.02  # rates of the means, at each visit of a slot
RATE_OF_SIZES = 0.1
RATE_OF_SIZE = 0.005  # at each event
OVERALL = 0.3
MAX_DEVIATION = 8.0
MAX_MOVE = 2.5
MAX_GROWTH = 20.0
FAR = 12.0
FIRST = 10
JUMP = 3
SCATTERED = 10
SLOT_JUMP = 3
LEVEL_EVENTS = 10  # number of values at a new level whose mean it is
AGREEMENT = 0.25  # largest mean distance of far values from their median, as a share of the median
NEW, BACK, FORTH = 1, 2, 3  # kinds of changes: to a new level, to the one before, and to the new one again
FORGETTING = 0.999  # factor on the sums of phi, at each pair
MAX_RATIO = 1e30  # of v after and before a change
MIN_SPREAD = 1e-300
MIN_RELATIVE_SPREAD = 1e-12


class Profile(NamedTuple):
    """The arrays of one stream, with room for P slots."""

    fast: NDArray[np.float64]  # (P,)
    slow: NDArray[np.float64]  # (P,)
    sizes: NDArray[np.float64]  # (P,): u
    visits: NDArray[np.int64]  # (P,)
    size: NDArray[np.float64]  # (1,): v
    sized: NDArray[np.int64]  # (1,): number of differences in the mean v
    far_visits: NDArray[np.int64]  # (P,): number of consecutive far values at the latest visits of a slot
    far_values: NDArray[np.float64]  # (P,): the value at the latest far visit
    far: NDArray[np.float64]  # (SCATTERED,): the latest consecutive far differences
    far_count: NDArray[np.int64]  # (1,)
    other: NDArray[np.float64]  # (2,): shift to the other level, 0 for none, and v there
    older: NDArray[np.bool_]  # (1,): whether the other level is the older one
    since: NDArray[np.int64]  # (1,): number of values at a new level, up to LEVEL_EVENTS
    latest: NDArray[np.float64]  # (2,): the latest known value, and the deviation of the latest event
    lasting: NDArray[np.float64]  # (2,): the two sums of phi
    missing: NDArray[np.bool_]  # (1,): whether the value just before the next one is unknown


class ProfileDeviations(NamedTuple):
    """K events in units of the profile, and the profile at their H targets."""

    values: NDArray[np.float64]  # (K,): missing values are replaced
    deviations: NDArray[np.float32]  # (K,)
    usual: NDArray[np.float64]  # (K, H): fast mean, in units of the values
    drift: NDArray[np.float64]  # (K, H): slow minus fast mean, in spreads
    spread: NDArray[np.float64]  # (K, H): in units of the values, above 0
    changes: NDArray[np.int64]  # (K,): 0 at almost all events, else the kind of the change
    jumps: NDArray[np.float64]  # (K,): shift of the level at a change
    growth: NDArray[np.float64]  # (K,): v after by v before the change


class Ahead(NamedTuple):
    """The profile at one of the H targets of K events; fields as in ``ProfileDeviations``."""

    usual: NDArray[np.float64]  # (K,)
    drift: NDArray[np.float64]  # (K,)
    spread: NDArray[np.float64]  # (K,)


def ahead(scaled: ProfileDeviations, step: int) -> Ahead:
    """Return the profile at one of the H targets."""
    return Ahead(scaled.usual[:, step], scaled.drift[:, step], scaled.spread[:, step])


def fields(prefix: str, slots: int) -> dict[str, ArraySpec]:
    """Describe the arrays of one stream."""
    described = {
        "fast": ArraySpec((slots,), "float64"),
        "slow": ArraySpec((slots,), "float64"),
        "sizes": ArraySpec((slots,), "float64"),
        "visits": ArraySpec((slots,), "int64"),
        "size": ArraySpec((1,), "float64"),
        "sized": ArraySpec((1,), "int64"),
        "far_visits": ArraySpec((slots,), "int64"),
        "far_values": ArraySpec((slots,), "float64"),
        "far": ArraySpec((SCATTERED,), "float64"),
        "far_count": ArraySpec((1,), "int64"),
        "other": ArraySpec((2,), "float64"),
        "older": ArraySpec((1,), "bool"),
        "since": ArraySpec((1,), "int64", LEVEL_EVENTS),
        "latest": ArraySpec((2,), "float64"),
        "lasting": ArraySpec((2,), "float64"),
        "missing": ArraySpec((1,), "bool", 1),
    }
    return {prefix + name: described[name] for name in Profile._fields}


def observe(
    row: ArrayViews, prefix: str, values: NDArray[np.float64], slots: NDArray[np.int64], *, learns: bool = True
) -> ProfileDeviations:
    """Learn K values and return them as deviations.

    Args:
        row: The arrays of the stream, written to.
        prefix: Prefix of the array names.
        values: At most 1e300 in size, NaN where missing, float64 ``(K,)``.
        slots: Slots of the events and of their H targets, int64 ``(K, 1 + H)``.
        learns: If false, only the latest value and deviation are updated.
    """
    scaled = _empty(len(values), slots.shape[1] - 1)
    scaled.values[:] = values
    _observe(Profile(*[row[prefix + name] for name in Profile._fields]), values, slots, learns, scaled)
    return scaled


def until_change(row: ArrayViews, prefix: str, values: NDArray[np.float64], slots: NDArray[np.int64]) -> int:
    """Return how many of K values come before the next change of the level; the arguments are those of ``observe``."""
    profile = Profile(*[row[prefix + name].copy() for name in Profile._fields])
    scaled = _empty(len(values), 0)
    _observe(profile, values, slots[:, :1], True, scaled)
    changed = np.flatnonzero(scaled.changes)
    return int(changed[0]) if len(changed) else len(values)


def break_sequence(row: ArrayViews, prefix: str) -> None:
    """Reset the latest deviation, so that it has no influence after the break."""
    row[prefix + "latest"][1] = 0
    row[prefix + "far_count"][:] = 0
    row[prefix + "missing"][:] = True


def _empty(count: int, horizons: int) -> ProfileDeviations:
    ahead = count, horizons
    return ProfileDeviations(
        np.empty(count),
        np.zeros(count, np.float32),
        np.empty(ahead),
        np.empty(ahead),
        np.empty(ahead),
        np.zeros(count, np.int64),
        np.zeros(count),
        np.ones(count),
    )


@compiled
def _observe(
    profile: Profile,
    values: NDArray[np.float64],
    slots: NDArray[np.int64],
    learns: bool,
    scaled: ProfileDeviations,
) -> None:
    for event in range(len(values)):
        value = values[event]
        slot = slots[event, 0]
        missing = np.isnan(value)
        if missing:
            if profile.visits[slot] == 0:
                scaled.values[event] = profile.latest[0]
            else:
                lasts = profile.lasting[0] / (1 + profile.lasting[1])
                scaled.deviations[event] = lasts * profile.latest[1]
                scaled.values[event] = profile.fast[slot] + _spread(profile, slot) * scaled.deviations[event]
        else:
            profile.latest[0] = value
            if learns:
                size = profile.size[0]
                scaled.changes[event], scaled.jumps[event] = _change(profile, slot, value)
                if scaled.changes[event]:
                    growth = profile.size[0] / size if size > 0 else MAX_RATIO
                    scaled.growth[event] = min(max(growth, 1 / MAX_RATIO), MAX_RATIO)
                scaled.deviations[event] = _learn(profile, slot, value)
            elif profile.visits[slot] > 0:
                scaled.deviations[event] = _deviation(profile, slot, value)
            if learns and not profile.missing[0]:
                before = profile.latest[1]
                profile.lasting[0] = FORGETTING * profile.lasting[0] + before * scaled.deviations[event]
                profile.lasting[1] = FORGETTING * profile.lasting[1] + before * before
        profile.missing[0] = missing
        profile.latest[1] = scaled.deviations[event]
        for step in range(slots.shape[1] - 1):
            ahead = slots[event, 1 + step]
            if profile.visits[ahead] == 0:
                scaled.usual[event, step] = profile.latest[0]
                scaled.spread[event, step] = _spread(profile, slot)
                scaled.drift[event, step] = 0.0
            else:
                scaled.usual[event, step] = profile.fast[ahead]
                scaled.spread[event, step] = _spread(profile, ahead)
                drift = (profile.slow[ahead] - profile.fast[ahead]) / scaled.spread[event, step]
                scaled.drift[event, step] = min(max(drift, -MAX_DEVIATION), MAX_DEVIATION)


@compiled
def _learn(profile: Profile, slot: int, value: float) -> float:
    """Learn a value of a slot; return its deviation."""
    if profile.visits[slot] == 0:
        _restart(profile, slot, value)
        return 0.0
    difference = value - profile.fast[slot]
    if profile.sized[0] < FIRST:
        _move(profile, slot, value, np.inf, np.inf)
        deviation: float = min(max(difference / _spread(profile, slot), -MAX_DEVIATION), MAX_DEVIATION)
        return deviation
    deviation = _deviation(profile, slot, value)
    if not _jump_of_slot(profile, slot, value):
        spread = _spread(profile, slot)
        far = _is_far(profile, slot, difference, FAR)
        most = MAX_MOVE * spread if far or profile.visits[slot] > 1 else np.inf
        if profile.since[0] < LEVEL_EVENTS:
            profile.since[0] += 1
            shift = min(max(difference, -most), most) / profile.since[0]
            _shift(profile, shift)
            profile.other[0] -= shift
        _move(
            profile,
            slot,
            value,
            most,
            MAX_GROWTH * max(profile.size[0], min(_min_spread(profile, slot), MIN_RELATIVE_SPREAD * abs(value))),
        )
    return deviation


@compiled
def _is_far(profile: Profile, slot: int, difference: float, far: float) -> bool:
    is_far: bool = abs(difference) > far * max(_spread(profile, slot), profile.size[0])
    return is_far


@compiled
def _change(profile: Profile, slot: int, value: float) -> tuple[int, float]:
    """Move all slots to another level if this value or the last ones are there; return the kind and the shift."""
    if profile.visits[slot] == 0 or profile.sized[0] < FIRST:
        return 0, 0.0
    difference = value - profile.fast[slot]
    shift = profile.other[0]
    if shift != 0 and abs(difference - shift) < abs(shift) / 2 and _is_far(profile, slot, difference, FAR / 2):
        kind = BACK if profile.older[0] else FORTH
        size = profile.other[1]
    elif _is_far(profile, slot, difference, FAR):
        profile.far[:-1] = profile.far[1:]
        profile.far[-1] = difference
        profile.far_count[0] += 1
        if profile.far_count[0] < JUMP:
            return 0, 0.0
        kind = NEW
        shift, size = _middle(profile.far[-JUMP:])
        if size > AGREEMENT * abs(shift):
            if profile.far_count[0] < SCATTERED:
                return 0, 0.0
            shift, size = _middle(profile.far)
        size = max(size, profile.size[0])
    else:
        profile.far_count[0] = 0
        return 0, 0.0
    _shift(profile, shift)
    before = profile.size[0]
    for index in range(len(profile.sizes)):
        profile.sizes[index] = profile.sizes[index] * (size / before) if before > MIN_SPREAD else size
    profile.size[0] = size
    profile.other[0], profile.other[1] = -shift, before
    profile.older[0] = kind != BACK
    profile.far_count[0] = 0
    profile.since[0] = JUMP if kind == NEW else LEVEL_EVENTS
    return kind, shift


@compiled
def _shift(profile: Profile, shift: float) -> None:
    for slot in range(len(profile.visits)):
        if profile.visits[slot] > 0:
            profile.fast[slot] += shift
            profile.slow[slot] += shift


@compiled
def _deviation(profile: Profile, slot: int, value: float) -> float:
    deviation: float = (value - profile.fast[slot]) / _spread(profile, slot)
    return min(max(deviation, -MAX_DEVIATION), MAX_DEVIATION)


@compiled
def _restart(profile: Profile, slot: int, value: float) -> None:
    profile.fast[slot] = profile.slow[slot] = value
    profile.visits[slot] = 1
    profile.far_visits[slot] = 0


@compiled
def _min_spread(profile: Profile, slot: int) -> float:
    spread: float = max(MIN_SPREAD, MIN_RELATIVE_SPREAD * abs(profile.fast[slot]))
    return spread


@compiled
def _spread(profile: Profile, slot: int) -> float:
    """Return the spread of a slot, above 0."""
    own = profile.sizes[slot] if profile.visits[slot] > 1 else profile.size[0]
    spread: float = max((1 - OVERALL) * own + OVERALL * profile.size[0], _min_spread(profile, slot))
    return spread


@compiled
def _middle(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median of numbers, the lower one of two, and the mean distance from it."""
    ordered = np.sort(numbers)
    middle: float = ordered[(len(ordered) - 1) // 2]
    size = 0.0
    for number in ordered:
        size += abs(number - middle) / len(ordered)
    return middle, size


@compiled
def _jump_of_slot(profile: Profile, slot: int, value: float) -> bool:
    """Restart a slot with a value if its last visits were all far and agreed; return whether it did."""
    difference = value - profile.fast[slot]
    if not _is_far(profile, slot, difference, FAR):
        profile.far_visits[slot] = 0
        return False
    if abs(value - profile.far_values[slot]) > AGREEMENT * abs(difference):
        profile.far_visits[slot] = 0
    profile.far_values[slot] = value
    profile.far_visits[slot] += 1
    if profile.far_visits[slot] < SLOT_JUMP or profile.far_count[0] >= SLOT_JUMP:  # not only this slot
        return False
    _restart(profile, slot, value)
    return True


@compiled
def _move(profile: Profile, slot: int, value: float, max_step: float, max_size: float) -> None:
    """Move the means of a slot towards a value, by at most their rates times ``most``, and update u and v."""
    size = abs(value - profile.fast[slot])
    profile.sized[0] += 1
    profile.size[0] += max(RATE_OF_SIZE, 1 / profile.sized[0]) * (min(size, max_size) - profile.size[0])
    profile.visits[slot] += 1
    if profile.visits[slot] == 2:
        profile.sizes[slot] = profile.size[0]
    often = 1 / profile.visits[slot]
    profile.sizes[slot] += max(RATE_OF_SIZES, often) * (min(size, 4 * profile.size[0]) - profile.sizes[slot])
    profile.fast[slot] += max(FAST, often) * min(max(value - profile.fast[slot], -max_step), max_step)
    profile.slow[slot] += max(SLOW, often) * min(max(value - profile.slow[slot], -max_step), max_step)
