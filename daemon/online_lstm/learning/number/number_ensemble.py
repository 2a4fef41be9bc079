"""Experts and baselines for a stream of numbers, which forecast the values some steps ahead after each event.

An event has D components, any of which may be missing. After each event, the experts predict every component at each of
H horizons; they learn from a value only when it has arrived. A component at a horizon is a channel with its own
experts. The order of the calls: ``observe`` learns values; then the network learns the residuals of the linear experts;
then ``stack`` weights all experts. Predictions have the axes (events, horizons, components). The state is the arrays of
one row, with axes over components first and horizons second. State and predictions do not depend on how the values are
split into calls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_lstm import events
from online_lstm.learning.number import baseline_mixture, intervals, stacking
from online_lstm.learning.number.component_experts import Component
from online_lstm.learning.number.plausible_range import PlausibleRange
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, repeated_spec

__all__ = ["BASELINES", "EXPERTS", "NumberEnsemble", "Observed"]

EXPERTS, BASELINES = events.EXPERTS["number"], events.BASELINES["number"]
LARGEST = 1e300
MAX_OTHERS = 16
"""Maximum number of other components that the linear experts of a component use: the nearest ones in the vector."""


class Observed(NamedTuple):
    """Predictions and inputs of the network after each of K events; NaN for components that were never seen.

    The prediction of the network is the linear prediction plus the spread times the output of the network. The right
    output is known one horizon later, as ``residuals`` of that later event.

    The features of each component are:

    - the value and the seasonal means at the targets, in spreads from the centre of all values;
    - the deviation, and the deviations one short period before the targets;
    - the linear predictions minus the seasonal means, in spreads;
    - sine and cosine of the phases in the period and the shorter period (in week and day, with a calendar);
    - with a calendar, the means by the clock minus the seasonal means at the targets, and the deviation by the clock.
    """

    values: NDArray[np.float64]  # (K, D): limited to ``LARGEST`` in size, NaN where missing
    residuals: NDArray[np.float64]  # (K, H, D): right output one horizon ago, limited to 8 in size; NaN if unknown
    spread: NDArray[np.float64]  # (K, H, D): seasonal spread at the target, in units of the values, above 0
    scale: NDArray[np.float64]  # (K, D): mean distance of the values from their centre, in their units, above 0
    features: NDArray[np.float32]  # (K, F): between -8 and 8, component by component
    linear: NDArray[np.float64]  # (K, H, D): predictions
    neighbours: NDArray[np.float64]  # (K, H, D): predictions
    baselines: NDArray[np.float64]  # (K, H, D, 2): predictions of BASELINES
    low: NDArray[np.float64]  # (K, D): the plausible range of the next values, -inf to inf before the first value
    high: NDArray[np.float64]  # (K, D)
    whole: NDArray[np.bool_]  # (K, D): whether all values so far were whole numbers

    @property
    def plausible(self) -> PlausibleRange:
        """The plausible range of the predictions, (K, 1, D)."""
        return PlausibleRange(self.low[:, None], self.high[:, None], self.whole[:, None])

    def predictions(self, experts: Sequence[str], lstm: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the predictions of these experts, float64 ``(K, H, D, E)``; ``lstm`` is the network's, if needed."""
        by_name: dict[str, Any] = {"lstm": lstm, "linear": self.linear, "neighbours": self.neighbours}
        return np.stack([by_name[name] for name in experts], axis=-1)


