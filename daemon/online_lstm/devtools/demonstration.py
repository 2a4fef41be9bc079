"""The demonstration: a broker, and for each of two streams a daemon that learns it, with a summary at the end.

The two streams need two daemons, because a daemon has one task: symbols for the counting loop, numbers for the load.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from online_lstm.devtools.daemon_process import DaemonProcess
from online_lstm.devtools.demo_summary import metric_totals, summary_table
from online_lstm.devtools.elapsed_times import Durations
from online_lstm.devtools.kafka_jars import BOOTSTRAP_VARIABLE
from online_lstm.devtools.local_kafka import bootstrap_or_local, fetch_kafka
from online_lstm.devtools.sample_data import daily_load, demo_stream
from online_lstm.errors import BrokerUnavailableError
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming.kafka import ensure_topics
from online_lstm.streaming.kafka.plain_clients import PlainProducer, TopicTail, delete_group, delete_topics
from online_lstm.terminal.progress import progress_bar

LATER_PER_S = 20
"""Values per second and stream that follow while everything is kept running."""


@dataclass(frozen=True, slots=True)
class DemoStream:
    """A stream of the demonstration: its values, how many are published at first, and its task."""

    name: str
    values: Callable[[int], Iterator[bytes]]
    events: int
    task: str


STREAMS = (
    DemoStream("counting loop", demo_stream, 5000, "symbol"),
    DemoStream("daily load", daily_load, 2000, "number"),
)


@dataclass(frozen=True, slots=True)
class RunningStream:
    """A stream with its daemon; ``events`` is the number of values published at first."""

    stream: DemoStream
    events: int
    settings: Settings
    daemon: DaemonProcess

    def publish(self) -> None:
        """Publish the first values."""
        with PlainProducer(self.settings, self.settings.input_topics[0]) as publisher:
            for value in self.stream.values(self.events):
                publisher.send(value)

    def read_back(self) -> list[dict[str, Any]]:
        """Read the predictions like any consumer should: committed ones only."""
        messages: list[dict[str, Any]] = []
        follower = TopicTail(self.settings, self.settings.output_topic, from_beginning=True)
        with closing(follower), progress_bar(f"learning the {self.stream.name}", self.events) as advance:
            for records in follower.receive(self.events, self.daemon):
                messages += [json.loads(record.value or b"") for record in records]
                advance(len(messages))
        return messages

    def print_summary(self, messages: Sequence[Mapping[str, Any]], console: Console) -> None:
        """Print the figures, and the addresses and commands of the views of the running daemon."""
        with urllib.request.urlopen(f"{self.daemon.url}/metrics", timeout=5) as answer:  # noqa: S310
            metrics = metric_totals(answer.read().decode())
        console.print(summary_table(self.stream.name, messages, metrics, self.settings))
        server, topic = self.settings.bootstrap_servers[0], self.settings.output_topic
        for view, address in (
            ("predictions", f"{topic} at {server}"),
            ("page", f"{self.daemon.url}/ in a browser"),
            ("dashboard", f"{self.daemon.url}/metrics for the Prometheus and Grafana of deploy/ (`docker compose up`)"),
            ("terminal", f".venv/bin/online-lstm watch --bootstrap-servers {server} --output-topic {topic}"),
        ):
            console.print(f"{view:13} {address}", soft_wrap=True)
        console.print()


def demonstrate(*, events: int | None, keep: bool, durations: Durations) -> None:
    """Run the demonstration; progress goes to standard error, the summary to standard output.

    Args:
        events: Number of values of each stream; None for the number of ``STREAMS``.
        keep: Keep everything running until Ctrl-C.
        durations: The parts that took time before; the parts of the demonstration are added.
    """
    progress, console = Console(stderr=True, highlight=False), Console(highlight=False)
    own_broker = not os.environ.get(BOOTSTRAP_VARIABLE)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-demo-")))
        if own_broker:
            with durations.measure("Kafka jars"):
                fetch_kafka(announce=progress.print)
        with durations.measure("broker"):
            bootstrap = stack.enter_context(bootstrap_or_local(announce=progress.print))
        progress.print("starting the daemons")
        with durations.measure("daemons ready"):
            running = []
            for stream in STREAMS:
                given = _settings_of(stream, bootstrap)
                settings = read_settings(given)
                if not (own_broker or keep):
                    stack.callback(_tidy_up, settings, progress)
                ensure_topics(settings)
                daemon = stack.enter_context(DaemonProcess(folder, given, name=settings.group_id))
                running.append(RunningStream(stream, events or stream.events, settings, daemon))
            for each in running:
                each.daemon.wait_until_ready()
        with durations.measure("learned"):
            for each in running:
                each.publish()
            outputs = [each.read_back() for each in running]
        for each, messages in zip(running, outputs, strict=True):
            each.print_summary(messages, console)
        for line in durations.lines():
            console.print(line)
        if keep:
            _stay(running, progress)
            if not own_broker:
                groups = ", ".join(each.settings.group_id for each in running)
                progress.print(f"the topics of {groups} stay on the broker", soft_wrap=True)
        else:
            progress.print("stopping all of it; `make demo KEEP=1` leaves it running, with these views")


def _settings_of(stream: DemoStream, bootstrap: str) -> dict[str, object]:
    """Return settings with unique names, so that several demonstrations can share a broker."""
    name = f"demo-{os.getpid()}-{stream.name.replace(' ', '-')}"
    return {
        "bootstrap_servers": bootstrap,
        "input_topics": name,
        "output_topic": f"{name}-predictions",
        "group_id": name,
        "task": stream.task,
    }


def _tidy_up(settings: Settings, progress: Console) -> None:
    """Delete the topics and the group of a stream from an existing broker."""
    topics = [*settings.input_topics, settings.output_topic, *map(settings.dead_letters_of, settings.input_topics)]
    try:
        delete_topics(settings, topics)
        delete_group(settings)
    except BrokerUnavailableError as error:
        progress.print(f"not deleted: topics {', '.join(topics)}, group {settings.group_id}: {error}", soft_wrap=True)


def _stay(running: Sequence[RunningStream], progress: Console) -> None:
    """Keep everything running until Ctrl-C, and continue to publish the streams."""
    progress.print(
        f"still running, {LATER_PER_S} values a second go on coming to each; Ctrl-C stops everything", soft_wrap=True
    )
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        later = [
            (
                each.daemon,
                stack.enter_context(PlainProducer(each.settings, each.settings.input_topics[0])),
                islice(each.stream.values(0), each.events, None),
            )
            for each in running
        ]
        while True:
            for daemon, publisher, values in later:
                daemon.require_running()
                publisher.send(next(values))
            time.sleep(1 / LATER_PER_S)
    progress.print("stopping daemons and broker")
