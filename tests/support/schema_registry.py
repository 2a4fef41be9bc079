"""A Schema Registry in memory, with the REST interface that the daemon uses, over real HTTP."""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class FakeRegistry:
    """The schemas by id, what was asked, and how it answers: ``status`` replaces every answer but 200."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.status = 200
        self.url = ""

    def add(self, schema_id: int, schema: object, *, kind: str = "AVRO", references: Sequence[Any] = ()) -> None:
        """Add a schema: the text of a Protobuf file, or what is JSON."""
        text = schema if isinstance(schema, str) and kind == "PROTOBUF" else json.dumps(schema)
        self.answers[f"/schemas/ids/{schema_id}"] = {"schema": text, "schemaType": kind, "references": [*references]}

    def add_subject(self, subject: str, version: int, schema: object, *, kind: str = "AVRO") -> None:
        """Add a schema that others refer to."""
        text = schema if isinstance(schema, str) and kind == "PROTOBUF" else json.dumps(schema)
        self.answers[f"/subjects/{subject}/versions/{version}"] = {"schema": text, "schemaType": kind}

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, object]:
        self.asked.append(path)
        self.authorizations.append(headers.get("Authorization"))
        if self.status != 200:
            return self.status, {"error_code": self.status, "message": "no"}
        if path in self.answers:
            return 200, self.answers[path]
        return 404, {"error_code": 40403, "message": "Schema not found"} if path.startswith("/schemas") else {}


@contextmanager
def registry() -> Iterator[FakeRegistry]:
    """Yield a registry at a free port."""
    content = FakeRegistry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = content.answer(self.path, dict(self.headers))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    content.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield content
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def framed(schema_id: int, content: bytes) -> bytes:
    """Return a value in the wire format."""
    return struct.pack(">bI", 0, schema_id) + content
