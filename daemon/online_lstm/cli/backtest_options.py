"""The options of ``backtest`` and ``produce`` about files, and their checks before anything is learned."""

import argparse
import codecs
from dataclasses import fields, replace

from online_lstm.backtest.delimited import Dialect
from online_lstm.backtest.file_values import FileLayout
from online_lstm.backtest.input_files import STANDARD_INPUT, Format, format_of
from online_lstm.errors import SettingsError
from online_lstm.settings import Settings, add_value, parse_assignments, read_settings
from online_lstm.terminal.output_file import require_apart
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


def layout_of(arguments: argparse.Namespace) -> FileLayout:
    """Return the format, columns and dialect that the options define."""
    return FileLayout(
        _format_of(arguments),
        tuple(arguments.column),
        key_column=arguments.key_column,
        time_column=arguments.time_column,
        label_column=arguments.label_column,
        dialect=Dialect(**{field.name: getattr(arguments, field.name) for field in fields(Dialect)}),
    )


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
    layout = layout_of(arguments)
    columns = (layout.columns, layout.key_column, layout.time_column, layout.label_column)
    of_cells = any(columns) or replace(layout.dialect, encoding=None) != Dialect()
    if of_cells and layout.format != "csv":
        raise SettingsError(f"column: {arguments.file} is read as {layout.format}, expected --format csv")
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


def _format_of(arguments: argparse.Namespace) -> Format:
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


def require_alone(arguments: argparse.Namespace) -> None:
    """Raise if an option would be ignored by ``--compare``.

    Raises:
        SettingsError: There is such an option, or two files are the same.
    """
    if arguments.file is not None:
        raise SettingsError(f"compare: received {arguments.file} with --compare, expected one of them")
    given = [
        name
        for name in ("predictions", "checkpoint", "plot", "held_out", "format", "task", "config", "column", "set")
        if getattr(arguments, name)
    ]
    if arguments.epochs > 1:
        given.append("epochs")
    if given:
        raise SettingsError(
            f"compare: received --{given[0].replace('_', '-')} with --compare, expected at most --json and --report: "
            "a comparison learns nothing"
        )
    require_apart({"json": arguments.json, "report": arguments.report}, dict.fromkeys(arguments.compare, "is compared"))
