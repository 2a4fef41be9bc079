"""``online-lstm demo``: a broker, the seed's stream, the daemon as its own process, predictions read back."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from daemon.errors import ExitCode, OnlineLstmError

HELP = "see it work: broker, stream, daemon and a summary"
INPUT, OUTPUT = "numbers", "predictions"
READY_TIMEOUT_S = 120.0
IDLE_TIMEOUT_S = 60.0
EARLY = 500
"""How many values count as the time of learning in the summary."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take how many values to publish, and whether to stay."""
    parser.add_argument("--events", type=int, default=5000, metavar="N", help="values to publish [default: 5000]")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the demonstration and print what came of it."""
    from daemon.local_broker import bootstrap_or_local

    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="online-lstm-demo-")))
        bootstrap = stack.enter_context(bootstrap_or_local(announce=console.print))
        run = Demonstration.prepare(bootstrap, folder, console)
        daemon = stack.enter_context(run.daemon())
        run.publish(arguments.events)
        outputs = run.read(arguments.events, daemon)
        run.summarize(outputs)
        if arguments.keep:
            run.stay(daemon)
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Where the demonstration runs; topics and group have names of their own, so that it can run beside others."""

    bootstrap: str
    folder: Path
    console: Console
    environment: dict[str, str]
    output_topic: str
    url: str

    @classmethod
    def prepare(cls, bootstrap: str, folder: Path, console: Console) -> "Demonstration":
        """Choose names and a free port."""
        suffix = f"demo-{os.getpid()}"
        port = _free_port()
        settings = {
            "BOOTSTRAP_SERVERS": bootstrap,
            "INPUT_TOPICS": f"{INPUT}-{suffix}",
            "OUTPUT_TOPIC": f"{OUTPUT}-{suffix}",
            "GROUP_ID": suffix,
            "CHECKPOINT_URL": str(folder / "checkpoints"),
            "HTTP_PORT": str(port),
        }
        inherited = {n: v for n, v in os.environ.items() if not n.upper().startswith("ONLINE_LSTM_")}
        environment = inherited | {f"ONLINE_LSTM_{name}": value for name, value in settings.items()}
        return cls(bootstrap, folder, console, environment, settings["OUTPUT_TOPIC"], f"http://127.0.0.1:{port}")

    @contextlib.contextmanager
    def daemon(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the daemon until it is ready, and stop it in order at the end."""
        self.console.print("starting the daemon")
        with (self.folder / "daemon.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                _command("run"),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the demonstration, which then stops the daemon in order
            )
        try:
            self._wait_until_ready(process)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            self.require_running(process)
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=1):  # noqa: S310
                return
            time.sleep(0.1)
        raise OnlineLstmError(f"the daemon was not ready within {READY_TIMEOUT_S:g} s:\n{self._log_end()}")

    def require_running(self, process: "subprocess.Popen[bytes]") -> None:
        """Raise with the end of its log if the daemon is gone."""
        if process.poll() is not None:
            raise OnlineLstmError(f"the daemon ended with exit code {process.returncode}:\n{self._log_end()}")

    def publish(self, events: int) -> None:
        """Publish the seed's stream with the command that anyone would use."""
        subprocess.run(  # noqa: S603 - our own command
            _command("produce", "--seed-stream", str(events)), env=self.environment, check=True
        )

    def read(self, events: int, daemon: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
        """Read the predictions back as any consumer should, committed ones only."""
        from kafka import KafkaConsumer

        outputs: list[dict[str, Any]] = []
        consumer = KafkaConsumer(
            self.output_topic,
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        columns = (TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with (
            contextlib.closing(consumer),
            Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar,
        ):
            task = bar.add_task("", total=events)
            deadline = time.monotonic() + IDLE_TIMEOUT_S
            while len(outputs) < events:
                for records in consumer.poll(timeout_ms=200).values():
                    outputs += [json.loads(record.value) for record in records]
                    deadline = time.monotonic() + IDLE_TIMEOUT_S
                bar.update(task, completed=len(outputs))
                self.require_running(daemon)
                if time.monotonic() > deadline:
                    raise OnlineLstmError(f"{len(outputs)} of {events} predictions came:\n{self._log_end()}")
        return outputs

    def summarize(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Print what was reached, on standard output."""
        metrics = self._metrics()
        verdicts = [output["verdict"] for output in outputs]
        misses = [n for n, verdict in enumerate(verdicts) if verdict is not None and not verdict["hit"]]
        table = Table(title=f"{len(outputs)} values of the seed's stream, each predicted before it was learned")
        table.add_column("what")
        table.add_column("figure", justify="right")
        table.add_row(f"hit rate, first {EARLY} values", f"{_hit_rate(verdicts[:EARLY]):.4f}")
        if len(verdicts) > EARLY:
            table.add_row(f"hit rate, value {EARLY + 1} to {len(verdicts)}", f"{_hit_rate(verdicts[EARLY:]):.4f}")
        table.add_row("misses after value 1000", str(sum(n >= 1000 for n in misses)))
        table.add_row("last miss at value", str(misses[-1] + 1) if misses else "none")
        scored = sum(verdict is not None for verdict in verdicts)
        for name, hits in sorted(metrics["baselines"].items()):
            table.add_row(f"baseline {name.replace('_', ' ')}, all values", f"{hits / max(scored, 1):.4f}")
        table.add_row("learn and predict, per value", f"{metrics['step_ms']:.3f} ms")
        Console().print(table)
        Console().print(
            f"metrics: {self.url}/metrics   output topic: {self.output_topic} at {self.bootstrap}", soft_wrap=True
        )

    def stay(self, daemon: "subprocess.Popen[bytes]") -> None:
        """Leave all running until Ctrl-C."""
        self.console.print(
            f"still running; publish with\n  ONLINE_LSTM_BOOTSTRAP_SERVERS={self.bootstrap} online-lstm produce "
            f"--topic {self.environment['ONLINE_LSTM_INPUT_TOPICS']}\nCtrl-C stops everything",
            soft_wrap=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self.require_running(daemon)
                time.sleep(0.5)

    def _metrics(self) -> dict[str, Any]:
        """Read the daemon's own figures where Prometheus would."""
        from prometheus_client.parser import text_string_to_metric_families

        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:  # noqa: S310
            families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
        baselines: dict[str, float] = {}
        for sample in families["online_lstm_baseline_hits"].samples:
            name = sample.labels.get("baseline")
            if name is not None and sample.name.endswith("_total"):
                baselines[name] = baselines.get(name, 0) + sample.value
        steps = {s.name: s.value for s in families["online_lstm_step_seconds"].samples}
        count = steps["online_lstm_step_seconds_count"]
        return {"baselines": baselines, "step_ms": 1000 * steps["online_lstm_step_seconds_sum"] / max(count, 1)}

    def _log_end(self) -> str:
        return (self.folder / "daemon.log").read_text(encoding="utf-8", errors="replace")[-3000:]


def _hit_rate(verdicts: Sequence[dict[str, Any] | None]) -> float:
    """Give the share of hits among the values that had been predicted."""
    scored = [verdict["hit"] for verdict in verdicts if verdict is not None]
    return sum(scored) / max(len(scored), 1)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "daemon.cli", *arguments]


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
