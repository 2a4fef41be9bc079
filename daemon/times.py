"""Points in time as Kafka counts them."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds_of(moment: datetime) -> int:
    """Give the whole milliseconds since 1970; a moment without a time zone is taken for UTC.

    >>> milliseconds_of(datetime(1970, 1, 1, 0, 0, 1, 500))
    1000
    """
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - EPOCH) // timedelta(milliseconds=1)
