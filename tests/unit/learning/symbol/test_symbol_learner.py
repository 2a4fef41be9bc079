from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from online_lstm.events import BASELINES, SymbolEvaluation, SymbolEvent, SymbolResult
from online_lstm.events import EXPERTS as EXPERTS_OF
from online_lstm.learning.learner_factory import warm_up
from online_lstm.learning.learner_state import ModelStates
from online_lstm.learning.network import SymbolModel
from online_lstm.learning.partition import learning_settings
from online_lstm.learning.state.packed import PackedArrays
from online_lstm.learning.symbol.symbol_learner import SymbolLearner
from online_lstm.learning.weight_sharing import PerStreamWeights
from online_lstm.settings import Settings
from support.fakes import record, small_network, small_settings

EXPERTS = EXPERTS_OF["symbol"]
FIRST_EXPERT = 1 + len(BASELINES["symbol"])
PREDICTORS = FIRST_EXPERT + len(EXPERTS)
"""Published prediction, baselines and experts."""
ROOMY = small_settings(suffix_contexts=1024)
"""With room for all contexts of a short stream."""


class Bench:
    """One learner with rows of its own."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or small_settings()
        self.network: SymbolModel = small_network(learning_settings(self.settings))
        self.streams = PackedArrays(SymbolLearner.stream_fields(self.settings))
        self.networks = ModelStates(SymbolLearner, self.settings, self.network, PerStreamWeights())
        self.learner = self.another()

    def another(self) -> SymbolLearner:
        return SymbolLearner(self.settings, self.network, streams=self.streams, networks=self.networks)

    def learn(self, values: Sequence[int], *, ends: bool = False) -> list[SymbolResult]:
        events = [SymbolEvent(record(i, b""), None, value, str(value)) for i, value in enumerate(values)]
        if ends:
            events[-1] = replace(events[-1], ends=True)
        return self.learner.learn(events)

    def arrays(self) -> dict[str, list[object]]:
        networks = self.networks[self.learner.classes].view(self.learner.network_row)
        return {name: a.tolist() for name, a in (self.streams.view(self.learner.row) | networks).items()}


def test_a_verdict_is_about_the_prediction_made_one_event_before() -> None:
    """Each evaluation repeats what the outcome before had predicted; the first event has none."""
    outcomes = Bench().learn([1, 2, 3, 1, 2, 3] * 10)
    assert outcomes[0].evaluation is None
    assert outcomes[0].hits is None
    for before, after in pairwise(outcomes):
        assert before.prediction is not None
        assert after.evaluation is not None
        assert before.prediction.literal == after.evaluation.predicted


def test_a_verdict_says_what_probability_the_value_had() -> None:
    """It is the one that was published for the value, and the surprise is its negative logarithm."""
    values = [1, 2, 3, 1, 2, 3] * 10
    outcomes = Bench().learn(values)
    for value, (before, after) in zip(values[1:], pairwise(outcomes), strict=True):
        assert before.prediction is not None
        assert after.evaluation is not None
        published = dict(before.prediction.top)
        if str(value) in published:
            assert published[str(value)] == after.evaluation.probability
        assert -np.log2(after.evaluation.probability) == pytest.approx(after.evaluation.surprise_bits)
        assert after.evaluation.hit == (before.prediction.literal == str(value))


def test_a_value_that_is_not_admitted_was_never_predicted() -> None:
    """Values seen once are unknown to the network: a miss for the event that brings one, whatever was said."""
    outcomes = Bench().learn([1, 1, 2, 3, 4])
    assert [None, True, False, False, False] == [o.evaluation and o.evaluation.hit for o in outcomes]
    assert {"1"} == {o.prediction.literal for o in outcomes if o.prediction}


@pytest.mark.long
def test_an_unknown_value_had_the_probability_of_the_unknown() -> None:
    """What is left beside the known values was given to all others, also where one makes the network grow."""
    bench = Bench(small_settings(experts="lstm"))
    before, after = bench.learn([1, 1, 2, 2, 3, 3, 4, 4])[-2:]
    assert 8 == bench.learner.classes
    assert before.prediction is not None
    assert after.evaluation is not None
    assert 1 - sum(p for _, p in before.prediction.top) == pytest.approx(after.evaluation.probability, abs=1e-6)


def test_unseen_value_has_the_escape_probability() -> None:
    """Of the mixture, too, what is left beside the values it names was given to all others."""
    before, after = Bench().learn([1, 1, 2, 2, 3, 3, 4])[-2:]
    assert before.prediction is not None
    assert after.evaluation is not None
    assert 1 - sum(p for _, p in before.prediction.top) == pytest.approx(after.evaluation.probability, abs=1e-6)


def test_what_was_seen_once_can_be_predicted_by_a_memory() -> None:
    """The network must see a value twice, the experts beside it name it from its first sight on."""
    values = [1, 2, 3, 4, 5, 6] * 2
    mixed, alone = Bench(ROOMY).learn(values), Bench(small_settings(experts="lstm")).learn(values)
    assert [str(value) for value in values[7:]] == [o.prediction and o.prediction.literal for o in mixed[6:-1]]
    assert all(o.evaluation and o.evaluation.hit for o in mixed[7:])
    assert not any(o.evaluation and o.evaluation.hit for o in alone[7:])


def test_each_expert_has_value_probability_and_weight() -> None:
    """Alone the network is published as it is; in a mixture each expert's favourite is told beside the common one."""
    (*_, alone) = Bench(small_settings(experts="lstm")).learn([1, 2, 3] * 20)
    assert alone.prediction is not None
    assert ((*alone.prediction.top[0], 1.0),) == alone.prediction.experts
    (*_, mixed) = Bench(ROOMY).learn([1, 2, 3] * 20)
    assert mixed.prediction is not None
    assert ["1"] * 2 == [literal for literal, _, _ in mixed.prediction.experts[1:]]
    assert len(EXPERTS) == len(mixed.prediction.experts)
    assert isinstance(mixed.evaluation, SymbolEvaluation)
    assert len(EXPERTS) == len(mixed.evaluation.expert_bits)


