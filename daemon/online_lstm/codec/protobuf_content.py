"""The content of Protobuf values as messages.

A schema is the text of a ``.proto`` file, which the compiler of the library turns into descriptors. A field with
presence that is not set is null; a proto3 field without presence has its default.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from online_lstm.codec.json_text import NumberText
from online_lstm.codec.schemas import ContentReader, Schema, text_of

_FILE = "online_lstm_schema.proto"
_PROVIDED = {
    "confluent/meta.proto": """syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }
""",
    "confluent/type/decimal.proto": """syntax = "proto3"; package confluent.type;
message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }
""",
}
"""Files that registries of Confluent provide without a reference."""
_WRAPPERS = {
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
}


def protobuf_reader(schema: Schema) -> ContentReader:
    """Return the function that reads the content of values of a schema: the index of the message type, and the message.

    Raises:
        ValueError: The schema cannot be compiled.
    """
    pool = DescriptorPool()
    for file in _compiled(schema).file:
        pool.Add(file)
    top = [*pool.FindFileByName(_FILE).message_types_by_name.values()]

    def read(content: bytes) -> Any:
        numbers = _zigzag_numbers(content)
        count, _ = next(numbers)
        path, start = [0], 1
        if count:
            path = []
            for _ in range(count):
                index, start = next(numbers)
                path.append(index)
        kinds, kind = top, None
        for index in path:
            if not 0 <= index < len(kinds):
                raise ValueError("no such message type")
            kind = kinds[index]
            kinds = [*kind.nested_types]
        if kind is None:
            raise ValueError("no message type")
        try:
            return _plain(GetMessageClass(kind).FromString(content[start:]))
        except DecodeError as error:
            raise ValueError("not of this schema") from error

    return read


def _compiled(schema: Schema) -> FileDescriptorSet:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in [*_PROVIDED.items(), *schema.references, (_FILE, schema.text)]:
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                raise ValueError("a reference outside of the schema")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        output = root / "descriptors"
        options = (f"--proto_path={folder}", "--include_imports", f"--descriptor_set_out={output}", _FILE)
        # a process of its own, as the compiler and TensorFlow crash each other in one
        compiler = [sys.executable, "-m", "grpc_tools.protoc", *options]
        if subprocess.run(compiler, stdin=DEVNULL, capture_output=True, check=False).returncode:  # noqa: S603
            raise ValueError("not a schema of Protobuf")
        return FileDescriptorSet.FromString(output.read_bytes())


def _zigzag_numbers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield the zigzag varints at the start of bytes, each with the position after it."""
    number = shift = 0
    for position, byte in enumerate(content, 1):
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield (number >> 1) ^ -(number & 1), position
            number = shift = 0
    raise ValueError("bytes end in the index of the message type")


def _plain(message: Any) -> Any:
    """Return the content of a message, or the value that a message of a well-known type stands for."""
    kind: Descriptor = message.DESCRIPTOR
    if kind.full_name in _WRAPPERS:
        return _scalar(kind.fields_by_name["value"])(message.value)
    if (special := _WELL_KNOWN.get(kind.full_name)) is not None:
        return special(message)
    return {field.name: _field(message, field) for field in kind.fields}


def _field(message: Any, field: FieldDescriptor) -> Any:
    part = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        convert = _scalar(field.message_type.fields_by_name["value"])
        return {str(key): convert(one) for key, one in part.items()}
    if field.is_repeated:
        return [*map(_scalar(field), part)]
    return None if field.has_presence and not message.HasField(field.name) else _scalar(field)(part)


def _scalar(field: FieldDescriptor) -> Callable[[Any], Any]:
    """Return the function that converts one value of a field."""
    if field.message_type is not None:
        return _plain
    if field.enum_type is not None:
        names = field.enum_type.values_by_number
        return lambda number: names[number].name if number in names else number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return text_of
    # the fewest digits that give the same float32
    return (lambda number: float(str(np.float32(number)))) if field.type == FieldDescriptor.TYPE_FLOAT else _same


def _same(part: Any) -> Any:
    return part


def _moment(message: Any) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=message.seconds, microseconds=message.nanos // 1000
        )
    except OverflowError:
        raise ValueError("a timestamp beyond the year 9999") from None
    return moment.isoformat()


def _decimal(message: Any) -> NumberText:
    return NumberText(format(Decimal(int.from_bytes(message.value, signed=True)).scaleb(-message.scale), "f"))


_WELL_KNOWN: dict[str, Callable[[Any], Any]] = {
    "google.protobuf.Timestamp": _moment,
    "google.protobuf.Duration": lambda message: message.seconds + message.nanos / 1e9,
    "confluent.type.Decimal": _decimal,
}
