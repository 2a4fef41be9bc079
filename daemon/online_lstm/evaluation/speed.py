"""Speed of this machine, from the network alone to a daemon that reads from Kafka and publishes to it."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from online_lstm.devtools.daemon_process import DaemonProcess
from online_lstm.devtools.local_kafka import bootstrap_or_local
from online_lstm.devtools.sample_data import DEMO_PERIOD, demo_stream
from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.model_factory import model_factory, versions
from online_lstm.learning.partition import Partition, initial_metadata, learning_settings, next_metadata
from online_lstm.settings import Settings, read_settings
from online_lstm.streaming.kafka import ensure_topics
from online_lstm.streaming.kafka.plain_clients import PlainProducer, TopicTail, delete_group, delete_topics

REFERENCE_NETWORK = ("lstm 16",)
"""Network measured in addition to the configured one, so that machines can be compared."""

ENGINE_EVENTS = 2048
PARTITION_EVENTS = 20_000
WARM_UP_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class BenchFigure:
    """One measured figure."""

    what: str
    value: float
    unit: str


def engine_figures(settings: Settings) -> Iterator[BenchFigure]:
    """Measure fit and predict with one event per call and with full calls; yield medians over the calls."""
    for layers in dict.fromkeys([settings.network, REFERENCE_NETWORK]):
        network = model_factory(settings.model_copy(update={"network": layers}))(learning_settings(settings))
        for events in (1, network.events):
            name = f"engine, {', '.join(layers)}, {events} event{'s' * (events > 1)} a call"
            yield BenchFigure(name, 1000 * _event_seconds(network, settings.window, events), "ms an event")


def _event_seconds(network: Any, window: int, events: int) -> float:
    """Return the median time per event of the demo stream, in seconds, with ``events`` per call."""
    classes = network.classes_for(1 + len(set(DEMO_PERIOD)))
    codes = np.resize(np.unique(DEMO_PERIOD, return_inverse=True)[1] + 1, window + ENGINE_EVENTS).astype(np.int32)
    known = np.full(events + 1, classes, np.int32)
    state, past = network.initial(classes), network.no_past()
    run = network.run(state, codes[: window + events], known, past)
    seconds = []
    for first in range(0, ENGINE_EVENTS, events):
        started = time.perf_counter()
        run = network.run(run.state, codes[first : first + window + events], known, past)
        past.keep(run.windows, run.edges)
        past = replace(past, events=past.events + events)
        seconds.append((time.perf_counter() - started) / events)
    return median(seconds)


def partition_figure(settings: Settings) -> BenchFigure:
    """Measure a partition from records to outputs: codec, vocabulary, network, baselines and scores."""
    source = TopicPartition("numbers", 0)
    mark = next_metadata(settings, source, 0, initial_metadata(partitions=1))
    partition = Partition(settings, source, mark, model_factory(settings))
    values = enumerate(demo_stream(WARM_UP_EVENTS + PARTITION_EVENTS))
    records = [InputRecord(source.topic, source.partition, offset, 0, None, value) for offset, value in values]
    partition.process(records[:WARM_UP_EVENTS])
    started = time.perf_counter()
    for first in range(WARM_UP_EVENTS, len(records), settings.max_batch_events):
        partition.process(records[first : first + settings.max_batch_events])
    return BenchFigure("partition alone, backlog", PARTITION_EVENTS / (time.perf_counter() - started), "events/s")


def kafka_figures(*, events: int, live: int, announce: Callable[[str], None]) -> list[BenchFigure]:
    """Measure a daemon in its own process, exactly once from Kafka to Kafka."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-bench-")))
        bootstrap = stack.enter_context(bootstrap_or_local(announce=announce))
        name = f"bench-{os.getpid()}"
        given = {
            "bootstrap_servers": bootstrap,
            "input_topics": f"{name}-numbers",
            "output_topic": f"{name}-predictions",
            "dead_letter_topic": f"{name}-dlq",
            "group_id": name,
            "session_timeout_s": 120,  # a paused daemon stays in the group
        }
        settings = read_settings(given)
        ensure_topics(settings)
        topics = [*settings.input_topics, settings.output_topic, settings.dead_letters_of("")]
        stack.callback(delete_topics, settings, topics)
        stack.callback(delete_group, settings)
        announce("starting the daemon")
        daemon = stack.enter_context(DaemonProcess(folder, given))
        publisher = stack.enter_context(PlainProducer(settings, settings.input_topics[0], linger_ms=0))
        follower = stack.enter_context(closing(TopicTail(settings, settings.output_topic, from_beginning=True)))
        daemon.wait_until_ready()
        _publish(publisher, WARM_UP_EVENTS)
        _receive(daemon, follower, WARM_UP_EVENTS)
        backlog_s = _backlog_seconds(daemon, publisher, follower, events)
        latencies_ms = [1000 * seconds for seconds in _latencies(daemon, publisher, follower, live)]
    percentiles = quantiles(latencies_ms, n=100, method="inclusive")
    return [
        BenchFigure(f"Kafka to Kafka, backlog of {events:,}", events / backlog_s, "events/s"),
        BenchFigure(f"Kafka to Kafka, live, p50 of {live:,}", percentiles[49], "ms"),
        BenchFigure(f"Kafka to Kafka, live, p99 of {live:,}", percentiles[98], "ms"),
    ]


def _backlog_seconds(daemon: DaemonProcess, publisher: PlainProducer, follower: TopicTail, events: int) -> float:
    """Return the seconds from the release of a backlog to its last committed prediction."""
    daemon.pause()  # so that learning starts only after the whole backlog is published
    try:
        _publish(publisher, events)
    finally:
        started = time.perf_counter()
        daemon.resume()
    _receive(daemon, follower, events)
    return time.perf_counter() - started


def _latencies(daemon: DaemonProcess, publisher: PlainProducer, follower: TopicTail, events: int) -> Iterator[float]:
    """Yield the seconds from sending a value to reading its committed prediction, one value after another."""
    for value in demo_stream(events):
        started = time.perf_counter()
        publisher.send(value)
        _receive(daemon, follower, 1)
        yield time.perf_counter() - started


def _publish(publisher: PlainProducer, events: int) -> None:
    for value in demo_stream(events):
        publisher.send(value)
    publisher.flush()


def _receive(daemon: DaemonProcess, follower: TopicTail, events: int) -> None:
    """Wait until ``events`` predictions have arrived."""
    for _ in follower.receive(events, daemon):
        pass


def machine() -> dict[str, str | int]:
    """Return the machine and versions that the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or "unknown",
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        **versions(),
    }
