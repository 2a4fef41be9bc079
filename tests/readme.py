"""The tables of the README that are made from the code; run this file to write them."""

import re
from pathlib import Path

from daemon.codec import REASONS
from daemon.errors import ExitCode
from daemon.metrics import Metrics
from daemon.records import BASELINES, EXPERTS
from daemon.settings import Settings, kind_of

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    rows = ["| setting | default | kind | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = (
            ",".join(map(str, default))
            if isinstance(default, tuple)
            else str(default).lower()
            if default is False
            else default
        )
        cell = "" if default in {None, ()} else f"`{'true' if default is True else shown}`"
        rows.append(f"| `{name}` | {cell} | {kind_of(field)} | {field.description} |")
    return "\n".join(rows)


def metrics_table() -> str:
    rows = ["| metric | type | meaning |", "|---|---|---|"]
    registry = Metrics(baselines=BASELINES["symbol"], experts=EXPERTS["symbol"], reasons=REASONS, build={}).registry
    for family in registry.collect():
        if family.name.startswith("online_lstm_"):
            suffix = "_total" if family.type == "counter" else "_info" if family.type == "info" else ""
            rows.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join(rows)


def exit_codes_table() -> str:
    rows = ["| code | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| {code.value} | {code.meaning} |" for code in ExitCode)])


def with_tables(text: str) -> str:
    tables = {"settings": settings_table(), "metrics": metrics_table(), "exit codes": exit_codes_table()}
    for name, table in tables.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        assert pattern.search(text), f"no place for {name}"
        text = pattern.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
