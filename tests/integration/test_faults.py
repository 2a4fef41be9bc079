"""On a real broker that may die too: nothing is lost, nothing comes twice, whatever happens."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.budget import budget
from support.daemon_runner import DaemonProcess
from support.fakes import LABELS, label_traffic
from support.faults import Fault, Schedule, draw
from support.harness import Oracle, Outcome, ProxiedBroker, assigned_to, differences
from support.kafka_admin import create_topic

pytestmark = pytest.mark.broker

PARTITIONS = 8
PACE_S = 0.05
AWAY_S = 6.0
"""More than the session and the transaction of a member last that knows already that nobody answers."""
FROZEN_S = 4.0
"""More than the session and the transaction of a zombie last."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedBroker]:
    with ProxiedBroker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def oracle(broker: ProxiedBroker, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """An input of all sorts of records that all tests of this module learn from."""

    def make_topic(name: str, *, partitions: int) -> str:
        return create_topic(broker.direct, f"{uuid.uuid4().hex[:8]}-{name}", partitions=partitions)

    folder = tmp_path_factory.mktemp("faults")
    oracle = Oracle(broker.direct, make_topic, folder, partitions=PARTITIONS, broker=broker)
    oracle.publish_traffic(500)
    return oracle


@pytest.fixture(scope="module")
def undisturbed(oracle: Oracle) -> Outcome:
    """What everything is compared with."""
    return oracle.run("undisturbed")


def sources_of(log: str) -> set[str]:
    """Name the partitions that a member went live with."""
    return set(re.findall(r" live source=(\S+)", log))


# daemons that die


@pytest.mark.search
def test_kills(oracle: Oracle, undisturbed: Outcome) -> None:
    """SIGKILL at random moments, of learning, replaying and starting, on two members: no trace of it.

    There are twelve, and fifty in `make search`.
    """
    schedule = draw(1, budget(25, least=6), kinds=["kill"], longest_s=2.0)
    assert [] == differences(undisturbed, oracle.run("kills", schedule, members=2, static=True, pace_s=PACE_S))


def test_a_zombie_is_fenced(oracle: Oracle, broker: ProxiedBroker, undisturbed: Outcome) -> None:
    """A member frozen until it is replaced, also within a transaction, publishes nothing when it wakes."""
    group = oracle.group("zombie", session_timeout_s=1.5)
    with oracle.paced(2 * PACE_S), oracle.fleet(group, members=2) as fleet:
        one, other = fleet.members

        def replaced(heir: DaemonProcess) -> bool:
            return assigned_to(heir) == PARTITIONS and heir.get("/readyz")[0] == 200

        oracle.wait_for_share(fleet, 0.1)
        one.pause()
        fleet.wait_until(lambda: replaced(other), "take over")
        one.resume()
        oracle.wait_for_share(fleet, 0.6)
        with broker.holding_commit():
            other.pause()
            time.sleep(FROZEN_S)
        fleet.wait_until(lambda: replaced(one), "take over")
        other.resume()
        assert [] == differences(undisturbed, oracle.finish(fleet))


def test_stopped_while_it_replays(oracle: Oracle, undisturbed: Outcome) -> None:
    """SIGTERM during a replay ends the daemon in order; it does not take what it has not reached for learned."""
    group = oracle.group("replay", checkpoint_interval_s=1000)
    with oracle.fleet(group, static=True) as fleet:
        oracle.wait_for_share(fleet, 0.6)
        fleet.members[0].kill()
        fleet.members.clear()
    with oracle.fleet({**group, "max_batch_events": 1}, static=True) as fleet:
        (member,) = fleet.members
        fleet.wait_until(lambda: "replays to offset" in member.get("/readyz")[1], "replay")
        fleet.leave(member)
        assert len(sources_of(member.log_since_start)) < PARTITIONS
    with oracle.fleet(group, static=True) as fleet:
        assert [] == differences(undisturbed, oracle.finish(fleet))


# brokers that die


def test_broker_crashes(oracle: Oracle, undisturbed: Outcome) -> None:
    """A broker that is killed and restarted on the same data, also in the middle of transactions, costs time only."""
    schedule = (
        Fault("crash broker", 0.1),
        Fault("crash broker in commit", 0.3),
        Fault("restart broker", 0.5),
        Fault("crash broker in commit", 0.7, 2.0),
    )
    assert [] == differences(undisturbed, oracle.run("crashes", schedule, pace_s=PACE_S))


def test_broker_away(oracle: Oracle, broker: ProxiedBroker, undisturbed: Outcome) -> None:
    """While no broker can be reached the daemon lives and says that it is not ready, and why; then it goes on."""
    group = oracle.group("away")
    with oracle.paced(PACE_S), oracle.fleet(group) as fleet:
        (member,) = fleet.members
        oracle.wait_for_share(fleet, 0.3)
        broker.proxy.refuse()

        def says_so() -> bool:
            status, reasons = member.get("/readyz")
            return status == 503 and "broker" in reasons

        fleet.wait_until(says_so, "say that the broker is away")
        until = time.monotonic() + AWAY_S
        while time.monotonic() < until:
            assert 200 == member.get("/livez")[0]
            assert 503 == member.get("/readyz")[0]
            fleet.require_running()
            time.sleep(0.2)
        broker.proxy.accept()
        found = oracle.finish(fleet)
    assert [] == differences(undisturbed, found)


# networks that fail


def test_bad_network(oracle: Oracle, undisturbed: Outcome) -> None:
    """Connections that are reset, requests that take long, answers that are lost, and silence cost time only."""
    schedule = (
        *(Fault("cut", number / 20) for number in range(1, 10)),
        Fault("lose answer", 0.5),
        Fault("slow", 0.55, 3.0),
        Fault("lose answer", 0.7),
        Fault("stall", 0.75, 4.0),
        Fault("away", 0.85, 4.0),
    )
    assert [] == differences(undisturbed, oracle.run("network", schedule, members=2, pace_s=PACE_S))


def test_transaction_timeout(oracle: Oracle, broker: ProxiedBroker, undisturbed: Outcome) -> None:
    """A transaction that the broker gave up, as its end came late or the daemon was frozen, is made up for."""
    group = oracle.group("timeout", transaction_timeout_s=2, session_timeout_s=15)
    with oracle.paced(PACE_S), oracle.fleet(group) as fleet:
        (member,) = fleet.members
        for share, frozen in ((0.2, False), (0.4, True)):
            oracle.wait_for_share(fleet, share)
            with broker.holding_commit() as held:
                already = member.log.count("batch not committed")
                assert held
                if frozen:
                    member.pause()
                fleet.wait_until(lambda: not oracle.has_open_transaction(group), "see it given up")
                member.resume()

            def noticed(seen: int = already) -> bool:
                return member.log.count("batch not committed") > seen

            fleet.wait_until(noticed, "notice that nothing was committed")
        assert [] == differences(undisturbed, oracle.finish(fleet))


# members that come and go


@pytest.mark.parametrize("static", [False, True])
def test_members_come_and_go(oracle: Oracle, undisturbed: Outcome, static: bool) -> None:
    """One to four members share eight partitions under load, static or not: the output is that of one alone."""
    schedule = (
        *(Fault("join", 0.02),) * 3,
        Fault("leave", 0.3, member=0),
        Fault("kill", 0.4, member=1),
        Fault("leave", 0.6, member=1),
        Fault("join", 0.7),
        Fault("leave", 0.9, member=0),
    )
    name = f"members-{static}"
    found = oracle.run(name, schedule, static=static, pace_s=2 * PACE_S, max_batch_events=10)
    assert [] == differences(undisturbed, found)
    assert len([log for log in oracle.logs(name) if sources_of(log)]) > 1


# the other tasks

NUMBERS: dict[str, Any] = {"task": "number", "horizons": 3, "lookback": 256}


def kills() -> Schedule:
    return draw(3, budget(6, least=2), kinds=["kill"], longest_s=2.0)


@pytest.mark.search
def test_numbers_are_exactly_once_too(oracle: Oracle) -> None:
    """Kills and a freeze leave no trace in predictions of numbers, nor in what was learned of them."""
    undisturbed = oracle.run("numbers-undisturbed", **NUMBERS)
    schedule = (
        *draw(3, budget(6, least=2), kinds=["kill"], longest_s=2.0),
        Fault("freeze in commit", 0.5, 4.0, member=0),
    )
    found = oracle.run("numbers", schedule, members=2, session_timeout_s=1.5, pace_s=PACE_S, **NUMBERS)
    assert [] == differences(undisturbed, found)


@pytest.mark.search
def test_labels_are_exactly_once_too(broker: ProxiedBroker, tmp_path: Path) -> None:
    """Nor in labels of sequences, their weights, and what is known of sequences that are not over yet."""

    def make_topic(name: str, *, partitions: int) -> str:
        return create_topic(broker.direct, f"{uuid.uuid4().hex[:8]}-{name}", partitions=partitions)

    oracle = Oracle(broker.direct, make_topic, tmp_path, partitions=3, broker=broker)
    oracle.publish_traffic(1000, of=label_traffic)
    undisturbed = oracle.run("undisturbed", **LABELS)
    schedule = (
        *draw(3, budget(6, least=2), kinds=["kill"], longest_s=2.0),
        Fault("freeze in commit", 0.5, 4.0, member=0),
    )
    found = oracle.run("labels", schedule, members=2, session_timeout_s=1.5, pace_s=PACE_S, **LABELS)
    assert [] == differences(undisturbed, found)
    messages = [json.loads(seen.value or b"") for outputs in found.outputs.values() for seen in outputs]
    assert 100 < sum(message["evaluation"] is not None for message in messages)


# all of it


@pytest.mark.search
@pytest.mark.parametrize(
    "schedule",
    [pytest.param(draw(seed, 7, members=2, longest_s=2.0), id=f"seed {seed}") for seed in range(budget(10, least=1))],
)
def test_mixed_faults(oracle: Oracle, undisturbed: Outcome, schedule: Schedule, request: pytest.FixtureRequest) -> None:
    """Whatever comes together, nobody sees it."""
    name = re.sub(r"\W+", "-", request.node.name)
    assert [] == differences(undisturbed, oracle.run(name, schedule, members=2, pace_s=PACE_S))
