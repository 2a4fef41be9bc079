"""The reader of values in the wire format of a Schema Registry, by the schema that each names.

A registry is known only as a ``SchemaSource``. A schema never changes, so what a value means depends on the value and
its schema alone.
"""

from collections.abc import Callable
from typing import Any

from online_lstm.codec.cell_text import quote_for_error
from online_lstm.codec.schemas import ContentReader, Schema, SchemaKind, SchemaSource, schema_and_content
from online_lstm.errors import BadInputError


class SchemaReader:
    """A reader of values of one format, by the schema that each value names.

    Args:
        name: The setting with the format, for messages.
        value_format: ``avro`` or ``protobuf``.
        schemas: The schemas.
    """

    def __init__(self, name: str, value_format: str, schemas: SchemaSource) -> None:
        self._setting = f"the setting {name} is {value_format}"
        self._kind, self._schemas = value_format.upper(), schemas
        self._readers: dict[int, ContentReader] = {}

    def __call__(self, value: bytes) -> Any:
        """Return the message of a value.

        Raises:
            BadInputError: The value is in another format, or the registry does not have its schema.
            SchemaRegistryUnavailableError: The registry does not answer.
        """
        schema_id, content = schema_and_content(value, setting=self._setting, content="the content")
        reader = self._readers.get(schema_id) or self._reader_of(schema_id)
        try:
            return reader(content)
        except ValueError:
            raise BadInputError(
                "not_a_value", f"received {quote_for_error(value)}, expected a value of its schema {schema_id}"
            ) from None

    def _reader_of(self, schema_id: int) -> ContentReader:
        schema = self._schemas.schema(schema_id)
        fault = ""
        if schema is None:
            fault = "which the registry does not have"
        elif schema.kind != self._kind:
            fault = f"which is of type {schema.kind}"
        else:
            try:
                self._readers[schema_id] = _compiler_of(schema.kind)(schema)
            except ValueError:
                fault = "which cannot be compiled"
        if fault:
            raise BadInputError(
                "schema_registry",
                f"received a value of schema {schema_id}, {fault}; expected one of type {self._kind}: {self._setting}",
            )
        return self._readers[schema_id]


def _compiler_of(kind: SchemaKind) -> Callable[[Schema], ContentReader]:
    """Return the compiler of schemas, whose library is imported only if it is needed."""
    if kind == "AVRO":
        from online_lstm.codec.avro_content import avro_reader  # noqa: PLC0415

        return avro_reader
    from online_lstm.codec.protobuf_content import protobuf_reader  # noqa: PLC0415

    return protobuf_reader
