"""The models for river: river's own checks, its evaluation, copies, and refused input."""

import copy
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from online_lstm import Learner
from online_lstm.errors import BadInputError, SettingsError
from online_lstm.river import LabelClassifier, NumberForecaster, SymbolClassifier
from river import compose, datasets, dummy, evaluate, metrics, preprocessing, time_series, tree
from river.base import Estimator
from river.checks import check_estimator

pytestmark = pytest.mark.long

NUMBERS: dict[str, Any] = {"network": "lstm 4", "window": 8, "lookback": 256, "calendar": True}
SYMBOLS: dict[str, Any] = {"network": "lstm 4", "window": 8, "replay_buffer_size": 0}
LABELS: dict[str, Any] = {"network": "lstm 4", "classes": 3}
Event = tuple[dict[Any, Any], Any]


def forecaster(**given: Any) -> NumberForecaster:
    return NumberForecaster(horizon=3, covariates=("load",), time="at", **NUMBERS, **given)


def hours(count: int) -> list[Event]:
    begin = datetime(2026, 1, 1)  # noqa: DTZ001 - as river's data sets have them
    return [
        (
            {"at": begin + timedelta(hours=index), "load": float(index % 4), "site": "north"},
            20 + 5 * math.sin(index / 2),
        )
        for index in range(count)
    ]


def states(count: int) -> list[Event]:
    return [({}, "abcabdab"[index % 8]) for index in range(count)]


def samples(count: int) -> list[Event]:
    values = [(math.sin(7 * index), math.cos(3 * index)) for index in range(count)]
    return [({"b": one, "a": 100 * two}, "up" if one > two else "down") for one, two in values]


MODELS: dict[str, tuple[Callable[[], Any], list[Event]]] = {
    "number": (forecaster, hours(40)),
    "symbol": (lambda: SymbolClassifier(**SYMBOLS), states(40)),
    "label": (lambda: LabelClassifier(**LABELS), samples(40)),
}


def learn(model: Any, events: list[Event]) -> list[Any]:
    """Return the predictions before each event."""
    predictions = []
    for x, y in events:
        if isinstance(model, NumberForecaster):
            predictions.append(model.forecast(3))
            model.learn_one(y, x)
        else:
            predictions.append(model.predict_proba_one(x))
            model.learn_one(x, y)
    return predictions


@pytest.mark.no_cover  # see pyproject.toml
@pytest.mark.parametrize("kind", [NumberForecaster, SymbolClassifier, LabelClassifier])
def test_rivers_own_checks_pass(kind: type[Estimator]) -> None:
    """All checks that river has for an estimator of this kind; none is left out."""
    for given in kind._unit_test_params():
        model = kind(**given)
        assert set() == model._unit_test_skips()
        check_estimator(model)


def test_forecasts_are_the_learners() -> None:
    """For each step ahead; 0 before the first value, and shorter forecasts are their beginning."""
    model, learner = forecaster(), Learner("number", horizons="1-3", features=2, **NUMBERS)
    assert [0.0, 0.0] == model.forecast(2)
    for x, y in hours(40):
        model.learn_one(y, x)
        outcome = learner.learn_one([y, x["load"]], time=x["at"])
        assert [vector[0] for vector in outcome.prediction] == model.forecast(3)
        assert model.forecast(3)[:2] == model.forecast(2)


def test_a_missing_value_and_covariate_are_missing_numbers() -> None:
    """None, NaN and an absent feature are one; without any value yet, 0 is forecast."""
    model, learner = forecaster(), Learner("number", horizons="1-3", features=2, **NUMBERS)
    model.learn_one(math.nan)
    assert [0.0, 0.0, 0.0] == model.forecast(3)
    learner.learn_one(None)
    events: list[tuple[Any, Any, list[Any]]] = [
        (20.0, {"load": None}, [20, None]),
        (21.0, None, [21, None]),
        (None, {"load": 4}, [None, 4]),
    ]
    for y, x, vector in events:
        model.learn_one(y, x)
        outcome = learner.learn_one(vector)
    assert [vector[0] for vector in outcome.prediction] == model.forecast(3)


def test_a_forecaster_is_evaluated_in_a_pipeline() -> None:
    """On river's airline passengers, with the month as a covariate, it is better than Holt's method."""
    month = compose.FuncTransformer(lambda x: {"at": x["month"], "load": x["month"].month})
    ours = evaluate.evaluate(datasets.AirlinePassengers(), month | forecaster(), metrics.MAE(), horizon=3)
    plain = time_series.HoltWinters(alpha=0.3)
    holt = evaluate.evaluate(datasets.AirlinePassengers(), plain, metrics.MAE(), horizon=3)
    assert all(own < other for own, other in zip(ours.get(), holt.get(), strict=True))


