"""The command replay: what it refuses before it reads anything."""

import pytest
from online_lstm.cli import replay as command
from online_lstm.errors import SettingsError


@pytest.mark.parametrize(("first", "until"), [(5, 5), (6, 5), (-1, 5)])
def test_an_empty_range_is_refused(first: int, until: int) -> None:
    """And one from before the beginning."""
    with pytest.raises(SettingsError, match=f"received {first} and {until}, expected 0 <= from < until"):
        command._require_range(first, until)
