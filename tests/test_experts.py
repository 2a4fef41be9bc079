import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.caching import CacheImpl

from daemon import experts
from daemon.experts.jit import compiled
from daemon.rows import Rows
from daemon.vocabulary import Vocabulary

MAX_CODES = 4
LAST_VALUE, MOST_FREQUENT, SUFFIX_MEMORY = range(3)


@pytest.fixture
def row():
    return new_row()


def new_row():
    rows = Rows(experts.fields(contexts=64, values=2 * MAX_CODES))
    return rows.view(rows.add())


def as_ids(values):
    vocabulary = Vocabulary(max_codes=MAX_CODES, admit_after=2)
    sightings = [vocabulary.observe(value, str(value)) for value in values]
    return np.array([s.value_id for s in sightings], np.int32), np.array([s.fresh for s in sightings], np.bool_)


def test_nothing_is_predicted_before_the_first_event(row):
    """An empty memory predicts nothing, so the first event is nobody's hit."""
    assert [-1, -1, -1] == experts.predictions(row).tolist()
    assert [[False] * 3] == experts.observe(row, *as_ids([7])).tolist()
    assert [0, 0, 0] == experts.predictions(row).tolist()


def test_an_empty_run_changes_nothing(row):
    """No events: no hits, the same predictions."""
    assert (0, 3) == experts.observe(row, *as_ids([])).shape
    assert [-1, -1, -1] == experts.predictions(row).tolist()


def test_last_value_expects_what_came_last(row):
    """A hit wherever a value repeats, also across two runs."""
    ids, fresh = as_ids([1, 1, 2, 2, 2, 1])
    hits = np.concatenate([experts.observe(row, ids[:4], fresh[:4]), experts.observe(row, ids[4:], fresh[4:])])
    assert [False, True, False, True, True, False] == hits[:, LAST_VALUE].tolist()


def test_most_frequent_expects_the_latest_of_equally_frequent_values(row):
    """Counts decide; where they are equal, the value that came later."""
    ids, fresh = as_ids([1, 2, 2, 1, 1, 2])
    predictions = [experts.predictions(row)[MOST_FREQUENT]]
    for event in range(len(ids)):
        experts.observe(row, ids[event : event + 1], fresh[event : event + 1])
        predictions.append(experts.predictions(row)[MOST_FREQUENT])
    assert [-1, 0, 1, 1, 0, 0, 1] == predictions


def test_a_fresh_id_is_no_hit_and_takes_nothing_over(row):
    """The id of the favourite goes to a newcomer: it is not predicted, and the next frequent one is the favourite."""
    ids = np.array([0, 0, 0, 1, 2, 2, 1, 0], np.int32)
    fresh = np.array([True, False, False, True, True, False, False, True])
    hits = experts.observe(row, ids, fresh)
    assert [False, False, False] == hits[-1].tolist()
    assert 1 == experts.predictions(row)[MOST_FREQUENT]


@given(st.lists(st.integers(0, 9), max_size=120), st.lists(st.integers(0, 40), max_size=6))
def test_the_split_into_runs_does_not_show(values, lengths):
    """Any split gives the same hits and the same state, bit for bit."""
    ids, fresh = as_ids(values)
    whole, split = new_row(), new_row()
    expected = experts.observe(whole, ids, fresh)
    edges = np.minimum(np.cumsum([0, *lengths, len(ids)]), len(ids))
    actual = [experts.observe(split, ids[start:end], fresh[start:end]) for start, end in pairwise(edges.tolist())]
    np.testing.assert_array_equal(expected, np.concatenate(actual))
    for name, array in whole.items():
        np.testing.assert_array_equal(array, split[name], err_msg=name)


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_the_future_does_not_show(past, future, other_future):
    """Hits depend on what came up to their event, whatever follows."""
    hits = [experts.observe(new_row(), *as_ids(past + after)) for after in (future, other_future)]
    np.testing.assert_array_equal(hits[0][: len(past)], hits[1][: len(past)])


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
