"""The Prometheus metrics; the only module that uses prometheus_client.

Knows the telemetry events, not their sources. The work is done once per telemetry event, never per input event.
Label sets are closed: a newly assigned partition has every counter at 0, a revoked partition has no series.
The module is long because the catalogue of metrics is best read in one piece.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from typing import Any, TypeVar, get_args

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
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from online_lstm import __version__
from online_lstm.codec.forms import FORMS, REFUSED_OUTPUT
from online_lstm.events import BASELINES, TopicPartition
from online_lstm.significance import lift
from online_lstm.telemetry import (
    HINTS,
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    CheckpointResult,
    InputObserved,
    LineageReason,
    LineageStarted,
    OutputFormChanged,
    PartitionStats,
    TelemetryEvent,
    TopicMisfits,
    TransactionEnded,
)

NAMESPACE = "online_lstm"
STEP_BUCKETS_S = (25e-6, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 1.0)
WAIT_BUCKETS_S = (1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_Metric = TypeVar("_Metric", Counter, Gauge)


class PrometheusMetrics:
    """A metrics registry that telemetry events update; any thread may render it.

    The counters of a partition start at 0 when it is assigned; gauges appear once their value is known.

    Args:
        baselines: Names of the baselines, in the order of the telemetry events.
        experts: Names of the experts, in the order of the telemetry events.
        reasons: All possible reasons of a dead letter.
        build: Versions of the environment: label names and values of ``build_info``.
        interval_level: Target share of values inside the intervals; None without intervals.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        *,
        baselines: Sequence[str],
        experts: Sequence[str],
        reasons: Sequence[str],
        build: Mapping[str, str],
        interval_level: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # By default each counter has a second series with its creation time, which Prometheus 2 would store.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._clock = clock
        self._coverage_wanted = interval_level
        self._baselines = tuple(baselines)
        self._experts = tuple(experts)
        self._last_batches: dict[TopicPartition, BatchCommitted | None] = {}
        self._lags: dict[TopicPartition, int] = {}
        self._of_partitions: list[tuple[Counter | Gauge, list[tuple[str, ...]]]] = []
        self._observe_kind: Mapping[type[TelemetryEvent], Callable[[Any], None]] = {
            AssignmentChanged: self._observe_assignment,
            BatchCommitted: self._observe_batch,
            CheckpointFinished: self._observe_checkpoint,
            OutputFormChanged: self._observe_form,
            InputObserved: self._observe_input,
            LineageStarted: self._observe_lineage,
            PartitionStats: self._observe_partition,
            TopicMisfits: self._observe_topic,
            TransactionEnded: self._observe_transaction,
        }
        self._add_counters(reasons)
        self._add_gauges()
        self._add_process(build)
        self._add_histograms()

    def observe(self, report: TelemetryEvent) -> None:
        """Update the metrics; ignore partitions that are no longer assigned, whose series would reappear."""
        source = getattr(report, "source", None)
        if source is None or source in self._last_batches:
            self._observe_kind[type(report)](report)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type; as OpenMetrics if the ``Accept`` header asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _of_partition(self, kind: type[_Metric], name: str, text: str, **further: Sequence[str]) -> _Metric:
        """Register a metric labelled by topic, partition and ``further`` labels, each with all its values."""
        metric = kind(name, text, ("topic", "partition", *further), namespace=NAMESPACE, registry=self.registry)
        self._of_partitions.append((metric, list(product(*further.values()))))
        return metric

    def _add_counters(self, reasons: Sequence[str]) -> None:
        counter = partial(self._of_partition, Counter)
        self._events = counter("events", "Events learned.")
        self._scored = counter("predictions_scored", "Predictions scored: their value arrived.")
        self._hits = counter("hits", "Scored predictions that were hits.")
        self._baseline_hits = counter(
            "baseline_hits", "Hits of the baseline on the scored events.", baseline=self._baselines
        )
        self._expert_hits = counter("expert_hits", "Hits of the expert on the scored events.", expert=self._experts)
        self._fit_steps = counter("fit_steps", "Optimizer steps.")
        self._skipped_steps = counter(
            "fit_steps_skipped", "Optimizer steps skipped because the gradient was not finite."
        )
        self._dead_letters = counter("dead_letters", "Records sent to the dead-letter topic.", reason=tuple(reasons))
        self._reformed = counter(
            "reformed_records",
            "Records published with another timestamp or key, or as dead letters: the topic refused the original.",
            form=FORMS,
        )
        self._evicted_streams = counter("streams_evicted", "Streams evicted to stay within max_streams.")
        self._unlabelled = counter("sequences_unlabelled", "Sequences dropped because no label arrived in time.")
        self._drifts = counter(
            "drifts", "Drifts detected: changes of a stream after which predictions miss more often."
        )
        self._checkpoints = counter(
            "checkpoints",
            "Checkpoints by result: written, failed, or found damaged.",
            result=get_args(CheckpointResult),
        )
        self._lineages = counter("lineages", "Lineages started, by reason.", reason=get_args(LineageReason))
        self._lost_records = counter("lost_records", "Input records deleted from the topic before they were read.")

    def _add_gauges(self) -> None:
        gauge = partial(self._of_partition, Gauge)
        self._hit_rate = gauge("hit_rate", "Hit rate of the prediction over the scoring window, 0 to 1.")
        self._baseline_hit_rate = gauge(
            "baseline_hit_rate",
            "Hit rate of the baseline over the scoring window, 0 to 1.",
            baseline=self._baselines,
        )
        self._expert_hit_rate = gauge(
            "expert_hit_rate",
            "Hit rate of the expert over the scoring window, 0 to 1.",
            expert=self._experts,
        )
        self._lift = gauge("lift", "Hit rate of the prediction minus hit rate of the best baseline, -1 to 1.")
        self._kappa = gauge(
            "kappa_temporal",
            "Share of the errors of the last-value baseline that the prediction avoids (1: all, 0: no better).",
        )
        self._surprise = gauge("surprise_bits", "Surprise of the last scored value, in bits.")
        self._log_loss = gauge("log_loss_bits", "Mean surprise over the scoring window, in bits.")
        self._error = gauge("mean_absolute_error", "Mean absolute error of the prediction over the scoring window.")
        self._baseline_error = gauge(
            "baseline_mean_absolute_error",
            "Mean absolute error of the baseline over the scoring window.",
            baseline=self._baselines,
        )
        self._expert_error = gauge(
            "expert_mean_absolute_error",
            "Mean absolute error of the expert over the scoring window.",
            expert=self._experts,
        )
        self._relative_error = gauge(
            "mean_absolute_error_ratio",
            "Mean absolute error divided by the mean absolute value, over the scoring window.",
        )
        self._squared_error = gauge(
            "root_mean_squared_error", "Root mean squared error of the prediction over the scoring window."
        )
        self._percentage_error = gauge(
            "mean_absolute_percentage_error",
            "Mean of absolute error divided by absolute value, without values of 0; 0.05 is 5 %.",
        )
        self._skill = gauge("skill", "1 minus the ratio of the mean absolute error to the best baseline's, at most 1.")
        self._skills = {
            name: gauge(f"skill_{name}", f"Skill against the baseline {name.replace('_', ' ')}, at most 1.")
            for name in BASELINES["number"]
        }
        self._coverage = gauge(
            "interval_coverage", "Share of values inside their prediction intervals over the scoring window, 0 to 1."
        )
        self._coverage_target = gauge(
            "interval_coverage_target", "Target share of values inside their prediction intervals, 0 to 1."
        )
        self._lag_records = gauge("lag_records", "Input records not yet read.")
        self._open_transaction = gauge(
            "open_transaction_seconds",
            "Time that unread records have been blocked by another producer's open transaction, 0 if not blocked.",
        )
        self._hint = gauge("hint", "1 while the daemon suspects this configuration mistake, else 0.", hint=tuple(HINTS))
        self._lag_seconds = gauge(
            "lag_seconds", "Age of the last learned record while unread records wait, in seconds; 0 without a backlog."
        )
        self._last_event = gauge(
            "last_event_timestamp_seconds", "Timestamp of the last learned record, in seconds since 1970."
        )
        self._last_checkpoint = gauge(
            "last_checkpoint_timestamp_seconds", "Time of the last written checkpoint, in seconds since 1970."
        )
        self._checkpoint_size = gauge("checkpoint_size_bytes", "Size of the newest checkpoint, in bytes.")
        self._checkpoint_offset = gauge(
            "checkpoint_offset", "Input offset at which reading resumes after the newest checkpoint."
        )
        self._streams = gauge("streams", "Streams kept in memory.")
        self._waiting = gauge("sequences_waiting", "Streams whose sequence has ended and waits for its label.")
        self._vocabulary = gauge("vocabulary_size", "Symbols in the largest vocabulary, or number of labels.")

    def _add_process(self, build: Mapping[str, str]) -> None:
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=self.registry)
        self._partitions = gauge("partitions_assigned", "Partitions assigned to this process.")
        self._rebalances = counter("rebalances", "Changes of the partition assignment.")
        self._transactions = counter("transactions", "Transactions by result: committed or aborted.", ["result"])
        for result in ("committed", "aborted"):
            self._transactions.labels(result)
        self._misfits = gauge(
            "topic_misfits",
            "1 for each setting of a topic that is unsuitable for the published records; the startup log explains it.",
            ["published_topic", "setting"],
        )
        info = Info("build", "Versions of the daemon and its environment.", namespace=NAMESPACE, registry=self.registry)
        info.info({"version": __version__, **build})

    def _add_histograms(self) -> None:
        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            return Histogram(name, text, namespace=NAMESPACE, registry=self.registry, buckets=buckets)

        self._step_seconds = _StepSeconds()
        self.registry.register(self._step_seconds)
        self._transaction_seconds = histogram(
            "transaction_seconds", "Duration of a transaction, in seconds.", WAIT_BUCKETS_S
        )
        self._checkpoint_seconds = histogram(
            "checkpoint_seconds", "Time to write a checkpoint, in seconds.", WAIT_BUCKETS_S
        )
        self._end_to_end_seconds = histogram(
            "end_to_end_seconds",
            "Time from the timestamp of the last record in a batch to the commit of its prediction, in seconds.",
            WAIT_BUCKETS_S,
        )

    def _observe_batch(self, report: BatchCommitted) -> None:
        of = _labels(report.source)
        self._last_batches[report.source] = report
        self._events.labels(*of).inc(report.events)
        self._scored.labels(*of).inc(report.scored)
        self._hits.labels(*of).inc(report.hits)
        for baseline, hits in zip(self._baselines, report.baseline_hits, strict=True):
            self._baseline_hits.labels(*of, baseline).inc(hits)
        for expert, hits in zip(self._experts, report.expert_hits, strict=True):
            self._expert_hits.labels(*of, expert).inc(hits)
        self._fit_steps.labels(*of).inc(report.fit_steps)
        self._skipped_steps.labels(*of).inc(report.skipped_steps)
        for reason, count in report.dead_letters:
            self._dead_letters.labels(*of, reason).inc(count)
        self._evicted_streams.labels(*of).inc(report.evicted_streams)
        self._unlabelled.labels(*of).inc(report.unlabelled_sequences)
        self._drifts.labels(*of).inc(report.drifts)
        self._observe_lag(report.source, report.lag_records)
        if report.events:
            self._step_seconds.observe(report.step_seconds, events=report.events)
        if report.last_timestamp_ms >= 0:
            self._last_event.labels(*of).set(report.last_timestamp_ms / 1000)
            self._end_to_end_seconds.observe(self._age_s(report))

    def _observe_partition(self, report: PartitionStats) -> None:
        of = _labels(report.source)
        self._streams.labels(*of).set(report.streams)
        self._vocabulary.labels(*of).set(report.vocabulary)
        _set(self._waiting, of, report.waiting_sequences)
        _set(self._hit_rate, of, report.hit_rate)
        _set(self._kappa, of, report.kappa_temporal)
        _set(self._surprise, of, report.surprise_bits)
        _set(self._log_loss, of, report.log_loss_bits)
        _set(self._checkpoint_offset, of, report.checkpoint_offset)
        _set_each(self._baseline_hit_rate, of, self._baselines, report.baseline_hit_rates)
        _set_each(self._expert_hit_rate, of, self._experts, report.expert_hit_rates)
        rate, baselines = report.hit_rate, report.baseline_hit_rates
        _set(self._lift, of, None if rate is None or baselines is None else lift(rate, baselines))
        self._observe_errors(of, report)

    def _observe_input(self, report: InputObserved) -> None:
        of, names = _labels(report.source), {hint.name for hint in report.hints}
        self._observe_lag(report.source, report.lag_records)
        self._open_transaction.labels(*of).set(report.open_transaction_s)
        for name in HINTS:
            self._hint.labels(*of, name).set(name in names)

    def _observe_lag(self, source: TopicPartition, records: int) -> None:
        self._lags[source] = records
        self._lag_records.labels(*_labels(source)).set(records)

    def _observe_errors(self, of: tuple[str, str], report: PartitionStats) -> None:
        numbers, first = report.numbers, 1 + len(self._baselines)
        errors = numbers.mean_absolute_errors if numbers else None
        _set(self._error, of, errors[0] if errors else None)
        _set_each(self._baseline_error, of, self._baselines, errors[1:first] if errors else None)
        _set_each(self._expert_error, of, self._experts, errors[first:] if errors else None)
        _set(self._squared_error, of, None if numbers is None else numbers.root_mean_squared_error)
        _set(self._relative_error, of, None if numbers is None else numbers.mean_absolute_error_ratio)
        _set(self._percentage_error, of, None if numbers is None else numbers.mean_absolute_percentage_error)
        _set(self._skill, of, None if numbers is None else numbers.skill)
        for place, gauge in enumerate(self._skills.values()):
            _set(gauge, of, None if numbers is None else numbers.skills[place])
        _set(self._coverage, of, None if numbers is None else numbers.interval_coverage)
        _set(self._coverage_target, of, None if numbers is None else self._coverage_wanted)

    def _observe_checkpoint(self, report: CheckpointFinished) -> None:
        of = _labels(report.source)
        self._checkpoints.labels(*of, report.result).inc()
        if report.result == "written":
            self._checkpoint_seconds.observe(report.seconds)
            self._last_checkpoint.labels(*of).set(self._clock())
            self._checkpoint_size.labels(*of).set(report.size_bytes)
            self._checkpoint_offset.labels(*of).set(report.offset)

    def _observe_transaction(self, report: TransactionEnded) -> None:
        self._transactions.labels("committed" if report.committed else "aborted").inc()
        self._transaction_seconds.observe(report.seconds)

    def _observe_lineage(self, report: LineageStarted) -> None:
        self._lineages.labels(*_labels(report.source), report.reason).inc()
        self._lost_records.labels(*_labels(report.source)).inc(report.lost_records)

    def _observe_form(self, report: OutputFormChanged) -> None:
        self._reformed.labels(*_labels(report.source), report.form).inc(report.records)
        if report.form == "dead_letter":
            self._dead_letters.labels(*_labels(report.source), REFUSED_OUTPUT).inc(report.records)

    def _observe_topic(self, report: TopicMisfits) -> None:
        for setting, _ in report.misfits:
            self._misfits.labels(report.topic, setting).set(1)

    def _observe_assignment(self, report: AssignmentChanged) -> None:
        self._rebalances.inc()
        for source in report.revoked:
            self._last_batches.pop(source, None)
            self._lags.pop(source, None)
            for metric, further in self._of_partitions:
                for values in further:
                    metric.remove(*_labels(source), *values)
        for source in report.assigned:
            self._last_batches[source] = None
            for metric, further in self._of_partitions:
                if isinstance(metric, Counter):
                    for values in further:
                        metric.labels(*_labels(source), *values)
            # Computed at each scrape, so that the lag keeps growing while the loop is blocked.
            self._lag_seconds.labels(*_labels(source)).set_function(partial(self._lag_s, source))
        self._partitions.set(len(self._last_batches))

    def _lag_s(self, source: TopicPartition) -> float:
        batch = self._last_batches.get(source)
        if batch is None or not self._lags.get(source) or batch.last_timestamp_ms < 0:
            return 0.0
        return self._age_s(batch)

    def _age_s(self, batch: BatchCommitted) -> float:
        """Return the age of the last record, at least 0: the producer's clock may be ahead of this one."""
        return max(0.0, self._clock() - batch.last_timestamp_ms / 1000)


class _StepSeconds(Collector):
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


def _labels(source: TopicPartition) -> tuple[str, str]:
    return source.topic, str(source.partition)


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set the gauge, or remove its series while the value is unknown."""
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)


def _set_each(gauge: Gauge, labels: tuple[str, ...], names: Sequence[str], values: Sequence[float] | None) -> None:
    """Set the gauge of each name, or remove all of them while the values are unknown."""
    for name, value in zip(names, values or (None,) * len(names), strict=True):
        _set(gauge, (*labels, name), value)
