"""The table of n-grams beside processes and logs."""

from online_lstm.devtools.sample_data import Element
from online_lstm.evaluation.ngram import ngram_hits


def hits(values: str) -> str:
    return "".join("x" if hit else "." for hit in ngram_hits([Element(ord(value)) for value in values]))


def test_the_longest_known_context_decides() -> None:
    """After ``ab`` and after ``xb`` different values came: the last value alone would not know which."""
    assert "x" == hits("abcxbdabcxbdabc")[-1]
    assert "x" == hits("abcxbdabcxbd")[-1]


def test_of_equally_frequent_values_the_latest_is_predicted() -> None:
    """Both came once after the beginning of a stream; the second stream's value came later."""
    elements = [Element(value, key=key) for key, value in (("a", 1), ("b", 2), ("c", 2))]
    assert [False, False, True] == ngram_hits(elements)


def test_counts_are_over_all_streams_and_contexts_within_one() -> None:
    """A new stream is predicted from what followed in others, whatever came between in the input."""
    elements = [Element(value, key=key) for key, value in (("a", 1), ("b", 9), ("a", 2), ("c", 1), ("b", 8), ("c", 2))]
    assert ngram_hits(elements)[-1]
