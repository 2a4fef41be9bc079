import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from online_lstm.errors import StateMismatchError
from online_lstm.events import Symbol
from online_lstm.learning.state.vocabulary import Vocabulary, VocabularyLookup, VocabularyState

symbols = st.one_of(st.integers(-3, 12), st.sampled_from([0.5, 2.5]), st.sampled_from(["", "4", "ä"]))
streams = st.lists(symbols, max_size=60)
bounds = st.fixed_dictionaries({"max_codes": st.integers(1, 4), "min_occurrences": st.integers(1, 3)})


def sight(vocabulary: Vocabulary, values: Iterable[Symbol]) -> list[VocabularyLookup]:
    return [vocabulary.observe(value, json.dumps(value)) for value in values]


def test_first_value_is_admitted_at_once() -> None:
    """The first value of all has a code at once, a later one at its `min_occurrences`-th sighting."""
    vocabulary = Vocabulary(max_codes=4, min_occurrences=3)
    expected = [
        VocabularyLookup(0, fresh=True, code=1, admitted=True),
        VocabularyLookup(1, fresh=True),
        VocabularyLookup(1),
        VocabularyLookup(1, code=2, admitted=True),
        VocabularyLookup(1, code=2),
        VocabularyLookup(0, code=1),
    ]
    assert expected == sight(vocabulary, [7, 8, 8, 8, 8, 7])
    assert 3 == vocabulary.known


def test_least_recently_seen_value_is_replaced() -> None:
    """With all codes taken, the stalest admitted value leaves wholly: its id is free, too."""
    vocabulary = Vocabulary(max_codes=2, min_occurrences=1)
    sight(vocabulary, ["a", "b", "a"])
    assert VocabularyLookup(1, fresh=True, code=2, admitted=True, replaced=True, left=1) == vocabulary.observe(
        "c", '"c"'
    )
    assert {0: '"a"', 1: '"c"'} == vocabulary.literals()
    assert {1: 0, 2: 1} == vocabulary.ids()
    assert VocabularyLookup(0, fresh=True, code=1, admitted=True, replaced=True, left=0) == vocabulary.observe(
        "b", '"b"'
    )


def test_an_admitted_candidate_keeps_its_id() -> None:
    """Admission gives a code, even somebody else's; the id by which experts know the value stays."""
    vocabulary = Vocabulary(max_codes=1, min_occurrences=2)
    expected = [
        VocabularyLookup(0, fresh=True, code=1, admitted=True),
        VocabularyLookup(1, fresh=True),
        VocabularyLookup(1, code=1, admitted=True, replaced=True, left=0),
        VocabularyLookup(0, fresh=True),
    ]
    assert expected == sight(vocabulary, [5, 6, 6, 5])


def test_the_stalest_candidate_leaves() -> None:
    """Values seen once do not pile up; one that left starts again."""
    vocabulary = Vocabulary(max_codes=2, min_occurrences=2)
    sight(vocabulary, [1, 2, 3, 4])
    assert VocabularyLookup(2, fresh=True, left=2) == vocabulary.observe(2, "2")
    assert VocabularyLookup(1, code=2, admitted=True) == vocabulary.observe(4, "4")


def test_equal_numbers_are_one_symbol_and_strings_are_others() -> None:
    """4 and 4.0 go by one id under the first literal; the string "4" has its own."""
    vocabulary = Vocabulary(max_codes=4, min_occurrences=1)
    ids = [vocabulary.observe(symbol, json.dumps(symbol)).value_id for symbol in (4, 4.0, "4")]
    assert [0, 0, 1] == ids
    assert ["4", '"4"'] == [vocabulary.literals()[value_id] for value_id in (0, 1)]


def test_large_integers_survive_a_restore_exactly() -> None:
    """Two integers that are one number as floats stay two symbols."""
    vocabulary, restored = (Vocabulary(max_codes=4, min_occurrences=1) for _ in range(2))
    values = [2**60, 2**60 + 1]
    sight(vocabulary, values)
    restored.restore(vocabulary.state())
    assert [VocabularyLookup(0, code=1), VocabularyLookup(1, code=2)] == sight(restored, values)


