"""Settings as options."""

import argparse
import re
from pathlib import Path
from typing import Literal

import pytest
from online_lstm.cli import main
from online_lstm.cli.options import GROUPS, add_settings, metavar_of, settings_of
from online_lstm.settings import Settings


def test_every_group_begins_at_a_setting() -> None:
    """In the order of the model, the first of which begins the first group."""
    names = list(Settings.model_fields)
    assert names[0] == next(iter(GROUPS))
    assert list(GROUPS) == sorted(GROUPS, key=names.index)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Literal["a", "b"], "{a,b}"),
        (Literal["a"] | None, "{a}"),
        (bool, "{true,false}"),
        (int, "N"),
        (float, "NUMBER"),
        (str | None, "TEXT"),
        (Path | None, "FILE"),
        (tuple[str, ...], "A,B"),
    ],
)
def test_an_option_says_what_it_takes(annotation: object, expected: str) -> None:
    """The words of a choice, or the kind of value."""
    assert expected == metavar_of("window", annotation)


def test_the_help_of_run_has_each_setting_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    """With its default and the words of a choice; the usage line stays a line."""
    with pytest.raises(SystemExit):
        main.main(["run", "--help"])
    text = capsys.readouterr().out
    assert "usage: online-lstm run [--help] [--config FILE] [--SETTING VALUE ...]\n" in text
    assert list(GROUPS.values()) == [
        line[:-1] for line in re.findall(r"^\w.*:$", text, re.MULTILINE) if line != "options:"
    ]
    for name in Settings.model_fields:
        assert f"  --{name.replace('_', '-')} " in text
    assert "--log-format {text,json}" in text
    assert "--create-topics {true,false}" in text
    assert "[default: true]" in text


def test_options_become_settings() -> None:
    """Only those that are given; all others come from elsewhere."""
    parser = argparse.ArgumentParser()
    add_settings(parser, "window", "top_k")
    settings = settings_of(parser.parse_args(["--window", "8"]), group_id="given")
    assert (8, 3, "given") == (settings.window, settings.top_k, settings.group_id)
