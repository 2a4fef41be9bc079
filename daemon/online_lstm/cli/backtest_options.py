"""The options of ``backtest`` and ``produce`` about files, and their checks before anything is learned."""

import argparse
import codecs

from online_lstm.backtest.delimited import Dialect
from online_lstm.backtest.file_values import FileLayout
from online_lstm.backtest.input_files import STANDARD_INPUT, Format, format_of
from online_lstm.errors import SettingsError
from online_lstm.settings import Settings, add_value, parse_assignments, read_settings
from online_lstm.terminal.output_file import require_apart
from online_lstm.timestamps import AUTO, EPOCH_UNITS, ISO

_COLUMNS = ("column", "key_column", "time_column", "label_column")
_DIALECT = ("encoding", "separator", "decimal", "thousands")
"""Options that name columns, and those that describe cells."""


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
        metavar="FORM",
        help=f"format of timestamps: {', '.join((*EPOCH_UNITS, ISO))}, or a pattern such as %%d/%%m/%%Y; short for "
        "--set time_format=",
    )


def add_encoding(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the option for the encoding of a file."""
    parser.add_argument(
        "--encoding", type=_encoding, metavar="NAME", help="encoding of FILE: utf-8, utf-16, latin-1, cp1252 and others"
    )


def _layout_of(arguments: argparse.Namespace, settings: Settings) -> FileLayout:
    """Return the format, columns and dialect that the options define; a path of the settings names a column too."""
    has_label = "label_path" in settings.model_fields_set
    dialect = {name: getattr(arguments, name) for name in _DIALECT}
    return FileLayout(
        _format_of(arguments),
        tuple(arguments.column) or settings.value_path,
        key_column=arguments.key_column or settings.key_path,
        time_column=arguments.time_column or settings.time_path,
        label_column=arguments.label_column or (settings.label_path if has_label else None),
        dialect=Dialect(**dialect, time_format=None if settings.time_format == AUTO else settings.time_format),
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


def settings_of(arguments: argparse.Namespace) -> tuple[Settings, FileLayout]:
    """Read the settings and the layout of the file, and check them against the file.

    The cells of a CSV file are values; paths of the settings have named their columns then.

    Raises:
        SettingsError: A setting is invalid, or an option does not apply to the settings or the file.
    """
    given = parse_assignments(arguments.set)
    if arguments.task is not None:
        add_value(given, "task", arguments.task)
    if arguments.time_format is not None:
        add_value(given, "time_format", arguments.time_format)
    if len(arguments.column) > 1:
        given.setdefault("components", arguments.column)
    settings = read_settings(given, config=arguments.config)
    if settings.value_format not in {"auto", "string"}:
        raise SettingsError(
            f"value_format: received {settings.value_format}, expected auto or string: a file has text, "
            "where the topic has the bytes of a serializer; --set value_format=auto"
        )
    layout = _layout_of(arguments, settings)
    if settings.calendar and not layout.time_column and layout.format != "jsonl":  # a dump of a topic has times
        raise SettingsError("calendar: received true without times, expected CSV with a --time-column, or time_path")
    of_cells = [name for name in (*_COLUMNS, *_DIALECT) if name != "encoding" and getattr(arguments, name)]
    if of_cells and layout.format != "csv":
        raise SettingsError(f"column: {arguments.file} is read as {layout.format}, expected --format csv")
    if layout.format == "csv" and layout.label_column:
        _require_labels(settings, layout)
    return (settings.without_paths() if layout.format == "csv" else settings), layout


def _require_labels(settings: Settings, layout: FileLayout) -> None:
    """Raise if a label column cannot be used with the settings."""
    if settings.task != "label":
        raise SettingsError(f"label_column: expected --task label, received task {settings.task}")
    if not layout.key_column:
        raise SettingsError("label_column: expected --key-column as well: a key identifies a sequence")


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
