"""The catalogue of the Prometheus metrics: names, labels and help texts.

It must not know when a metric changes. Label sets are closed: a newly assigned partition has every counter at 0, a
revoked partition has no series.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from typing import TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from online_lstm import __version__
from online_lstm.codec.output_forms import FORMS
from online_lstm.events import BASELINES, TopicPartition
from online_lstm.telemetry import HINTS, CheckpointResult, LineageReason

NAMESPACE = "online_lstm"
BEST = "best"
"""The label value of a figure against the best baseline."""
STEP_BUCKETS_S = (25e-6, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 1.0)
WAIT_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_Metric = TypeVar("_Metric", Counter, Gauge)


class MetricCatalogue:
    """All metrics, in their own registry.

    Args:
        baselines: Names of the baselines.
        experts: Names of the experts.
        reasons: All possible reasons of a dead letter.
        build: Versions of the environment: label names and values of ``build_info``.
    """

    def __init__(
        self, *, baselines: Sequence[str], experts: Sequence[str], reasons: Sequence[str], build: Mapping[str, str]
    ) -> None:
        # By default each counter has a second series with its creation time, which Prometheus 2 would store.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._of_partitions: list[tuple[Counter | Gauge, list[tuple[str, ...]]]] = []
        self._add_counters(baselines, experts, reasons)
        self._add_gauges(baselines, experts)
        self._add_process(build)
        self._add_histograms()

    def start_partition(self, source: TopicPartition) -> None:
        """Begin every counter of a partition at 0."""
        for metric, further in self._of_partitions:
            if isinstance(metric, Counter):
                for values in further:
                    metric.labels(*partition_labels(source), *values)

    def remove_partition(self, source: TopicPartition) -> None:
        """Remove all series of a partition."""
        for metric, further in self._of_partitions:
            for values in further:
                metric.remove(*partition_labels(source), *values)

    def _of_partition(self, kind: type[_Metric], name: str, text: str, **further: Sequence[str]) -> _Metric:
        """Register a metric labelled by topic, partition and ``further`` labels, each with all its values."""
        metric = kind(name, text, ("topic", "partition", *further), namespace=NAMESPACE, registry=self.registry)
        self._of_partitions.append((metric, list(product(*further.values()))))
        return metric

    def _add_counters(self, baselines: Sequence[str], experts: Sequence[str], reasons: Sequence[str]) -> None:
        counter = partial(self._of_partition, Counter)
        self.events = counter("events", "Events learned.")
        self.scored = counter("predictions_scored", "Predictions scored: their value arrived.")
        self.hits = counter("hits", "Scored predictions that were hits.")
        self.baseline_hits = counter("baseline_hits", "Hits of the baseline on the scored events.", baseline=baselines)
        self.expert_hits = counter("expert_hits", "Hits of the expert on the scored events.", expert=experts)
        self.fit_steps = counter("fit_steps", "Optimizer steps.")
        self.skipped_steps = counter(
            "fit_steps_skipped", "Optimizer steps skipped because the gradient was not finite."
        )
        self.dead_letters = counter("dead_letters", "Records sent to the dead-letter topic.", reason=tuple(reasons))
        self.reformed = counter(
            "reformed_records",
            "Records published with another timestamp or key, or as dead letters: the topic refused the original.",
            form=FORMS,
        )
        self.evicted_streams = counter("streams_evicted", "Streams evicted to stay within max_streams.")
        self.unlabelled = counter("sequences_unlabelled", "Sequences dropped because no label arrived in time.")
        self.drifts = counter("drifts", "Drifts detected: changes of a stream after which predictions miss more often.")
        self.checkpoints = counter(
            "checkpoints",
            "Checkpoints by result: written, failed, or found damaged.",
            result=get_args(CheckpointResult),
        )
        self.lineages = counter("lineages", "Lineages started, by reason.", reason=get_args(LineageReason))
        self.lost_records = counter("lost_records", "Input records deleted from the topic before they were read.")

    def _add_gauges(self, baselines: Sequence[str], experts: Sequence[str]) -> None:
        gauge = partial(self._of_partition, Gauge)
        self.hit_rate = gauge("hit_rate", "Hit rate of the prediction over the scoring window, 0 to 1.")
        self.baseline_hit_rate = gauge(
            "baseline_hit_rate",
            "Hit rate of the baseline over the scoring window, 0 to 1.",
            baseline=baselines,
        )
        self.expert_hit_rate = gauge(
            "expert_hit_rate",
            "Hit rate of the expert over the scoring window, 0 to 1.",
            expert=experts,
        )
        self.lift = gauge("lift", "Hit rate of the prediction minus hit rate of the best baseline, -1 to 1.")
        self.kappa = gauge(
            "kappa_temporal",
            "Share of the errors of the last-value baseline that the prediction avoids (1: all, 0: no better).",
        )
        self.surprise = gauge("surprise_bits", "Surprise of the last scored value, in bits.")
        self.log_loss = gauge("log_loss_bits", "Mean surprise over the scoring window, in bits.")
        self.error = gauge("mean_absolute_error", "Mean absolute error of the prediction over the scoring window.")
        self.baseline_error = gauge(
            "baseline_mean_absolute_error",
            "Mean absolute error of the baseline over the scoring window.",
            baseline=baselines,
        )
        self.expert_error = gauge(
            "expert_mean_absolute_error",
            "Mean absolute error of the expert over the scoring window.",
            expert=experts,
        )
        self.relative_error = gauge(
            "mean_absolute_error_ratio",
            "Mean absolute error divided by the mean absolute value, over the scoring window.",
        )
        self.squared_error = gauge(
            "root_mean_squared_error", "Root mean squared error of the prediction over the scoring window."
        )
        self.percentage_error = gauge(
            "mean_absolute_percentage_error",
            "Mean of absolute error divided by absolute value, without values of 0; 0.05 is 5 %.",
        )
        self.skill = gauge(
            "skill",
            "1 minus the ratio of the mean absolute error to the baseline's, at most 1; `best` is the best baseline.",
            baseline=(BEST, *BASELINES["number"]),
        )
        self.coverage = gauge(
            "interval_coverage", "Share of values inside their prediction intervals over the scoring window, 0 to 1."
        )
        self.coverage_target = gauge(
            "interval_coverage_target", "Target share of values inside their prediction intervals, 0 to 1."
        )
        self.lag_records = gauge("lag_records", "Input records not yet read.")
        self.open_transaction = gauge(
            "open_transaction_seconds",
            "Time that unread records have been blocked by another producer's open transaction, 0 if not blocked.",
        )
        self.hint = gauge("hint", "1 while the daemon suspects this configuration mistake, else 0.", hint=tuple(HINTS))
        self.lag_seconds = gauge(
            "lag_seconds", "Age of the last learned record while unread records wait, in seconds; 0 without a backlog."
        )
        self.last_event = gauge(
            "last_event_timestamp_seconds", "Timestamp of the last learned record, in seconds since 1970."
        )
        self.last_checkpoint = gauge(
            "last_checkpoint_timestamp_seconds", "Time of the last written checkpoint, in seconds since 1970."
        )
        self.checkpoint_size = gauge("checkpoint_size_bytes", "Size of the newest checkpoint, in bytes.")
        self.checkpoint_offset = gauge(
            "checkpoint_offset", "Input offset at which reading resumes after the newest checkpoint."
        )
        self.streams = gauge("streams", "Streams kept in memory.")
        self.waiting = gauge("sequences_waiting", "Streams whose sequence has ended and waits for its label.")
        self.vocabulary = gauge("vocabulary_size", "Symbols in the largest vocabulary, or number of labels.")

    def _add_process(self, build: Mapping[str, str]) -> None:
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=self.registry)
        self.partitions = gauge("partitions_assigned", "Partitions assigned to this process.")
        self.rebalances = counter("rebalances", "Changes of the partition assignment.")
        self.transactions = counter("transactions", "Transactions by result: committed or aborted.", ["result"])
        for result in ("committed", "aborted"):
            self.transactions.labels(result)
        self.misfits = gauge(
            "topic_misfits",
            "1 for each setting of a topic that is unsuitable for the published records; the startup log explains it.",
            ["published_topic", "setting"],
        )
        info = Info("build", "Versions of the daemon and its environment.", namespace=NAMESPACE, registry=self.registry)
        info.info({"version": __version__, **build})

    def _add_histograms(self) -> None:
        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, namespace=NAMESPACE, registry=self.registry, buckets=buckets)

        self.step_seconds = StepHistogram()
        self.registry.register(self.step_seconds)
        self.transaction_seconds = histogram(
            "transaction_seconds", "Duration of a transaction, in seconds.", WAIT_BUCKETS_S
        )
        self.checkpoint_seconds = histogram(
            "checkpoint_seconds", "Time to write a checkpoint, in seconds.", WAIT_BUCKETS_S
        )
        self.end_to_end_seconds = histogram(
            "end_to_end_seconds",
            "Time from the timestamp of the last record in a batch to the commit of its prediction, in seconds.",
            WAIT_BUCKETS_S,
        )


class StepHistogram(Collector):
    """Histogram of the time per event: each event of a batch counts with the mean time of the batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(STEP_BUCKETS_S) + 1)
        self._seconds = 0.0

    def observe(self, seconds: float, *, events: int) -> None:
        """Add the events of a batch that took ``seconds`` in total."""
        bucket = bisect_left(STEP_BUCKETS_S, seconds / events)
        with self._lock:
            self._counts[bucket] += events
            self._seconds += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the current histogram."""
        with self._lock:
            counts, seconds = list(self._counts), self._seconds
        bounds = [*map(str, STEP_BUCKETS_S), "+Inf"]
        yield HistogramMetricFamily(
            f"{NAMESPACE}_step_seconds",
            "Time to learn and predict one event, as the mean over its batch, in seconds.",
            buckets=list(zip(bounds, accumulate(counts), strict=True)),
            sum_value=seconds,
        )


def partition_labels(source: TopicPartition) -> tuple[str, str]:
    """Return the labels of a partition."""
    return source.topic, str(source.partition)
