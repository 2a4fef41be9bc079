"""The bench measures what it says; how fast it is, no test asserts."""

import argparse

import pytest
from online_lstm.cli import bench
from online_lstm.errors import SettingsError
from online_lstm.learning import model_factory
from support.fakes import small_network, small_settings


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_factory, "model_factory", lambda _: small_network)
    monkeypatch.setattr(bench, "ENGINE_EVENTS", 128)
    monkeypatch.setattr(bench, "WARM_UP_EVENTS", 10)
    monkeypatch.setattr(bench, "PARTITION_EVENTS", 100)


def test_engine_is_measured_beside_the_reference_network() -> None:
    """One event a call and a full call, for both; once if they are the same."""
    figures = list(bench.engine_figures(small_settings()))
    names = [
        f"engine, {layers}, {events} a call" for layers in ("lstm 4", "lstm 16") for events in ("1 event", "64 events")
    ]
    assert names == [figure.what for figure in figures]
    assert {"ms an event"} == {figure.unit for figure in figures}
    assert all(figure.value > 0 for figure in figures)
    assert 2 == len(list(bench.engine_figures(small_settings(network="lstm 16"))))


def test_partition_is_measured_in_events_a_second() -> None:
    """From records to outputs."""
    figure = bench.partition_figure(small_settings())
    assert "events/s" == figure.unit
    assert figure.value > 0


def test_machine_says_what_the_figures_depend_on() -> None:
    """A figure without its machine says little."""
    assert {"cpu", "cores", "python", "tensorflow", "instruction_set"} <= set(bench.machine())


def test_too_few_values_are_refused() -> None:
    """Percentiles need two."""
    with pytest.raises(SettingsError, match="live: received 1, expected 2 or more"):
        bench.main(argparse.Namespace(events=50, live=1, json=False))
