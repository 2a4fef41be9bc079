"""A million events through Kafka with a fault every few seconds: nothing lost, nothing twice, no memory that grows.

In the first part one daemon takes everything but its own end, and its memory is watched; in the second one to four
members are killed, stopped, frozen and replaced, and the broker crashes. Then the same input is learned undisturbed,
and what was published and learned has to be the same.
"""

import argparse
import hashlib
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from online_lstm.terminal.progress import progress_bar
from support.daemon_runner import DaemonProcess
from support.faults import MAX_MEMBERS, Fault, Kind
from support.harness import Fleet, Group, Oracle, ProxiedBroker, TakeOver, take_over
from support.kafka_admin import create_topic

PARTITIONS = 4
STEADY_SHARE = 0.6
"""Of the events, in the first part."""

WARM_UP = 100_000
"""Events after which memory may not grow any more; a tenth of all, if that is less."""

MAX_GROWTH = 0.02
PIECE = 5_000
"""Events that are published at a time, for all partitions together."""

AWAY_S = 60.0
"""Once the broker is away for this long."""

AHEAD = 20_000
"""Events that are published but not committed, at most."""

HARMLESS: Sequence[Kind] = ("cut", "restart broker", "freeze", "slow", "stall", "away", "hold commit", "lose answer")
DEADLY: Sequence[Kind] = (
    *("kill", "kill", "terminate", "freeze", "join", "leave", "cut", "lose answer", "restart broker"),
    *("crash broker", "crash broker in commit", "freeze in commit"),
)
SETTINGS = {
    "session_timeout_s": 10,
    "transaction_timeout_s": 10,
    "checkpoint_interval_s": 2,
    "network": "lstm 32",
    "window": 64,
    "max_vocabulary": 15,
    "max_streams": 1000,
    "suffix_contexts": 1024,
    "score_window": 500,
    "max_batch_events": 500,
}


class Sample(NamedTuple):
    """What a process has, after so many committed events."""

    events: int
    resident_bytes: int
    descriptors: int
    threads: int


