"""What tests of the loop start from: a topic, what a daemon makes of it undisturbed, and toys for what takes time."""

import pytest
from support.fakes import LOGS, FakeKafka
from support.recovery import Outcome, undisturbed_outcome
from support.toys import replace_by_toys


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace network, settings, files and disk, where it matters only how they are used."""
    replace_by_toys(monkeypatch)


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka(LOGS)


_undisturbed: dict[bool, Outcome] = {}
"""By whether it is of toys."""


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return the outcome without faults, with the network that the test uses."""
    of_toys = "toys" in request.fixturenames
    if of_toys not in _undisturbed:
        _undisturbed[of_toys] = undisturbed_outcome(tmp_path_factory.mktemp("undisturbed"))
    return _undisturbed[of_toys]
