"""One broker for all workers of a session."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path


@contextmanager
def shared_broker(folder: Path, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """Yield the address of the broker that the first worker starts; it stops the broker after the last one's end.

    A worker that comes after that starts a broker again.

    Args:
        folder: Directory that the workers have in common.
        start: Starts a broker, whose address it yields.
    """
    turn, users, address = (folder / f"broker-{name}" for name in ("turn", "users", "address"))
    with ExitStack() as started, users.open("w") as using:
        with turn.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if owner := not address.exists():
                address.write_text(started.enter_context(start()), encoding="ascii")
            fcntl.flock(using, fcntl.LOCK_SH)
            shared = address.read_text(encoding="ascii")
        try:
            yield shared
        finally:
            fcntl.flock(using, fcntl.LOCK_UN)
            if owner:
                with turn.open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    fcntl.flock(using, fcntl.LOCK_EX)  # nobody uses it any more
                    address.unlink()
                    started.close()
