"""The observer that updates the Prometheus metrics.

Knows the telemetry events, not their sources. The work is done once per telemetry event, never per input event.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import Gauge
from prometheus_client.exposition import choose_encoder

from online_lstm.codec.output_forms import REFUSED_OUTPUT
from online_lstm.events import BASELINES, TopicPartition
from online_lstm.observability.metric_catalogue import BEST, MetricCatalogue, partition_labels
from online_lstm.significance import lift
from online_lstm.telemetry import (
    HINTS,
    AssignmentChanged,
    BatchCommitted,
    CheckpointFinished,
    InputObserved,
    LineageStarted,
    OutputFormChanged,
    PartitionStats,
    TelemetryEvent,
    TopicMisfits,
    TransactionEnded,
)


class PrometheusMetrics:
    """A metrics registry that telemetry events update; any thread may render it.

    The counters of a partition start at 0 when it is assigned; gauges appear once their value is known.

    Args:
        baselines: Names of the baselines.
        experts: Names of the experts.
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
        self._metrics = MetricCatalogue(baselines=baselines, experts=experts, reasons=reasons, build=build)
        self.registry = self._metrics.registry
        self._clock = clock
        self._coverage_wanted = interval_level
        self._baselines = tuple(baselines)
        self._experts = tuple(experts)
        self._last_batches: dict[TopicPartition, BatchCommitted | None] = {}
        self._lags: dict[TopicPartition, int] = {}
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

    def observe(self, report: TelemetryEvent) -> None:
        """Update the metrics; ignore partitions that are no longer assigned, whose series would reappear."""
        source = getattr(report, "source", None)
        if source is None or source in self._last_batches:
            self._observe_kind[type(report)](report)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type; as OpenMetrics if the ``Accept`` header asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _observe_batch(self, report: BatchCommitted) -> None:
        of = partition_labels(report.source)
        self._last_batches[report.source] = report
        self._metrics.events.labels(*of).inc(report.events)
        self._metrics.scored.labels(*of).inc(report.scored)
        self._metrics.hits.labels(*of).inc(report.hits.published)
        for baseline, hits in report.hits.baselines.items():
            self._metrics.baseline_hits.labels(*of, baseline).inc(hits)
        for expert, hits in report.hits.experts.items():
            self._metrics.expert_hits.labels(*of, expert).inc(hits)
        self._metrics.fit_steps.labels(*of).inc(report.fit_steps)
        self._metrics.skipped_steps.labels(*of).inc(report.skipped_steps)
        for reason, count in report.dead_letters:
            self._metrics.dead_letters.labels(*of, reason).inc(count)
        self._metrics.evicted_streams.labels(*of).inc(report.evicted_streams)
        self._metrics.unlabelled.labels(*of).inc(report.unlabelled_sequences)
        self._metrics.drifts.labels(*of).inc(report.drifts)
        self._observe_lag(report.source, report.lag_records)
        if report.events:
            self._metrics.step_seconds.observe(report.step_seconds, events=report.events)
        if report.last_timestamp_ms >= 0:
            self._metrics.last_event.labels(*of).set(report.last_timestamp_ms / 1000)
            self._metrics.end_to_end_seconds.observe(self._age_s(report))

    def _observe_partition(self, report: PartitionStats) -> None:
        of = partition_labels(report.source)
        self._metrics.streams.labels(*of).set(report.streams)
        self._metrics.vocabulary.labels(*of).set(report.vocabulary)
        _set(self._metrics.waiting, of, report.waiting_sequences)
        _set(self._metrics.kappa, of, report.kappa_temporal)
        _set(self._metrics.surprise, of, report.surprise_bits)
        _set(self._metrics.log_loss, of, report.log_loss_bits)
        _set(self._metrics.checkpoint_offset, of, report.checkpoint_offset)
        rates = report.hit_rates
        _set(self._metrics.hit_rate, of, rates.published if rates else None)
        _set(self._metrics.lift, of, lift(rates) if rates else None)
        _set_each(self._metrics.baseline_hit_rate, of, self._baselines, rates.baselines if rates else None)
        _set_each(self._metrics.expert_hit_rate, of, self._experts, rates.experts if rates else None)
        self._observe_errors(of, report)

    def _observe_input(self, report: InputObserved) -> None:
        of, names = partition_labels(report.source), {hint.name for hint in report.hints}
        self._observe_lag(report.source, report.lag_records)
        self._metrics.open_transaction.labels(*of).set(report.open_transaction_s)
        for name in HINTS:
            self._metrics.hint.labels(*of, name).set(name in names)

    def _observe_lag(self, source: TopicPartition, records: int) -> None:
        self._lags[source] = records
        self._metrics.lag_records.labels(*partition_labels(source)).set(records)

    def _observe_errors(self, of: tuple[str, str], report: PartitionStats) -> None:
        numbers = report.numbers
        errors = numbers.mean_absolute_errors if numbers else None
        _set(self._metrics.error, of, errors.published if errors else None)
        _set_each(self._metrics.baseline_error, of, self._baselines, errors.baselines if errors else None)
        _set_each(self._metrics.expert_error, of, self._experts, errors.experts if errors else None)
        _set(self._metrics.squared_error, of, None if numbers is None else numbers.root_mean_squared_error)
        ratios = numbers.mean_absolute_error_ratios if numbers else None
        _set(self._metrics.relative_error, of, ratios.published if ratios else None)
        _set(self._metrics.percentage_error, of, None if numbers is None else numbers.mean_absolute_percentage_error)
        skills = {BEST: numbers.skill, **numbers.skills} if numbers else None
        _set_each(self._metrics.skill, of, (BEST, *BASELINES["number"]), skills)
        _set(self._metrics.coverage, of, None if numbers is None else numbers.interval_coverage)
        _set(self._metrics.coverage_target, of, None if numbers is None else self._coverage_wanted)

    def _observe_checkpoint(self, report: CheckpointFinished) -> None:
        of = partition_labels(report.source)
        self._metrics.checkpoints.labels(*of, report.result).inc()
        if report.result == "written":
            self._metrics.checkpoint_seconds.observe(report.seconds)
            self._metrics.last_checkpoint.labels(*of).set(self._clock())
            self._metrics.checkpoint_size.labels(*of).set(report.size_bytes)
            self._metrics.checkpoint_offset.labels(*of).set(report.offset)

    def _observe_transaction(self, report: TransactionEnded) -> None:
        self._metrics.transactions.labels("committed" if report.committed else "aborted").inc()
        self._metrics.transaction_seconds.observe(report.seconds)

    def _observe_lineage(self, report: LineageStarted) -> None:
        self._metrics.lineages.labels(*partition_labels(report.source), report.reason).inc()
        self._metrics.lost_records.labels(*partition_labels(report.source)).inc(report.lost_records)

    def _observe_form(self, report: OutputFormChanged) -> None:
        self._metrics.reformed.labels(*partition_labels(report.source), report.form).inc(report.records)
        if report.form == "dead_letter":
            self._metrics.dead_letters.labels(*partition_labels(report.source), REFUSED_OUTPUT).inc(report.records)

    def _observe_topic(self, report: TopicMisfits) -> None:
        for setting, _ in report.misfits:
            self._metrics.misfits.labels(report.topic, setting).set(1)

    def _observe_assignment(self, report: AssignmentChanged) -> None:
        self._metrics.rebalances.inc()
        for source in report.revoked:
            self._last_batches.pop(source, None)
            self._lags.pop(source, None)
            self._metrics.remove_partition(source)
        for source in report.assigned:
            self._last_batches[source] = None
            self._metrics.start_partition(source)
            # Computed at each scrape, so that the lag keeps growing while the loop is blocked.
            self._metrics.lag_seconds.labels(*partition_labels(source)).set_function(partial(self._lag_s, source))
        self._metrics.partitions.set(len(self._last_batches))

    def _lag_s(self, source: TopicPartition) -> float:
        batch = self._last_batches.get(source)
        if batch is None or not self._lags.get(source) or batch.last_timestamp_ms < 0:
            return 0.0
        return self._age_s(batch)

    def _age_s(self, batch: BatchCommitted) -> float:
        """Return the age of the last record, at least 0: the producer's clock may be ahead of this one."""
        return max(0.0, self._clock() - batch.last_timestamp_ms / 1000)


def _set(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    """Set the gauge, or remove its series while the value is unknown."""
    if value is None:
        gauge.remove(*labels)
    else:
        gauge.labels(*labels).set(value)


def _set_each(
    gauge: Gauge, labels: tuple[str, ...], names: Sequence[str], values: Mapping[str, float | None] | None
) -> None:
    """Set the gauge of each name, or remove it while its value is unknown."""
    for name in names:
        _set(gauge, (*labels, name), values[name] if values else None)
