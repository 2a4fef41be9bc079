import pytest
from online_lstm.predictor_scores import NO_HITS, Predictors, total_hits

PREDICTORS = Predictors(("last_value", "most_frequent"), ("lstm",))


def test_columns_get_the_names_of_the_predictors() -> None:
    """The published prediction comes first, then the baselines, then the experts."""
    scores = PREDICTORS.named([0.9, 0.1, 0.2, 0.8])
    assert 0.9 == scores.published
    assert {"last_value": 0.1, "most_frequent": 0.2} == scores.baselines
    assert {"lstm": 0.8} == scores.experts
    assert (0.9, 0.1, 0.2, 0.8) == scores.columns
    assert PREDICTORS.count == len(scores.columns)


@pytest.mark.parametrize("columns", [[1, 0, 1], [1, 0, 1, 1, 0]], ids=len)
def test_another_number_of_columns_is_refused(columns: list[int]) -> None:
    """Scores never get the name of another predictor."""
    with pytest.raises(ValueError, match="argument"):
        PREDICTORS.named(columns)


def test_hits_are_added_up_by_predictor() -> None:
    """Sums have the names of all summands; without summands there are no names."""
    summands = [NO_HITS, PREDICTORS.named([1, 0, 1, 1]), PREDICTORS.named([1, 1, 0, 0])]
    assert PREDICTORS.named([2, 1, 1, 1]) == total_hits(summands)
    assert NO_HITS == total_hits([])
