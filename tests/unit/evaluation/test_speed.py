"""The speed figures: what they measure; how fast it is, no test asserts."""

import pytest
from online_lstm.evaluation import speed
from support.fakes import small_network, small_settings


@pytest.fixture(autouse=True)
def little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "model_factory", lambda _: small_network)
    monkeypatch.setattr(speed, "ENGINE_EVENTS", 128)
    monkeypatch.setattr(speed, "WARM_UP_EVENTS", 10)
    monkeypatch.setattr(speed, "PARTITION_EVENTS", 100)


@pytest.mark.long
def test_engine_is_measured_beside_the_reference_network() -> None:
    """One event a call and a full call, for both; once if they are the same."""
    figures = list(speed.engine_figures(small_settings()))
    names = [
        f"engine, {layers}, {events} a call" for layers in ("lstm 4", "lstm 16") for events in ("1 event", "64 events")
    ]
    assert names == [figure.what for figure in figures]
    assert {"ms an event"} == {figure.unit for figure in figures}
    assert all(figure.value > 0 for figure in figures)
    assert 2 == len(list(speed.engine_figures(small_settings(network="lstm 16"))))


def test_partition_is_measured_in_events_a_second() -> None:
    """From records to outputs."""
    figure = speed.partition_figure(small_settings())
    assert "events/s" == figure.unit
    assert figure.value > 0


def test_machine_says_what_the_figures_depend_on() -> None:
    """A figure without its machine says little."""
    assert {"cpu", "cores", "python", "tensorflow", "instruction_set"} <= set(speed.machine())
