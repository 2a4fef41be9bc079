"""The oracle: an input is learned from undisturbed and under faults, and nobody may see the difference.

Compared are the output topic and the dead-letter topic as readers see them, all but offsets, which aborted records
take up too, and what was learned, by the newest checkpoint of every partition.
"""

import random
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPartition
from kafka.admin import TransactionState
from kafka.errors import RetriableError
from kafka.producer.future import FutureRecordMetadata
from online_lstm.checkpoint import CheckpointStore, digest_of
from online_lstm.devtools.broker_process import LocalBroker
from online_lstm.events import InputRecord, TopicPartition

from support.daemon_runner import PATIENCE_S, SMALL, DaemonProcess
from support.fakes import traffic
from support.faults import SLOW_S, Fault, Schedule, show
from support.kafka_admin import read_committed
from support.tcp_proxy import COORDINATOR, END_TXN, HOST, TcpProxy, free_port

MODEL = {**SMALL, "max_vocabulary": 3, "max_streams": 3, "score_window": 20}
"""One program to compile at each start, and little room, so that symbols and streams come and go."""

FAULTY = {
    "checkpoint_interval_s": 0.3,
    "max_batch_events": 20,
    "session_timeout_s": 3,
    "transaction_timeout_s": 3,
    "connect_timeout_s": PATIENCE_S,
}
"""Many checkpoints, many transactions, a broker that notices soon, and daemons that wait for one that starts."""

Group = dict[str, object]
MakeTopic = Callable[..., str]
Traffic = Callable[..., list[InputRecord]]


class Seen(NamedTuple):
    """What readers of one topic see, by partition."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


class Outcome(NamedTuple):
    """What may depend on the input and the settings only, by partition."""

    outputs: dict[int, list[Seen]]
    dead_letters: dict[int, list[Seen]]
    states: dict[int, tuple[int, str]]
    """Offset and content of the newest checkpoint."""


@dataclass(frozen=True)
class TakeOver:
    """How long one partition was without predictions, and why."""

    source: str
    detection_s: float
    load_s: float
    replay_s: float


class ProxiedBroker:
    """A broker that tests may kill; daemons reach it through a proxy, tests directly."""

    def __init__(self, folder: Path) -> None:
        self.local = LocalBroker(folder, announce=lambda _: None)
        self._inner_port = free_port()
        self.proxy = TcpProxy(self._inner_port)
        self.pace_s = 0.0

    @property
    def direct(self) -> str:
        return self.local.bootstrap

    @property
    def address(self) -> str:
        return f"{HOST}:{self.proxy.port}"

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        properties = self.local.properties
        properties["listeners"] += f",PROXIED://{HOST}:{self._inner_port}"
        properties["advertised.listeners"] += f",PROXIED://{self.address}"
        properties["listener.security.protocol.map"] += ",PROXIED:PLAINTEXT"
        # how often it looks for transactions that are open for too long; not 10 s, which tests would wait for, but
        # longer than a start takes: what it aborts while it starts gets no marker, and hangs for ever
        properties["transaction.abort.timed.out.transaction.cleanup.interval.ms"] = "4000"
        try:
            self.local.start()
        except BaseException:
            self.proxy.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.local.stop()
        self.proxy.__exit__()

    def heal(self) -> None:
        """End every disturbance by the proxy, and hold nothing up."""
        self.pace_s = 0.0
        self.proxy.heal()
        self.proxy.accept()

    def strike(self, fault: Fault) -> None:
        """Do to the broker or the network what the fault says; return when it is over."""
        if fault.kind in {"crash broker", "restart broker"}:
            end = self.local.kill if fault.kind == "crash broker" else self.local.stop
            end()
            time.sleep(fault.duration_s)
            self.local.start()
        elif fault.kind == "away":
            self.proxy.refuse()
            time.sleep(fault.duration_s)
            self.proxy.accept()
        elif fault.kind == "stall":
            self.proxy.stall()
            time.sleep(fault.duration_s)
            self.proxy.flow()
        elif fault.kind == "slow":
            self.proxy.delay(SLOW_S, COORDINATOR)
            time.sleep(fault.duration_s)
            self.proxy.delay(0.0, COORDINATOR)
            self.proxy.delay(self.pace_s, {END_TXN})
        elif fault.kind == "cut":
            self.proxy.cut()
        else:
            self._strike_commit(fault)

    def _strike_commit(self, fault: Fault) -> None:
        with self.holding_commit(answer=fault.kind == "lose answer"):
            if fault.kind == "hold commit":
                time.sleep(fault.duration_s)
            elif fault.kind == "lose answer":
                self.proxy.cut()
            else:
                assert fault.kind == "crash broker in commit", fault
                self.local.kill()
                self.proxy.cut()
                time.sleep(fault.duration_s)
                self.local.start()

    @contextmanager
    def holding_commit(self, *, answer: bool = False) -> Iterator[bool]:
        """Do something while the end of a transaction is on its way, or the answer to it; say if one has come."""
        self.proxy.pause(END_TXN, answer=answer)
        try:
            yield self.proxy.wait_until_held()
        finally:
            self.proxy.release()


class Fleet:
    """The members of one group: daemons that come and go."""

    def __init__(self, oracle: "Oracle", group: Group, *, static: bool = False) -> None:
        self._oracle, self.group, self._static = oracle, group, static
        self._stack = ExitStack()
        self._count = 0
        self.members: list[DaemonProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self) -> DaemonProcess:
        """Start one more member."""
        name = f"{self.group['group_id']}-{self._count}"
        self._count += 1
        static = {"group_instance_id": name} if self._static else {}
        member = DaemonProcess(self._oracle.folder, name, **self.group, **static)
        self.members.append(self._stack.enter_context(member))
        return member

    def leave(self, member: DaemonProcess) -> None:
        """Stop a member, in order."""
        self.members.remove(member)
        stop(member)

    def require_running(self) -> None:
        for member in self.members:
            member.require_running()

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait, and fail as soon as a member ends by itself."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.require_running()
            assert time.monotonic() < deadline, f"did not {what} within {timeout_s:g} s:\n" + "\n".join(
                f"{member.get('/readyz')}\n{member.log_end()}" for member in self.members
            )
            time.sleep(0.02)

    @property
    def stable_since_sample(self) -> bool:
        """Whether every partition is some member's, and restored."""
        answers = [member.get("/readyz") for member in self.members]
        return self._oracle.partitions == sum(map(assigned_to, self.members)) and all(
            status == 200 or "no partition is assigned" in reasons for status, reasons in answers
        )

    def strike(self, fault: Fault) -> None:
        """Do to a member, or to the broker, what the fault says; return when it is over."""
        member = self.members[fault.member % len(self.members)]
        broker = self._oracle.broker
        if fault.kind == "kill":
            member.kill()
            member.start()
            if fault.duration_s:
                time.sleep(fault.duration_s)
                member.kill()
                member.start()
        elif fault.kind == "terminate":
            stop(member)
            member.start()
        elif fault.kind == "freeze":
            member.pause()
            time.sleep(fault.duration_s)
            member.resume()
        elif fault.kind == "join":
            self.join()
        elif fault.kind == "leave":
            self.leave(member)
        elif broker is None:
            raise ValueError(f"{fault} needs a broker of the test's own")
        elif fault.kind == "freeze in commit":
            with broker.holding_commit():
                member.pause()
                time.sleep(fault.duration_s)
                member.resume()
        else:
            broker.strike(fault)