@given(streams, bounds)
def test_ids_and_codes_stay_in_bounds_and_name_one_value_each(values: list[Symbol], bound: dict[str, int]) -> None:
    """Whatever comes: ids below 2 * max_codes, codes up to max_codes, and the literals lead back."""
    vocabulary = Vocabulary(**bound)
    for value in values:
        lookup = vocabulary.observe(value, json.dumps(value))
        assert 0 <= lookup.value_id < 2 * bound["max_codes"]
        assert 0 <= lookup.code < vocabulary.known <= bound["max_codes"] + 1
        assert value == json.loads(vocabulary.literals()[lookup.value_id])
        if lookup.code:
            assert lookup.value_id == vocabulary.ids()[lookup.code]


@given(streams, streams, bounds)
def test_a_restored_vocabulary_goes_on_like_the_one_it_came_from(
    before: list[Symbol], after: list[Symbol], bound: dict[str, int]
) -> None:
    """Restore, then go on: the same sightings and the same state as without."""
    vocabulary, restored = Vocabulary(**bound), Vocabulary(**bound)
    sight(vocabulary, before)
    restored.restore(vocabulary.state())
    assert sight(vocabulary, after) == sight(restored, after)
    expected, actual = vocabulary.state(), restored.state()
    assert expected.literals == actual.literals
    for name in ("ids", "codes", "sightings"):
        np.testing.assert_array_equal(getattr(expected, name), getattr(actual, name), strict=True)


def test_admitted_values_are_found_without_a_sighting() -> None:
    """A value with a code has its integers, a candidate and a new value have none, and nothing is counted."""
    vocabulary = Vocabulary(max_codes=3, min_occurrences=2)
    sight(vocabulary, ["a", "b", "c", "c"])
    restored = Vocabulary(max_codes=3, min_occurrences=2)
    restored.restore(vocabulary.state())
    for one in (vocabulary, restored):
        before = one.state().sightings.tolist()
        assert [VocabularyLookup(0, code=1), None, VocabularyLookup(2, code=2)] == [*map(one.admitted, "abc")]
        assert before == one.state().sightings.tolist()
        assert [0, 2] == one.value_ids[1:3].tolist()


def test_memory_is_bounded() -> None:
    """50,000 different values leave no more than the bounds allow."""
    vocabulary = Vocabulary(max_codes=8, min_occurrences=2)
    sight(vocabulary, range(50_000))
    assert 1 + 8 == len(vocabulary.state().literals)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"extra": []}, "names"),
        ({"ids": np.array([0], np.int32)}, "shape of ids"),
        ({"codes": np.array([1, 0])}, "dtype of codes"),
        ({"codes": np.array([2, 0], np.int32)}, "codes"),
        ({"ids": np.array([0, 0], np.int32)}, "different ids"),
        ({"ids": np.array([0, 4], np.int32)}, "ids below 4"),
        ({"literals": ["1", "1.0"]}, "different values"),
        ({"literals": ["1", "nonsense"]}, "JSON text"),
        ({"literals": ["1", "[2]"]}, "a number or a string"),
    ],
)
def test_refuses_a_state_that_is_none_of_its_own(change: dict[str, Any], complaint: str) -> None:
    """A restore says what does not fit and leaves the vocabulary as it was."""
    vocabulary, other = (Vocabulary(max_codes=2, min_occurrences=2) for _ in range(2))
    sight(vocabulary, [1, 2])
    with pytest.raises(StateMismatchError, match=complaint):
        other.restore(VocabularyState.from_arrays(vocabulary.state().to_arrays() | change))
    assert [] == other.state().literals


def test_refuses_more_values_than_it_has_room_for() -> None:
    """The state of a larger vocabulary is refused, with the setting's name."""
    larger, smaller = Vocabulary(max_codes=3, min_occurrences=1), Vocabulary(max_codes=2, min_occurrences=1)
    sight(larger, [1, 2, 3])
    with pytest.raises(StateMismatchError, match="max_vocabulary"):
        smaller.restore(larger.state())
