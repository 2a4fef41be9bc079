"""What may depend on nothing but the input, and groups that live by a script."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from online_lstm.errors import NotCommittedError
from online_lstm.events import Committed, OutputRecord, TopicPartition
from online_lstm.streaming.commit_metadata import read_metadata

from support.fakes import LOGS, SIZES, SOURCES, FakeDaemon, FakeKafka, record

FIRST = SOURCES[0]


class Outcome(NamedTuple):
    """What may not depend on anything but the input."""

    published: dict[TopicPartition, list[OutputRecord]]
    offsets: dict[TopicPartition, Committed]
    digests: dict[TopicPartition, str]


def outcome_of(kafka: FakeKafka, *daemons: FakeDaemon) -> Outcome:
    digests = {source: digest for daemon in daemons for source, digest in daemon.digests().items()}
    return Outcome(kafka.published, kafka.offsets, digests)


def undisturbed_outcome(folder: Path) -> Outcome:
    """Return the outcome of a daemon that learns ``LOGS`` without a fault."""
    kafka = FakeKafka(LOGS)
    return outcome_of(kafka, FakeDaemon(kafka, folder, sizes=SIZES).run())


def lineage_of(kafka: FakeKafka, source: TopicPartition = FIRST) -> str:
    return read_metadata(kafka.offsets[source].metadata, source).lineage


class ScriptedGroup:
    """A group of one member on one partition; it lives by scripts of values and of what happens between them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.kafka = FakeKafka({FIRST: [record(0, b"0", b"k")]})
        self.kafka.logs[FIRST].clear()
        self._given: dict[str, Any] = {}
        self._daemon: FakeDaemon | None = None

    def run(self, script: Sequence[object], **given: Any) -> "ScriptedGroup":
        """Publish the values of a script, and commit them one by one with what happens between them.

        The settings hold for processes that start from here on.
        """
        self._given = given
        log = self.kafka.logs[FIRST]
        offsets = {}
        for index, value in enumerate(script):
            if not callable(value):
                offsets[index] = len(log)
                log.append(record(len(log), None if value is None else json.dumps(value).encode(), b"k"))
        self.kafka.ends[FIRST] = len(log)
        for index, value in enumerate(script):
            if callable(value):
                value(self)
            else:
                self._commit(offsets[index] + 1)
        return self

    @property
    def outputs(self) -> list[dict[str, Any]]:
        return [json.loads(output.value or b"") for output in self.kafka.published[FIRST] if not output.dead_letter]

    @property
    def values(self) -> list[object]:
        return [output["value"] for output in self.outputs]

    @property
    def events(self) -> list[int]:
        return [output["event"] for output in self.outputs]

    @property
    def outcome(self) -> Outcome:
        """What was published and committed, and what a process knows that has nothing left to replay."""
        return outcome_of(self.kafka, self._started().run())

    def _started(self) -> FakeDaemon:
        if self._daemon is None:
            self._daemon = FakeDaemon(self.kafka, self._folder, sizes=(1,), checkpoint_interval_s=1000, **self._given)
        return self._daemon

    def _commit(self, end: int) -> None:
        for _ in range(100):
            if FIRST in self.kafka.offsets and self.kafka.offsets[FIRST].offset >= end:
                return
            try:
                self._started().step()
            except BaseException:
                self._daemon = None
                raise
        raise AssertionError(f"offset {end - 1} was not committed")

    def crash(self) -> None:
        """End the process; there is no checkpoint of what it learned since the last one."""
        self._started().die()
        self._daemon = None

    def stop(self) -> None:
        """End the process in order, with a checkpoint."""
        self._started().stop()
        self._daemon = None

    def checkpoint(self) -> None:
        """Write a checkpoint."""
        checkpoints = self._started().service._checkpoints
        checkpoints.begin_round()
        checkpoints.drain()
        checkpoints.collect()

    def refuse(self) -> None:
        """Have the broker refuse the next commit."""
        self._fail_once("before commit")

    def lose(self) -> None:
        """Have the broker commit the next value, and lose its answer."""
        self._fail_once("after commit")

    def _fail_once(self, step: str) -> None:
        def hook(name: str) -> None:
            if name == step:
                self.kafka.on_step = lambda _: None
                raise NotCommittedError(step)

        self.kafka.on_step = hook

    def damage(self) -> None:
        """Cut the last byte off the newest checkpoint."""
        newest = max(self._folder.rglob("*.h5"), key=lambda path: path.stem)
        newest.write_bytes(newest.read_bytes()[:-1])

    def expire(self) -> None:
        """Have the broker forget the committed offsets of the group."""
        self.kafka.offsets.clear()


CRASH = ScriptedGroup.crash
STOP = ScriptedGroup.stop
CHECKPOINT = ScriptedGroup.checkpoint
REFUSE = ScriptedGroup.refuse
LOSE = ScriptedGroup.lose
DAMAGE = ScriptedGroup.damage
EXPIRE = ScriptedGroup.expire
