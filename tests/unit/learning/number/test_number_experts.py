"""The experts of the number task, on streams made here."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from online_lstm.learning.number import (
    baseline_mixture,
    linear,
    neighbours,
    period_search,
    ridge,
    scaling,
    season_profile,
    stacking,
    week_profile,
)
from online_lstm.learning.number.number_ensemble import EXPERTS, NumberEnsemble, Observed
from online_lstm.learning.number.season_state import Seasonal
from online_lstm.learning.state.packed import ArrayViews, PackedArrays

HISTORY = 1024


OF_CHANNELS = ("linear_", "stack_", "mixture_", "interval_", "season_outcomes", "number_asked")
"""Arrays that have an axis over horizons, after the one over components."""
UNKNOWN = ("interval_pending", "season_outcomes")
"""Arrays in which NaN says that something is not known."""
OF_EVENTS = ("values", "scale", "low", "high", "whole")
"""What is observed of a component without an axis over horizons."""


class Scalar:
    """A panel of one number at one horizon, without the axes over components and horizons."""

    def __init__(self, panel: NumberEnsemble) -> None:
        self.panel = panel
        self.fields = panel.fields
        self.features = panel.features

    def row(self) -> dict[str, NDArray[Any]]:
        rows = PackedArrays(self.fields())
        return {n: a.reshape(a.shape[1 + n.startswith(OF_CHANNELS) :]) for n, a in rows.view(rows.add()).items()}

    def _whole(self, row: ArrayViews) -> dict[str, NDArray[Any]]:
        return {name: row[name].reshape(field.shape) for name, field in self.fields().items()}

    def observe(self, row: ArrayViews, values: NDArray[np.float64], times: NDArray[np.int64]) -> Observed:
        observed = self.panel.observe(self._whole(row), values[:, None], times)
        return Observed(
            *[
                a if n == "features" else a.reshape(len(a), *a.shape[2 if n in OF_EVENTS else 3 :])
                for n, a in observed._asdict().items()
            ]
        )

    def stack(
        self, row: ArrayViews, observed: Observed, lstm: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        observed = Observed(
            *[
                a if n == "features" else a.reshape(len(a), 1, *(() if n in OF_EVENTS else (1,)), *a.shape[1:])
                for n, a in observed._asdict().items()
            ]
        )
        predictions, weights = self.panel.stack(
            self._whole(row), observed, None if lstm is None else lstm[:, None, None]
        )
        return predictions[:, 0, 0], weights[:, 0, 0]

    def break_sequence(self, row: ArrayViews) -> None:
        self.panel.break_sequence(self._whole(row))


def panel_and_row(horizon: int = 5, **settings: Any) -> tuple[Scalar, dict[str, NDArray[Any]]]:
    given: dict[str, Any] = {
        "horizons": (horizon,),
        "lookback": HISTORY,
        "experts": ("linear", "neighbours"),
    } | settings
    panel = Scalar(NumberEnsemble(**given))
    return panel, panel.row()


def learn(
    panel: Scalar,
    row: ArrayViews,
    values: NDArray[np.float64],
    *,
    sizes: tuple[int, ...] = (64,),
    timestamps_ms: NDArray[np.int64] | None = None,
) -> tuple[Observed, NDArray[np.float64], NDArray[np.float64]]:
    """Learn values in calls of these sizes; give all that is observed, and what the stack makes of the experts."""
    values = np.asarray(values, np.float64)
    times = np.full(len(values), -1) if timestamps_ms is None else np.asarray(timestamps_ms, np.int64)
    parts: list[Observed] = []
    published, start = [], 0
    while start < len(values):
        end = start + sizes[len(parts) % len(sizes)]
        observed = panel.observe(row, values[start:end], times[start:end])
        parts.append(observed)
        published.append(panel.stack(row, observed))
        start = end
    observed = Observed(*[np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
    predictions, weights = (np.concatenate(arrays) for arrays in zip(*published, strict=True))
    return observed, predictions, weights


def all_of(learned: tuple[Observed, NDArray[np.float64], NDArray[np.float64]]) -> Sequence[NDArray[Any]]:
    observed, predictions, weights = learned
    return *observed, predictions, weights


def error_of(
    predictions: NDArray[np.float64], values: NDArray[np.float64], *, horizon: int = 5, first: int = 1000
) -> float:
    """Give the mean absolute error from an event on."""
    return float(np.abs(predictions[first : len(values) - horizon] - values[first + horizon :]).mean())


def noise(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=count)


def sine(count: int, period: int = 24, spread: float = 0.3, seed: int = 0) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * np.arange(count) / period) + spread * noise(count, seed)


def autoregression(count: int, factor: float, seed: int = 0) -> NDArray[np.float64]:
    values = noise(count, seed)
    for step in range(1, count):
        values[step] += factor * values[step - 1]
    return values


def logistic(count: int) -> NDArray[np.float64]:
    values = [0.3]
    while len(values) < count:
        values.append(3.9 * values[-1] * (1 - values[-1]))
    return np.array(values)


def switching(count: int) -> NDArray[np.float64]:
    steps = np.arange(count)
    return np.sin(2 * np.pi * steps / np.where(steps < count // 2, 24, 36)) + 0.1 * noise(count)


BAD = {
    "constant": np.full(2000, 7.0),
    "zeros": np.zeros(2000),
    "constant, then noise": np.concatenate((np.full(1000, 5.0), noise(1000))),
    "steps": sine(4000) + 1e6 * (np.arange(4000) // 700 % 2),
    "outliers": np.where(np.random.default_rng(1).random(3000) < 0.01, 1e300, sine(3000)),
    "largest": np.random.default_rng(2).choice([-1.7e308, 1.7e308], 1000),
    "denormal": 1e-310 * noise(2000),
    "denormal, and the largest": np.where(np.arange(2000) % 97 == 0, 1e300, 1e-310 * noise(2000)),
    "growing": 10.0 ** np.linspace(-300, 300, 2000),
    "spikes": (np.random.default_rng(3).random(3000) < 0.02) * 1e9,
    "unit changes": sine(3000) * np.where(np.arange(3000) < 1500, 1, 1e6),
}


@pytest.mark.parametrize("name", BAD)
def test_nothing_gets_non_finite(name: str) -> None:
    """Whatever finite values come: state, features and predictions are finite, and features of order 1."""
    panel, row = panel_and_row()
    observed, predictions, weights = learn(panel, row, BAD[name])
    for array in (*observed[2:], predictions, weights):
        assert np.isfinite(array).all()
    assert (observed.spread > 0).all()
    assert np.abs(observed.features).max() <= 8
    assert np.isfinite(observed.residuals[5:]).all()
    for field, array in row.items():
        assert field in UNKNOWN or np.isfinite(array).all(), field


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lookback": 300},
        {"lookback": 1001},
        {"calendar": True, "horizon": 1},
        {"periods": (24,), "lags": (5, 9, 24)},
    ],
)
def test_calls_may_be_split_anywhere(settings: dict[str, Any]) -> None:
    """The same bits come out, and stay in the state, with one event a call as with all at once."""
    values = switching(1700)
    times = np.arange(1700) * 1_800_000
    whole, row = panel_and_row(**settings)
    expected = learn(whole, row, values, sizes=(1700,), timestamps_ms=times)
    for sizes in ((1,), (64, 3, 500)):
        panel, other = panel_and_row(**settings)
        received = learn(panel, other, values, sizes=sizes, timestamps_ms=times)
        for one, another in zip(all_of(expected), all_of(received), strict=True):
            assert one.tobytes() == another.tobytes()
        assert {name: array.tobytes() for name, array in row.items()} == {n: a.tobytes() for n, a in other.items()}


@pytest.mark.parametrize("lookback", [256, 300, 1001, 2048])
def test_period_search_independent_of_splits(lookback: int) -> None:
    """Wherever a call begins, the next search is the same."""
    seasonal = Seasonal(horizons=(5,), lookback=lookback, periods=(), lags=(), calendar=False)
    following = [events + seasonal.until_search(events) for events in range(3000)]
    searches = sorted(set(following))
    assert following == [next(search for search in searches if search > events) for events in range(3000)]


def test_period_search_doubles_its_interval_at_first() -> None:
    """So a large history is not searched often before it is there."""
    seasonal = Seasonal(horizons=(5,), lookback=16384, periods=(), lags=(), calendar=False)
    searches = sorted({events + seasonal.until_search(events) for events in range(9000)})
    assert [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 12288] == searches


def test_a_copied_state_goes_on() -> None:
    """What is in the row is all there is."""
    values = sine(1500)
    panel, row = panel_and_row()
    learn(panel, row, values[:1100])
    copied = {name: array.copy() for name, array in row.items()}
    expected = learn(panel, row, values[1100:])
    received = learn(panel_and_row()[0], copied, values[1100:])
    for one, another in zip(all_of(expected), all_of(received), strict=True):
        assert one.tobytes() == another.tobytes()


@pytest.mark.parametrize("event", [300, 1023, 1024, 1300])
def test_the_future_changes_nothing_before_it(event: int) -> None:
    """What is planted from an event on, even within the same call, is not seen by anything said before that event."""
    values = sine(1500)
    planted = values.copy()
    planted[event:] = 1e6 * noise(1500 - event, seed=7)
    told = []
    for stream in (values, planted):
        panel, row = panel_and_row()
        observed, predictions, weights = learn(panel, row, stream, sizes=(1500,))
        told.append((*observed, predictions, weights))
    for one, another in zip(*told, strict=True):
        assert one[:event].tobytes() == another[:event].tobytes()
    assert (told[0][-2][event:] != told[1][-2][event:]).all()


@pytest.mark.parametrize("horizon", [1, 5, 30])
def test_a_label_is_used_when_it_has_come(horizon: int) -> None:
    """The residual of an event is what the linear expert left over ``horizon`` events before, in its spreads then."""
    values = sine(900)
    panel, row = panel_and_row(horizon=horizon)
    observed, _, _ = learn(panel, row, values)
    expected = (values[horizon:] - observed.linear[:-horizon]) / observed.spread[:-horizon]
    assert np.isnan(observed.residuals[:horizon]).all()
    np.testing.assert_array_equal(np.clip(expected, -8, 8), observed.residuals[horizon:])


@pytest.mark.parametrize("period", [24, 60])
@pytest.mark.parametrize("place", [960, 1000, 1024, 1031])
def test_a_break_forgets_nothing(period: int, place: int) -> None:
    """A season that goes on is predicted after a break as before, at once and after later searches."""
    season_values = 10 * noise(period, seed=3)
    values = season_values[np.arange(2400) % period] + noise(2400)
    panel, row = panel_and_row()
    _, before, _ = learn(panel, row, values[:place])
    panel.break_sequence(row)
    _, after, _ = learn(panel, row, values[place:])
    usual = error_of(before, values[:place], first=600)
    for first, end in ((1, 100), (100, 300), (300, 1300)):
        assert error_of(after[:end], values[place : place + end], first=first) < 1.25 * usual
    assert period == row["season_periods"][0]


def test_many_sequences_are_learned_as_one_stream() -> None:
    """With a break every 300 values, a season of 60 stays known."""
    values = (10 * noise(60, seed=3))[np.arange(2400) % 60] + noise(2400)
    panel, row = panel_and_row()
    errors = []
    for start in range(0, 2400, 300):
        panel.break_sequence(row)
        sequence = values[start : start + 300]
        _, predictions, _ = learn(panel, row, sequence)
        errors.append(error_of(predictions, sequence, first=0))
    assert (np.array(errors[2:]) < 1.2).all()


@pytest.mark.parametrize("periods", [(), (24,)])
def test_no_label_is_learned_across_a_break(periods: tuple[int, ...]) -> None:
    """What comes first after a break changes nothing that waited, and what came last before is not looked at."""
    values = sine(1200)
    panel, row = panel_and_row(periods=periods)
    learn(panel, row, values[:1100])
    learned = {name: row[name].copy() for name in ("linear_learned", "stack_learned", "mixture_judged")}
    panel.break_sequence(row)
    observed, _, _ = learn(panel, row, values[1100:1105])
    assert np.isnan(observed.residuals).all()
    for name, before in learned.items():
        np.testing.assert_array_equal(before, row[name])
    np.testing.assert_array_equal(observed.linear, observed.neighbours)
    np.testing.assert_array_equal(values[1100], observed.baselines[:, 1])
    observed, _, _ = learn(panel, row, values[1105:1106])
    assert np.isfinite(observed.residuals).all()
    for name, before in learned.items():
        np.testing.assert_array_equal(before + 1, row[name])


def test_a_history_of_sequences_is_learned_anew_as_such() -> None:
    """Where the period is found after breaks, the labels across them are left out then, too."""
    panel, row = panel_and_row()
    for _ in range(3):
        panel.break_sequence(row)
        learn(panel, row, 10 * sine(100))
    np.testing.assert_array_equal([0, 100, 200], np.flatnonzero(row["number_begins"][-300:]))
    row["season_periods"][:] = 30  # so that a new one is found
    learn(panel, row, 10 * sine(724))
    assert 24 == row["season_periods"][0]
    assert 1024 - 3 * 5 == row["linear_learned"][0]


STREAMS = {  # values, horizon, the most that the error may be as a multiple of the error of the ideal prediction
    "sine": (sine(5000), 5, 0.3 * 0.798, 1.06),
    "sine and much noise": (sine(5000, spread=1.0), 5, 0.798, 1.06),
    "white noise": (100 + noise(5000), 5, 0.798, 1.03),
    "random walk, one step": (np.cumsum(noise(5000)), 1, 0.798, 1.03),
    "random walk": (np.cumsum(noise(5000)), 5, 0.798 * 5**0.5, 1.03),
    "autoregression": (autoregression(5000, 0.9), 5, 0.798 * (sum(0.81**k for k in range(5))) ** 0.5, 1.04),
    "drift": (np.cumsum(noise(5000) + 0.5), 5, 0.798 * 5**0.5, 1.05),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_are_predicted_nearly_as_well_as_can_be(name: str) -> None:
    """The error is within a few percent of that of one who knows how the stream was made."""
    values, horizon, ideal, most = STREAMS[name]
    panel, row = panel_and_row(horizon=horizon, lookback=2048)
    _, predictions, _ = learn(panel, row, values)
    assert error_of(predictions, values, horizon=horizon) < most * ideal


@pytest.mark.long
@pytest.mark.parametrize("horizon", [1, 5])
def test_random_walk_is_predicted_like_the_last_value(horizon: int) -> None:
    """Where nothing can be learned, having learned costs 2 % at most."""
    errors = []
    for seed in range(3):
        values = np.cumsum(noise(5000, seed))
        panel, row = panel_and_row(horizon=horizon, lookback=2048)
        observed, predictions, _ = learn(panel, row, values)
        last_value = observed.baselines[:, 0]
        np.testing.assert_array_equal(values, last_value)
        errors.append([error_of(p, values, horizon=horizon) for p in (predictions, last_value)])
    published, last = np.mean(errors, axis=0)
    assert published < 1.02 * last


def test_a_chaotic_stream_is_for_the_neighbours() -> None:
    """No regression predicts the logistic map; neighbours do, and the stack follows them."""
    values = logistic(4000)
    panel, row = panel_and_row(horizon=1, lookback=2048)
    observed, predictions, weights = learn(panel, row, values)
    of_linear, of_neighbours = (
        error_of(told, values, horizon=1, first=2000) for told in (observed.linear, observed.neighbours)
    )
    assert of_neighbours < 0.2 * of_linear
    assert error_of(predictions, values, horizon=1, first=2000) < 1.1 * of_neighbours
    assert weights[-1, 1] > 0.9


def test_a_constant_is_predicted_exactly() -> None:
    """Without any error, and without anything growing in the state."""
    panel, row = panel_and_row()
    _, predictions, _ = learn(panel, row, np.full(3000, 7.0))
    np.testing.assert_array_equal(7.0, predictions)
    assert np.abs(row["linear_products"]).max() < 8 * 8 / (1 - linear.FORGETTING)


def test_the_history_is_learned_anew_at_the_level_of_now() -> None:
    """With a jump that is known of, a new period leaves the same state as without the jump."""
    level = 2.0**20 + np.round(sine(1000) * 1024) / 1024  # sums of these are exact
    seasonal = Seasonal(horizons=(5,), lookback=HISTORY, periods=(), lags=(), calendar=False)
    states = []
    for before, jump in ((level[:500], 0.0), (level[:500] - 2.0**20, 2.0**20)):
        rows = PackedArrays(seasonal.fields())
        row = rows.view(rows.add())
        row["season_jumps"][:, -1] = 500, jump
        values = np.concatenate((before, level[500:]))
        none = np.zeros(1000, bool)
        clock_told, others = np.empty((2, 0)), np.empty((1000, 0))
        assert seasonal.search(row, 1000, values, missing=none, begins=none, clock=clock_told, others=others)
        assert 24 == row["season_periods"][0]
        states.append({name: array.tobytes() for name, array in row.items() if name != "season_jumps"})
    assert states[0] == states[1]


def test_wild_values_are_not_believed() -> None:
    """One value in a hundred is 1e300; all others are predicted as if it were not there."""
    usual = sine(4000)
    wild = np.random.default_rng(1).random(4000) < 0.01
    panel, row = panel_and_row()
    _, predictions, _ = learn(panel, row, np.where(wild, 1e300, usual))
    assert np.median(np.abs(predictions[1000:-5] - usual[1005:])) < 1.2 * 0.3 * 0.6745


def test_a_period_that_changes_is_found_again() -> None:
    """After some time with the new period the error is as small as with the old one."""
    values = switching(8000)
    panel, row = panel_and_row()
    _, predictions, _ = learn(panel, row, values)
    assert row["season_periods"][0] == 36
    assert error_of(predictions, values, first=7000) < 1.15 * error_of(predictions[:4000], values[:4000], first=2000)


def test_with_a_clock_a_season_is_known_in_a_stream_with_holes() -> None:
    """Half of the values are missing: only timestamps tell where in the day an event is."""
    chosen = np.flatnonzero(np.random.default_rng(0).random(8000) < 0.5)
    values = 10 * sine(8000, period=48, spread=0.05)[chosen]
    errors = {}
    for calendar in (False, True):
        panel, row = panel_and_row(horizon=1, calendar=calendar, lookback=2048)
        observed, predictions, _ = learn(panel, row, values, timestamps_ms=1_800_000 * chosen)
        assert panel.features == observed.features.shape[1]
        errors[calendar] = [error_of(p, values, horizon=1) for p in (predictions, observed.linear, observed.neighbours)]
    assert (np.array(errors[True]) < np.array([0.8, 0.8, 0.9]) * np.array(errors[False])).all()


def test_without_timestamps_a_calendar_does_no_harm() -> None:
    """Nothing is known by the clock; the rest is."""
    values = sine(4000)
    panel, row = panel_and_row(calendar=True)
    _, predictions, _ = learn(panel, row, values)
    assert error_of(predictions, values) < 1.1 * 0.3 * 0.798


def test_a_unit_that_changes_is_survived() -> None:
    """All values are a millionth of what they were; until the experts have forgotten, the baselines have the weight."""
    values = sine(3000) * np.where(np.arange(3000) < 1500, 1e6, 1)
    panel, row = panel_and_row()
    observed, predictions, weights = learn(panel, row, values)
    naive = observed.baselines[:, 1]
    assert error_of(observed.linear, values, first=1700) > 100
    assert error_of(predictions, values, first=1700) < 1.1 * error_of(naive, values, first=1700)
    assert weights[1700:].sum(axis=1).max() < 1e-5


def test_the_stack_takes_what_is_learned_elsewhere() -> None:
    """A network that knew the future would get the weight, in whatever order the experts are named."""
    values = sine(2000)
    future = np.roll(values, -5)
    for experts in (EXPERTS, ("neighbours", "linear", "lstm")):
        panel, row = panel_and_row(experts=experts)
        observed = panel.observe(row, values, np.full(2000, -1))
        predictions, weights = panel.stack(row, observed, future)
        assert (weights.sum(axis=1) < 1 + 1e-9).all()
        assert weights[-1, experts.index("lstm")] > 0.95
        assert error_of(predictions, values) < 0.02


def test_the_network_alone_is_published_within_the_range() -> None:
    """However wrong it is, it has all the weight, and no weights are learned."""
    values = sine(600)
    panel, row = panel_and_row(experts=("lstm",))
    observed = panel.observe(row, values, np.full(600, -1))
    outputs = np.where(np.arange(600) % 2, 1e6, values)
    predictions, weights = panel.stack(row, observed, outputs)
    np.testing.assert_array_equal(np.minimum(outputs, observed.high), predictions)
    np.testing.assert_array_equal(np.ones((600, 1)), weights)
    assert not [name for name in panel.fields() if name.startswith(("stack_", "mixture_"))]
    panel.break_sequence(row)


class TestScaling:
    def test_values_come_to_order_one(self) -> None:
        """Whatever the unit, also after it has changed."""
        rows = PackedArrays(scaling.fields())
        row = rows.view(rows.add())
        values = np.concatenate((10 * noise(4000), 1e6 + 1000 * noise(8000)))
        scaled = scaling.observe(row, values, values, np.zeros((12000, 1))).numbers[:, 0]
        for part in (scaled[2000:4000], scaled[11000:]):
            assert 0.5 < np.abs(part).mean() < 2
            assert abs(np.median(part)) < 0.5


class TestSeason:
    @pytest.mark.parametrize(("period", "count"), [(7, 32), (12, 64), (24, 128)])
    def test_short_series_has_its_season_soon(self, period: int, count: int) -> None:
        """After the first search with at least four periods, of a monthly series after 64 values."""
        values = sine(count + 5, period, spread=0.15) + 0.01 * np.arange(count + 5)
        panel, row = panel_and_row(horizon=1)
        learn(panel, row, values[: count - 1])
        assert 1 == row["season_periods"][0]
        learn(panel, row, values[count - 1 :])
        assert period == row["season_periods"][0]

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("period", [7, 24, 100])
    def test_a_period_is_found(self, period: int, seed: int) -> None:
        """Behind noise that is as large as the season."""
        found = period_search.find_periods(sine(2048, period, spread=0.7, seed=seed), np.array([1, 1]))
        assert period == found[0]

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_has_no_period(self, seed: int) -> None:
        """Neither has what only looks back a little, and a walk."""
        for values in (noise(512, seed), autoregression(2048, 0.95, seed), np.cumsum(noise(2048, seed)), np.ones(300)):
            assert [1, 1] == period_search.find_periods(values, np.array([1, 1])).tolist()

    def test_a_day_within_a_week_is_found(self) -> None:
        """The longer period is the one that explains more."""
        steps = np.arange(2048)
        values = np.sin(2 * np.pi * steps / 48) * np.where(steps // 48 % 7 < 5, 1, 0.4) + 0.1 * noise(2048)
        assert [336, 48] == period_search.find_periods(values, np.array([1, 1])).tolist()

    @pytest.mark.parametrize("spread", [0, 0.03, 0.3])
    @pytest.mark.parametrize("period", [24, 48])
    def test_a_period_stays_once_it_is_found(self, period: int, spread: float) -> None:
        """However little noise there is, none of its multiples is taken for it at a later search."""
        values = sine(4096, period, spread=spread)
        periods = np.array([1, 1])
        for end in (256, *range(512, 4097, 512)):
            periods = period_search.find_periods(values[max(0, end - 2048) : end], periods)
            assert (period, 1) == tuple(periods) or (end == 256 and abs(period - periods[0]) <= 1)

    def test_a_period_in_use_stays_while_it_is_about_as_good(self) -> None:
        """Twice the period is a period as well."""
        assert 48 == period_search.find_periods(sine(2048, 24), np.array([48, 1]))[0]
        assert 24 == period_search.find_periods(sine(2048, 24), np.array([30, 1]))[0]


class TestProfile:
    def test_a_season_is_what_is_usual(self) -> None:
        """A pattern that repeats has no deviations from its second time on, and is usual where it will come."""
        rows = PackedArrays(season_profile.fields("x_", 10))
        row = rows.view(rows.add())
        values = np.tile(np.arange(10.0), 5)
        scaled = season_profile.observe(row, "x_", values, np.column_stack([np.arange(50), np.arange(50) + 3]) % 10)
        np.testing.assert_array_equal(0, scaled.deviations)
        np.testing.assert_array_equal(np.roll(values, -3)[10:], scaled.usual[10:, 0])


class TestClock:
    def test_what_is_usual_is_known_by_the_time_of_the_week(self) -> None:
        """Two weeks of a stream that is twice as large on Sundays, a value an hour: the third week is known."""
        rows = PackedArrays(week_profile.fields())
        row = rows.view(rows.add())
        hours = np.arange(3 * 168)
        values = 1.0 + (hours // 24 % 7 == 6)
        expected = week_profile.observe(row, values, week_profile.MONDAY_MS + hours * 3_600_000, horizons=(5,))
        np.testing.assert_array_equal(values[2 * 168 :], expected.usual[2 * 168 - 5 : -5, 0])
        assert week_profile.TIMELESS not in np.flatnonzero(row["clock_profile_visits"])

    def test_events_without_a_time_are_kept_apart(self) -> None:
        """They neither change what is usual at a time, nor the interval."""
        rows = PackedArrays(week_profile.fields())
        row = rows.view(rows.add())
        week_profile.observe(row, np.ones(4), np.array([1000, 2000, -1, 3000]), horizons=(1,))
        assert [week_profile.TIMELESS] == np.flatnonzero(row["clock_profile_visits"] == 1).tolist()
        assert 1000 == row["clock_interval_ms"][0]

    @pytest.mark.parametrize(
        "name",
        ["even", "bursts", "large bursts", "all at once first", "out of order", "a hole", "one wrong", "a break"],
    )
    def test_the_mean_interval_is_learned_whatever_the_order(self, name: str) -> None:
        """One value an hour on average, in many ways: what is said of it in the end is within a twentieth."""
        rows = PackedArrays(week_profile.fields())
        row = rows.view(rows.add())
        hours = np.arange(3000)
        hours = {
            "bursts": hours // 6 * 6,
            "large bursts": hours // 500 * 500,
            "all at once first": np.maximum(hours, 500),
            "out of order": hours.reshape(-1, 4)[:, ::-1].ravel(),
            "a hole": hours + 5000 * (hours > 2900),
            "one wrong": np.where(hours == 1500, 10**6, hours),
            "a break": hours + 5000 * (hours >= 1000),
        }.get(name, hours)
        times = week_profile.MONDAY_MS + 3_600_000 * hours
        week_profile.observe(row, np.ones(1000), times[:1000], horizons=(1,))
        if name == "a break":
            week_profile.break_sequence(row)
        week_profile.observe(row, np.ones(2000), times[1000:], horizons=(1,))
        assert abs(row["clock_interval_ms"][0] / 3_600_000 - 1) < 0.05

    def test_phases_are_those_of_the_calendar(self) -> None:
        """Monday midnight is the beginning, Thursday noon is in the middle."""
        times = np.array([week_profile.MONDAY_MS, week_profile.MONDAY_MS + week_profile.WEEK_MS // 2, -1])
        np.testing.assert_array_equal([[0, 0.5, 0], [0, 0.5, 0]], week_profile.phases(times))


class TestMixture:
    def mixed(
        self, values: NDArray[np.float64], *predictions: NDArray[np.float64], horizon: int = 2
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = PackedArrays(baseline_mixture.fields(len(predictions), horizon))
        return baseline_mixture.observe(rows.view(rows.add()), values, np.column_stack(predictions), horizon=horizon)

    def test_weights_are_those_of_the_formula(self) -> None:
        """Computed again from the docstring, one event after another; labels come two events late."""
        values = noise(300) * np.where(np.arange(300) == 100, 1e6, 1)
        members = np.column_stack([values + noise(300, 1), noise(300, 2), noise(300, 3) / 2])
        mixed, of_stack = self.mixed(values, *members.T)
        first_weights = np.array([0.1, 0.8, 0.1])
        weights = [first_weights, first_weights]
        of_last: list[float] = []
        situations: list[int] = []
        calm = 2
        for event in range(len(values)):
            if event >= 2:
                errors = abs(values[event] - members[event - 2])
                judged = len(of_last)
                calm += 1
                mean = np.mean(of_last[max(0, (judged - 1) // 64 * 64 - 64) :]) if judged else np.inf
                if judged >= 10 and min(errors[:2]) > 5 * mean and calm >= 2:
                    calm = 0
                of_last.append(min(errors[1], 10 * mean if judged >= 10 else np.inf))
                unit = np.mean(of_last[max(0, judged // 64 * 64 - 64) :]) * 2**0.5
                losses = np.minimum((errors - errors.min()) / unit, 8)
                due = situations[event - 2]
                weights[due] = (0.998 * weights[due] + 0.002 * first_weights) * np.exp(-losses)
                weights[due] /= weights[due].sum()
            situations.append(int(calm < 2))
            np.testing.assert_allclose(mixed[event], weights[situations[-1]] @ members[event], rtol=1e-9)
            np.testing.assert_allclose(of_stack[event], weights[situations[-1]][0], rtol=1e-9)
        assert [100, 101] == np.flatnonzero(situations).tolist()

    @pytest.mark.parametrize("outliers", [True, False])
    def test_each_stream_learns_what_follows_a_surprise(self, outliers: bool) -> None:
        """The same members: where far values were outliers, the stack has the weight just after one, else the last."""
        steps = np.arange(400)
        far = steps % 20 == 19
        values = noise(400) + 1000 * (far if outliers else np.cumsum(far) % 2)
        stack = noise(400, 1) if outliers else np.where(steps % 20 == 0, values - 900, values)
        _, of_stack = self.mixed(values, np.where(far & ~outliers, stack - 900, stack), values, values, horizon=1)
        after = of_stack[far][10:]
        assert (after > 0.9).all() if outliers else (after < 0.1).all()

    @pytest.mark.parametrize("kind", ["noise", "random walk", "level", "growing"])
    def test_never_much_worse_than_the_last_value(self, kind: str) -> None:
        """Whatever the other members say, except at the first event and at the first one after a surprise."""
        values = {
            "noise": noise(600),
            "random walk": noise(600).cumsum(),
            "level": noise(600) + 100 * (np.arange(600) >= 300),
            "growing": np.arange(600) ** 2.0,
        }[kind]
        wild = 1000 * noise(600, 1)
        mixed, _ = self.mixed(values, wild, values, wild[::-1], horizon=1)
        of_mixture, of_last = abs(values[1:] - mixed[:-1]), abs(np.diff(values))
        assert of_mixture.sum() <= 1.05 * of_last.sum() + 300
        surprised = [300] if kind == "level" else []
        of_mixture, of_last = np.delete(of_mixture, surprised), np.delete(of_last, surprised)
        assert of_mixture[10:].sum() <= 1.05 * of_last[10:].sum()

    def test_the_better_member_is_published_from_soon_on(self) -> None:
        """The stack when it is right, and a baseline when the stack begins to fail."""
        values = noise(600)
        stack_error = np.where(np.arange(600) < 300, 0.0, 10.0)
        _, of_stack = self.mixed(values, np.roll(values, -2) + stack_error, np.zeros(600), noise(600, 1))
        assert (of_stack[20:300] > 0.95).all()
        assert (of_stack[310:] < 0.01).all()

    @pytest.mark.parametrize("size", [1e-300, 1.0, 1e12, 1e300])
    def test_members_that_agree_are_published_as_they_are(self, size: float) -> None:
        """Without a rounding by the weights, also where nothing ever changes."""
        values = np.full(600, size)
        mixed, _ = self.mixed(values, values, values, values)
        np.testing.assert_array_equal(values, mixed)

    def test_a_missing_value_changes_no_weight(self) -> None:
        """Nothing is known of the predictions for it."""
        values = noise(100)
        members = [values + noise(100, 1), noise(100, 2), noise(100, 3)]
        _, of_stack = self.mixed(np.where(np.arange(100) >= 50, np.nan, values), *members)
        assert (of_stack[50:] == of_stack[49]).all()

    def test_a_few_bad_events_are_not_enough(self) -> None:
        """One huge error in a hundred events leaves the stack where it is, but for the events just after it."""
        values = noise(600)
        stack_error = np.where(np.arange(600) % 100 == 50, 1e9, 0.0)
        _, of_stack = self.mixed(values, np.roll(values, -2) + stack_error, np.zeros(600), noise(600, 1))
        assert np.mean(of_stack[100:] > 0.9) > 0.9


class TestRidge:
    def test_weights_are_those_of_the_formulas(self) -> None:
        """Learning as it goes gives what solving the sums of the docstring gives."""
        horizon, count, first_weights = 3, 80, np.array([0.5, 0.0, -0.1])
        rows = PackedArrays(ridge.fields("x_", pending=horizon, first_weights=first_weights))
        row = rows.view(rows.add())
        inputs = np.column_stack([np.random.default_rng(0).normal(size=(count, 3)), noise(count, 1), np.full(count, 2)])
        values = noise(count, 2)
        fitted = ridge.observe(
            row, "x_", values, inputs, horizon=horizon, first_weights=first_weights, forgetting=0.9, ridge=2.0
        )
        products, answers, weights, mean_error = np.zeros((3, 3)), np.zeros(3), first_weights, 0.0
        for event in range(count):
            if event >= horizon:
                x, base, spread = inputs[event - horizon, :3], *inputs[event - horizon, 3:]
                outcome = (values[event] - base) / spread
                error = abs(outcome - weights @ x)
                mean_error += max(1 / (event - horizon + 1), ridge.RATE_OF_ERROR) * (error - mean_error)
                attention = min(1, mean_error / error)
                products = 0.9 * products + attention * np.outer(x, x)
                answers = 0.9 * answers + attention * x * (outcome - first_weights @ x)
                weights = first_weights + np.linalg.solve(products + 2 * np.eye(3), answers)
                assert outcome == fitted.outcomes[event]
            np.testing.assert_allclose(fitted.weights[event], weights, rtol=1e-9)
            expected = inputs[event, 3] + inputs[event, 4] * (weights @ inputs[event, :3])
            np.testing.assert_allclose(fitted.predictions[event], expected, rtol=1e-9)


class TestNeighbours:
    def test_they_are_the_nearest_ones(self) -> None:
        """Every distance computed, all sorted: the same average."""
        rng = np.random.default_rng(0)
        count, horizon, taps, weights = 300, 4, np.array([0, 1, 7]), np.array([1, 1, 0.5], np.float32)
        deviations, outcomes = rng.normal(size=(2, count)).astype(np.float32)
        phases = rng.random((2, count)).astype(np.float32)
        predicted = neighbours.predict(
            deviations, phases, outcomes, known=299, count=1, taps=(taps, weights), horizon=horizon
        )
        now, past = count - 1, np.arange(1 + 7, count - horizon)
        apart = (weights * (deviations[past[:, None] - taps] - deviations[now - taps])) ** 2
        way = np.abs(phases[:, past] - phases[:, [now]])
        around = (np.array(neighbours.PHASE_WEIGHTS)[:, None] * np.minimum(way, 1 - way)) ** 2
        distances = apart.sum(axis=1) + around.sum(axis=0)
        nearest = np.argsort(distances)[: neighbours.NEIGHBOURS]
        own = 1 / (neighbours.SHARPNESS + distances[nearest] / distances[nearest[-1]])
        np.testing.assert_allclose(predicted[0], own @ outcomes[past[nearest]] / own.sum(), rtol=1e-5)

    def test_who_has_seen_little_says_nothing(self) -> None:
        """Fewer events than neighbours are wanted: no prediction."""
        few = np.zeros(30, np.float32)
        taps = (np.array([0]), np.ones(1, np.float32))
        said = neighbours.predict(few, np.zeros((2, 30), np.float32), few, known=15, count=1, taps=taps, horizon=1)
        assert np.isnan(said).all()


class TestStack:
    def published(
        self, predictions: NDArray[np.float64], values: NDArray[np.float64], horizon: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = PackedArrays(stacking.fields(predictions.shape[1], horizon))
        return stacking.observe(rows.view(rows.add()), values, predictions, np.ones(len(values)), horizon=horizon)

    def test_it_is_as_good_as_the_best_expert(self) -> None:
        """One expert is good and two are not: the weights go to it."""
        target = noise(4005)
        values, target = target[:-5], target[5:]
        good, bad, worse = (target + spread * noise(4000, seed) for spread, seed in ((0.2, 1), (1.0, 2), (2.0, 3)))
        for order in ((good, bad, worse), (worse, good, bad)):
            published, weights = self.published(np.column_stack(order), values, 5)
            assert np.abs(published - target)[1000:].mean() < 1.01 * np.abs(good - target)[1000:].mean()
            np.testing.assert_allclose(1, weights.sum(axis=1))

    def test_an_expert_may_fail(self) -> None:
        """What it says then is left out, and nothing of it stays."""
        values = noise(500)
        predictions = np.column_stack([values, values + 1])
        failed = predictions.copy()
        failed[100:200, 1] = np.nan
        published, weights = self.published(failed, values, 5)
        np.testing.assert_array_equal(values[100:200], published[100:200])
        assert np.isfinite(weights).all()

    def test_it_stays_near_the_experts(self) -> None:
        """At most half their range outside it, and equal to them where they agree."""
        values = np.cumsum(noise(2000))
        predictions = np.column_stack([values + noise(2000, 1), 3 * values + noise(2000, 2), np.full(2000, 5.0)])
        predictions[1500:] = 4.0
        published, _ = self.published(predictions, values, 5)
        least, most = predictions.min(axis=1), predictions.max(axis=1)
        assert (published >= least - stacking.MARGIN * (most - least)).all()
        assert (published <= most + stacking.MARGIN * (most - least)).all()
        np.testing.assert_array_equal(4.0, published[1500:])

    def test_agreeing_experts_give_the_first_prediction(self) -> None:
        """So what is known exactly is published exactly."""
        values = np.full(100, 0.1)
        published, _ = self.published(np.column_stack([values, values * (1 + 1e-15)]), values, 1)
        np.testing.assert_array_equal(values, published)
