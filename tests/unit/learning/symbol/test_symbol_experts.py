import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.caching import CacheImpl
from numpy.typing import ArrayLike, NDArray
from online_lstm.events import BASELINES as BASELINES_OF
from online_lstm.events import EXPERTS as EXPERTS_OF
from online_lstm.events import Symbol
from online_lstm.learning.jit import compiled
from online_lstm.learning.state.packed import PackedArrays
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyLookup
from online_lstm.learning.symbol import suffix_memory
from online_lstm.learning.symbol.suffix_kernels import ORDERS
from online_lstm.learning.symbol.symbol_ensemble import Forecast, ModelBeliefs, ObservedRun, SymbolEnsemble
from online_lstm.settings import Settings, read_settings

MAX_CODES = 4
BASELINES, EXPERTS = BASELINES_OF["symbol"], EXPERTS_OF["symbol"]
FIRST_EXPERT = 1 + len(BASELINES)
LAST_VALUE, MOST_FREQUENT, SUFFIX_MEMORY = range(1, FIRST_EXPERT)
LSTM, FAST, SLOW = range(FIRST_EXPERT, FIRST_EXPERT + 3)


class Bench:
    """A panel with one row, and an LSTM that says the same all the time."""

    def __init__(self, **given: Any) -> None:
        self.settings = read_settings({"max_vocabulary": MAX_CODES, "suffix_contexts": 64, **given}, environment={})
        self.panel = SymbolEnsemble(self.settings)
        rows = PackedArrays(self.panel.fields())
        self.row = rows.view(rows.add())
        self.vocabulary = Vocabulary(max_codes=MAX_CODES, min_occurrences=1)
        self.pending = False

    def learn(
        self, values: Sequence[Symbol], said: ArrayLike = (0.1, 0.6, 0.2, 0.06, 0.04)
    ) -> tuple[list[Forecast], NDArray[np.bool_]]:
        """Learn values one run after another, cut where a code changes hands; give forecasts and hits."""
        ids = np.zeros(MAX_CODES + 1, np.int32)
        forecasts, hits = [], []
        for value in values:
            for code, value_id in self.vocabulary.ids().items():
                ids[code] = value_id
            known = self.vocabulary.known
            lookup = self.vocabulary.observe(value, str(value))
            after = ids.copy()
            after[lookup.code] = lookup.value_id
            codes = ModelBeliefs(
                np.array([said] * 2, np.float32),
                np.array([known, self.vocabulary.known], np.int32),
                np.stack([ids, after]),
                np.array([0 if lookup.admitted else lookup.code], np.int32),
            )
            run = as_run([lookup])
            forecast, hit = self.panel.observe(self.row, run, codes, pending=self.pending)
            self.pending = True
            forecasts.append(forecast)
            hits.append(hit)
        return forecasts, np.concatenate(hits)


class Formulas:
    """The mixture as its formulas are written."""

    def __init__(self, settings: Settings) -> None:
        self.rates = settings.mixing_rate, settings.mixing_context_rate
        self.of_values, self.of_rest = (np.array([0.1, 0.45, 0.45]) for _ in range(2))
        self.corrections: dict[tuple[Any, ...], NDArray[np.float64]] = {}
        self.visits: dict[tuple[Any, ...], int] = {}
        self.calibration = 1 / (1 + np.exp(-0.75 * np.arange(-12, 13)))
        self.samples = np.zeros(25)

    def expect(
        self, beliefs: NDArray[np.float64], rests: NDArray[np.float64], situation: tuple[Any, ...]
    ) -> tuple[dict[int, float], float]:
        """Say what is published of each value id, and of all others; beliefs are by expert and id."""
        self.situation, named = situation, (beliefs > 0).any(axis=0)
        self.named = np.flatnonzero(named)
        beliefs = beliefs[:, named]
        left = rests / (1 + (beliefs == 0).sum(axis=1))
        beliefs = np.where(beliefs > 0, beliefs, left[:, None])
        of_values, of_rest = self.corrections.setdefault(situation, np.zeros((2, 3)))
        self.weights = np.maximum(self.of_values + of_values, 0.05)
        self.logs = np.log(0.003 / max(1, len(self.named)) + 0.997 * beliefs)
        self.odds = log_odds(rests)
        scores = np.exp(self.weights @ self.logs)
        self.mixture = scores / scores.sum()
        self.rest = 1 / (1 + np.exp(-np.maximum(self.of_rest + of_rest, 0) @ self.odds))
        published, rest = (1 - self.rest) * self.mixture, self.rest
        if len(published):
            best = self.mixture.argmax()
            self.place = np.clip(log_odds(published[best]) / 0.75 + 12, 0, 24)
            likeliest = (bounded(published[best]) + np.interp(self.place, np.arange(25), self.calibration)) / 2
            scale = (1 - likeliest) / (1 - published[best])
            published, rest = scale * published, scale * rest
            published[best] = likeliest
        return dict(zip(self.named.tolist(), published.tolist(), strict=True)), rest

    def learn(self, value_id: int | None) -> None:
        """Learn a value; None is one without an id."""
        came = self.named == value_id
        visits = self.visits[self.situation] = self.visits.get(self.situation, 0) + 1
        steps = self.rates[0], self.rates[1] * (1 + 20 / visits)
        of_values, of_rest = self.corrections[self.situation]
        move(self.of_rest, of_rest, steps, ((not came.any()) - self.rest) * self.odds)
        if came.any():
            move(self.of_values, of_values, steps, self.logs[:, came][:, 0] - self.logs @ self.mixture)
        if len(came):
            nearest = int(self.place + 0.5)
            self.samples[nearest] += 1
            step = 1 / min(self.samples[nearest] + 4, 200)
            self.calibration[nearest] += step * (came[self.mixture.argmax()] - self.calibration[nearest])