def stop(member: DaemonProcess) -> None:
    """Stop a member, which has to end with exit code 0 once it has begun to serve."""
    member.wait_until(lambda: "serving url=" in member.log_since_start, "start")
    code = member.stop()
    assert 0 == code, f"a member stopped with exit code {code}:\n{member.log_end()}"


def assigned_to(member: DaemonProcess) -> int:
    """Ask a member how many partitions it has."""
    found = re.search(r"^online_lstm_partitions_assigned (\d+)", member.get("/metrics")[1], re.MULTILINE)
    return int(found[1]) if found else 0


class Oracle:
    """One input topic, and groups that each learn from it into topics of their own.

    Args:
        bootstrap: The broker, as tests reach it.
        make_topic: Creates topics of unique names, as the fixture does.
        folder: For logs and checkpoints.
        partitions: Of the input.
        broker: The same broker, if tests may disturb it; daemons reach it through its proxy.
    """

    def __init__(
        self,
        bootstrap: str,
        make_topic: MakeTopic,
        folder: Path,
        *,
        partitions: int = 1,
        broker: ProxiedBroker | None = None,
    ) -> None:
        self.bootstrap, self.folder, self.partitions, self.broker = bootstrap, folder, partitions, broker
        self._make_topic = make_topic
        self.input = make_topic("input", partitions=partitions)
        self._offsets: dict[int, list[int]] = {partition: [] for partition in range(partitions)}

    def publish(self, partition: int, values: Sequence[bytes | None], *, key: bytes | None = None) -> None:
        """Append values to the input."""
        first = 1_000_000 + len(self._offsets[partition])
        with closing(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5)) as producer:
            self._note(
                producer.send(self.input, value, key, partition=partition, timestamp_ms=first + number)
                for number, value in enumerate(values)
            )

    def publish_traffic(self, count: int, *, seed: int = 0, of: Traffic = traffic) -> None:
        """Append records of all sorts to each partition, in transactions between which others are aborted."""
        chance = random.Random(seed)
        logs = [of(count, seed=seed + partition) for partition in range(self.partitions)]
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=self.input, retry_backoff_ms=5)
        with closing(producer):
            producer.init_transactions()
            while any(logs):
                partition = chance.choice([number for number, log in enumerate(logs) if log])
                taken, logs[partition] = logs[partition][:50], logs[partition][50:]
                producer.begin_transaction()
                self._note(self._send_record(producer, partition, record) for record in taken)
                producer.commit_transaction()
                producer.begin_transaction()
                for _ in range(chance.randrange(4)):
                    producer.send(self.input, b"never happened", partition=partition)
                producer.flush()
                producer.abort_transaction()

    def _send_record(self, producer: KafkaProducer, partition: int, record: InputRecord) -> FutureRecordMetadata:
        key = b"a" if (record.key, record.value) == (None, None) else record.key  # the client asks for one
        headers = [("trace", b"%d" % record.offset)] if record.offset % 7 == 0 else []
        return producer.send(self.input, record.value, key, headers, partition, timestamp_ms=record.timestamp_ms)

    def _note(self, sent: Iterable[FutureRecordMetadata]) -> None:
        """Remember where records of the input are; all are sent before the first one is waited for."""
        for future in list(sent):
            stored = future.get(timeout=PATIENCE_S)
            self._offsets[stored.partition].append(stored.offset)

    @property
    def records(self) -> int:
        """How many records the input has."""
        return sum(map(len, self._offsets.values()))

    def group(self, name: str, **settings: object) -> Group:
        """Make a group and its topics; settings are those of a small model with many transactions, and the given."""
        return {
            "bootstrap_servers": self.broker.address if self.broker else self.bootstrap,
            "input_topics": self.input,
            "group_id": f"{self.input}-{name}",
            "output_topic": self._make_topic(f"{name}-output", partitions=self.partitions),
            "dead_letter_topic": self._make_topic(f"{name}-dlq", partitions=self.partitions),
            **MODEL,
            **FAULTY,
            **settings,
        }

    def fleet(self, group: Group, *, members: int = 1, static: bool = False) -> Fleet:
        """Start the members of a group, with a context that ends them."""
        fleet = Fleet(self, group, static=static)
        with ExitStack() as stack:
            stack.enter_context(fleet)
            for _ in range(members):
                fleet.join()
            stack.pop_all()
        return fleet

    def wait_for_share(self, fleet: Fleet, share: float = 1.0) -> None:
        """Wait until a group has committed this share of the records that the input has."""
        with self.counting(fleet.group) as committed:
            fleet.wait_until(lambda: committed() >= share * self.records, f"commit {share:.1%} of the input")

    def has_open_transaction(self, group: Group) -> bool:
        """Ask the broker whether it still keeps a transaction of a group open."""
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            listed = list(chain.from_iterable(admin.list_transactions().values()))
        own = [found for found in listed if found.transactional_id.startswith(f"{group['group_id']}-")]
        assert own, f"{group['group_id']} has no transactional id: {listed}"
        return any(found.state == TransactionState.ONGOING for found in own)

    def wait_for_checkpoints(self, fleet: Fleet) -> None:
        """Wait until there is a checkpoint at the end of each partition, as there is soon where nothing comes."""
        store = CheckpointStore(str(self.folder / "checkpoints"), str(fleet.group["group_id"]))

        def newest(source: TopicPartition) -> int:
            return max((store.offsets(source, name)[0] for name in store.lineages(source)), default=0)

        ends = {TopicPartition(self.input, partition): at[-1] + 1 for partition, at in self._offsets.items()}
        fleet.wait_until(lambda: all(newest(source) == end for source, end in ends.items()), "write checkpoints")

    @contextmanager
    def counting(self, group: Group) -> Iterator[Callable[[], int]]:
        """Give a function that counts the records that a group has committed."""
        name = str(group["group_id"])
        places = [KafkaPartition(self.input, partition) for partition in self._offsets]
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:

            def committed() -> int:
                try:
                    found = admin.list_group_offsets({name: places})[name]
                except RetriableError:  # the coordinator has just begun
                    return 0
                return sum(bisect_left(self._offsets[place.partition], at.offset) for place, at in found.items())

            yield committed

    def finish(self, fleet: Fleet) -> Outcome:
        """Wait until all is learned, stop the members in order, and see what came of it."""
        self.wait_for_share(fleet)
        fleet.wait_until(lambda: fleet.stable_since_sample, "restore all partitions")
        while fleet.members:
            fleet.leave(fleet.members[0])
        return self.outcome(fleet.group)

    def run(
        self,
        name: str,
        schedule: Schedule = (),
        *,
        members: int = 1,
        static: bool = False,
        pace_s: float = 0.0,
        **settings: object,
    ) -> Outcome:
        """Have a new group learn the whole input under a schedule of faults.

        Args:
            name: Of the group.
            schedule: What happens to it; nothing by default.
            members: How many there are at first.
            static: Whether they are static members.
            pace_s: How long each commit of a transaction is held up, so that faults meet work in progress.
            settings: Of the daemons.
        """
        group = self.group(name, **settings)
        try:
            with self.paced(pace_s), self.fleet(group, members=members, static=static) as fleet:
                for fault in schedule:
                    self.wait_for_share(fleet, fault.moment)
                    fleet.strike(fault)
                return self.finish(fleet)
        except Exception as error:
            error.add_note(f"the schedule was {show(schedule)}; logs are {self.folder}/{group['group_id']}-*.log")
            raise

    @contextmanager
    def paced(self, pace_s: float) -> Iterator[None]:
        """Hold each commit of a transaction up, and in the end heal whatever is disturbed."""
        if self.broker is None:
            yield
            return
        self.broker.proxy.delay(pace_s, {END_TXN})
        self.broker.pace_s = pace_s
        try:
            yield
        finally:
            self.broker.heal()

    # what came of it

    def logs(self, name: str) -> list[str]:
        """Give what the members of a group logged, in the order in which they joined."""
        paths = self.folder.glob(f"{self.input}-{name}-*.log")
        return [path.read_text(encoding="utf-8") for path in sorted(paths)]

    def outcome(self, group: Group) -> Outcome:
        """Read what a group published and learned."""
        return Outcome(
            self._seen(str(group["output_topic"])), self._seen(str(group["dead_letter_topic"])), self.states(group)
        )

    def _seen(self, topic: str) -> dict[int, list[Seen]]:
        return {
            partition: [Seen(r.key, r.value, tuple(r.headers), r.timestamp) for r in records]
            for partition, records in read_committed(self.bootstrap, topic).items()
        }

    def states(self, group: Group) -> dict[int, tuple[int, str]]:
        """Give offset and content of the newest checkpoint of every partition."""
        store = CheckpointStore(str(self.folder / "checkpoints"), str(group["group_id"]))
        found = {}
        for number in range(self.partitions):
            source = TopicPartition(self.input, number)
            (lineage,) = (path.name for path in store.path(source, "x", 0).parents[1].iterdir())
            offset = store.offsets(source, lineage)[0]
            found[number] = offset, digest_of(store.read(source, lineage, offset).to_arrays())
        return found