@dataclass
class Result:
    """What the report is written from."""

    events: int
    seed: int
    seconds: float
    undisturbed_seconds: float
    faults: Counter[str]
    samples: list[Sample]
    take_overs: dict[str, list[TakeOver]]
    different: list[str]

    @property
    def ends(self) -> tuple[Sample, Sample]:
        """Medians just after the warm-up, and at the end of the first part."""
        warm = [sample for sample in self.samples if sample.events >= min(WARM_UP, self.events // 10)]
        tenth = max(1, len(warm) // 10)
        first, last = (
            Sample(*(round(statistics.median(column)) for column in zip(*part, strict=True)))
            for part in (warm[:tenth], warm[-tenth:])
        )
        return first, last

    @property
    def growth(self) -> float:
        first, last = self.ends
        return last.resident_bytes / first.resident_bytes - 1

    def failures(self) -> list[str]:
        """Say what is not as it has to be."""
        first, last = self.ends
        said = list(self.different)
        if self.growth >= MAX_GROWTH:
            said.append(f"memory grew by {self.growth:.1%}, expected less than {MAX_GROWTH:.0%}")
        said += [
            f"{what} grew from {getattr(first, what)} to {getattr(last, what)}"
            for what in ("descriptors", "threads")
            if getattr(last, what) > getattr(first, what) + 2  # a connection that is being made anew
        ]
        return said

    def markdown(self) -> str:
        """Write the report."""
        first, last = self.ends
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        memory = f"{first.resident_bytes / 2**20:.0f} to {last.resident_bytes / 2**20:.0f} MiB ({self.growth:+.1%})"
        rows = [
            ("events", f"{self.events:,}"),
            ("seed", str(self.seed)),
            ("time under faults", f"{self.seconds:.0f} s"),
            ("time undisturbed", f"{self.undisturbed_seconds:.0f} s"),
            ("faults", f"{self.faults.total()} ({counts})"),
            ("output, dead letters and state", "; ".join(self.different) or "the same as undisturbed"),
            (f"resident memory from {first.events:,} events on", memory),
            ("file descriptors", f"{first.descriptors} to {last.descriptors}"),
            ("threads", f"{first.threads} to {last.threads}"),
        ]
        lines = ["| what | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows), ""]
        lines += ["| taken over after | partition | detection | checkpoint | replay |", "|---|---|---|---|---|"]
        for why, times in self.take_overs.items():
            lines += [
                f"| {why} | {number} | {t.detection_s:.2f} s | {t.load_s:.2f} s | {t.replay_s:.2f} s |"
                for number, t in enumerate(times)
            ]
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run the soak; exit code 0 if all is as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of faults and input (default: %(default)s)")
    parser.add_argument("--report", type=Path, help="file that the tables are written to, as Markdown")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="online-lstm-soak-"))
    try:
        result = Soak(folder, arguments.events, arguments.seed).run()
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        return 130
    except BaseException:
        say(f"logs are in {folder}")
        raise
    say(result.markdown())
    if arguments.report:
        arguments.report.write_text(result.markdown(), encoding="utf-8")
    for failure in result.failures():
        say(f"FAILED: {failure}")
    if result.failures():
        say(f"logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Soak:
    """One run, in a folder of its own."""

    def __init__(self, folder: Path, events: int, seed: int) -> None:
        self._folder, self._events, self._seed = folder, events, seed
        self._chance = random.Random(seed)
        self._faults: Counter[str] = Counter()
        self._samples: list[Sample] = []
        self._take_overs: dict[str, list[TakeOver]] = {}

    def run(self) -> Result:
        with ProxiedBroker(self._folder / "broker") as broker:

            def make_topic(name: str, *, partitions: int) -> str:
                return create_topic(broker.direct, f"{uuid.uuid4().hex[:8]}-{name}", partitions=partitions)

            oracle = Oracle(broker.direct, make_topic, self._folder, partitions=PARTITIONS, broker=broker)
            started = time.monotonic()
            group = oracle.group("soak", **SETTINGS)
            with oracle.paced(0.0):
                self._learn(oracle, group)
            seconds = time.monotonic() - started
            started = time.monotonic()
            undisturbed = oracle.group("undisturbed", **SETTINGS)
            with oracle.fleet(undisturbed) as fleet, self._progress(oracle, fleet, "undisturbed") as follow:
                follow(self._events, lambda _: None)
                self._stop_all(oracle, fleet)
            return Result(
                events=self._events,
                seed=self._seed,
                seconds=seconds,
                undisturbed_seconds=time.monotonic() - started,
                faults=self._faults,
                samples=self._samples,
                take_overs=self._take_overs,
                different=self._compare(oracle, undisturbed, group),
            )

    def _learn(self, oracle: Oracle, group: Group) -> None:
        steady = int(STEADY_SHARE * self._events)
        with oracle.fleet(group) as fleet:
            (member,) = fleet.members
            member.wait_until_ready()
            with self._progress(oracle, fleet, "one daemon, harmless faults") as follow:
                fault_due = time.monotonic() + 5

                def watch(committed: int) -> None:
                    nonlocal fault_due
                    self._samples.append(sample_of(member, committed))
                    if time.monotonic() >= fault_due:
                        self._strike(fleet, self._draw(fleet, HARMLESS, committed, longest_s=3.0))
                        fault_due = time.monotonic() + self._chance.uniform(2, 5)

                follow(steady, watch)
                self._strike(fleet, Fault("away", STEADY_SHARE, AWAY_S))
            with self._progress(oracle, fleet, "members that die") as follow:

                def torment(committed: int) -> None:
                    nonlocal fault_due
                    if time.monotonic() >= fault_due:
                        self._strike(fleet, self._draw(fleet, DEADLY, committed, longest_s=12.0))
                        fault_due = time.monotonic() + self._chance.uniform(2, 8)

                follow(self._events - 2 * PIECE, torment)
                for crash in (False, True):
                    self._take_over(oracle, fleet, crash=crash)
                follow(self._events, lambda _: None)
            self._stop_all(oracle, fleet)

    @contextmanager
    def _progress(
        self, oracle: Oracle, fleet: Fleet, what: str
    ) -> Iterator[Callable[[int, Callable[[int], None]], None]]:
        """Give a function that publishes up to a number of events and waits until they are committed."""
        with progress_bar(what, self._events, unit="events") as show:

            def follow(until: int, act: Callable[[int], None]) -> None:
                committed = last = 0
                moved_at = time.monotonic()
                while committed < until:
                    with oracle.counting(fleet.group) as count:  # a broker that came back wants a new client
                        committed = count()
                    if committed != last:
                        last, moved_at = committed, time.monotonic()
                    assert time.monotonic() < moved_at + 120, f"nothing was committed for 120 s:\n{self._ends(fleet)}"
                    fleet.require_running()
                    while oracle.records < min(until, committed + AHEAD):
                        self._publish(oracle, min(PIECE, until - oracle.records))
                    show(committed)
                    act(committed)
                    time.sleep(0.2)

            yield follow

    def _publish(self, oracle: Oracle, count: int) -> None:
        """Publish patterns of four keys in every partition; some are interrupted by noise, some records are bad."""
        first = oracle.records
        for partition in range(PARTITIONS):
            values = []
            for number in range(first + partition, first + count, PARTITIONS):
                symbol = (number // PARTITIONS) % (3 + partition)
                noise = self._chance.random()
                values.append(b"?" if noise < 0.005 else b"%d" % (9 if noise < 0.02 else symbol))
            oracle.publish(partition, values, key=b"key-%d" % (first // PIECE % 4))

    def _draw(self, fleet: Fleet, kinds: Sequence[Kind], committed: int, *, longest_s: float) -> Fault:
        fits = [
            kind
            for kind in kinds
            if not (kind == "join" and len(fleet.members) == MAX_MEMBERS)
            and not (kind == "leave" and len(fleet.members) == 1)
        ]
        return Fault(
            self._chance.choice(fits),
            round(committed / self._events, 3),
            round(self._chance.uniform(0.1, longest_s), 1),
            self._chance.randrange(MAX_MEMBERS),
        )

    def _strike(self, fleet: Fleet, fault: Fault) -> None:
        self._faults[fault.kind] += 1
        with (self._folder / "faults.log").open("a", encoding="utf-8") as log:
            log.write(f"{fault!r},\n")
        fleet.strike(fault)

    def _take_over(self, oracle: Oracle, fleet: Fleet, *, crash: bool) -> None:
        """Have two members, end one while there is something to do, and time the other."""
        while len(fleet.members) > 2:
            fleet.leave(fleet.members[0])
        while len(fleet.members) < 2:
            fleet.join()
        fleet.wait_until(lambda: fleet.stable_since_sample, "restore all partitions")
        self._publish(oracle, PIECE)
        leaver, heir = fleet.members
        name = "a crash (session timeout 10 s)" if crash else "a clean leave"
        self._take_overs[name] = take_over(fleet, leaver, heir, crash=crash)

    def _stop_all(self, oracle: Oracle, fleet: Fleet) -> None:
        oracle.wait_for_share(fleet)
        fleet.wait_until(lambda: fleet.stable_since_sample, "restore all partitions")
        while fleet.members:
            fleet.leave(fleet.members[0])

    def _compare(self, oracle: Oracle, expected: Group, found: Group) -> list[str]:
        said = []
        for topic in ("output_topic", "dead_letter_topic"):
            wanted, seen = (digests_of(oracle, str(group[topic])) for group in (expected, found))
            if wanted != seen:
                said.append(f"{topic} differs: expected {wanted}, found {seen}")
        states = [oracle.states(group) for group in (expected, found)]
        if states[0] != states[1]:
            said.append(f"states differ: expected {states[0]}, found {states[1]}")
        return said

    def _ends(self, fleet: Fleet) -> str:
        return "\n".join(f"{member.get('/readyz')}\n{member.log_end()}" for member in fleet.members)


def sample_of(member: DaemonProcess, events: int) -> Sample:
    """Look at a process from outside."""
    process = Path("/proc") / str(member.pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    resident = 1024 * int(status["VmRSS"].split()[0])
    return Sample(events, resident, len(list((process / "fd").iterdir())), int(status["Threads"]))


def digests_of(oracle: Oracle, topic: str) -> dict[int, tuple[int, str]]:
    """Count and digest what readers of a topic see, by partition; all but offsets."""
    places = [KafkaPartition(topic, partition) for partition in range(PARTITIONS)]
    counts: Counter[int] = Counter()
    digests = {place.partition: hashlib.sha256() for place in places}
    consumer = KafkaConsumer(
        bootstrap_servers=oracle.bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=5000,
    )
    with closing(consumer):
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < ends[place] for place in places):
            for place, records in consumer.poll(timeout_ms=500).items():
                counts[place.partition] += len(records)
                for record in records:
                    seen = (record.key, record.value, tuple(record.headers), record.timestamp)
                    digests[place.partition].update(repr(seen).encode())
    return {partition: (counts[partition], digest.hexdigest()) for partition, digest in digests.items()}


if __name__ == "__main__":
    sys.exit(main())
