"""The profile: the seasonal mean and spread of each phase of the season, and the deviations of values from it.

Each step of a period is a slot; in the profile of the week, each half hour is a slot. Without a season there is one
slot. A slot has a fast and a slow running mean of its values, and a running mean of the absolute differences from the
fast mean (seasonal exponential smoothing without a trend: Winters, "Forecasting sales by exponentially weighted moving
averages", 1960). With u the mean absolute difference in a slot and v the mean absolute difference over all slots, the
spread of a slot is s = 0.7 u + 0.3 v. The experts use and predict the deviation:

    deviation d_t = (y_t - fast mean of t's slot) / s, limited to 8 in size

It is dimensionless and free of level and season.

Outliers have a limited influence: the means move as if a difference were at most 2.5 spreads; u and v move as if it
were at most 4 v and 20 v. A value is *far* if it is more than 20 s and more than 20 v from the fast mean. After
``JUMP`` far values in a row, all slots move to the new level and restart. A slot whose values were far at ``SLOT_JUMP``
visits in a row restarts with the latest value.

A missing value is replaced by the seasonal mean plus the part of the last deviation that persists on average,
phi d_(t-1), with phi = sum d_t d_(t-1) / (1 + sum d_(t-1)^2) over pairs of known values. Nothing is learned from the
replacement.
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
FAR = 20.0
FIRST = 10
JUMP = 5
SLOT_JUMP = 3
FORGETTING = 0.999  # factor on the sums of phi, at each pair
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
    far: NDArray[np.float64]  # (JUMP,): the latest consecutive far differences
    far_count: NDArray[np.int64]  # (1,)
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
    jumps: NDArray[np.float64]  # (K,): shift of the level after the last ``JUMP`` values; 0 at almost all events


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
        "far": ArraySpec((JUMP,), "float64"),
        "far_count": ArraySpec((1,), "int64"),
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
    count, ahead = len(values), (len(values), slots.shape[1] - 1)
    scaled = ProfileDeviations(
        values.copy(), np.zeros(count, np.float32), np.empty(ahead), np.empty(ahead), np.empty(ahead), np.zeros(count)
    )
    _observe(Profile(*[row[prefix + name] for name in Profile._fields]), values, slots, learns, scaled)
    return scaled


def break_sequence(row: ArrayViews, prefix: str) -> None:
    """Reset the latest deviation, so that it has no influence after the break."""
    row[prefix + "latest"][1] = 0
    row[prefix + "missing"][:] = True


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
                scaled.deviations[event], scaled.jumps[event] = _learn(profile, slot, value)
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
def _learn(profile: Profile, slot: int, value: float) -> tuple[float, float]:
    """Learn a value of a slot; return its deviation and the shift of the level."""
    if profile.visits[slot] == 0:
        _restart(profile, slot, value)
        return 0.0, 0.0
    difference = value - profile.fast[slot]
    if profile.sized[0] < FIRST:
        _move(profile, slot, value, np.inf, np.inf)
        deviation = difference / _spread(profile, slot)
        return min(max(deviation, -MAX_DEVIATION), MAX_DEVIATION), 0.0
    spread = _spread(profile, slot)
    deviation = _deviation(profile, slot, value)
    far = abs(difference) > FAR * max(spread, profile.size[0])
    jump = _jump(profile, difference, far)
    if jump == 0 and not _jump_of_slot(profile, slot, value, far):
        _move(
            profile,
            slot,
            value,
            MAX_MOVE * spread if far or profile.visits[slot] > 1 else np.inf,
            FAR * max(profile.size[0], min(_min_spread(profile, slot), MIN_RELATIVE_SPREAD * abs(value))),
        )
    return deviation, jump


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
def _jump(profile: Profile, difference: float, far: bool) -> float:
    """Move all slots to a new level if the last values were all far; return the shift."""
    if not far:
        profile.far_count[0] = 0
        return 0.0
    profile.far[profile.far_count[0]] = difference
    profile.far_count[0] += 1
    if profile.far_count[0] < JUMP:
        return 0.0
    jump = _middle(profile.far)
    size = 0.0
    for of_one in profile.far:
        size += abs(of_one - jump) / JUMP
    profile.far_count[0] = 0
    profile.size[0] = size
    profile.sized[0] = JUMP
    for slot in range(len(profile.visits)):
        if profile.visits[slot] > 0:
            _restart(profile, slot, profile.fast[slot] + jump)
    return jump


@compiled
def _middle(numbers: NDArray[np.float64]) -> float:
    """Return the median of an odd number of numbers."""
    for index in range(len(numbers)):
        below = 0
        for other in range(len(numbers)):
            if (numbers[other], other) < (numbers[index], index):
                below += 1
        if below == len(numbers) // 2:
            break
    middle: float = numbers[index]
    return middle


@compiled
def _jump_of_slot(profile: Profile, slot: int, value: float, far: bool) -> bool:
    """Restart a slot with a value if its last visits were all far; return whether it did."""
    profile.far_visits[slot] = profile.far_visits[slot] + 1 if far else 0
    if profile.far_visits[slot] < SLOT_JUMP:
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
