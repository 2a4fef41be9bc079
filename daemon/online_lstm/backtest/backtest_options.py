"""What ``backtest`` is asked for, as far as it can be refused before anything is learned."""

import argparse
import codecs
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from online_lstm.backtest.delimited import Dialect
from online_lstm.backtest.input_files import STANDARD_INPUT, format_of
from online_lstm.errors import SettingsError
from online_lstm.settings import Settings, add_value, parse_assignments, read_settings
from online_lstm.terminal.output_file import STANDARD_OUTPUT
from online_lstm.timestamps import EPOCH_UNITS, ISO


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """Take how the cells of the file are written, where that is not to be found from the file."""
    group = parser.add_argument_group("how the file is written, if not as it seems")
    add_encoding(group)
    group.add_argument("--separator", type=_character, metavar="CHAR", help="CSV: what separates cells: , ; | or tab")
    group.add_argument("--decimal", type=_character, metavar="CHAR", help="CSV: the decimal mark of numbers: . or ,")
    group.add_argument(
        "--thousands", type=_character, metavar="CHAR", help="CSV: what separates thousands: , . ' space or none"
    )
    group.add_argument(
        "--time-format",
        type=_time_format,
        metavar="FORM",
        help=f"CSV: how times are written: {', '.join((*EPOCH_UNITS, ISO))}, or a pattern like %%d/%%m/%%Y",
    )


def add_encoding(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Take the encoding of a file."""
    parser.add_argument(
        "--encoding", type=_encoding, metavar="NAME", help="of FILE: utf-8, utf-16, latin-1, cp1252 and others"
    )


def dialect_of(arguments: argparse.Namespace) -> Dialect:
    """Return how the file is written, as far as the options say."""
    return Dialect(**{field.name: getattr(arguments, field.name) for field in fields(Dialect)})


def _encoding(text: str) -> str:
    try:
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(f"received {text!r}, expected an encoding like utf-8 or cp1252") from None


def _character(text: str) -> str:
    character = {"tab": "\t", "\\t": "\t", "space": " ", "none": ""}.get(text, text)
    if len(character) > 1 or character.isalnum() or character in {"\n", "\r", '"'}:
        raise argparse.ArgumentTypeError(f"received {text!r}, expected one mark, or tab, space or none")
    return character


def _time_format(text: str) -> str:
    if text not in {*EPOCH_UNITS, ISO} and "%" not in text:
        known = ", ".join((*EPOCH_UNITS, ISO))
        raise argparse.ArgumentTypeError(f"received {text!r}, expected {known}, or a pattern like %d/%m/%Y")
    return text


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Read the settings, and refuse what does not fit them, or the file.

    Raises:
        SettingsError: Something is wrong, or asked for in vain.
    """
    given = parse_assignments(arguments.set)
    if arguments.task is not None:
        add_value(given, "task", arguments.task)
    settings = read_settings(given, config=arguments.config)
    if settings.value_format not in {"auto", "string"}:
        raise SettingsError(
            f"value_format: received {settings.value_format}, expected auto or string: a file has text, "
            "where the topic has the bytes of a serializer; --set value_format=auto"
        )
    if settings.calendar and not arguments.time_column:
        raise SettingsError("calendar: received true without times, expected CSV with a --time-column")
    columns = (arguments.column, arguments.key_column, arguments.time_column, arguments.label_column)
    dialect = replace(dialect_of(arguments), encoding=None)
    if (any(columns) or dialect != Dialect()) and format_asked(arguments) != "csv":
        raise SettingsError(f"column: {arguments.file} is read as {format_asked(arguments)}, expected --format csv")
    if arguments.label_column:
        _require_labels(settings, arguments)
    return settings


def _require_labels(settings: Settings, arguments: argparse.Namespace) -> None:
    """Refuse a column of labels where nothing would be done with it."""
    if settings.task != "label":
        raise SettingsError(f"label_column: expected --task label, received task {settings.task}")
    if not arguments.key_column:
        raise SettingsError("label_column: expected a --key-column as well: its keys tell the sequences apart")
    if settings.value_path or settings.label_path != "label":
        raise SettingsError(
            "label_column: expected value_path and label_path as they are by default: columns are named"
        )


def format_asked(arguments: argparse.Namespace) -> str:
    """Say how the file is read."""
    return arguments.format or format_of(arguments.file)


def require_separate_files(arguments: argparse.Namespace) -> None:
    """Refuse to write two results, or a result and the input, to one place.

    Raises:
        SettingsError: Two of them are.
    """
    results = {
        "json": arguments.json,
        "report": arguments.report,
        "predictions": arguments.predictions,
        "checkpoint": arguments.checkpoint,
        "plot": arguments.plot,
    }
    require_apart(results, {} if arguments.file == STANDARD_INPUT else {arguments.file: "the input"})


def require_apart(results: Mapping[str, str | None], read: Mapping[str, str]) -> None:
    """Refuse to write two results, by their options, to one place, or one to what is ``read``, and as what.

    Raises:
        SettingsError: Two of them are one place.
    """
    taken = {_place_of(path): what for path, what in read.items()}
    for option, path in results.items():
        if path is None:
            continue
        place = _place_of(path)
        if place in taken:
            raise SettingsError(f"{option}: received {path}, which is {taken[place]}; expected another file")
        taken[place] = f"where --{option} goes"


def _place_of(path: str) -> object:
    """Give what is equal for all paths of a file."""
    if path == STANDARD_OUTPUT:
        return path
    target = Path(path)
    return (target.stat().st_dev, target.stat().st_ino) if target.is_file() else target.resolve()


def require_passes(arguments: argparse.Namespace) -> None:
    """Refuse options of several passes that are wrong, or given for one.

    Raises:
        SettingsError: That is so.
    """
    if arguments.epochs < 1:
        raise SettingsError(f"epochs: received {arguments.epochs}, expected at least 1")
    if arguments.epochs == 1 and (arguments.held_out is not None or arguments.plot is not None):
        raise SettingsError("held-out, plot: received without several passes, expected --epochs N beside them")
    if arguments.held_out is not None and not 0 < arguments.held_out < 1:
        raise SettingsError(f"held-out: received {arguments.held_out:g}, expected a share between 0 and 1")