def test_no_context_of_a_memory_reaches_over_an_end() -> None:
    """Sequences that differ by their first value only are continued by it, whatever ended before them."""
    bench = Bench(ROOMY)
    for _ in range(10):
        bench.learn([1, 5, 5, 2], ends=True)
        bench.learn([3, 5, 5, 4], ends=True)
    hits = [
        o.hits and o.hits.experts["slow_suffix_memory"]
        for o in bench.learn([1, 5, 5, 2], ends=True) + bench.learn([3, 5, 5, 4], ends=True)
    ]
    assert [None, True, True, True] * 2 == hits


def test_the_value_that_takes_over_a_code_is_no_hit() -> None:
    """Where a prediction named the value that is replaced, its successor under the same code does not profit."""
    bench = Bench(small_settings(max_vocabulary=1, min_occurrences=1))
    outcomes = bench.learn([1, 1, 2, 2, 3])
    assert ["1", "1", "2", "2", "3"] == [o.prediction and o.prediction.literal for o in outcomes]
    assert [None, True, False, True, False] == [o.evaluation and o.evaluation.hit for o in outcomes]


def test_probabilities_are_shared_out_among_known_values() -> None:
    """What is listed is sorted, within bounds, and with the unknown never above one."""
    for outcome in Bench(small_settings(top_k=9)).learn([1, 2, 3, 4, 5, 6, 7] * 8):
        assert outcome.prediction is not None
        probabilities = [p for _, p in outcome.prediction.top]
        assert sorted(probabilities, reverse=True) == probabilities
        assert all(0 <= p <= 1 for p in probabilities)
        assert sum(probabilities) <= 1 + 1e-6
        assert len({literal for literal, _ in outcome.prediction.top}) == len(probabilities)


def test_every_event_is_fitted_and_scored_for_all_predictors() -> None:
    """Hits are of what is published, of baselines and experts; a miss of the network is worth more steps."""
    outcomes = Bench().learn([1, 1, 1, 2])
    assert [1, 1] == [o.fit_steps for o in outcomes if o.hits and o.hits.experts["lstm"]]
    assert all(o.fit_steps > 1 for o in outcomes if o.hits and not o.hits.experts["lstm"])
    assert [0] * 4 == [o.skipped_steps for o in outcomes]
    assert [None, PREDICTORS, PREDICTORS, PREDICTORS] == [o.hits and len(o.hits.columns) for o in outcomes]
    assert [None, 1.0, 1.0, pytest.approx(2 / 3)] == [o.hit_rates and o.hit_rates.published for o in outcomes]


def test_rates_are_over_the_last_predictions_only() -> None:
    """What is older than the score window does not count."""
    outcomes = Bench(small_settings(score_window=5)).learn([*range(30), *[7] * 60])
    assert outcomes[-1].hit_rates
    assert (1.0,) * PREDICTORS == outcomes[-1].hit_rates.columns


@pytest.mark.long
def test_network_grows_with_vocabulary_and_keeps_weights() -> None:
    """From class count to class count the rows move, and the place that becomes free is used again."""
    bench = Bench()
    sizes = []
    for value in range(9):
        bench.learn([value, value])
        sizes.append(bench.learner.classes)
    assert [4, 4, 4, 8, 8, 8, 8, 16, 16] == sizes
    row = bench.another()
    assert (4, 0) == (row.classes, row.network_row)