class NumberEnsemble:
    """The experts and baselines of numbers; the learned state is in the rows.

    Args:
        components: Number of components of an event, D.
        horizons: Steps from an event to the values that are predicted after it, ascending, at least 1.
        lookback: Number of past values that are kept, at least 256 and four times each lag and period. The period
            search and the nearest neighbours use these values.
        periods: The period of the season in steps, and a shorter period within it; empty to search the periods.
        lags: Lags in steps back from the target that the linear experts use; empty for the default lags. Each horizon
            uses the lags whose values are known at the time of the prediction.
        calendar: Whether to use the timestamps: the profile of the week is an input of the linear experts and the
            network, and the similarity of events depends on their phases in day and week, not in the periods.
        experts: The ``EXPERTS`` that are weighted, in the order of the weights. If the network is the only expert,
            there are no weights: its prediction is published unchanged.
        interval_level: Target share of the values inside their intervals.
        interval_rate: Learning rate of the intervals' level.
        range_margin: Margin of the plausible range, as a share of the range of the values so far.
        learns: If false, the learned state predicts and stays unchanged. Past values are kept in any case: last values,
            values one season ago, and outcomes of similar events.
    """

    def __init__(
        self,
        *,
        components: int = 1,
        horizons: tuple[int, ...],
        lookback: int,
        periods: tuple[int, ...] = (),
        lags: tuple[int, ...] = (),
        calendar: bool = False,
        experts: tuple[str, ...] = EXPERTS,
        interval_level: float = 0.9,
        interval_rate: float = 0.01,
        range_margin: float = 0.1,
        learns: bool = True,
    ) -> None:
        self._horizons = horizons
        self._experts = experts
        self._weighed = experts != ("lstm",)
        # the stack compares the others with the first expert, so the first one should never be far off
        self._stacked = sorted(experts, key=lambda name: name != "linear")
        self._learns = learns
        self._interval_level, self._interval_rate = interval_level, interval_rate
        self._others = [_nearest(own, components) for own in range(components)]
        self._components = [
            Component(
                horizons=horizons,
                lookback=lookback,
                periods=periods,
                lags=lags,
                calendar=calendar,
                others=len(others),
                range_margin=range_margin,
                learns=learns,
            )
            for others in self._others
        ]
        self._names = tuple(self._components[0].fields())
        self._channel_names = tuple(self._channel_fields())

    @property
    def features(self) -> int:
        """The number of features."""
        return sum(component.features for component in self._components)

    def fields(self) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream."""
        fields = self._components[0].fields() | repeated_spec(self._channel_fields(), len(self._horizons))
        return repeated_spec(fields, len(self._components))

    def observe(self, row: ArrayViews, values: NDArray[np.float64], timestamps_ms: NDArray[np.int64]) -> Observed:
        """Learn K >= 1 values, and predict after each value.

        Args:
            row: The arrays of the stream, written to.
            values: Finite, or NaN where missing, float64 ``(K, D)``.
            timestamps_ms: Milliseconds since 1970, UTC, -1 where there is no timestamp, int64 ``(K,)``.
        """
        values = np.clip(values, -LARGEST, LARGEST)
        rows = [{name: row[name][index] for name in self._names} for index in range(len(self._components))]
        parts = []
        while len(values):
            columns = [np.ascontiguousarray(column) for column in values.T]
            cuts = zip(self._components, rows, columns, strict=True)
            count = min(component.until_cut(own, column) for component, own, column in cuts)
            parts.append(self._learn(rows, [column[:count] for column in columns], timestamps_ms[:count]))
            values, timestamps_ms = values[count:], timestamps_ms[count:]
        return Observed(*[np.concatenate(arrays) for arrays in zip(*parts, strict=True)])

    def stack(
        self, row: ArrayViews, observed: Observed, lstm: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Learn K observed values, and weight the predictions of experts and baselines after each value.

        Args:
            row: The arrays of the stream, written to.
            observed: The result of ``observe``.
            lstm: The network's predictions, float64 ``(K, H, D)``, if it is among the experts.

        Returns:
            The predictions to publish, within the plausible range, float64 ``(K, H, D)``, and the weights,
            ``(K, H, D, E)``. The weights sum to at most 1; the rest is the weight of the baselines. Both arrays are
            NaN for components that were never seen.
        """
        if lstm is not None and not self._weighed:
            return observed.plausible.bound(lstm), np.ones((*lstm.shape, 1))
        indices = self._from_stack()
        predictions = observed.predictions(self._stacked, lstm)
        published = np.full(predictions.shape[:3], np.nan)
        weights = np.full(predictions.shape, np.nan)
        for d, h, horizon in self._channels():
            first = _first_known(observed.linear[:, h, d])
            if first == len(published):
                continue
            own = {name: row[name][d, h] for name in self._channel_names}
            values = np.ascontiguousarray(observed.values[first:, d])
            if not self._learns:
                values = np.full(len(values), np.nan)
            spread = np.ascontiguousarray(observed.spread[first:, h, d])
            stacked, weighed = stacking.observe(own, values, predictions[first:, h, d], spread, horizon=horizon)
            stacked = np.clip(stacked, observed.low[first:, d], observed.high[first:, d])
            members = np.column_stack([stacked, observed.baselines[first:, h, d]])
            mixed, of_stack = baseline_mixture.observe(own, values, members, horizon=horizon)
            published[first:, h, d] = mixed
            weights[first:, h, d] = of_stack[:, None] * weighed[:, indices]
        return observed.plausible.bound(published), weights

    def bound(
        self, row: ArrayViews, observed: Observed, published: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Update the interval levels with K observed values, and compute the intervals of the predictions.

        Args:
            row: The arrays of the stream, written to.
            observed: The result of ``observe``.
            published: The predictions from ``stack``, float64 ``(K, H, D)``.

        Returns:
            Lower and upper bounds of the predictions after each event, float64 ``(K, H, D, 2)``, NaN where there is no
            interval yet; and whether the value of each event was inside its interval, 1 or 0, NaN where there was no
            interval, ``(K, H, D)``.
        """
        bounds, covered = np.empty((*published.shape, 2)), np.empty(published.shape)
        for d, h, horizon in self._channels():
            own = {name: row[name][d, h] for name in self._channel_names}
            bounds[:, h, d], covered[:, h, d] = intervals.observe(
                own,
                np.ascontiguousarray(observed.values[:, d]),
                np.ascontiguousarray(published[:, h, d]),
                (observed.low[:, d], observed.high[:, d]),
                horizon=horizon,
                interval_level=self._interval_level,
                rate=self._interval_rate,
                learns=self._learns,
            )
        return bounds, covered

    def pending(self, row: ArrayViews) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the bounds, float64 ``(H, D, 2)``, and the weights, ``(H, D, E)``, after the last observed value."""
        shape = len(self._horizons), len(self._components)
        bounds, weights = np.empty((*shape, 2)), np.ones((*shape, len(self._experts)))
        for d, h, _ in self._channels():
            own = {name: row[name][d, h] for name in self._channel_names}
            bounds[h, d] = intervals.pending(own)
            if self._weighed:
                weights[h, d] = baseline_mixture.stack_weight(own) * stacking.weights_of(own)[self._from_stack()]
        return bounds, weights

    def break_sequence(self, row: ArrayViews) -> None:
        """Begin a new sequence with the next value: ignore earlier values and discard pending predictions.

        The learned state stays, and the season continues as if the next value had followed directly.
        """
        for index, component in enumerate(self._components):
            component.break_sequence({name: row[name][index] for name in self._names})
        for part, used in ((stacking, self._weighed), (baseline_mixture, self._weighed), (intervals, True)):
            if used:
                part.break_sequence(row)

    def _from_stack(self) -> list[int]:
        """Return the index of each expert in the order of the stack."""
        return [self._stacked.index(name) for name in self._experts]

    def _channels(self) -> list[tuple[int, int, int]]:
        """Return component, index of the horizon, and horizon of each channel."""
        return [(d, h, horizon) for d in range(len(self._components)) for h, horizon in enumerate(self._horizons)]

    def _channel_fields(self) -> dict[str, ArraySpec]:
        pending = self._horizons[-1]
        weights = stacking.fields(len(self._experts), pending) | baseline_mixture.fields(1 + len(BASELINES), pending)
        return intervals.fields(pending) | (weights if self._weighed else {})

    def _learn(
        self, rows: Sequence[ArrayViews], values: Sequence[NDArray[np.float64]], timestamps_ms: NDArray[np.int64]
    ) -> Observed:
        """Learn values, at most up to the next cut of a component."""
        count = len(timestamps_ms)
        located = [
            component.locate(row, line, timestamps_ms)
            for component, row, line in zip(self._components, rows, values, strict=True)
        ]
        deviations = np.zeros((count, len(located)))
        for index, one in enumerate(located):
            if one is not None:
                deviations[:, index] = one.scaled.profile.deviations
        learned = [
            component.nothing(row, count) if one is None else component.predict(row, one, deviations[:, others])
            for component, row, one, others in zip(self._components, rows, located, self._others, strict=True)
        ]
        for component, row, one, others in zip(self._components, rows, located, self._others, strict=True):
            if one is not None and one.searches:
                past = [rows[other]["season_deviations"] for other in others]
                component.search(row, np.array(past, np.float32).reshape(len(others), len(row["season_deviations"])).T)
        channels: dict[str, Any] = {
            name: np.stack([getattr(one, name) for one in learned], axis=2)
            for name in ("residuals", "spread", "linear", "neighbours", "baselines")
        }
        return Observed(
            values=np.stack(values, axis=1),
            scale=np.stack([one.scale for one in learned], axis=1),
            features=np.concatenate([one.features for one in learned], axis=1).astype(np.float32),
            low=np.stack([one.plausible.low for one in learned], axis=1),
            high=np.stack([one.plausible.high for one in learned], axis=1),
            whole=np.stack([one.plausible.whole for one in learned], axis=1),
            **channels,
        )


def _nearest(own: int, components: int) -> list[int]:
    """Return the ``MAX_OTHERS`` components nearest to one component, ascending."""
    around = range(max(0, own - MAX_OTHERS), min(components, own + MAX_OTHERS + 1))
    return sorted(sorted(around, key=lambda other: abs(other - own))[1 : 1 + MAX_OTHERS])


def _first_known(line: NDArray[np.float64]) -> int:
    """Return the index of the first number; NaN occurs only before it."""
    return int(np.isnan(line).sum())
