"""On a real broker: neither how records are batched nor how long a batch takes shows in what is published."""

from pathlib import Path
from typing import Any

import pytest
from conftest import MakeTopic
from support.harness import Oracle, differences

pytestmark = pytest.mark.broker

SEED_STREAM = [4] * 6 + [8] + [4] * 5 + [8] + [4] * 6 + [8] + [4] * 6 + [28]


def values(count: int) -> list[bytes]:
    return [str(SEED_STREAM[i % 27]).encode() if i % 50 != 49 else b"not a number" for i in range(count)]


def test_slow_batch_loses_assignment_only(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """A batch that takes longer than ``max_poll_interval_s`` is not committed, but learned again in smaller ones."""
    oracle = Oracle(bootstrap, make_topic, tmp_path)
    count = 2500
    oracle.publish(0, values(count))
    model: dict[str, Any] = {"network": "lstm 32,lstm 32", "window": "128"}  # some seconds for all of them
    slow = {**model, "max_poll_interval_s": 1, "session_timeout_s": 1, "max_batch_events": count}
    found = oracle.run("slow", **slow)
    assert "batch not committed" in oracle.logs("slow")[0]
    assert [] == differences(oracle.run("undisturbed", **model), found)


def test_batching_changes_nothing(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Consumed 1, 7 or 500 at a time, the input gives the same output bytes and the same learned state."""
    oracle = Oracle(bootstrap, make_topic, tmp_path, partitions=2)
    for partition in range(2):
        oracle.publish(partition, values(150), key=b"pump-%d" % partition)
    first, *others = [oracle.run(f"by-{size}", max_batch_events=size) for size in (1, 7, 500)]
    assert [[], []] == [differences(first, other) for other in others]
