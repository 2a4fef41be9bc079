"""``online-lstm export``: write the network of a stream as a Keras model."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from online_lstm.errors import CheckpointDamagedError, ExitCode, SettingsError
from online_lstm.terminal.message_lines import printable
from online_lstm.terminal.output_file import create_output
from online_lstm.terminal.tables import make_console, make_table

SUFFIX = ".keras"
NO_KEY = "null"
MAX_KEYS = 20
"""Maximum number of keys listed in the error for an unknown stream."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the checkpoint, the output file and the options of the export."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint file or its URL (s3://bucket/…/N.h5)")
    parser.add_argument(
        "out", metavar=f"OUT{SUFFIX}", help="model file; OUT.json beside it describes inputs, outputs and states"
    )
    parser.add_argument(
        "--stream",
        metavar="KEY",
        help=f"key of the stream ({NO_KEY}: the stream without a key); required if there are several networks",
    )
    parser.add_argument(
        "--stateful",
        action="store_true",
        help="export a stateful model: states carry over between calls, for one sequence at a time",
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Write the model, and its description as JSON beside it.

    Raises:
        CheckpointDamagedError: The checkpoint is damaged.
        SettingsError: The stream does not exist, or the files cannot be written.
    """
    out = Path(arguments.out)
    if out.suffix != SUFFIX:
        raise SettingsError(f"OUT{SUFFIX}: received {arguments.out}, expected a path that ends in {SUFFIX}")
    from online_lstm.checkpoint.checkpoint_files import read_file

    file = read_file(arguments.checkpoint)
    if file.state is None:
        raise CheckpointDamagedError(file.damage)
    from online_lstm.audit.keras_export import export
    from online_lstm.audit.state_description import settings_of
    from online_lstm.learning.model_factory import model_factory
    from online_lstm.learning.partition import learning_settings, model_id

    settings = settings_of(file.state)
    keys = file.state.learned.keys
    index = _stream_index(arguments.stream, keys, arguments.checkpoint, needed=settings.task != "label")
    network = model_factory(settings)(learning_settings(settings))
    exported = export(settings, file.state.learned, index, network, stateful=arguments.stateful)
    lineage = file.state.commit_metadata.lineage
    about: dict[str, Any] = {"model": model_id(lineage, exported.about["events"], learn=settings.learn)}
    if index is not None:
        about["stream"] = keys[index]
    about |= exported.about
    beside = out.with_suffix(".json")
    with create_output("export-json", str(beside)) as output:
        output.write(_format_object(about).encode())
    with create_output("export", str(out)) as output:
        output.write(exported.content)
    console = make_console(stderr=False)
    whose = "all streams" if index is None else f"stream {_name_of(keys[index])}"
    console.print(Text(f"{out}: {whose}, after {about['events']:,} values"), soft_wrap=True)
    table = make_table("what", "content")
    states = f"kept from call to call, zero at first; {beside} has those before its window"
    for title, content in (
        ("network", ", ".join(settings.network)),
        ("input", exported.inputs),
        ("output", exported.outputs),
        ("states", states if arguments.stateful else "zero before each sequence"),
        (beside.name, ", ".join(about)),
    ):
        table.add_row(title, Text(content))
    console.print(table)
    return ExitCode.OK


def _format_object(about: dict[str, Any]) -> str:
    """Format a JSON object with one line per name."""
    lines = (f"  {json.dumps(name)}: {json.dumps(about[name], ensure_ascii=False, allow_nan=False)}" for name in about)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _stream_index(wanted: str | None, keys: Sequence[str | None], checkpoint: str, *, needed: bool) -> int | None:
    """Return the index of the wanted stream, or of the only one; None for the network that all streams share."""
    if wanted is None and not needed:
        return None
    if wanted is None and len(keys) == 1:
        return 0
    if wanted in keys and wanted is not None:
        return keys.index(wanted)
    if wanted == NO_KEY and None in keys:
        return keys.index(None)
    names = ", ".join(map(_name_of, keys[-MAX_KEYS:][::-1])) or "there is none"
    more = f" and {len(keys) - MAX_KEYS:,} more" if len(keys) > MAX_KEYS else ""
    received = "nothing" if wanted is None else repr(wanted)
    raise SettingsError(f"--stream: received {received}, expected the key of a stream in {checkpoint}: {names}{more}")


def _name_of(key: str | None) -> str:
    return NO_KEY if key is None else printable(key)
