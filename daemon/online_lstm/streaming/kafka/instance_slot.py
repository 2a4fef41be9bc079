"""A number of this process among the processes of a group on one host, held by a file lock."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from urllib.parse import quote

from online_lstm.errors import FencedError


class InstanceSlot:
    """A lock of the first free slot of this host; ``name`` is the same after a restart.

    Raises:
        FencedError: All slots are taken.
    """

    def __init__(self, group_id: str) -> None:
        folder = Path(tempfile.gettempdir()) / f"online-lstm-slots-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(10_000):
            lock = (folder / f"{quote(group_id, safe='')}-{number}.lock").open("wb")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self._lock = lock
            self.name = f"{socket.gethostname()}-{number}"
            return
        raise FencedError(f"no free slot in {folder}")

    def release(self) -> None:
        """Release the slot for another process."""
        self._lock.close()