def differences(expected: Outcome, found: Outcome) -> list[str]:
    """Say in which partitions two outcomes differ, and where first; nothing if they are the same."""
    said = []
    for topic in ("outputs", "dead_letters"):
        for partition, wanted in getattr(expected, topic).items():
            seen = getattr(found, topic)[partition]
            if wanted != seen:
                at = next((i for i, pair in enumerate(zip(wanted, seen, strict=False)) if pair[0] != pair[1]), -1)
                place = f"at {at}: expected {wanted[at]}, found {seen[at]}" if at >= 0 else "one goes on"
                said.append(f"{topic} of {partition}: expected {len(wanted)}, found {len(seen)}; {place}")
    return said + [
        f"state of {partition}: expected {state}, found {found.states[partition]}"
        for partition, state in expected.states.items()
        if state != found.states[partition]
    ]


def take_over(fleet: Fleet, leaver: DaemonProcess, heir: DaemonProcess, *, crash: bool) -> list[TakeOver]:
    """End a member of two and time how the other one takes its partitions over, as seen from outside.

    Detection is from the signal to the assignment, and a clean leave does its last batch and its checkpoints in it;
    loading is from there to the restored checkpoint, the replay from there until records are learned as they come.
    Partitions are restored one after the other, so the waiting for others is part of each figure.
    """
    before, moving, already = assigned_to(heir), assigned_to(leaver), len(heir.log)
    restored: dict[str, float] = {}
    live: dict[str, float] = {}
    assigned = 0.0
    started = time.monotonic()

    def over() -> bool:
        nonlocal assigned
        now, log = time.monotonic() - started, heir.log[already:]
        for times, event in ((restored, "restored"), (live, "live")):
            for source in re.findall(rf" {event} source=(\S+)", log):
                times.setdefault(source, now)
        if not assigned and (restored or assigned_to(heir) > before):
            assigned = now
        return len(live) >= moving

    fleet.members.remove(leaver)
    if crash:
        leaver.kill()
    else:
        leaver.terminate()
    fleet.wait_until(over, "take the partitions over")
    return [
        TakeOver(source, assigned, restored[source] - assigned, live[source] - restored[source])
        for source in sorted(live)
    ]
