"""``online-lstm export``: write a stream's network as a Keras model."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from daemon.commands.outputs import create_output
from daemon.commands.tables import console_for, table_of
from daemon.commands.watch import printable
from daemon.errors import CheckpointDamagedError, ExitCode, SettingsError

if TYPE_CHECKING:  # it loads numba
    from daemon.commands.contents import Stored

HELP = "write a stream's network as a Keras model"
SUFFIX = ".keras"
NO_KEY = "null"
MOST_KEYS = 20
"""So many streams are named to someone who asked for another one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the checkpoint, which stream of it, and where it goes."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a file or its URL (s3://bucket/…/N.h5)")
    parser.add_argument(
        "out", metavar=f"OUT{SUFFIX}", help="the model; what goes in and out, and its states, are in OUT.json beside it"
    )
    parser.add_argument(
        "--stream",
        metavar="KEY",
        help=f"the stream, by its key ({NO_KEY}: the one without); needed where there are several",
    )
    parser.add_argument(
        "--stateful", action="store_true", help="one that remembers from call to call, for one sequence at a time"
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Write the model, and beside it what is told with it.

    Raises:
        CheckpointDamagedError: The checkpoint is.
        SettingsError: There is no such stream, or the files cannot be written.
    """
    out = Path(arguments.out)
    if out.suffix != SUFFIX:
        raise SettingsError(f"OUT{SUFFIX}: received {arguments.out}, expected a path that ends in {SUFFIX}")
    from daemon.checkpoint.files import read_file

    file = read_file(arguments.checkpoint)
    if file.damage is not None:
        raise CheckpointDamagedError(file.damage)
    from daemon.commands.contents import settings_of, stored_streams
    from daemon.commands.exported import export
    from daemon.commands.networks import networks_of
    from daemon.partition import learning_of

    stream = _chosen(list(stored_streams(file.state)), arguments.stream, arguments.checkpoint)
    settings = settings_of(file.state)
    network = networks_of(settings)(learning_of(settings))
    exported = export(settings, stream, network, stateful=arguments.stateful)
    about = {"model": f"{file.state['lineage']}@{int(file.state['records'])}", **exported.about}
    beside = out.with_suffix(".json")
    with create_output("export-json", str(beside)) as output:
        output.write(_lines(about).encode())
    with create_output("export", str(out)) as output:
        output.write(exported.content)
    console = console_for(stderr=False)
    name = "without key" if stream.key is None else printable(stream.key)
    console.print(Text(f"{out}: stream {name}, after {about['events']:,} values"), soft_wrap=True)
    table = table_of("what", "content")
    states = f"kept from call to call, zero at first; {beside} has those before its window"
    for what, content in (
        ("network", ", ".join(settings.network)),
        ("input", exported.inputs),
        ("output", exported.outputs),
        ("states", states if arguments.stateful else "zero before each sequence"),
        (beside.name, ", ".join(about)),
    ):
        table.add_row(what, Text(content))
    console.print(table)
    return ExitCode.OK


def _lines(about: dict[str, Any]) -> str:
    """Write JSON with a line for each name."""
    lines = (f"  {json.dumps(name)}: {json.dumps(about[name], ensure_ascii=False, allow_nan=False)}" for name in about)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _chosen(streams: "list[Stored]", key: str | None, checkpoint: str) -> "Stored":
    """Pick the stream of a key, or the only one there is."""
    if key is None and len(streams) == 1:
        return streams[0]
    by_key = {stream.key: stream for stream in streams}
    for wanted in [key, *([None] if key == NO_KEY else [])]:
        if wanted in by_key and key is not None:
            return by_key[wanted]
    names = [NO_KEY if name is None else printable(name) for name in by_key]
    more = f" and {len(names) - MOST_KEYS:,} more" if len(names) > MOST_KEYS else ""
    received = "nothing" if key is None else repr(key)
    raise SettingsError(
        f"--stream: received {received}, expected the key of a stream in {checkpoint}: "
        f"{', '.join(names[:MOST_KEYS]) or 'there is none'}{more}"
    )