def test_probabilities_of_the_next_label_are_the_learners() -> None:
    """Divided by the sum of those that are listed; the features do not matter."""
    model, learner = SymbolClassifier(**SYMBOLS), Learner("symbol", top_k=100, **SYMBOLS)
    assert {} == model.predict_proba_one({})
    assert None is model.predict_one({})
    for x, y in states(40):
        outcome = learner.learn_one(y)
        model.learn_one(x, y)
        predicted = model.predict_proba_one({"ignored": "text"})
        assert [label for label, _ in outcome.top] == list(predicted)
        total = sum(probability for _, probability in outcome.top)
        assert pytest.approx(dict(outcome.top), rel=1e-12) == {label: total * p for label, p in predicted.items()}
    assert {"a", "b", "c", "d"} == set(predicted)


def test_booleans_are_symbols() -> None:
    """As the equal numbers, so that scores of river count them as right."""
    stream: list[Event] = [({}, np.bool_(index % 3 == 0)) for index in range(90)]
    model = SymbolClassifier(**SYMBOLS)
    assert evaluate.progressive_val_score(stream, model, metrics.Accuracy()).get() > 0.9
    assert {True, False} == set(model.predict_proba_one({}))


def test_a_symbol_classifier_is_evaluated() -> None:
    """It learns which label follows, where the classifiers without a model cannot."""
    scores = [
        evaluate.progressive_val_score(states(200), model, metrics.Accuracy()).get()
        for model in (SymbolClassifier(**SYMBOLS), dummy.PriorClassifier(), dummy.NoChangeClassifier())
    ]
    assert scores[0] > 0.9
    assert max(scores[1:]) < 0.5


def test_a_label_classifier_is_evaluated_in_a_pipeline() -> None:
    """On river's phishing sites, its probabilities are better than a Hoeffding tree's, also behind a scaler."""
    settings: dict[str, Any] = {"network": "lstm 8", "learning_rate": 0.01}
    models = (
        tree.HoeffdingTreeClassifier(),
        LabelClassifier(**settings),
        preprocessing.StandardScaler() | LabelClassifier(**settings),
    )
    losses = []
    for model in models:
        loss, accuracy = metrics.CrossEntropy(), metrics.Accuracy()
        evaluate.progressive_val_score(datasets.Phishing().take(500), model, loss + accuracy)
        losses.append(loss.get())
        assert accuracy.get() > 0.85
    assert max(losses[1:]) < 0.8 * losses[0]


def test_the_probabilities_of_a_sample_are_the_learners() -> None:
    """A learner that reads the samples as sequences of one, features in the order of their names."""
    model, learner = LabelClassifier(**LABELS), Learner("label", features=2, top_k=100, **LABELS)
    for x, y in samples(40):
        predicted = model.predict_proba_one(x)
        model.learn_one(x, y)
        outcome = learner.learn_one([x["a"], x["b"]], label=y, end=True)
        assert pytest.approx(dict(outcome.probabilities), rel=1e-6) == predicted
    assert {"up", "down"} == set(predicted)


def test_new_features_take_free_components() -> None:
    """In the order of their names; without a free one they are ignored, and a feature that is absent is missing."""
    model, learner = LabelClassifier(features=3, **LABELS), Learner("label", features=3, top_k=100, **LABELS)
    events: list[tuple[dict[Any, Any], list[Any], str]] = [
        ({"m": 1.0}, [1.0, None, None], "up"),
        ({"z": 9, "m": 2.0, "k": np.float32(0.5)}, [2.0, 0.5, 9.0], "down"),
        ({"a": 4.0, "z": True}, [None, None, 1.0], "down"),
        ({"a": 4.0}, [None, None, None], "up"),
        ({"m": math.nan, "k": None, "z": 3}, [None, None, 3.0], "up"),
    ]
    for x, vector, y in events:
        model.learn_one(x, y)
        learner.learn_one(vector, label=y, end=True)
    predicted = model.predict_proba_one({"z": 1.5, "a": 7.0, "m": -1.0})
    outcome = learner.learn_one([-1.0, None, 1.5], label="up", end=True)
    assert pytest.approx(dict(outcome.probabilities), rel=1e-6) == predicted


