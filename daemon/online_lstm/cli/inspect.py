"""``online-lstm inspect``: show the content of a checkpoint, or list the checkpoints below a directory."""

import argparse
import json
from contextlib import ExitStack
from typing import Any

from online_lstm.errors import CheckpointDamagedError, ExitCode
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar
from online_lstm.terminal.tables import make_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the checkpoint or directory, and the option for JSON output."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="checkpoint file or its URL (s3://bucket/…/N.h5), or a directory or URL to list the checkpoints below it",
    )
    parser.add_argument("--json", metavar="OUT", help="write everything as JSON; -: standard output")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Show one checkpoint in full, or several in a list.

    Raises:
        CheckpointDamagedError: A checkpoint is damaged; the others are shown.
    """
    from online_lstm.audit.checkpoint_content import describe, summarize
    from online_lstm.audit.checkpoint_tables import listing_table, print_checkpoint
    from online_lstm.checkpoint.checkpoint_files import find_files, read_file

    urls = find_files(arguments.checkpoint)
    single = urls == [arguments.checkpoint]
    described: list[dict[str, Any]] = []
    with ExitStack() as stack:
        path = arguments.json
        output = None if path is None else stack.enter_context(create_output("json", path))
        with progress_bar("reading", len(urls), unit="checkpoints") as show:
            for count, url in enumerate(urls):
                show(count)
                file = read_file(url)
                described.append(describe(file) if single else summarize(file))
        if output is not None:
            content = described[0] if single else {"checkpoints": described}
            output.write(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    console = make_console(stderr=arguments.json == STANDARD_OUTPUT)
    if not single:
        console.print(listing_table(described))
    elif described[0]["whole"]:
        print_checkpoint(console, described[0])
    damage = [file["damage"] for file in described if not file["whole"]]
    if damage:
        raise CheckpointDamagedError("\n".join(damage))
    return ExitCode.OK
