import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.caching import CacheImpl

from daemon.experts import Codes, Panel, Run
from daemon.experts.jit import compiled
from daemon.records import BASELINES as BASELINES_OF
from daemon.records import EXPERTS as EXPERTS_OF
from daemon.rows import Rows
from daemon.settings import read_settings
from daemon.vocabulary import Vocabulary

MAX_CODES = 4
BASELINES, EXPERTS = BASELINES_OF["symbol"], EXPERTS_OF["symbol"]
FIRST_EXPERT = 1 + len(BASELINES)
LAST_VALUE, MOST_FREQUENT, SUFFIX_MEMORY = range(1, FIRST_EXPERT)
LSTM, FAST, SLOW = range(FIRST_EXPERT, FIRST_EXPERT + 3)


class Bench:
    """A panel with one row, and an LSTM that says the same all the time."""

    def __init__(self, **given):
        self.settings = read_settings({"max_vocabulary": MAX_CODES, "suffix_contexts": 64, **given}, environment={})
        self.panel = Panel(self.settings)
        rows = Rows(self.panel.fields())
        self.row = rows.view(rows.add())
        self.vocabulary = Vocabulary(max_codes=MAX_CODES, admit_after=1)
        self.pending = False

    def learn(self, values, said=(0.1, 0.6, 0.2, 0.06, 0.04)):
        """Learn values one run after another, cut where a code changes hands; give forecasts and hits."""
        ids = np.zeros(MAX_CODES + 1, np.int32)
        forecasts, hits = [], []
        for value in values:
            for code, value_id in self.vocabulary.ids().items():
                ids[code] = value_id
            known = self.vocabulary.known
            sighting = self.vocabulary.observe(value, str(value))
            after = ids.copy()
            after[sighting.code] = sighting.value_id
            codes = Codes(
                np.array([said] * 2, np.float32),
                np.array([known, self.vocabulary.known], np.int32),
                np.stack([ids, after]),
                np.array([0 if sighting.admitted else sighting.code], np.int32),
            )
            run = as_run([sighting])
            forecast, hit = self.panel.observe(self.row, run, codes, pending=self.pending)
            self.pending = True
            forecasts.append(forecast)
            hits.append(hit)
        return forecasts, np.concatenate(hits)


def as_run(sightings):
    return Run(
        np.array([s.value_id for s in sightings], np.int32),
        np.array([s.fresh for s in sightings], np.bool_),
        np.array([s.left for s in sightings], np.int32),
    )


def unknown_codes(count):
    """What an LSTM says that knows nothing."""
    return Codes(
        np.tile(np.array([1, 0, 0, 0], np.float32), (count + 1, 1)),
        np.ones(count + 1, np.int32),
        np.zeros((2, MAX_CODES + 1), np.int32),
        np.zeros(count, np.int32),
    )


def observe(bench, run):
    return bench.panel.observe(bench.row, run, unknown_codes(len(run.ids)), pending=True)


def part(run, start, end):
    return Run(*[array[start:end] for array in run])


def as_ids(values):
    vocabulary = Vocabulary(max_codes=MAX_CODES, admit_after=2)
    return as_run([vocabulary.observe(value, str(value)) for value in values])


def test_nothing_is_predicted_before_the_first_event():
    """An empty memory predicts nothing, so the first event is nobody's hit; then all that were told know a value."""
    forecast, hits = observe(Bench(), as_ids([7]))
    assert [[False] * (1 + len(BASELINES) + len(EXPERTS))] == hits.tolist()
    assert [[-1, -1, -1], [-1, 0, 0]] == forecast.favourites.tolist()
    assert [[-1, -1, -1], [0, -1, -1]] == forecast.top.tolist()


def test_an_empty_run_says_the_same_again():
    """No events: no hits, the same forecast, nothing learned."""
    bench = Bench()
    before, _ = observe(bench, as_ids([1, 2, 1, 2, 1]))
    state = {name: array.tolist() for name, array in bench.row.items()}
    again, hits = observe(bench, as_ids([]))
    assert (0, 1 + len(BASELINES) + len(EXPERTS)) == hits.shape
    assert before.top[-1:].tolist() == again.top.tolist()
    assert before.top_probabilities[-1:].tolist() == again.top_probabilities.tolist()
    assert state == {name: array.tolist() for name, array in bench.row.items()}


def test_last_value_expects_what_came_last():
    """A hit wherever a value repeats, also across two runs."""
    bench, run = Bench(), as_ids([1, 1, 2, 2, 2, 1])
    hits = np.concatenate([observe(bench, part(run, 0, 4))[1], observe(bench, part(run, 4, 6))[1]])
    assert [False, True, False, True, True, False] == hits[:, LAST_VALUE].tolist()


def test_most_frequent_expects_the_latest_of_equally_frequent_values():
    """Counts decide; where they are equal, the value that came later."""
    _, hits = observe(Bench(), as_ids([1, 2, 2, 1, 1, 2]))
    assert [False, False, True, False, True, False] == hits[:, MOST_FREQUENT].tolist()


