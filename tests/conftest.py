"""Fixtures of all tests: a clean environment, and a real broker for those that ask for one."""

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import online_lstm
import pytest
from support.programs import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# before the daemon is imported: settings of whoever runs the tests must not decide how they end
GIVEN = {name: os.environ.pop(name) for name in list(os.environ) if name.upper().startswith("ONLINE_LSTM_")}

# what the processes of a session have in common; the first one makes it, workers and daemons inherit the environment
if "TESTS_SESSION" not in os.environ:
    SESSION = tempfile.mkdtemp(prefix="online-lstm-tests-")
    atexit.register(shutil.rmtree, SESSION, ignore_errors=True)
    os.environ["TESTS_SESSION"] = SESSION

# programs are compiled once for all runs with this TensorFlow and these pins; TensorFlow compares the programs
PINS_FILE = Path(online_lstm.__file__).with_name("learning") / "network/tensorflow_runtime.py"
PINS = hashlib.sha256(PINS_FILE.read_bytes()).hexdigest()[:8]
COMPILED = Path(sys.prefix) / f"compiled/tensorflow-{version('tensorflow')}-{PINS}"
os.environ.setdefault("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={COMPILED}")

# how long an example takes, or its making, depends on the machine
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

with warnings.catch_warnings():
    # kafka-python reads its schemas while it is imported, in a way that Python 3.11 and 3.12 warn of
    warnings.filterwarnings("ignore", r"(read|open)_text is deprecated", DeprecationWarning)
    from online_lstm.devtools.local_kafka import bootstrap_or_local
    from support.kafka_admin import create_topic, delete_topics
    from support.shared_broker import shared_broker

MakeTopic = Callable[..., str]

FIRST = ("test_faults.py", "test_docs.py", "test_exactly_once.py")
"""Files with the longest tests; of several workers none shall have one left when the others have ended."""


LONG_MODULE = re.compile(r"^pytestmark = .*\bmark\.(long|broker)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import a module of long tests where none is wanted: the imports take longer than the quick tests."""
    if config.option.markexpr != "not long" or collection_path.suffix != ".py":
        return None
    return bool(LONG_MODULE.search(collection_path.read_text(encoding="utf-8"))) or None


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, then with all that needs a broker; workers steal from the end."""
    for item in items:
        if item.get_closest_marker("broker") or {"bootstrap", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("long")
    names = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: (names.get(item.path.name, len(FIRST)), item.path.parent.name != "integration"))


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """The address of a broker for the whole session; without any way to one, tests fail and say the ways."""
    start = partial(bootstrap_or_local, announce=lambda _: None, environment=GIVEN)
    with shared_broker(Path(os.environ["TESTS_SESSION"]), start) as address:
        yield address


@pytest.fixture
def make_topic(bootstrap: str, request: pytest.FixtureRequest) -> Iterator[MakeTopic]:
    """Create topics of unique names: ``make_topic("output", partitions=3)``; they go when the test ends."""
    created: list[str] = []
    test = re.sub(r"\W+", "-", request.node.name)[:80]

    def make(name: str = "numbers", *, partitions: int = 1, **configs: str) -> str:
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        topic = f"{test}-{uuid.uuid4().hex[:8]}-{name}"
        created.append(create_topic(bootstrap, topic, partitions=partitions, configs=settings))
        return topic

    yield make
    if created:
        delete_topics(bootstrap, created)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A real one, for pages; the same for the tests of a module."""
    path = program("chromium", "chromium-browser", "google-chrome")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - few tests need it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
