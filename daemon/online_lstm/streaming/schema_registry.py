"""The client of a Schema Registry: schemas by id, over the REST interface of Confluent, each fetched once.

A fetched schema is written beside the checkpoints before a record is learned with it.
"""

import base64
import json
import ssl
import time
from collections.abc import Iterable
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from online_lstm.checkpoint.schema_files import SchemaFiles
from online_lstm.codec.schemas import Schema
from online_lstm.errors import SchemaRegistryUnavailableError, SettingsError
from online_lstm.settings import Settings

TIMEOUT_S = 10.0
RETRY_S = 1.0
"""Pause after a failed request."""
UNKNOWN_SCHEMA = 40403
"""Error code of a registry that does not have a schema."""
MAX_REFERENCES = 100


class SchemaRegistry:
    """The schemas of a registry, kept in memory and in files; a ``SchemaSource``.

    Args:
        settings: Address, credentials, and where the checkpoints are.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = (settings.schema_registry_url or "").rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        self._headers.update(_credentials(settings))
        cafile = settings.schema_registry_cafile
        try:
            self._tls = ssl.create_default_context(cafile=cafile)
        except OSError as error:
            raise SettingsError(
                f"schema_registry_cafile: cannot read {cafile} ({error}); expected a PEM file"
            ) from error
        self._files = SchemaFiles(settings.checkpoint_url, settings.group_id)
        self._known: dict[int, Schema | None] = {}

    def schema(self, schema_id: int) -> Schema | None:
        """Return a schema from memory, from its file or from the registry; None if the registry does not have it.

        Raises:
            SchemaRegistryUnavailableError: The registry does not answer.
            CheckpointsUnavailableError: The file of the schema cannot be read or written.
            SettingsError: The registry refuses the credentials.
        """
        if schema_id not in self._known:
            kept = self._files.read(schema_id)
            schema = self._fetch(schema_id) if kept is None else kept[0]
            if kept is None:
                self._files.write(schema_id, schema)
            self._known[schema_id] = schema
        return self._known[schema_id]

    def _fetch(self, schema_id: int) -> Schema | None:
        answer = self._get(f"/schemas/ids/{schema_id}")
        if answer is None:
            return None
        texts: dict[str, str] = {}
        self._add_references(answer, texts)
        return Schema(answer.get("schemaType") or "AVRO", answer["schema"], tuple(texts.items()))

    def _add_references(self, answer: dict[str, Any], texts: dict[str, str]) -> None:
        """Add the schemas that a schema refers to, each after those that it needs itself."""
        for reference in answer.get("references") or ():
            if reference["name"] in texts or len(texts) >= MAX_REFERENCES:
                continue
            path = f"/subjects/{quote(reference['subject'], safe='')}/versions/{reference['version']}"
            referred = self._get(path)
            if referred is None:
                raise self._unavailable(f"{path} is gone, which a schema refers to")
            self._add_references(referred, texts)
            texts[reference["name"]] = referred["schema"]

    def _get(self, path: str) -> dict[str, Any] | None:
        """Return the answer of the registry; None if it does not have the schema."""
        request = Request(self._url + path, headers=self._headers)  # noqa: S310 - the settings allow HTTP only
        try:
            with urlopen(request, timeout=TIMEOUT_S, context=self._tls) as response:  # noqa: S310
                answer = json.loads(response.read())
        except HTTPError as error:
            if error.code in {401, 403}:
                raise SettingsError(
                    f"schema_registry_url: {self._url} refused the credentials (HTTP {error.code}); expected "
                    "schema_registry_username and schema_registry_password, or schema_registry_token"
                ) from None
            if error.code == 404 and _error_code(error) == UNKNOWN_SCHEMA:
                return None
            raise self._unavailable(f"HTTP {error.code} for {path}") from None
        except (OSError, ValueError) as error:
            raise self._unavailable(str(getattr(error, "reason", error))) from error
        if not isinstance(answer, dict) or not isinstance(answer.get("schema"), str):
            raise self._unavailable(f"no schema in the answer for {path}")
        return answer

    def _unavailable(self, reason: str) -> SchemaRegistryUnavailableError:
        time.sleep(RETRY_S)
        return SchemaRegistryUnavailableError(
            f"schema registry {self._url} does not answer as expected ({reason}); values wait for their schema: is "
            "schema_registry_url the base of its REST interface?"
        )


def registry_of(settings: Settings) -> SchemaRegistry | None:
    """Return the registry of the settings; None if no format needs one."""
    return SchemaRegistry(settings) if settings.schema_registry_url else None


def _credentials(settings: Settings) -> Iterable[tuple[str, str]]:
    if token := settings.registry_token():
        yield "Authorization", f"Bearer {token}"
    elif settings.schema_registry_username:
        pair = f"{settings.schema_registry_username}:{settings.registry_password() or ''}"
        yield "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"


def _error_code(error: HTTPError) -> int | None:
    try:
        answer = json.loads(error.read())
    except (OSError, ValueError):
        return None
    return answer.get("error_code") if isinstance(answer, dict) else None