def test_a_fresh_id_is_no_hit_and_takes_nothing_over():
    """The id of the favourite goes to a newcomer: it is not predicted, and the next frequent one is the favourite."""
    ids = np.array([0, 0, 0, 1, 2, 2, 1, 0, 1], np.int32)
    fresh = np.array([True, False, False, True, True, False, False, True, False])
    _, hits = observe(Bench(), Run(ids, fresh, np.full(9, -1, np.int32)))
    assert not hits[-2].any()
    assert hits[-1, MOST_FREQUENT]


@given(st.lists(st.integers(0, 9), max_size=120), st.lists(st.integers(0, 40), max_size=6))
def test_the_split_into_runs_does_not_show(values, lengths):
    """Any split gives the same hits and the same state, bit for bit."""
    run = as_ids(values)
    whole, split = Bench(), Bench()
    _, expected = observe(whole, run)
    edges = np.minimum(np.cumsum([0, *lengths, len(values)]), len(values))
    actual = [observe(split, part(run, start, end))[1] for start, end in pairwise(edges.tolist())]
    np.testing.assert_array_equal(expected, np.concatenate(actual))
    for name, array in whole.row.items():
        np.testing.assert_array_equal(array, split.row[name], err_msg=name)


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_the_future_does_not_show(past, future, other_future):
    """Forecasts and hits depend on what came up to their event, whatever follows."""
    (one, hits), (other, other_hits) = (observe(Bench(), as_ids(past + after)) for after in (future, other_future))
    np.testing.assert_array_equal(hits[: len(past)], other_hits[: len(past)])
    for said, other_said in zip(one, other, strict=True):
        np.testing.assert_array_equal(said[: len(past)], other_said[: len(past)])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80))
def test_probabilities_of_values_are_shared_out(values):
    """They sum to at most 1 with that of a new value, are listed in order, and a value that came had one."""
    forecasts, _ = Bench(top=9).learn(values)
    for forecast in forecasts:
        listed = forecast.top_probabilities[-1][forecast.top[-1] >= 0]
        assert listed.sum() <= 1 + 1e-12
        assert (np.diff(listed) <= 0).all()
        assert len(set(forecast.top[-1].tolist()) - {-1}) == len(listed)
        assert ((forecast.probability > 0) & (forecast.probability < 1)).all()
        assert np.isfinite(forecast.bits).all()


def test_the_mixture_follows_who_is_right():
    """Beside memories that know the stream, an LSTM that is surely wrong loses its weight and its say."""
    forecasts, hits = Bench().learn([1, 2, 3] * 60, said=(0.01, 0.97, 0.01, 0.01, 0))
    assert hits[30:, 0].all()
    assert hits[30:, [FAST, SLOW]].all()
    assert not hits[30:, LSTM].all()
    weights = forecasts[-1].weights[-1]
    assert weights[0] < weights[1]
    assert (weights >= 0).all()
    assert forecasts[-1].top_probabilities[-1, 0] > 0.98


def test_the_mixture_of_one_expert_is_what_it_says():
    """The LSTM alone: its values, its probabilities, bit for bit, and the same baselines as ever."""
    alone, mixed = Bench(experts="lstm"), Bench()
    values = [1, 2, 3, 1, 2, 4] * 10
    forecasts, hits = alone.learn(values)
    assert np.float32([0.6, 0.2, 0.06]).tolist() == forecasts[-1].top_probabilities[-1].tolist()
    assert [[1.0]] * 2 == forecasts[-1].weights.tolist()
    np.testing.assert_array_equal(hits[:, 0], hits[:, LSTM])
    _, others = mixed.learn(values)
    np.testing.assert_array_equal(others[:, : LSTM + 1][:, 1:], hits[:, 1:])


@pytest.mark.parametrize("experts", ["lstm,suffix_memory", "lstm,slow_suffix_memory"])
def test_any_expert_may_be_left_out(experts):
    """One memory beside the LSTM says what it says beside the other one too."""
    values = [1, 2, 3, 1, 2, 4] * 10
    name = EXPERTS.index(experts.split(",")[1])
    forecasts, hits = Bench(experts=experts).learn(values)
    all_forecasts, all_hits = Bench().learn(values)
    np.testing.assert_array_equal(all_hits[:, FIRST_EXPERT + name], hits[:, -1])
    for forecast, of_all in zip(forecasts, all_forecasts, strict=True):
        np.testing.assert_array_equal(of_all.confidences[:, name], forecast.confidences[:, 1])


def test_nothing_is_learned_about_experts_from_an_event_that_nobody_predicted():
    """The first event of a sequence moves no weight."""
    bench = Bench()
    bench.learn([1, 2, 3] * 10)
    before = {name: array.tolist() for name, array in bench.row.items() if name.startswith("mixer_")}
    bench.panel.break_sequence(bench.row)
    bench.pending = False
    bench.learn([2])
    assert before == {name: array.tolist() for name, array in bench.row.items() if name.startswith("mixer_")}


def test_import_loads_no_compiler():
    """The compiler is loaded when the first stream begins: `--help` should not wait for it."""
    code = "import sys, daemon.experts; sys.exit('numba' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_compiles_where_nothing_can_be_written(monkeypatch):
    """Without any directory for machine code, as in a read-only container, it is compiled for this process."""
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])

    @compiled
    def double(number: int) -> int:
        return 2 * number

    assert 42 == double(21)