def move(
    weights: NDArray[np.float64],
    corrections: NDArray[np.float64],
    steps: tuple[float, float],
    gradients: NDArray[np.float64],
) -> None:
    weights[:] = np.clip(weights + steps[0] * gradients, 0, 2)
    corrections[:] = np.clip(corrections + steps[1] * gradients, -weights, 2)


def bounded(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1e-4 + (1 - 2e-4) * probability


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(bounded(probability) / (1 - bounded(probability)))


def as_run(sightings: Sequence[VocabularyLookup]) -> ObservedRun:
    return ObservedRun(
        np.array([s.value_id for s in sightings], np.int32),
        np.array([s.fresh for s in sightings], np.bool_),
        np.array([s.left for s in sightings], np.int32),
    )


def unknown_codes(count: int) -> ModelBeliefs:
    """What an LSTM says that knows nothing."""
    return ModelBeliefs(
        np.tile(np.array([1, 0, 0, 0], np.float32), (count + 1, 1)),
        np.ones(count + 1, np.int32),
        np.zeros((2, MAX_CODES + 1), np.int32),
        np.zeros(count, np.int32),
    )


def observe(bench: Bench, run: ObservedRun) -> tuple[Forecast, NDArray[np.bool_]]:
    return bench.panel.observe(bench.row, run, unknown_codes(len(run.ids)), pending=True)


def part(run: ObservedRun, start: int, end: int) -> ObservedRun:
    return ObservedRun(run.ids[start:end], run.fresh[start:end], run.left[start:end])


def as_ids(values: Sequence[Symbol]) -> ObservedRun:
    vocabulary = Vocabulary(max_codes=MAX_CODES, min_occurrences=2)
    return as_run([vocabulary.observe(value, str(value)) for value in values])


def test_nothing_is_predicted_before_the_first_event() -> None:
    """An empty memory predicts nothing, so the first event is nobody's hit; then all that were told know a value."""
    forecast, hits = observe(Bench(), as_ids([7]))
    assert [[False] * (1 + len(BASELINES) + len(EXPERTS))] == hits.tolist()
    assert [[-1, -1, -1], [-1, 0, 0]] == forecast.favourites.tolist()
    assert [[-1, -1, -1], [0, -1, -1]] == forecast.top.tolist()


def test_an_empty_run_says_the_same_again() -> None:
    """No events: no hits, the same forecast, nothing learned."""
    bench = Bench()
    before, _ = observe(bench, as_ids([1, 2, 1, 2, 1]))
    state = {name: array.tolist() for name, array in bench.row.items()}
    again, hits = observe(bench, as_ids([]))
    assert (0, 1 + len(BASELINES) + len(EXPERTS)) == hits.shape
    assert before.top[-1:].tolist() == again.top.tolist()
    assert before.top_probabilities[-1:].tolist() == again.top_probabilities.tolist()
    assert state == {name: array.tolist() for name, array in bench.row.items()}


def test_last_value_expects_what_came_last() -> None:
    """A hit wherever a value repeats, also across two runs."""
    bench, run = Bench(), as_ids([1, 1, 2, 2, 2, 1])
    hits = np.concatenate([observe(bench, part(run, 0, 4))[1], observe(bench, part(run, 4, 6))[1]])
    assert [False, True, False, True, True, False] == hits[:, LAST_VALUE].tolist()


def test_most_frequent_prefers_the_latest_of_equals() -> None:
    """Counts decide; where they are equal, the value that came later."""
    _, hits = observe(Bench(), as_ids([1, 2, 2, 1, 1, 2]))
    assert [False, False, True, False, True, False] == hits[:, MOST_FREQUENT].tolist()


def test_a_fresh_id_is_no_hit_and_takes_nothing_over() -> None:
    """The id of the favourite goes to a newcomer: it is not predicted, and the next frequent one is the favourite."""
    ids = np.array([0, 0, 0, 1, 2, 2, 1, 0, 1], np.int32)
    fresh = np.array([True, False, False, True, True, False, False, True, False])
    _, hits = observe(Bench(), ObservedRun(ids, fresh, np.full(9, -1, np.int32)))
    assert not hits[-2].any()
    assert hits[-1, MOST_FREQUENT]


@pytest.mark.long
@given(st.lists(st.integers(0, 9), max_size=120), st.lists(st.integers(0, 40), max_size=6))
def test_the_split_into_runs_does_not_show(values: list[int], lengths: list[int]) -> None:
    """Any split gives the same hits and the same state, bit for bit."""
    run = as_ids(values)
    whole, split = Bench(), Bench()
    _, expected = observe(whole, run)
    edges = np.minimum(np.cumsum([0, *lengths, len(values)]), len(values))
    actual = [observe(split, part(run, start, end))[1] for start, end in pairwise(edges.tolist())]
    np.testing.assert_array_equal(expected, np.concatenate(actual))
    for name, array in whole.row.items():
        np.testing.assert_array_equal(array, split.row[name], err_msg=name)


@pytest.mark.long
@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_the_future_does_not_show(past: list[int], future: list[int], other_future: list[int]) -> None:
    """Forecasts and hits depend on what came up to their event, whatever follows."""
    (one, hits), (other, other_hits) = (observe(Bench(), as_ids(past + after)) for after in (future, other_future))
    np.testing.assert_array_equal(hits[: len(past)], other_hits[: len(past)])
    for name in one._fields:
        np.testing.assert_array_equal(getattr(one, name)[: len(past)], getattr(other, name)[: len(past)], err_msg=name)


@pytest.mark.long
@given(st.lists(st.integers(0, 9), min_size=1, max_size=80))
def test_probabilities_of_values_are_shared_out(values: list[int]) -> None:
    """They sum to at most 1 with that of a new value, are listed in order, and a value that came had one."""
    forecasts, _ = Bench(top_k=9).learn(values)
    for forecast in forecasts:
        listed = forecast.top_probabilities[-1][forecast.top[-1] >= 0]
        assert listed.sum() <= 1 + 1e-12
        assert (np.diff(listed) <= 0).all()
        assert len(set(forecast.top[-1].tolist()) - {-1}) == len(listed)
        assert ((forecast.probability > 0) & (forecast.probability < 1)).all()
        assert np.isfinite(forecast.bits).all()


def test_the_mixture_follows_who_is_right() -> None:
    """Beside memories that know the stream, an LSTM that is surely wrong loses its weight and its say."""
    forecasts, hits = Bench().learn([1, 2, 3] * 60, said=(0.01, 0.97, 0.01, 0.01, 0))
    assert hits[30:, 0].all()
    assert hits[30:, [FAST, SLOW]].all()
    assert not hits[30:, LSTM].all()
    weights = forecasts[-1].weights[-1]
    assert weights[0] < weights[1]
    assert (weights >= 0).all()
    assert forecasts[-1].top_probabilities[-1, 0] > 0.98


def test_the_mixture_is_that_of_its_formulas() -> None:
    """Weights, probabilities and calibration follow them event by event, also where a value is new or had to leave."""
    bench, said = Bench(max_vocabulary=9, top_k=20), np.array([0.1, 0.6, 0.2, 0.06, 0.04], np.float32)
    formulas, vocabulary = Formulas(bench.settings), Vocabulary(max_codes=MAX_CODES, min_occurrences=1)
    rows = PackedArrays(suffix_memory.fields(64, 18, 2))
    memory = rows.view(rows.add())
    values = [1, 2, 3, 1, 2, 4] * 20 + [1, 2, 4, 5, 6, 7] * 15 + [1, 2, 8] * 30
    forecasts, _ = bench.learn(values, said)
    for event, value in enumerate(values):
        beliefs = np.zeros((3, 18))
        for code, known_id in vocabulary.ids().items():
            beliefs[0, known_id] = said[code]
        favourite = vocabulary.ids().get(1, -1)
        lookup = vocabulary.observe(value, str(value))
        expected = suffix_memory.observe(memory, as_run([lookup]))
        (probabilities, _), (rests, _), (favourites, _) = expected.probabilities, expected.rest, expected.favourites
        beliefs[1:, : probabilities.shape[1]] = np.where(probabilities > 1e-4, (1 - rests)[:, None] * probabilities, 0)
        order = (0, 0, *ORDERS)[expected.depths[0]]
        agreeing = favourite == favourites[0], favourite == favourites[1], favourites[0] == favourites[1]
        published, rest = formulas.expect(beliefs, np.array([said[0], *rests]), (order.bit_length(), *agreeing))
        value_id = None if lookup.fresh else lookup.value_id
        forecast, listed = forecasts[event], forecasts[event].top[0] >= 0
        np.testing.assert_allclose(formulas.weights, forecast.weights[0])
        np.testing.assert_allclose(rest if value_id is None else published.get(value_id, rest), forecast.probability[0])
        assert published.keys() == set(forecast.top[0][listed].tolist())
        named = [published[listed_id] for listed_id in forecast.top[0][listed].tolist()]
        np.testing.assert_allclose(named, forecast.top_probabilities[0][listed])
        if event > 0:
            formulas.learn(value_id)


def test_the_mixture_is_as_often_right_as_it_says() -> None:
    """Of a loop with noise that cannot be foreseen, and an LSTM that is sure of something else."""
    randomness = random.Random(0)
    values = [randomness.choice("abc") if randomness.random() < 0.3 else "abcab"[i % 5] for i in range(1500)]
    forecasts, hits = Bench().learn(values)
    said = np.array([forecast.top_probabilities[0, 0] for forecast in forecasts])
    assert hits[500:, 0].mean() == pytest.approx(said[500:].mean(), abs=0.03)


def test_the_mixture_of_one_expert_is_what_it_says() -> None:
    """The LSTM alone: its values, its probabilities, bit for bit, and the same baselines as ever."""
    alone, mixed = Bench(experts="lstm"), Bench()
    values = [1, 2, 3, 1, 2, 4] * 10
    forecasts, hits = alone.learn(values)
    assert np.array([0.6, 0.2, 0.06], np.float32).tolist() == forecasts[-1].top_probabilities[-1].tolist()
    assert [[1.0]] * 2 == forecasts[-1].weights.tolist()
    np.testing.assert_array_equal(hits[:, 0], hits[:, LSTM])
    _, others = mixed.learn(values)
    np.testing.assert_array_equal(others[:, : LSTM + 1][:, 1:], hits[:, 1:])


@pytest.mark.parametrize("experts", ["lstm,suffix_memory", "lstm,slow_suffix_memory"])
def test_any_expert_may_be_left_out(experts: str) -> None:
    """One memory beside the LSTM says what it says beside the other one too."""
    values = [1, 2, 3, 1, 2, 4] * 10
    name = EXPERTS.index(experts.split(",")[1])
    forecasts, hits = Bench(experts=experts).learn(values)
    all_forecasts, all_hits = Bench().learn(values)
    np.testing.assert_array_equal(all_hits[:, FIRST_EXPERT + name], hits[:, -1])
    for forecast, of_all in zip(forecasts, all_forecasts, strict=True):
        np.testing.assert_array_equal(of_all.confidences[:, name], forecast.confidences[:, 1])


def test_unpredicted_event_leaves_weights_unchanged() -> None:
    """The first event of a sequence moves no weight."""
    bench = Bench()
    bench.learn([1, 2, 3] * 10)
    before = {name: array.tolist() for name, array in bench.row.items() if name.startswith("mixer_")}
    bench.panel.break_sequence(bench.row)
    bench.pending = False
    bench.learn([2])
    assert before == {name: array.tolist() for name, array in bench.row.items() if name.startswith("mixer_")}


def test_import_loads_no_compiler() -> None:
    """The compiler is loaded when the first stream begins: `--help` should not wait for it."""
    modules = "online_lstm.learning.symbol.symbol_ensemble, online_lstm.learning.learner_factory"
    code = f"import sys, {modules}; sys.exit('numba' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_compiles_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any directory for machine code, as in a read-only container, it is compiled for this process."""
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])

    @compiled
    def double(number: int) -> int:
        return 2 * number

    assert 42 == double(21)
