"""``online-lstm verify``: check that the offsets, checkpoints and outputs of a group agree.

For each partition, the command makes the checks of a restarting daemon, reads every checkpoint of the committed
lineage, and follows the digest through all later outputs up to the committed one. It recomputes no predictions, joins
no group and writes nothing to Kafka or the checkpoints.
"""

import argparse
import json
from contextlib import ExitStack, closing

from online_lstm import logs
from online_lstm.cli.options import GROUP_SETTINGS, add_settings, settings_of
from online_lstm.errors import ExitCode
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar
from online_lstm.terminal.tables import make_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the group and the options of the report."""
    parser.add_argument("group", metavar="GROUP", nargs="?", help="consumer group [default: the setting group_id]")
    parser.add_argument("--json", metavar="OUT", help="write all findings as JSON; -: standard output")
    add_settings(parser, *GROUP_SETTINGS, "output_topic", "dead_letter_topic", "delivery")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Audit every partition of the input topics, and print the findings."""
    if arguments.group is not None:
        arguments.group_id = arguments.group
    settings = settings_of(arguments)
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    from online_lstm.audit.audit_report import print_findings, to_json
    from online_lstm.audit.partition_audit import audit_partition, partitions_of, published_to
    from online_lstm.checkpoint import CheckpointStore
    from online_lstm.streaming.kafka.partition_reader import PartitionReader

    findings = []
    with ExitStack() as stack:
        report = None if arguments.json is None else stack.enter_context(create_output("json", arguments.json))
        # one reader for each of the two topics that are read at the same time
        topics, letters = (stack.enter_context(closing(PartitionReader(settings))) for _ in range(2))
        store = CheckpointStore(settings.checkpoint_url, settings.group_id)
        for source in partitions_of(settings, topics):
            total = sum(len(topics.offset_range(partition)) for partition in published_to(settings, topics, source))
            with progress_bar(str(source), total, unit="records") as show:
                findings.append(audit_partition(settings, source, store, topics=topics, letters=letters, show=show))
        if report is not None:
            report.write(json.dumps(to_json(settings, findings), indent=2).encode() + b"\n")
    print_findings(make_console(stderr=arguments.json == STANDARD_OUTPUT), settings, findings)
    return ExitCode.REFUSED if any(finding.faults for finding in findings) else ExitCode.OK
