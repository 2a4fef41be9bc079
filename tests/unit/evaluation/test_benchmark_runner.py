"""The learner on benchmark streams: who has which figures, and what they depend on."""

import pytest
from online_lstm.errors import SettingsError
from online_lstm.evaluation import benchmark_runner
from online_lstm.evaluation.benchmark_runner import compare, learn
from online_lstm.evaluation.benchmarks import LATE, PROTOCOLS
from online_lstm.events import BASELINES, EXPERTS
from online_lstm.learning.partition import NetworkFactory
from online_lstm.settings import Settings
from support.fakes import small_network, small_settings

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_runner, "model_factory", lambda _: small_network)


@pytest.mark.parametrize(
    "name", [name for name, one in PROTOCOLS.items() if not one.file and "task" not in one.settings]
)
def test_every_protocol_gives_figures_of_every_predictor(name: str) -> None:
    """On a short stream; the published prediction comes first and has all of them that a short stream can give."""
    chosen = small_settings(**PROTOCOLS[name].settings)
    found = compare(chosen, PROTOCOLS[name], seeds=range(1), events=LATE + 50).results
    assert "prediction" == next(iter(found))
    assert {*BASELINES["symbol"], *EXPERTS["symbol"]} < set(found)
    assert all(found[who]["bits"].complete for who in EXPERTS["symbol"] if "bits" in found[who])
    assert all(of[m.name].complete for of in [found["prediction"]] for m in PROTOCOLS[name].measures if not m.none)


def test_evaluation_independent_of_chunk_size() -> None:
    """Tracks are the same for any chunk."""
    tracks = [learn(small_settings(), PROTOCOLS["noise"], 3, 150, chunk=chunk) for chunk in (1, 7, 500)]
    assert [tracks[0]] * 3 == tracks


def test_a_listed_element_was_among_the_likeliest_before_it_came() -> None:
    """At least wherever it was a hit, and never before anything was predicted."""
    found = learn(small_settings(top_k=4), PROTOCOLS["high-order-multiple-4"], 0, 600)["prediction"]
    assert all(listed for listed, hit in zip(found.listed, found.hits, strict=True) if hit)
    assert sum(found.listed) > sum(found.hits) > 0
    assert not found.listed[0]


def test_seeds_are_of_stream_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each seed begins with other weights, also on a stream that knows no seed."""
    seeds: list[int] = []

    def model_factory(given: Settings) -> NetworkFactory:
        seeds.append(given.seed)
        return small_network

    monkeypatch.setattr(benchmark_runner, "model_factory", model_factory)
    compare(small_settings(), PROTOCOLS["counting-loop"], seeds=range(4, 6), events=5)
    assert [4, 5] == seeds


def test_values_that_the_settings_do_not_read_are_refused() -> None:
    """A figure without them would be of another stream."""
    with pytest.raises(SettingsError, match="refused"):
        learn(small_settings(value_path="a.b"), PROTOCOLS["noise"], 0, 5)


def test_progress_counts_the_elements_of_all_seeds() -> None:
    """It never goes back, and ends with the elements of all seeds."""
    shown: list[int] = []
    compare(small_settings(), PROTOCOLS["noise"], seeds=range(2), events=600, show=shown.append)
    assert [500, 600, 1100, 1200] == shown
