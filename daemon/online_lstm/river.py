"""Models for river (https://riverml.xyz): a forecaster and two classifiers, each over a learner.

A model makes its learner with the first value that it learns, so a clone costs nothing. Only this module imports river,
which the extra ``online-lstm[river]`` installs.
"""

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import numpy as np

from online_lstm.api.inputs import NO_TIME
from online_lstm.api.learner import Learner
from online_lstm.api.loading import learner_settings
from online_lstm.api.results import (
    LabelForecast,
    LabelOutcome,
    NumberForecast,
    NumberOutcome,
    SymbolForecast,
    SymbolOutcome,
)
from online_lstm.codec.cell_text import Markers
from online_lstm.errors import BadInputError, SettingsError
from online_lstm.events import LabelEvent, Symbol

try:
    from river.base import Classifier
    from river.base.typing import ClfTarget, FeatureName
    from river.time_series.base import Forecaster
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"online_lstm.river needs river ({error}): pip install 'online-lstm[river]'", name=error.name
    ) from None

__all__ = ["LabelClassifier", "NumberForecaster", "SymbolClassifier"]

MAX_LABELS = 100
"""Number of labels with a probability, the largest value of the setting ``top_k``."""
_NO_LABEL = Markers()

Features = dict[FeatureName, Any]


class NumberForecaster(Forecaster):
    """A forecaster of numbers (the task ``number``), with a prediction for each step ahead up to ``horizon``.

    It learns from ``y`` and from the named covariates. None and NaN are missing numbers.

    Args:
        horizon: Number of steps ahead that can be forecast.
        covariates: Names of the features that are learned beside ``y``; an absent feature is a missing number. All
            other features are ignored, and also the features ``xs`` of a forecast.
        time: Name of the feature that has the time of ``y``, for the setting ``calendar``.
        settings: Settings of the model, such as ``seasonal_periods``.

    >>> model = NumberForecaster(horizon=3, network="lstm 4", lookback=256)
    >>> for y in [20, 22, 24, 26] * 20:
    ...     model.learn_one(y)
    >>> [round(y) for y in model.forecast(3)]
    [20, 22, 24]

    Raises:
        SettingsError: A setting is invalid.
    """

    def __init__(
        self, horizon: int = 1, covariates: Sequence[str] = (), time: str | None = None, **settings: Any
    ) -> None:
        if isinstance(covariates, str):
            raise SettingsError(f"covariates: received {covariates!r}, expected a tuple of names: ({covariates!r},)")
        self.horizon, self.covariates, self.time, self.settings = horizon, covariates, time, settings
        self._given = _joined(settings, task="number", horizons=f"1-{horizon}", features=1 + len(covariates))
        self._learner: Learner[NumberOutcome, NumberForecast] | None = None

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"horizon": 3, "covariates": ("period",), "network": "lstm 4", "window": 8, "lookback": 256}

    def learn_one(self, y: float | None, x: Features | None = None) -> None:
        """Score the forecasts of a value, and learn the value.

        Raises:
            BadInputError: The value or a covariate is no finite number.
        """
        x = x or {}
        vector = [y, *(_number(name, x.get(name)) for name in self.covariates)]
        if self._learner is None:
            self._learner = Learner(**self._given)
        self._learner.learn_one(vector, time=None if self.time is None else x.get(self.time))

    def forecast(self, horizon: int, xs: Sequence[Features] | None = None) -> list[float]:  # noqa: ARG002
        """Return the predictions of the next values, 0.0 before the first value.

        Raises:
            SettingsError: The horizon is longer than the model's.
        """
        if not 1 <= horizon <= self.horizon:
            raise SettingsError(
                f"horizon: received {horizon}, expected 1 to {self.horizon}, the steps that the model was made for: "
                f"NumberForecaster(horizon={max(horizon, 1)})"
            )
        pending = None if self._learner is None else self._learner.predict_one()
        if pending is None:
            return [0.0] * horizon
        predicted = np.array(pending.prediction, np.float64).reshape(self.horizon, -1)[:horizon, 0]
        return list(np.nan_to_num(predicted).tolist())


class _Multiclass(Classifier):
    """A classifier of any number of labels."""

    @property
    def _multiclass(self) -> bool:
        return True


