"""The options of ``backtest``, and the checks of them that are made before anything is learned."""

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
    """Add the options for the format of cells, which override the detected format."""
    group = parser.add_argument_group("format of the file, if not detected correctly")
    add_encoding(group)
    group.add_argument("--separator", type=_character, metavar="CHAR", help="CSV: separator of cells: , ; | or tab")
    group.add_argument("--decimal", type=_character, metavar="CHAR", help="CSV: decimal mark of numbers: . or ,")
    group.add_argument(
        "--thousands", type=_character, metavar="CHAR", help="CSV: thousands separator: , . ' space or none"
    )
    group.add_argument(
        "--time-format",
        type=_time_format,
        metavar="FORM",
        help=f"CSV: format of timestamps: {', '.join((*EPOCH_UNITS, ISO))}, or a pattern such as %%d/%%m/%%Y",
    )


def add_encoding(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the option for the encoding of a file."""
    parser.add_argument(
        "--encoding", type=_encoding, metavar="NAME", help="encoding of FILE: utf-8, utf-16, latin-1, cp1252 and others"
    )


def dialect_of(arguments: argparse.Namespace) -> Dialect:
    """Return the dialect that the options define."""
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
    """Read the settings, and check them and the options against the file.

    Raises:
        SettingsError: A setting is invalid, or an option does not apply to the settings or the file.
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
    """Raise if a label column cannot be used with the settings."""
    if settings.task != "label":
        raise SettingsError(f"label_column: expected --task label, received task {settings.task}")
    if not arguments.key_column:
        raise SettingsError("label_column: expected --key-column as well: a key identifies a sequence")
    if settings.value_path or settings.label_path != "label":
        raise SettingsError(
            "label_column: expected the default value_path and label_path: a column has a name, not a path"
        )


def format_asked(arguments: argparse.Namespace) -> str:
    """Return the format in which the file is read."""
    return arguments.format or format_of(arguments.file)


def require_separate_files(arguments: argparse.Namespace) -> None:
    """Raise if two results, or a result and the input, are the same file.

    Raises:
        SettingsError: Two of them are the same file.
    """
    results = {
        "json": arguments.json,
        "report": arguments.report,
        "predictions": arguments.predictions,
        "checkpoint": arguments.checkpoint,
        "plot": arguments.plot,
    }
    require_apart(results, {} if arguments.file == STANDARD_INPUT else {arguments.file: "is the input"})


def require_apart(results: Mapping[str, str | None], read: Mapping[str, str]) -> None:
    """Raise if two results are the same file, or a result is an input file.

    Args:
        results: Output paths by option; None for an option that is not used.
        read: Descriptions of the input files by path.

    Raises:
        SettingsError: Two of them are the same file.
    """
    taken = {_place_of(path): what for path, what in read.items()}
    for option, path in results.items():
        if path is None:
            continue
        place = _place_of(path)
        if place in taken:
            raise SettingsError(f"{option}: received {path}, which {taken[place]}; expected another file")
        taken[place] = f"--{option} writes to"


def _place_of(path: str) -> object:
    """Return a value that is equal for all paths of the same file."""
    if path == STANDARD_OUTPUT:
        return path
    target = Path(path)
    return (target.stat().st_dev, target.stat().st_ino) if target.is_file() else target.resolve()


def require_passes(arguments: argparse.Namespace) -> None:
    """Raise if options for several passes are invalid, or used with a single pass.

    Raises:
        SettingsError: An option is invalid, or needs several passes.
    """
    if arguments.epochs < 1:
        raise SettingsError(f"epochs: received {arguments.epochs}, expected at least 1")
    if arguments.epochs == 1 and (arguments.held_out is not None or arguments.plot is not None):
        raise SettingsError("held-out, plot: received without --epochs, expected --epochs N as well")
    if arguments.held_out is not None and not 0 < arguments.held_out < 1:
        raise SettingsError(f"held-out: received {arguments.held_out:g}, expected a share between 0 and 1")
