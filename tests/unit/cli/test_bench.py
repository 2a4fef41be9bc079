"""The command bench: what it refuses."""

import argparse

import pytest
from online_lstm.cli import bench
from online_lstm.errors import SettingsError


def test_too_few_values_are_refused() -> None:
    """Percentiles need two."""
    with pytest.raises(SettingsError, match="live: received 1, expected 2 or more"):
        bench.main(argparse.Namespace(events=50, live=1, json=False))
