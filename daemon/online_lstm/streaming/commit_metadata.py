"""The text form of the commit metadata, which the group commits beside each offset."""

import json
from contextlib import suppress

from online_lstm.errors import RecoveryRefusedError
from online_lstm.events import CommitMetadata, TopicPartition


def write_metadata(commit_metadata: CommitMetadata) -> str:
    """Return commit metadata as the JSON text that is committed with an offset."""
    return json.dumps(
        {
            "lineage": commit_metadata.lineage,
            "records": commit_metadata.records,
            "digest": commit_metadata.digest.hex(),
            "partitions": commit_metadata.partitions,
        }
    )


def read_metadata(metadata: str, source: TopicPartition) -> CommitMetadata:
    """Parse the text that ``write_metadata`` returns.

    Raises:
        RecoveryRefusedError: The text is something else, so another program committed it.
    """
    with suppress(ValueError, KeyError, TypeError):
        fields = json.loads(metadata)
        return CommitMetadata(
            lineage=str(fields["lineage"]),
            records=int(fields["records"]),
            digest=bytes.fromhex(fields["digest"]),
            partitions=int(fields["partitions"]),
        )
    raise RecoveryRefusedError(
        f"{source}: the committed offset carries {metadata[:80]!r}, which this daemon did not write: another program "
        "commits in this group; use another group_id"
    )
