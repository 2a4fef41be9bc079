"""Files of schemas beside the checkpoints of a group, so that a replay needs no registry.

A schema never changes; a file says also that the registry does not have a schema, as the records were refused for it.
"""

import json
from functools import cached_property

from online_lstm.checkpoint.storage_backends import Storage, storage_at
from online_lstm.codec.schemas import Schema
from online_lstm.errors import CheckpointsUnavailableError


class SchemaFiles:
    """The schemas of a group.

    Args:
        url: The directory or object store of the checkpoints.
        group: The consumer group.
    """

    def __init__(self, url: str, group: str) -> None:
        self._url, self._folder = url, f"{group}/schemas"

    @cached_property
    def _storage(self) -> Storage:
        return storage_at(self._url)

    def read(self, schema_id: int) -> tuple[Schema | None] | None:
        """Return a schema, or None in its place if the registry does not have it; None if there is no file.

        Raises:
            CheckpointsUnavailableError: The file cannot be read.
        """
        name = self._name(schema_id)
        try:
            data = self._storage.get(name)
            return (None if json.loads(data) is None else Schema.from_json(data),)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CheckpointsUnavailableError(
                f"checkpoint_url: the schema in {self._storage.location(name)} cannot be read ({error}); records that "
                "were learned with it could be replayed otherwise: restore the file, or remove it to ask the registry"
            ) from error

    def write(self, schema_id: int, schema: Schema | None) -> None:
        """Write a schema, or that the registry does not have it.

        Raises:
            CheckpointsUnavailableError: The file cannot be written.
        """
        name = self._name(schema_id)
        try:
            self._storage.put(name, b"null" if schema is None else schema.to_json())
        except OSError as error:
            raise CheckpointsUnavailableError(
                f"checkpoint_url: {self._storage.location(name)} cannot be written ({error}); a replay needs the schema"
            ) from error

    def _name(self, schema_id: int) -> str:
        return f"{self._folder}/{schema_id}.json"
