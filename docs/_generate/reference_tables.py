"""Tables of the reference, generated from the code: settings, metrics, exit codes, commands and HTTP paths."""

import argparse
import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from online_lstm.cli.main import COMMANDS, build_parser
from online_lstm.cli.options import GROUPS
from online_lstm.codec import REASONS
from online_lstm.codec.output_forms import FORMS
from online_lstm.errors import ExitCode
from online_lstm.events import BASELINES, EXPERTS
from online_lstm.observability.http_server import Health, WebServer
from online_lstm.observability.prometheus import PrometheusMetrics
from online_lstm.settings import KIND_MEANINGS, Settings, kind_of
from online_lstm.settings.presets import PRESETS, TASKS
from online_lstm.settings.sources import ENV_PREFIX
from online_lstm.telemetry import HINTS, CheckpointResult, LineageReason
from pydantic.fields import FieldInfo
from unit.test_layers import HOMES, ORDER, PACKAGE, module_path

HTTP_PATHS = {
    "/": "the live page, with its style sheet and scripts",
    "/live": "the data of the live page: server-sent events, one snapshot per second; its format is not stable",
    "/metrics": "[metrics](metrics.md) for Prometheus, in the OpenMetrics format if the `Accept` header asks for it",
    "/livez": "200 while the loop advances, else 503: a restart may help",
    "/readyz": "200 while records are learned as they arrive, else 503: the daemon is starting, has no partitions, or "
    "waits for a broker, the checkpoint storage or another producer's open transaction",
    "/streams": "the streams with the newest messages; `?search=TEXT` selects by a part of the key, `?limit=N` sets "
    "their number (default 50, at most 500)",
    "/streams/{topic}/{partition}": "the stream without a key of a partition, with its last messages; 404 if there is "
    "none",
    "/streams/{topic}/{partition}/{name}": "the stream of a key, with its last messages; `name` is the field `stream` "
    "of its messages (`pump-7`, `base64:…`)",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def all_settings() -> str:
    """Describe every setting under a heading of its own, to which one can link."""
    parts = []
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            title = GROUPS[name]
            parts.append(f"## {title[0].upper()}{title[1:]}")
        extra: Any = field.json_schema_extra
        facts = [
            type_of(name, field),
            f"default {literal(field.default) or 'none'}" + "".join(f", {other}" for other in _other_defaults(name)),
            f"*{kind_of(field)}*",
            *([f"only of task {' and '.join(extra['tasks'])}"] if extra["tasks"] else []),
            f"`{ENV_PREFIX}{name.upper()}`",
        ]
        description = _in_parentheses(field.description or "")
        parts += [f"### `{name}`", f"{description}.", " · ".join(facts)]
    return "\n\n".join(parts)


def kinds_table() -> str:
    return table(("kind", "effect of a change"), [(f"*{kind}*", meaning) for kind, meaning in KIND_MEANINGS.items()])


def presets_table() -> str:
    rows = [
        (f"`{option} = {name}`", ", ".join(f"`{setting} = {_plain(value)}`" for setting, value in values.items()))
        for option, of in (("task", TASKS), ("preset", PRESETS))
        for name, values in of.items()
        if values
    ]
    return table(("with", "defaults"), rows)


def literal(value: Any) -> str:
    """Return a value as in a settings file; empty for no value."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def type_of(name: str, field: FieldInfo) -> str:
    """Return the type of a setting in words, with its bounds."""
    kind, bounds = _unwrap(field.annotation, list(field.metadata))
    if get_origin(kind) is Literal:
        return " or ".join(f"`{word}`" for word in get_args(kind))
    words = {bool: "`true` or `false`", int: "whole number", float: "number", Path: "path of a file"}
    unit = " of seconds" if name.endswith("_s") else " of bytes" if name.endswith("_bytes") else ""
    if get_origin(kind) is tuple:
        inner, bounds = _unwrap(get_args(kind)[0], [])
        several = {int: "whole numbers", float: "numbers"}.get(inner, "texts")
        return f"{several}{_range(bounds)}, separated by commas"
    return f"{words.get(kind, 'text')}{unit}{_range(bounds)}"


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """Return the type inside ``Annotated`` and ``None``, and its metadata."""
    if get_origin(annotation) is Annotated:
        inner, *constraints = get_args(annotation)
        return _unwrap(inner, metadata + [bound for one in constraints for bound in getattr(one, "metadata", [one])])
    if get_origin(annotation) in {Union, UnionType}:
        inner = next(part for part in get_args(annotation) if part is not NoneType)
        return _unwrap(inner, metadata)
    return annotation, metadata


def _range(metadata: Iterable[Any]) -> str:
    """Return the bounds in the metadata of a type, in words."""
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = {name: getattr(bound, name) for bound in metadata for name in words if hasattr(bound, name)}
    found = [f"{word} {_figure(bounds[name])}" for name, word in words.items() if name in bounds]
    return f" {' '.join(found)}" if found else ""


def _figure(number: float) -> str:
    return f"{number:,}" if number < 2**53 else f"2^{number.bit_length() - 1}"  # type: ignore[attr-defined]


def _other_defaults(name: str) -> Iterator[str]:
    for option, of in (("task", TASKS), ("preset", PRESETS)):
        for chosen, values in of.items():
            if name in values and values[name] != Settings.model_fields[name].default:
                yield f"with {option} `{chosen}` {literal(values[name])}"


def _metrics() -> PrometheusMetrics:
    return PrometheusMetrics(baselines=BASELINES["symbol"], experts=EXPERTS["symbol"], reasons=REASONS, build={})


def all_metrics() -> str:
    metrics = _metrics()
    labels: dict[str, tuple[str, ...]] = {}
    for collector in dict.fromkeys(metrics.registry._names_to_collectors.values()):
        for family in collector.collect():
            labels[family.name] = tuple(getattr(collector, "_labelnames", ()))
    rows = [
        (
            _name_of(family),
            family.type,
            ", ".join(f"`{label}`" for label in labels.get(family.name, ()))
            or ("each version" if family.type == "info" else ""),
            family.documentation,
        )
        for family in metrics.registry.collect()
        if family.name.startswith("online_lstm_")
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


def labels_table() -> str:
    """List the labels of metrics and their values."""

    def of_tasks(names: Any) -> str:
        return "; ".join(f"{task}: {', '.join(f'`{name}`' for name in found)}" for task, found in names.items())

    def words(found: Iterable[str]) -> str:
        return ", ".join(f"`{word}`" for word in found)

    rows = [
        ("`topic`, `partition`", "input topic and its partition"),
        ("`baseline`", of_tasks(BASELINES)),
        ("`expert`", of_tasks(EXPERTS) + "; only the experts of the setting `experts`"),
        ("`reason` of dead letters", words(REASONS) + "; [what they mean](messages.md#dead-letters)"),
        ("`form`", words(FORMS) + "; [what they are](messages.md#other-forms)"),
        ("`published_topic`, `setting`", "output topic or dead-letter topic, and the name of its Kafka setting"),
        ("`hint`", words(HINTS) + "; [what they mean](../own-data.md#hints)"),
        ("`reason` of lineages", words(get_args(LineageReason))),
        ("`result` of checkpoints", words(get_args(CheckpointResult))),
        ("`result` of transactions", "`committed`, `aborted`"),
    ]
    return table(("label", "values"), rows)


def hints_table() -> str:
    """List the hints."""
    return table(("hint", "condition"), [(f"`{name}`", meaning) for name, meaning in HINTS.items()])


def buckets_table() -> str:
    """List the bounds of the histograms."""
    rows = []
    for family in _metrics().registry.collect():
        if family.type == "histogram":
            bounds = [sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")]
            rows.append((_name_of(family), ", ".join(bounds)))
    return table(("histogram", "upper bounds, in seconds"), rows)


def _name_of(family: Any) -> str:
    return f"`{family.name}{ {'counter': '_total', 'info': '_info'}.get(family.type, '') }`"


def exit_codes_table() -> str:
    return table(("code", "meaning"), [(str(code.value), code.meaning) for code in ExitCode])


def exceptions_table() -> str:
    """List the causes of each exit code, from the docstrings of the exceptions."""
    from online_lstm import errors  # noqa: PLC0415

    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.OnlineLstmError) and kind is not errors.OnlineLstmError
    ]
    ordered = sorted(kinds, key=lambda kind: kind.exit_code)
    rows = []
    for code, group in groupby(ordered, key=lambda kind: kind.exit_code):
        if code not in {ExitCode.OK, ExitCode.FAILURE}:
            reasons = [_sentence(kind).removeprefix("Raised when ").rstrip(".") for kind in group]
            rows.append((str(code.value), "; ".join(reasons)))
    return table(("code", "when"), rows)


def _sentence(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0].split(": ")[0]


def commands() -> str:
    """Describe every command and its options, as ``--help`` does."""
    found = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    helps = {action.dest: action.help or "" for action in found._choices_actions}
    return "\n\n".join(_command(name, found.choices[name], helps[name]) for name in COMMANDS)


def _command(name: str, parser: argparse.ArgumentParser, what: str) -> str:
    options = [action for action in parser._actions if action.dest != "help"]
    settings = [action for action in options if action.dest in Settings.model_fields]
    operands = [_operand(action) for action in options if not action.option_strings]
    further = [" ".join(part.split()) for part in re.split(r"\n\s*\n", parser.description or "")[1:]]
    parts = [
        f"## {name}",
        f"`{' '.join([f'online-lstm {name} [OPTIONS]', *operands])}`",
        " ".join([f"{what[0].upper()}{what[1:]}.", *(_escaped(text.strip()) for text in further if text.strip())]),
    ]
    rows = [(f"`{_option(action)}`", _text(action)) for action in options if action not in settings]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    if len(settings) == len(Settings.model_fields):
        parts.append("Every [setting](settings.md) is an option, with dashes: `--input-topics numbers`.")
    elif settings:
        links = [f"[`{action.option_strings[-1]}`](settings.md#{action.dest})" for action in settings]
        parts.append(f"Settings that are options of this command: {', '.join(links)}.")
    return "\n\n".join(parts)


def _operand(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} …]"}.get(str(action.nargs), name)


def _option(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    takes = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else "")
    takes = " ".join(takes) if isinstance(takes, tuple) else takes
    return f"{action.option_strings[-1]} {takes}".strip()


def _text(action: argparse.Action) -> str:
    return _in_parentheses(_escaped(str(action.help or "").replace("%%", "%")))


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _in_parentheses(text: str) -> str:
    """Return the text with parentheses around a default, because Markdown might take brackets for a link."""
    return re.sub(r"\[(default: .*)\]", r"(\1)", text)


def http_table() -> str:
    """List the paths that the daemon serves."""
    served = _served()
    assert set(HTTP_PATHS) == served, f"described and served differ: {set(HTTP_PATHS) ^ served}"
    return table(("path", "response"), [(f"`{path}`", meaning) for path, meaning in HTTP_PATHS.items()])


def _served() -> set[str]:
    web = WebServer("127.0.0.1", 0, render=lambda _: (b"", ""), health=Health(), view=None)  # type: ignore[arg-type]
    application: Any = web._server.config.app
    return {re.sub(r":\w+}", "}", route.path) or "/" for route in application.routes}


def layers() -> str:
    """Return the table of modules and packages in their order, with the first line of each docstring."""
    rows = []
    for name in ORDER:
        libraries = [
            library for library, homes in HOMES.items() if any(f"{home}.".startswith(f"{name}.") for home in homes)
        ]
        shown = f"`{name}/`" if (PACKAGE / name).is_dir() else f"`{name}`"
        rows.append((shown, about_module(name), ", ".join(libraries)))
    return table(("module", "what it owns", "libraries that only these use"), rows)


def about_module(name: str) -> str:
    """Return the first line of the docstring of a module or package below ``online_lstm``."""
    text = module_path([name]).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def alerts() -> str:
    """List the alerts with their meaning and remedy."""
    rules = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
    rows = [
        (
            f"`{rule['alert']}`",
            rule["labels"]["severity"],
            *(_annotation(rule, name) for name in ("description", "runbook")),
        )
        for group in yaml.safe_load(rules.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    return table(("alert", "severity", "meaning", "what to do"), rows)


def _annotation(rule: Any, name: str) -> str:
    """Return an annotation with an ellipsis for each template."""
    return re.sub(r"{{ .*? }}", "…", " ".join(rule["annotations"][name].split()))
