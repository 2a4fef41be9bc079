"""The backtest loop: values of a file as the records of partition 0 of a topic, learned in chunks and scored."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from online_lstm.backtest.input_files import Line
from online_lstm.backtest.report.scorecard import Scorecard
from online_lstm.checkpoint.checkpoint_files import pack_state
from online_lstm.checkpoint.warm_start_file import beginning
from online_lstm.events import InputRecord
from online_lstm.learning.partition import Partition
from online_lstm.settings import Settings
from online_lstm.shutdown import Shutdown

CHUNK = 500
"""Number of records processed at once; neither messages nor figures depend on it."""


def learn(
    partition: Partition,
    lines: Iterable[Line],
    scorecard: Scorecard,
    *,
    chunk: int = CHUNK,
    shutdown: Shutdown | None = None,
) -> Iterator[list[bytes]]:
    """Process lines with a partition, score the results, and yield the output messages of each chunk.

    The loop ends after the last line, or after a requested stop and the lines already read.
    """
    topic, shutdown = partition.source.topic, shutdown or Shutdown()
    records = (
        InputRecord(topic, 0, line.number, line.timestamp_ms, line.key, None if line.is_null else line.value)
        for line in lines
    )
    while batch := shutdown.take(records, chunk):
        processed = partition.process(batch)
        scorecard.read(batch)
        scorecard.add(processed)
        yield [output.value or b"" for output in processed.outputs if not output.dead_letter]
    scorecard.interrupted = shutdown.requested


def backtest(
    settings: Settings,
    name: str,
    lines: Iterable[Line],
    *,
    predictions: BinaryIO | None = None,
    checkpoint: BinaryIO | None = None,
    chunk: int = CHUNK,
    shutdown: Shutdown | None = None,
) -> Scorecard:
    """Learn from lines as if they were the records of partition 0 of a topic.

    The results are complete for the learned lines, even after an interruption.

    Args:
        settings: Settings for decoding and learning.
        name: Topic name in the output messages.
        lines: The values.
        predictions: File for the output messages, one per line.
        checkpoint: File for the learned state.
        chunk: Number of records processed at once.
        shutdown: A stop request ends the run before the last line.

    Raises:
        InputFileError: There are no values, or none could be learned.
        KeyboardInterrupt: The run was interrupted before anything was learned.
    """
    partition, scorecard = beginning(settings, name)(), Scorecard(settings)
    for messages in learn(partition, lines, scorecard, chunk=chunk, shutdown=shutdown):
        if predictions is not None:
            predictions.writelines(message + b"\n" for message in messages)
    if scorecard.interrupted and not scorecard.events:
        raise KeyboardInterrupt
    scorecard.require_events(name)
    if checkpoint is not None:
        checkpoint.write(pack_state(partition.state()))
    return scorecard
