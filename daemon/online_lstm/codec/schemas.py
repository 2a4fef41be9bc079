"""Schemas of a registry, and the wire format that names them: a zero byte, the id of a schema, and the content."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from online_lstm.codec.cell_text import quote_for_error
from online_lstm.errors import BadInputError

SCHEMA_MARK = b"\0"
"""First byte of a value in the wire format; the id of the schema follows, in four bytes."""
SCHEMA_BYTES = 5
SchemaKind = Literal["AVRO", "PROTOBUF", "JSON"]
ContentReader = Callable[[bytes], Any]
"""Reads the content after the id of a schema; it raises ``ValueError`` for another content."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema, as the registry has it, with the schemas that it refers to, each after those that it needs itself."""

    kind: SchemaKind
    text: str
    references: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> bytes:
        """Return the schema as JSON."""
        return json.dumps({"schemaType": self.kind, "schema": self.text, "references": self.references}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Schema":
        """Read what ``to_json`` returned; raise ``ValueError`` for anything else."""
        content = json.loads(data)
        if not isinstance(content, dict) or content.get("schemaType") not in get_args(SchemaKind):
            raise ValueError("no schema")
        return cls(
            content["schemaType"], content["schema"], tuple((name, text) for name, text in content["references"])
        )


class SchemaSource(Protocol):
    """The schemas of a registry."""

    def schema(self, schema_id: int) -> Schema | None:
        """Return a schema; None if the registry does not have it, which holds for ever.

        Raises:
            SchemaRegistryUnavailableError: The registry does not answer.
        """


def schema_of(value: bytes | None) -> int | None:
    """Return the id of the schema at the start of a value, None for a value without one.

    >>> schema_of(bytes([0, 0, 0, 0, 42, 8])), schema_of(b"4"), schema_of(None)
    (42, None, None)
    """
    if value is None or value[:1] != SCHEMA_MARK or len(value) < SCHEMA_BYTES:
        return None
    return int.from_bytes(value[1:SCHEMA_BYTES])


def schema_and_content(value: bytes, *, setting: str, content: str = "JSON", name: str = "") -> tuple[int, bytes]:
    """Return the id of the schema at the start of a value, and what follows it.

    ``setting`` says which setting expects a schema, ``content`` and ``name`` what the value has and is.

    Raises:
        BadInputError: The value has no schema.
    """
    schema_id = schema_of(value)
    if schema_id is None:
        raise BadInputError(
            "schema_registry",
            f"received {name}{quote_for_error(value)}, expected a zero byte, the id of a schema in four bytes, and "
            f"{content}: {setting}",
        )
    return schema_id, value[SCHEMA_BYTES:]


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """Return the ids of all schemas that values name."""
    return {schema_id for value in values if (schema_id := schema_of(value)) is not None}


def text_of(content: bytes) -> str:
    """Return the text of bytes, in base64 unless they are UTF-8.

    >>> text_of(b"on"), text_of(bytes([255]))
    ('on', '/w==')
    """
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()
