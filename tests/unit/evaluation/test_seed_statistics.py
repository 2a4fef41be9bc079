"""Statistics over seeds: targets, ranges, and published results beside them."""

import pytest
from online_lstm.evaluation.benchmarks import PROTOCOLS, BenchmarkMetric, hit_rate
from online_lstm.evaluation.seed_statistics import Comparison, SeedStatistics


def comparison(name: str, *, prediction: float | None, lstm: float, seeds: int = 2) -> Comparison:
    """Make a comparison whose predictors have one figure for all measures."""
    protocol = PROTOCOLS[name]
    found = {"prediction": SeedStatistics((prediction, 1.0)[:seeds]), "lstm": SeedStatistics((lstm,) * seeds)}
    by_measure = {who: dict.fromkeys((m.name for m in protocol.measures), of) for who, of in found.items()}
    return Comparison(protocol, 3000, range(1000, 1000 + seeds), by_measure)


def test_targets_are_held_against_the_mean() -> None:
    """Lower is better where it says so; a seed without a figure does not reach anything."""
    met = {(t.predictor, t.measure): t.met for t in comparison("counting-loop", prediction=0.99, lstm=0.0).targets()}
    assert {
        ("prediction", "first 500"): True,
        ("lstm", "first 500"): False,
        ("prediction", "misses after 1,000"): False,
        ("lstm", "misses after 1,000"): True,
    } == met
    assert not any(t.met for t in comparison("counting-loop", prediction=None, lstm=0.5).targets())


def test_the_prediction_has_to_be_as_good_as_every_other() -> None:
    """In hits at least the best of them, in bits at most."""
    better = comparison("noise", prediction=1.0, lstm=0.5).targets()
    assert [("hits", True), ("bits", False)] == [(t.measure, t.met) for t in better]
    worse = comparison("noise", prediction=0.0, lstm=0.75).targets()
    assert [("hits", False), ("bits", True)] == [(t.measure, t.met) for t in worse]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.5, 1.0), ["0.75", "0.50 to 1.00"]),
        ((7.0, 7.0), ["7.00"]),
        ((3.0, None), ["3.00", "1 of 2 never"]),
        ((None, None), ["never"]),
    ],
)
def test_a_figure_is_mean_and_range(values: tuple[float | None, ...], expected: list[str]) -> None:
    """The seeds that gave none are told, not left out."""
    assert expected == SeedStatistics(values).parts(BenchmarkMetric("any", hit_rate, digits=2, none="never"))


def test_published_rows_stand_beside_ours() -> None:
    """With their source."""
    found = comparison("high-order", prediction=1.0, lstm=0.5)
    assert ["published: LSTM-online", "0.895", "0.879", "4,540", "3,275"] in found.rows(", ")
    assert "doi:10.1162/NECO_a_00893" in found.markdown()