@pytest.mark.parametrize("name", MODELS)
def test_a_prediction_changes_nothing(name: str) -> None:
    """However often it is asked for, before and after the first event."""
    make, events = MODELS[name]
    asked, unasked = make(), make()
    for x, y in events[:20]:
        for other, _ in events[20:23]:
            asked.forecast(3) if name == "number" else asked.predict_proba_one(other)
        for model in (asked, unasked):
            model.learn_one(y, x) if name == "number" else model.learn_one(x, y)
    assert pickle.dumps(unasked) == pickle.dumps(asked)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copied_model_continues(name: str, again: Callable[[Any], Any]) -> None:
    """With the same predictions as the original, which a copy does not change; a clone has learned nothing."""
    make, events = MODELS[name]
    original = make()
    first = learn(original, events[:20])
    copied, cloned = again(original), original.clone()
    expected = learn(copied, events[20:])
    assert expected == learn(original, events[20:])
    assert first == learn(cloned, events[:20])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: NumberForecaster(horizon=0), "horizons: received"),
        (lambda: NumberForecaster(widow=4), "widow: there is no such setting; window is one"),
        (
            lambda: NumberForecaster(covariates="load"),
            "covariates: received 'load', expected a tuple of names: ('load',)",
        ),
        (lambda: NumberForecaster(horizons="1-4"), "horizons='1-4': received by a model for river, expected other"),
        (lambda: SymbolClassifier(task="label"), "task='label': received by a model for river, expected other setting"),
        (lambda: LabelClassifier(classes=1), "classes: received 1, expected greater than or equal to 2"),
        (lambda: LabelClassifier(features=0), "features: received 0"),
        (lambda: LabelClassifier(http_port=1), "http_port: received by a Learner, expected settings of the model"),
        (lambda: NumberForecaster(horizon=4).forecast(5), "horizon: received 5, expected 1 to 4, the steps that the m"),
        (lambda: NumberForecaster().forecast(0), "horizon: received 0, expected 1 to 1"),
    ],
)
def test_wrong_settings_and_horizons_are_refused(make: Callable[[], Any], text: str) -> None:
    """When a model is made, or asked for more than it was made for."""
    with pytest.raises(SettingsError, match=re.escape(text)):
        make()


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ({"a": "high", "b": 1}, "up", "x['a']: received 'high' of type str, expected a number, or None for a missing"),
        ({"a": [1], "b": 1}, "up", "x['a']: received [1] of type list, expected a number, or None for a missing one"),
        ({"a": math.inf, "b": 1}, "up", "expected a finite number"),
        ({}, "up", "x: received {}, expected a dict with at least one feature"),
        (None, "up", "x: received None, expected a dict with at least one feature"),
        ({"a": 1.0}, None, "y: received None, expected a label: a number, a string or a boolean"),
        ({"a": 1.0}, math.nan, "y: received nan, expected a label"),
        ({"a": 1.0}, " ", "y: received ' ', expected a label"),
        ({"a": 1.0}, "sideways", "received the label '\"sideways\"', expected one of 3 known labels"),
    ],
)
def test_wrong_samples_are_refused(x: Any, y: Any, text: str) -> None:
    """With what was received, what was expected, and the way out; nothing is learned."""
    model = LabelClassifier(**LABELS)
    learn(model, [({"a": 1.0, "b": 2.0}, label) for label in ("up", "down", "still")])
    before = pickle.dumps(model)
    with pytest.raises(BadInputError, match=re.escape(text)):
        model.learn_one(x, y)
    assert before == pickle.dumps(model)
    if "x" in text[:2]:
        with pytest.raises(BadInputError, match=re.escape(text)):
            model.predict_proba_one(x)


@pytest.mark.parametrize(
    ("y", "x", "text"),
    [
        ("open", {}, "received a vector with a string in"),
        (math.inf, {}, "expected a finite number"),
        ([1, 2], {}, "received a vector with an array in"),
        (1.0, {"load": "high"}, "x['load']: received 'high' of type str, expected a number, or None for a missing one"),
    ],
)
def test_wrong_values_are_refused(y: Any, x: Any, text: str) -> None:
    """Also as the first value; the next one is learned as if nothing had been."""
    model = forecaster()
    with pytest.raises(BadInputError, match=re.escape(text)):
        model.learn_one(y, x)
    assert learn(forecaster(), hours(2)) == learn(model, hours(2))


@pytest.mark.parametrize("y", [None, math.nan, [1]])
def test_a_symbol_that_is_none_is_refused(y: Any) -> None:
    """A missing label is nothing that could follow."""
    with pytest.raises(BadInputError, match="expected a"):
        SymbolClassifier(**SYMBOLS).learn_one({}, y)


def test_without_river_its_way_out_is_one_line() -> None:
    """The package is imported without river, and its models for river name the extra."""
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "river":
            raise ModuleNotFoundError("No module named 'river'", name=name)
sys.meta_path.insert(0, Absent())
import online_lstm
online_lstm.Learner
from online_lstm.river import LabelClassifier
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    expected = (
        "ModuleNotFoundError: online_lstm.river needs river (No module named 'river'): pip install 'online-lstm[river]'"
    )
    assert expected == done.stderr.splitlines()[-1]
    assert "During handling" not in done.stderr