class SymbolClassifier(_Multiclass):
    """A classifier that predicts the next label from the labels before it (the task ``symbol``).

    It ignores the features. A label has a probability after it occurred ``min_occurrences`` times. A boolean is learned
    as the equal number, 0 or 1.

    Args:
        settings: Settings of the model, such as ``network``.

    >>> model = SymbolClassifier(network="lstm 4")
    >>> for y in ["idle", "press", "open"] * 20:
    ...     model.learn_one({}, y)
    >>> model.predict_one({})
    'idle'

    Raises:
        SettingsError: A setting is invalid.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._given = _joined({"top_k": MAX_LABELS, **settings}, task="symbol")
        self._learner: Learner[SymbolOutcome, SymbolForecast] | None = None

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"preset": "plain", "network": "lstm 4", "window": 8}

    def learn_one(self, x: Features, y: ClfTarget) -> None:  # noqa: ARG002
        """Score the prediction of a label, and learn the label.

        Raises:
            BadInputError: The label is neither a finite number nor a string.
        """
        if self._learner is None:
            self._learner = Learner(**self._given)
        self._learner.learn_one(int(y) if isinstance(y, bool | np.bool_) else y)

    def predict_proba_one(self, x: Features, **_: Any) -> dict[ClfTarget, float]:  # noqa: ARG002
        """Return the probability of each label to be the next one; empty before the first one."""
        pending = None if self._learner is None else self._learner.predict_one()
        return {} if pending is None else _distribution(pending.top)


class LabelClassifier(_Multiclass):
    """A classifier of samples (the task ``label``): a network over standardized features, one fit step a sample.

    A feature has its component of the input from its first appearance on, as long as there are free ones; several new
    features are taken in the order of their names. Later ones are ignored. None, NaN and absent features are missing
    numbers.

    Args:
        features: Number of components; by default, the number of features in the first sample.
        settings: Settings of the model, such as ``classes``.

    >>> model = LabelClassifier(network="lstm 4")
    >>> for load in [1, 9, 2, 8] * 20:
    ...     model.learn_one({"load": load, "heat": 30.5}, load > 5)
    >>> model.predict_one({"load": 7, "heat": None})
    True

    Raises:
        SettingsError: A setting is invalid.
    """

    def __init__(self, features: int | None = None, **settings: Any) -> None:
        self.features, self.settings = features, settings
        self._given = _joined(
            {"top_k": MAX_LABELS, **settings}, task="label", features=1 if features is None else features
        )
        self._names: list[FeatureName] = []
        self._learner: _SampleLearner | None = None

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"features": 20, "classes": 7, "network": "lstm 4"}

    def learn_one(self, x: Features, y: ClfTarget) -> None:
        """Score the prediction of a sample, and learn its label.

        Raises:
            BadInputError: A feature is no finite number, there are no features, or the label is missing.
        """
        numbers = _numbers(x)
        if y is None or (isinstance(y, str | float) and y in _NO_LABEL):
            raise BadInputError("not_a_value", f"y: received {y!r}, expected a label: a number, a string or a boolean")
        learner = self._learner or _SampleLearner(
            **{**self._given, "features": len(numbers) if self.features is None else self.features}
        )
        free = learner.settings.features - len(self._names)
        names = [*self._names, *sorted(numbers.keys() - set(self._names), key=repr)[:free]]
        learner.learn_one(_vector(numbers, names, learner), end=True, label=y)
        self._learner, self._names = learner, names

    def predict_proba_one(self, x: Features, **_: Any) -> dict[ClfTarget, float]:
        """Return the probability of each label; empty before the first one.

        Raises:
            BadInputError: A feature is no finite number, or there are no features.
        """
        numbers = _numbers(x)
        if self._learner is None:
            return {}
        return _distribution(self._learner.predict_sample(_vector(numbers, self._names, self._learner)).probabilities)


class _SampleLearner(Learner[LabelOutcome, LabelForecast]):
    """A learner of labels that also predicts the label of a sample that is not learned."""

    def predict_sample(self, value: list[float | None]) -> LabelForecast:
        """Return the prediction for a sample, and change nothing."""
        with self._alone():
            event = self._inputs.event(value, None, NO_TIME, ends=False, label=None)
            assert isinstance(event, LabelEvent)
            forecast: LabelForecast = self._results.forecast(self._partition.prediction_after(event))
            return forecast


def _joined(settings: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the settings of a model with the model's own ones, all validated."""
    if taken := [f"{name}={settings[name]!r}" for name in own if name in settings]:
        raise SettingsError(
            f"{', '.join(taken)}: received by a model for river, expected other settings: the model and its arguments "
            f"determine {', '.join(own)}"
        )
    joined = {**settings, **own}
    learner_settings(joined)
    return joined


def _numbers(x: Features) -> dict[FeatureName, float | None]:
    if not isinstance(x, dict) or not x:
        raise BadInputError("not_a_value", f"x: received {x!r}, expected a dict with at least one feature")
    return {name: _number(name, value) for name, value in x.items()}


def _number(name: FeatureName, value: Any) -> float | None:
    if value is None or isinstance(value, Real | np.bool_):
        return None if value is None else float(value)
    raise BadInputError(
        "not_a_number",
        f"x[{name!r}]: received {value!r:.64} of type {type(value).__name__}, expected a number, or None for a missing "
        "one: convert it first, for instance with river.preprocessing.OneHotEncoder",
    )


def _vector(
    numbers: dict[FeatureName, float | None], names: list[FeatureName], learner: _SampleLearner
) -> list[float | None]:
    unused = [None] * (learner.settings.features - len(names))
    return [*map(numbers.get, names), *unused]


def _distribution(ranked: tuple[tuple[Symbol, float], ...]) -> dict[Any, float]:
    """Return the listed probabilities, divided by their sum."""
    total = sum(probability for _, probability in ranked)
    return {label: probability / total for label, probability in ranked}
