import numpy as np
from online_lstm.events import NUMBER_SCORES, NumberEvaluation


def test_an_evaluation_counts_the_scored_channels() -> None:
    """A channel whose value or prediction is missing is not scored."""
    numbers = (1.0, float("nan"), 2.0)
    hits = (True, None, False)
    evaluation = NumberEvaluation(numbers, hits, numbers, hits, (numbers,) * len(NUMBER_SCORES), np.zeros((3, 1)))
    assert 2 == evaluation.scored
