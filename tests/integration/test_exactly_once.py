"""On a real broker: whatever dies, readers of the output see each prediction once, and always the same one."""

from pathlib import Path

import pytest
from conftest import MakeTopic
from faults import draw
from harness import Oracle, differences

pytestmark = pytest.mark.broker

SEED_STREAM = [4] * 6 + [8] + [4] * 5 + [8] + [4] * 6 + [8] + [4] * 6 + [28]


def values(count: int) -> list[bytes]:
    return [str(SEED_STREAM[i % 27]).encode() if i % 50 != 49 else b"not a number" for i in range(count)]


def test_killed_five_times_gives_the_same_bytes_and_the_same_state(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """SIGKILL at five random moments leaves output, dead letters and learned state as if nothing had happened."""
    oracle = Oracle(bootstrap, make_topic, tmp_path)
    oracle.publish(0, values(3000))
    schedule = draw(7, 5, kinds=["kill"], longest_s=0.0)
    found = oracle.run("killed", schedule, static=True)  # static, so that it is back at once
    assert [] == differences(oracle.run("undisturbed"), found)
    assert 6 == oracle.logs("killed")[0].count("serving url=")


def test_a_stopped_member_that_comes_back_leaves_no_trace(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """A member frozen past its session timeout, replaced, then thawed, is fenced and publishes nothing of its own."""
    oracle = Oracle(bootstrap, make_topic, tmp_path)
    group = oracle.group("frozen", session_timeout_s=2, transaction_timeout_s=2)
    with oracle.fleet(group) as fleet:
        (first,) = fleet.members
        first.wait_until_ready()
        oracle.publish(0, values(1000))
        oracle.wait_for_share(fleet, 0.1)
        first.pause()
        second = fleet.join()
        oracle.wait_for_share(fleet)
        first.resume()
        oracle.publish(0, values(1000))
        found = oracle.finish(fleet)
    assert "live source=" in second.log
    assert [] == differences(oracle.run("undisturbed"), found)


def test_a_batch_slower_than_the_poll_interval_loses_its_place_and_nothing_else(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """A batch that takes longer than ``max_poll_interval_s`` is not committed, but learned again in smaller ones."""
    oracle = Oracle(bootstrap, make_topic, tmp_path)
    count = 4000
    oracle.publish(0, values(count))
    model = {"network": "lstm 32,lstm 32", "window": "128"}  # some seconds for all of them
    slow = {**model, "max_poll_interval_s": 1, "session_timeout_s": 1, "max_batch_events": count}
    found = oracle.run("slow", **slow)
    assert "batch not committed" in oracle.logs("slow")[0]
    assert [] == differences(oracle.run("undisturbed", **model), found)


def test_batching_changes_nothing(bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    """Consumed 1, 7 or 500 at a time, the input gives the same output bytes and the same learned state."""
    oracle = Oracle(bootstrap, make_topic, tmp_path, partitions=2)
    for partition in range(2):
        oracle.publish(partition, values(400), key=b"pump-%d" % partition)
    first, *others = [oracle.run(f"by-{size}", max_batch_events=size) for size in (1, 7, 500)]
    assert [[], []] == [differences(first, other) for other in others]


def test_members_that_join_and_leave_share_the_work_without_a_trace(
    bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    """Partitions move between three members under load, one of which is killed: the output is that of one alone."""
    oracle = Oracle(bootstrap, make_topic, tmp_path, partitions=4)
    log = values(1500)

    def publish(first: int, last: int) -> None:
        for partition in range(4):
            oracle.publish(partition, log[first:last])

    with oracle.fleet(oracle.group("shared", session_timeout_s=6)) as fleet:
        (one,) = fleet.members
        one.wait_until_ready()
        publish(0, 500)
        two, three = fleet.join(), fleet.join()
        two.wait_until_ready()
        publish(500, 1000)
        three.wait_until_ready()
        fleet.members.remove(one)
        one.kill()
        publish(1000, len(log))
        fleet.leave(two)
        found = oracle.finish(fleet)
    assert [] == differences(oracle.run("undisturbed"), found)
