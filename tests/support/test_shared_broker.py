"""The broker of a session."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from support.shared_broker import shared_broker


class Starts:
    """Counts brokers that are started and stopped."""

    def __init__(self) -> None:
        self.started = self.stopped = 0

    @contextmanager
    def __call__(self) -> Iterator[str]:
        self.started += 1
        yield f"localhost:{self.started}"
        self.stopped += 1


def test_workers_share_a_broker_until_the_last_one_ends(tmp_path: Path) -> None:
    """The first worker starts it; where that one ends first, it waits for the others before it stops the broker."""
    start, first_may_end, second_may_end = Starts(), Event(), Event()
    first_uses, second_uses = Event(), Event()

    def work(uses: Event, may_end: Event) -> str:
        with shared_broker(tmp_path, start) as address:
            uses.set()
            assert may_end.wait(60)
        return address

    with ThreadPoolExecutor() as workers:
        first = workers.submit(work, first_uses, first_may_end)
        assert first_uses.wait(60)
        second = workers.submit(work, second_uses, second_may_end)
        assert second_uses.wait(60)
        first_may_end.set()
        assert 0 == start.stopped
        second_may_end.set()
        assert ["localhost:1"] * 2 == [first.result(60), second.result(60)]
    assert (1, 1) == (start.started, start.stopped)


def test_a_later_worker_starts_a_broker_again(tmp_path: Path) -> None:
    """Nobody gets the address of a broker that has stopped, nor of one that did not start."""
    start = Starts()
    for number in (1, 2):
        with shared_broker(tmp_path, start) as address:
            assert f"localhost:{number}" == address

    @contextmanager
    def fail() -> Iterator[str]:
        yield from ()
        raise OSError("no Java")

    with pytest.raises(OSError, match="no Java"), shared_broker(tmp_path, fail):
        pass
    with shared_broker(tmp_path, start) as address:
        assert "localhost:3" == address
    assert (3, 3) == (start.started, start.stopped)
