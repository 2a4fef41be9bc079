"""``online-lstm demo``: start a broker and the daemon, publish a demo stream, and read the predictions back."""

import argparse
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

from online_lstm.devtools.sample_data import demo_stream
from online_lstm.errors import BrokerUnavailableError, ExitCode, SettingsError
from online_lstm.settings import Settings, read_settings
from online_lstm.shutdown import Shutdown, interrupt
from online_lstm.significance import words_of
from online_lstm.terminal.progress import progress_bar

if TYPE_CHECKING:  # it loads the Kafka client
    from online_lstm.devtools.daemon_process import DaemonProcess

HELP = "run a demonstration: broker, stream, daemon and a summary"
EARLY = 500
"""Number of first values that the summary reports separately, as the learning phase."""
LATER_PER_S = 20
"""Values per second published with ``--keep``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the number of values and for keeping everything running."""
    parser.add_argument(
        "--events", type=int, default=5000, metavar="N", help="number of values to publish [default: 5000]"
    )
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the demonstration and print a summary."""
    from online_lstm.devtools.daemon_process import DaemonProcess
    from online_lstm.devtools.kafka_jars import BOOTSTRAP_VARIABLE
    from online_lstm.devtools.local_kafka import bootstrap_or_local
    from online_lstm.streaming.kafka import ensure_topics
    from online_lstm.streaming.kafka.plain_clients import PlainProducer

    if arguments.events < 2:
        raise SettingsError(f"events: received {arguments.events}, expected 2 or more")
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        stack.enter_context(Shutdown(interrupt))  # closing the terminal stops everything, like Ctrl-C
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-demo-")))
        given = _own_names(stack.enter_context(bootstrap_or_local(announce=console.print)))
        settings = read_settings(given)
        own_broker = not os.environ.get(BOOTSTRAP_VARIABLE)
        if not (own_broker or arguments.keep):
            stack.callback(_tidy_up, settings, console)
        ensure_topics(settings)
        console.print("starting the daemon")
        daemon = stack.enter_context(DaemonProcess(folder, given))
        daemon.wait_until_ready()
        with PlainProducer(settings, settings.input_topics[0]) as publisher:
            for value in demo_stream(arguments.events):
                publisher.send(value)
        outputs = _read_back(settings, arguments.events, daemon)
        _summarize(outputs, daemon, settings)
        _point_to_views(daemon, given, Console(highlight=False))
        if arguments.keep:
            _stay(daemon, settings, arguments.events, console)
            if not own_broker:
                console.print(f"the topics of {settings.group_id} stay on the broker", soft_wrap=True)
        else:
            console.print("stopping all of it; `make demo KEEP=1` leaves it running, with these views")
    return ExitCode.OK


def _own_names(bootstrap: str) -> dict[str, object]:
    """Return settings with unique names, so that several demonstrations can share a broker."""
    name = f"demo-{os.getpid()}"
    return {
        "bootstrap_servers": bootstrap,
        "input_topics": f"{name}-numbers",
        "output_topic": f"{name}-predictions",
        "group_id": name,
    }


def _tidy_up(settings: Settings, console: Console) -> None:
    """Delete the topics and the group of the demonstration from an existing broker."""
    from online_lstm.streaming.kafka.plain_clients import delete_group, delete_topics

    topics = [*settings.input_topics, settings.output_topic, *map(settings.dead_letters_of, settings.input_topics)]
    try:
        delete_topics(settings, topics)
        delete_group(settings)
    except BrokerUnavailableError as error:
        console.print(f"not deleted: topics {', '.join(topics)}, group {settings.group_id}: {error}", soft_wrap=True)


def _read_back(settings: Settings, events: int, daemon: "DaemonProcess") -> list[dict[str, Any]]:
    """Read the predictions like any consumer should: committed ones only."""
    from online_lstm.streaming.kafka.plain_clients import TopicTail

    outputs: list[dict[str, Any]] = []
    follower = TopicTail(settings, settings.output_topic, from_beginning=True)
    with closing(follower), progress_bar("learning", events) as advance:
        for records in follower.receive(events, daemon):
            outputs += [json.loads(record.value or b"") for record in records]
            advance(len(outputs))
    return outputs


def _summarize(outputs: Sequence[Mapping[str, Any]], daemon: "DaemonProcess", settings: Settings) -> None:
    """Print the summary on standard output."""
    evaluations = [output["evaluation"] for output in outputs]
    misses = [n for n, evaluation in enumerate(evaluations, 1) if evaluation is not None and not evaluation["hit"]]
    scored, baselines, step_ms = _metrics(daemon)
    table = Table("what", Column("figure", justify="right"))
    table.title = f"{len(outputs):,} values of the counting loop, each predicted before it was learned"
    table.add_row(f"hit rate, first {EARLY} values", f"{_hit_rate(evaluations[:EARLY]):.4f}")
    if len(evaluations) > EARLY:
        table.add_row(f"hit rate, value {EARLY + 1} to {len(evaluations):,}", f"{_hit_rate(evaluations[EARLY:]):.4f}")
    table.add_row("hit rate, all values", f"{_hit_rate(evaluations):.4f}")
    table.add_row("misses after value 1,000", str(sum(n > 1000 for n in misses)))
    table.add_row("last miss", f"value {misses[-1]:,}" if misses else "none")
    for name, hits in sorted(baselines.items()):
        table.add_row(f"baseline {words_of(name, settings.task)}, all values", f"{hits / scored:.4f}")
    table.add_row("learn and predict, per value", f"{step_ms:.3f} ms")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"predictions   {settings.output_topic} at {settings.bootstrap_servers[0]}", soft_wrap=True)


def _point_to_views(daemon: "DaemonProcess", given: Mapping[str, object], console: Console) -> None:
    """Print the addresses and commands of the views of a running daemon."""
    options = f"--bootstrap-servers {given['bootstrap_servers']} --output-topic {given['output_topic']}"
    for view, where in (
        ("page", f"{daemon.url}/ in a browser"),
        ("dashboard", f"{daemon.url}/metrics for the Prometheus and Grafana of deploy/ (`docker compose up`)"),
        ("terminal", f".venv/bin/online-lstm watch {options}"),
    ):
        console.print(f"{view:13} {where}", soft_wrap=True)


def _stay(daemon: "DaemonProcess", settings: Settings, published: int, console: Console) -> None:
    """Keep everything running until Ctrl-C, and continue to publish the stream."""
    from online_lstm.streaming.kafka.plain_clients import PlainProducer

    console.print(f"still running, {LATER_PER_S} values a second go on coming; Ctrl-C stops everything", soft_wrap=True)
    with suppress(KeyboardInterrupt), PlainProducer(settings, settings.input_topics[0]) as publisher:
        for value in islice(demo_stream(0), published, None):
            daemon.require_running()
            publisher.send(value)
            time.sleep(1 / LATER_PER_S)
    console.print("stopping daemon and broker")


def _metrics(daemon: "DaemonProcess") -> tuple[float, dict[str, float], float]:
    """Return metrics of the daemon: scored predictions, hits of each baseline, milliseconds per value."""
    with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=5) as answer:  # noqa: S310
        samples = list(_samples(answer.read().decode()))
    baselines: dict[str, float] = {}
    totals: dict[str, float] = {}
    for name, labels, value in samples:
        totals[name] = totals.get(name, 0.0) + value
        if name == "online_lstm_baseline_hits_total":
            baselines[labels["baseline"]] = baselines.get(labels["baseline"], 0.0) + value
    seconds = totals["online_lstm_step_seconds_sum"] / totals["online_lstm_step_seconds_count"]
    return totals["online_lstm_predictions_scored_total"], baselines, 1000 * seconds


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def _hit_rate(evaluations: Sequence[Mapping[str, Any] | None]) -> float:
    """Return the share of hits among the scored values."""
    hits = [bool(evaluation["hit"]) for evaluation in evaluations if evaluation is not None]
    return sum(hits) / max(len(hits), 1)
