"""The README says what there is: settings, metrics, exit codes and commands."""

from readme import README, with_tables

from daemon.cli import COMMANDS


def test_tables_are_those_of_the_code() -> None:
    """Settings, metrics and exit codes are listed as they are (`python tests/readme.py` writes them)."""
    text = README.read_text(encoding="utf-8")
    assert with_tables(text) == text


def test_every_command_is_named() -> None:
    """Each command has a row."""
    text = README.read_text(encoding="utf-8")
    assert [] == [name for name in COMMANDS if f"| `{name}" not in text]
