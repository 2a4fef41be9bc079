"""The report of a committed batch to the observers."""

from online_lstm.events import InputRecord, TopicPartition
from online_lstm.learning.partition import ProcessedBatch
from online_lstm.telemetry import BatchCommitted


def batch_report(
    source: TopicPartition, batch: ProcessedBatch, *, last: InputRecord, lag_records: int
) -> BatchCommitted:
    """Return the report of one partition's part of a committed batch, which ended with the record ``last``."""
    tally = batch.tally
    return BatchCommitted(
        source=source,
        events=tally.events,
        scored=tally.scored,
        hits=tally.hits,
        fit_steps=tally.fit_steps,
        skipped_steps=tally.skipped_steps,
        dead_letters=tuple(sorted(tally.dead_letters.items())),
        evicted_streams=tally.evicted_streams,
        unlabelled_sequences=tally.unlabelled_sequences,
        drifts=tally.drifts,
        step_seconds=tally.seconds,
        lag_records=lag_records,
        last_timestamp_ms=last.timestamp_ms,
        outputs=batch.outputs,
    )