def test_the_window_holds_the_last_codes() -> None:
    """It is filled from the right, and empty again after an end."""
    bench = Bench()
    bench.learn([5, 5, 6])
    assert [-1] * 5 + [1, 1, 0] == bench.arrays()["window"]
    bench.learn([6, 5], ends=True)
    assert [-1] * 8 == bench.arrays()["window"]


def test_an_end_resets_the_states_of_the_network() -> None:
    """The next sequence begins with the states of a new stream, and with the weights that were learned."""
    bench = Bench()
    bench.learn([1, 2] * 10, ends=True)
    row = bench.networks[4].view(bench.learner.network_row)["network"]
    reset = row.copy()
    bench.network.reset_states(reset)
    assert reset.tolist() == row.tolist()
    assert bench.network.initial(4).tolist() != row.tolist()


def test_a_replaced_value_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window does not show the past of one value as that of another, and the class starts afresh."""
    forgotten: list[tuple[int, int]] = []
    monkeypatch.setattr(SymbolModel, "forget_class", lambda _, state, code: forgotten.append((len(state), code)))
    bench = Bench(small_settings(max_vocabulary=1, min_occurrences=1))
    bench.learn([1, 1, 1, 2])
    assert [-1] * 4 + [0, 0, 0, 1] == bench.arrays()["window"]
    assert [(bench.network.state_size(4), 1)] == forgotten


@pytest.mark.long
@pytest.mark.parametrize("values", [[1, 2, 3] * 50, [i % 5 + i // 40 for i in range(150)], [7] * 150])
def test_long_runs_are_the_same_as_single_events(values: list[int]) -> None:
    """Runs longer than one call of the network, one event at a time: same outcomes, same arrays."""
    at_once, singly = Bench(), Bench()
    assert at_once.learn(values) == [singly.learn([value])[0] for value in values]
    assert at_once.arrays() == singly.arrays()


def test_a_step_that_is_not_finite_is_not_taken_and_told() -> None:
    """Weights that broke are not made worse; the outcome says that a step was skipped."""
    bench = Bench()
    bench.learn([1, 2, 1, 2])
    weights = bench.networks[4].view(bench.learner.network_row)["network"]
    weights[0] = np.nan
    (outcome,) = bench.learn([1])
    assert 0 == outcome.fit_steps
    assert outcome.skipped_steps > 0


def test_rows_of_a_closed_learner_are_reused_clean() -> None:
    """Nothing of a stream that left shows in the one that comes."""
    bench, fresh = Bench(), Bench()
    bench.learn([1, 2, 3] * 20)
    bench.learner.close()
    bench.learner = bench.another()
    assert fresh.arrays() == bench.arrays()
    assert fresh.learn([1, 2, 3] * 20) == bench.learn([1, 2, 3] * 20)


def test_a_rehearsal_leaves_no_trace() -> None:
    """What is compiled beforehand learns on rows that nobody keeps."""
    bench, fresh = Bench(), Bench()
    warm_up(bench.settings, bench.network)
    assert fresh.arrays() == bench.arrays()


def test_windows_that_are_kept_never_reach_over_an_end() -> None:
    """Of sequences of five values they hold only what came in the sequence so far."""
    bench = Bench()
    for _ in range(30):
        bench.learn([1, 2, 3, 2, 1], ends=True)
    # events 128, 144, 96 and 112 are the third, fourth, first and second of their sequences
    expected = [[-1] * 6 + [1, 2, 3], [-1] * 5 + [1, 2, 3, 2], [-1] * 8 + [1], [-1] * 7 + [1, 2]]
    assert expected == bench.arrays()["replay_codes"]


@pytest.mark.long
def test_windows_that_are_kept_stay_when_the_network_grows() -> None:
    """More classes need another row, not another past."""
    bench = Bench()
    bench.learn([1, 2] * 25)
    before = bench.arrays()
    bench.learn([3, 3, 4, 4])
    assert 8 == bench.learner.classes
    after = bench.arrays()
    assert before["replay_states"] == after["replay_states"]
    assert before["replay_codes"] == after["replay_codes"]
    assert np.any(np.array(before["replay_states"]))


def test_replaced_value_is_unknown_in_kept_windows() -> None:
    """What is learned again of the past of one value is not learned of its successor under the same code."""
    bench = Bench(small_settings(max_vocabulary=1, min_occurrences=1))
    bench.learn([1] * 40)
    assert 1 in np.array(bench.arrays()["replay_codes"])
    bench.learn([2])
    assert 1 not in np.array(bench.arrays()["replay_codes"])
