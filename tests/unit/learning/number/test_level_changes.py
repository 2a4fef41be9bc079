"""Changes of the level: what is followed, what is undone, and what does not count as a change."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.number import season_profile
from online_lstm.learning.number.number_ensemble import NumberEnsemble
from online_lstm.learning.number.season_profile import JUMP, SCATTERED
from online_lstm.learning.state.packed import PackedArrays


class Learned(NamedTuple):
    linear: NDArray[np.float64]  # (K,): predictions of the linear expert
    published: NDArray[np.float64]  # (K,)
    row: dict[str, NDArray[Any]]


def noise(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=count)


def learn(values: NDArray[np.float64], size: int = 64, **settings: Any) -> Learned:
    """Learn the values of one or several components in calls of this size; return the first component's."""
    columns = values.reshape(len(values), -1)
    given: dict[str, Any] = {"horizons": (1,), "lookback": 512, "experts": ("linear", "neighbours")} | settings
    ensemble = NumberEnsemble(components=columns.shape[1], **given)
    rows = PackedArrays(ensemble.fields())
    row = rows.view(rows.add())
    parts = []
    for first in range(0, len(columns), size):
        observed = ensemble.observe(row, columns[first:][:size], np.full(len(columns[first:][:size]), -1))
        parts.append((observed.linear, ensemble.stack(row, observed)[0]))
    linear, published = (np.concatenate(arrays)[:, 0, 0] for arrays in zip(*parts, strict=True))
    return Learned(linear, published, row)


def test_new_level_is_followed_after_three_values() -> None:
    """They are a million spreads away; a known season goes on at the new level, and is published one value later."""
    steps = np.arange(3000)
    values = np.sin(2 * np.pi * steps / 24) + 0.3 * noise(3000) + 1e6 * (steps >= 1800)
    learned = learn(values, lookback=1024)
    errors = np.abs(learned.linear[:-1] - values[1:])  # of the prediction after each event
    assert errors[1799 : 1799 + JUMP].min() > 1e5
    assert errors[1799 + JUMP : 1900].mean() < 0.45
    assert np.abs(learned.published[:-1] - values[1:])[1800 + JUMP : 1900].mean() < 0.6
    assert [1800] == [step for step in learned.row["season_jumps"][0, 0] if step]


@pytest.mark.parametrize("length", [4, 12, 60])
def test_level_before_is_returned_to_at_once(length: int) -> None:
    """After a plateau, the first value at the old level is enough; nothing remains of the plateau."""
    values = 104 + noise(400)
    values[200 : 200 + length] += 3000
    learned = learn(values)
    usual = learn(104 + noise(400))
    errors = np.abs(learned.linear[:-1] - values[1:])[200 + length : 240 + length]
    assert errors.max() < 5
    assert errors.mean() < 1.2
    np.testing.assert_allclose(usual.row["profile_size"], learned.row["profile_size"], rtol=0.5)
    assert not learned.row["season_jumps"].any()


def test_known_second_level_is_recognised_at_once() -> None:
    """Of a switch between two levels, each later change is followed after its first value."""
    steps = np.arange(450)
    values = np.where(steps // 50 % 2, 500.0, 100.0) + noise(450)
    errors = np.abs(learn(values).linear[:-1] - values[1:])
    changed = np.flatnonzero(np.diff(steps // 50)) + 1  # first values of a level
    np.testing.assert_array_less(errors[changed[1:]], 5)
    np.testing.assert_array_less(100, errors[changed - 1])


def test_far_values_that_disagree_change_no_level() -> None:
    """Three spikes of different heights are followed by what was before them."""
    values = 104 + noise(300)
    values[200:203] += [3255, 900, 1902]
    learned = learn(values)
    assert np.abs(learned.linear[203:-1] - values[204:]).max() < 25
    assert not learned.row["season_jumps"].any()


def test_spread_that_grows_is_taken_over_at_once() -> None:
    """A thousandfold noise has its spread after ten far values, and remembered deviations are converted to it."""
    values = noise(300) * np.where(np.arange(300) < 200, 1, 1000)
    sizes = [learn(values[:end]).row["profile_size"][0, 0] for end in (200, 200 + SCATTERED - 1, 200 + SCATTERED + 2)]
    assert sizes[1] < 3 * sizes[0]
    assert 300 < sizes[2] < 1500
    deviations = learn(values[: 200 + SCATTERED + 2]).row["season_deviations"][0]
    assert 0 < np.abs(deviations[-200:-20]).max() < 0.02


@pytest.mark.parametrize("missing", [False, True])
def test_far_values_become_deviations_from_the_new_level(missing: bool) -> None:
    """After the change they are no longer at the limit of 8, also with missing values between them."""
    values = noise(220) + 5000 * (np.arange(220) >= 200)
    if missing:
        values[[201, 203]] = np.nan
    row = learn(values[: 205 if missing else 203]).row
    level, spread = row["profile_fast"][0, 0], row["profile_size"][0, 0]
    recent = row["season_deviations"][0, -5 if missing else -3 :]
    known = values[200 : 205 if missing else 203]
    at = ~np.isnan(known)
    np.testing.assert_allclose(recent[at], (known[at] - level) / spread, atol=1.2)
    assert np.abs(row["season_deviations"]).max() < season_profile.MAX_DEVIATION


def test_slot_that_changes_is_followed_at_its_third_visit() -> None:
    """One hour of the day has another value from some day on; a single visit changes nothing."""
    values = np.tile(10 * noise(24, seed=3), 30) + 0.1 * noise(720)
    steps = np.arange(720)
    values[(steps % 24 == 5) & (steps >= 480)] += 100
    values[245] += 100
    usual = learn(values, periods=(24,)).row["profile_fast"][0]
    assert abs(usual[5] - values[-19]) < 2
    assert not learn(values, periods=(24,)).row["season_jumps"].any()
    before = learn(values[:300], periods=(24,)).row["profile_fast"][0, 5]
    assert abs(before - values[221]) < 2


def test_changes_do_not_depend_on_how_calls_are_split() -> None:
    """Levels of two components change, return and are found again by a period search: the same bits in each split."""
    steps = np.arange(900)
    season = 10 * np.sin(2 * np.pi * steps / 12)
    first = season + noise(900, 1) + 1000 * (steps >= 150) - 1000 * ((steps >= 300) & (steps < 310))
    second = noise(900, 2) * np.where(steps < 330, 1, 1e4) + 300 * (steps // 90 % 2)
    values = np.column_stack([first, second])
    values[np.random.default_rng(3).random((900, 2)) < 0.05] = np.nan
    expected = learn(values, size=900)
    assert 12 == expected.row["season_periods"][0, 0]
    assert expected.row["season_jumps"][1].any()
    for size in (1, 7, 64):
        received = learn(values, size=size)
        assert expected.linear.tobytes() == received.linear.tobytes()
        assert expected.published.tobytes() == received.published.tobytes()
        assert {n: a.tobytes() for n, a in expected.row.items()} == {n: a.tobytes() for n, a in received.row.items()}
