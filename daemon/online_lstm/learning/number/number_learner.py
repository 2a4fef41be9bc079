"""The learner of a stream of numbers: experts, a network that learns their residuals, and the stack of all of them.

The linear experts first predict each horizon of each component. The network learns the residuals of the linear experts,
in spreads of the stream. The target of each prediction arrives one horizon later.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from online_lstm.events import NumberEvaluation, NumberEvent, NumberPrediction, NumberResult
from online_lstm.learning.learner_state import ModelStates, ScoredBatch, score, score_fields
from online_lstm.learning.network import NumberModel, ReplayBuffer
from online_lstm.learning.network.hyperparameters import line_width
from online_lstm.learning.network.number_model import NumberRun
from online_lstm.learning.number.number_task import NumberTask
from online_lstm.learning.scoring import classification, regression
from online_lstm.learning.state.packed import ArraySpec, ArrayViews, PackedArrays
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyState
from online_lstm.settings import Settings

if TYPE_CHECKING:  # it loads numba
    from online_lstm.learning.number.number_ensemble import NumberEnsemble, Observed


def number_ensemble_from(settings: Settings) -> "NumberEnsemble":
    """Return the experts that the settings ask for."""
    from online_lstm.learning.number.number_ensemble import NumberEnsemble  # noqa: PLC0415 - loads numba

    return NumberEnsemble(
        components=settings.features,
        horizons=settings.horizons,
        lookback=settings.lookback,
        periods=settings.seasonal_periods[::-1],
        lags=settings.lags,
        calendar=settings.calendar,
        experts=settings.experts,
        interval_level=settings.interval_level,
        interval_rate=settings.interval_rate,
        range_margin=settings.range_margin,
        learns=settings.learn,
    )


class NumberLearner:
    """The learner of one stream, a view of its rows."""

    symbols = 0

    @staticmethod
    def stream_fields(settings: Settings) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream.

        ``lines`` are the inputs and targets of the network. ``pending`` has the predictions of all predictors after
        each of the last events, up to the longest horizon, and the scale of the values at that time.
        """
        ensemble = number_ensemble_from(settings)
        predictors = settings.predictors.count
        shape, longest = (len(settings.horizons), settings.features), settings.horizons[-1]
        width = line_width(ensemble.features, settings.channels)
        return {
            "events": ArraySpec((1,), "int64"),
            "lines": ArraySpec((settings.window + longest - 1, width), "float32"),
            "pending": ArraySpec((longest, *shape, predictors + 1), "float64", np.nan),
            **ensemble.fields(),
            **score_fields(
                settings, (settings.channels, regression.columns(predictors)), predictions=settings.channels
            ),
        }

    @staticmethod
    def shared_fields(_settings: Settings, _network: NumberModel) -> dict[str, ArraySpec]:
        """Return no arrays: with shared weights, streams of numbers have only the network in common."""
        return {}

    @staticmethod
    def network_fields(_settings: Settings, network: NumberModel, classes: int) -> dict[str, ArraySpec]:
        """Describe the arrays of one stream's network."""
        windows, states = network.kept_windows()
        return {
            "network": ArraySpec((network.state_size(classes),), "float32"),
            "replay_lines": ArraySpec(windows, "float32"),
            "replay_states": ArraySpec(states, "float32"),
        }

    def __init__(
        self, settings: Settings, network: NumberModel, *, streams: PackedArrays, networks: ModelStates
    ) -> None:
        self._settings = settings
        self._network = network
        self._streams = streams
        self._scope = networks.scope
        self._ensemble = number_ensemble_from(settings)
        self._experts = settings.experts
        self._horizons = settings.horizons
        self.task = NumberTask(settings)
        self.classes = network.features
        self._network_rows = networks[self.classes]
        self.row = streams.add()
        self.network_row = self._network_rows.add()
        self._scope.begin(self._network_rows.view(self.network_row), network.initial())

    def close(self) -> None:
        """Release the rows."""
        self._streams.remove(self.row)
        self._network_rows.remove(self.network_row)

    def vocabulary(self) -> VocabularyState:
        """Return an empty vocabulary: numbers need none."""
        return Vocabulary(max_codes=1, min_occurrences=1).state()

    def resume(self, classes: int, vocabulary: VocabularyState) -> None:
        """Do nothing: a stream of numbers has no state beside its arrays."""

    def pending(self) -> NumberPrediction | None:
        """Return the prediction after the last event, read from the arrays; None if nothing is predicted."""
        stream = self._streams.view(self.row)
        made = stream["pending"][-1:]
        if np.isnan(made[..., 0]).all():
            return None
        bounds, weights = self._ensemble.pending(stream)
        experts = made[..., -1 - len(self._experts) : -1]
        (prediction,) = self.task.predictions(made[..., 0], bounds[None], experts, weights[None])
        return prediction

    def recall(self) -> None:
        """Do nothing: the pending predictions stay in the restored arrays."""

    def break_sequence(self) -> None:
        """Begin a new sequence with the next event: discard pending predictions, input lines and carried states."""
        stream = self._streams.view(self.row)
        stream["lines"][:], stream["pending"][:] = 0, np.nan
        self._ensemble.break_sequence(stream)
        network = self._network_rows.view(self.network_row)
        state = self._scope.state_of(network)
        self._network.reset_states(state)
        self._scope.keep(network, state)

    def learn(self, events: Sequence[NumberEvent]) -> list[NumberResult]:
        """Score, fit and predict, event by event."""
        outcomes: list[NumberResult] = []
        first = 0
        for end, event in enumerate(events, 1):
            if event.ends or end - first == self._network.events:
                outcomes += self._learn_run(events[first:end])
                first = end
        return outcomes + self._learn_run(events[first:])

    def _learn_run(self, run: Sequence[NumberEvent]) -> list[NumberResult]:
        """Learn up to ``network.events`` events in one call of the network."""
        if not run:
            return []
        count, stream = len(run), self._streams.view(self.row)
        values, times = self.task.values(run)
        observed = self._ensemble.observe(stream, values, times)
        rows = self._append_rows(stream, observed)
        result = self._fit(stream, rows)
        lstm = observed.linear + observed.spread * self._by_horizon(result.outputs[1:])
        experts = observed.predictions(self._experts, lstm)
        published, weights = self._ensemble.stack(stream, observed, lstm)
        bounds, covered = self._ensemble.bound(stream, observed, published)
        scale = np.broadcast_to(observed.scale[:, None], published.shape)
        made = np.concatenate([published[..., None], observed.baselines, experts, scale[..., None]], axis=-1)
        pending = np.concatenate([stream["pending"], made])
        evaluations, scores = self._evaluate(stream, values, self._due(pending, count), covered)
        predictions: list[NumberPrediction | None] = [*self.task.predictions(published, bounds, experts, weights)]
        first = int(stream["events"][0]) + 1
        stream["events"][0] += count
        stream["lines"][:] = rows[count:]
        stream["pending"][:] = pending[count:]
        if run[-1].ends:
            predictions[-1] = None  # the sequence is over
            self.break_sequence()
        steps = zip(result.fit_steps.tolist(), result.skipped_steps.tolist(), strict=True)
        return [
            NumberResult(
                first + i,
                fitted,
                skipped,
                evaluations[i],
                predictions[i],
                scores.hits[i],
                scores.rates[i],
            )
            for i, (fitted, skipped) in enumerate(steps)
        ]

    def _append_rows(self, stream: ArrayViews, observed: "Observed") -> NDArray[np.float32]:
        """Append one row for each event, and write the targets that arrive into their rows."""
        count, width = observed.features.shape
        channels = len(self._network.horizons)
        new = np.zeros((count, self._network.width), np.float32)
        new[:, :width], new[:, width] = observed.features, 1
        rows = np.concatenate([stream["lines"], new])
        known = np.isfinite(observed.residuals)
        targets = np.where(known, observed.residuals, 0)
        # the channels of the network are ordered by component and then by horizon
        for index, horizon in enumerate(self._horizons):
            arriving = rows[len(stream["lines"]) - horizon :][:count, width + 1 :]
            arriving[:, index : channels : len(self._horizons)] = targets[:, index]
            arriving[:, channels + index :: len(self._horizons)] = known[:, index]
        return rows

    def _by_horizon(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return K network outputs, ordered by component and then by horizon, as ``(K, H, D)``."""
        by_component = outputs.reshape(len(outputs), self._settings.features, len(self._horizons))
        return by_component.swapaxes(1, 2).astype(np.float64)

    def _fit(self, stream: ArrayViews, rows: NDArray[np.float32]) -> NumberRun:
        """Fit the network on the rows, and keep some windows in the replay buffer."""
        network = self._network_rows.view(self.network_row)
        past = ReplayBuffer(
            int(stream["events"][0]), network["replay_lines"], network["replay_states"], self._network.stride
        )
        result = self._network.run(self._scope.state_of(network), rows, past)
        self._scope.keep(network, result.state)
        window = network["replay_lines"].shape[1]
        windows = np.lib.stride_tricks.sliding_window_view(rows, window, axis=0)[: len(result.edges)]
        past.keep(windows.transpose(0, 2, 1), result.edges)
        return result

    def _due(self, pending: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Return the pending predictions whose targets are the next K events, float64 ``(K, H, D, P + 1)``."""
        longest = self._horizons[-1]
        due = [pending[longest - h :][:count, index] for index, h in enumerate(self._horizons)]
        return np.stack(due, axis=1)

    def _evaluate(
        self, stream: ArrayViews, values: NDArray[np.float64], due: NDArray[np.float64], covered: NDArray[np.float64]
    ) -> tuple[list[NumberEvaluation | None], ScoredBatch]:
        """Score the pending predictions of K events.

        Args:
            stream: The arrays of the stream, written to.
            values: NaN where missing, float64 ``(K, D)``.
            due: The predictions of all predictors, and the scale at that time, float64 ``(K, H, D, P + 1)``.
            covered: Whether values were inside their intervals, float64 ``(K, H, D)``.
        """
        predictions, scale = due[..., :-1], due[..., -1]
        arrived = np.broadcast_to(values[:, None], scale.shape)
        losses = regression.losses_of(arrived, predictions, covered)
        known: NDArray[np.bool_] = losses[..., 0] > 0
        hits = self.task.hits(regression.absolute_errors(losses), scale) & known[..., None]
        by_channel = (len(values), -1)
        scored: NDArray[np.bool_] = np.any(known, axis=(1, 2))
        losses = losses.reshape(*by_channel, losses.shape[-1])
        with np.errstate(over="ignore"):
            errors = np.where(known, arrived - predictions[..., 0], np.nan)
        sums = classification.window_sums(stream, losses[scored])
        several = known[0].size > 1
        scores = score(
            stream,
            self._settings,
            first=int(stream["events"][0]) + 1,
            scored=scored,
            hits=np.column_stack([hits.sum(axis=(1, 2)), known.sum(axis=(1, 2))]) if several else hits[:, 0, 0],
            losses=losses,
        )
        evaluations = self.task.evaluations(
            scored,
            predictions[..., 0].reshape(by_channel),
            errors.reshape(by_channel),
            hits[..., 0].reshape(by_channel),
            covered.reshape(by_channel),
            losses=losses,
            sums=sums,
            drifts=scores.drifts,
        )
        return evaluations, scores
