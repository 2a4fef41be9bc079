"""The liveness and readiness of the loop, as health checks and the log report them."""

from collections.abc import Sequence
from typing import Protocol

from online_lstm.logs import EventLogger

WAITING_S = 3.0
"""After this time without an answer from the broker, the daemon waits for it."""

_log = EventLogger(__name__)


class HealthState(Protocol):
    """The receiver of the liveness and readiness, such as the server of the health checks."""

    def beat(self, waiting_for: str = "") -> None:
        """Record that the loop is alive, and what it waits for, if anything."""

    def ready(self) -> None:
        """Record that the loop learns new records on arrival."""

    def not_ready(self, *reasons: str) -> None:
        """Record why the loop does not learn new records on arrival."""


class Readiness:
    """The reasons why the loop waits or does not learn new records on arrival."""

    def __init__(self, health: HealthState) -> None:
        self._health = health
        self._waits_for = ""

    def beat(self) -> None:
        """Report that the loop is alive, and still waits if it waited."""
        self._health.beat(self._waits_for)

    def wait_for(self, reason: str) -> None:
        """Report the reason for waiting, or with "" that the wait is over; log the start and the end of a wait once."""
        if reason and not self._waits_for:
            _log.warning("waiting", reason=reason)
        elif self._waits_for and not reason:
            _log.info("going on")
        self._waits_for = reason
        self.beat()

    def wait_for_broker(self, seconds: float) -> None:
        """Report a wait for the broker's answer, which takes a moment in normal operation."""
        if seconds >= WAITING_S:
            self.wait_for(f"the broker has not answered for {seconds:.0f} s")
        else:
            self.beat()

    def report(self, reasons: Sequence[str]) -> None:
        """Report the reasons why new records are not learned on arrival; without a reason, the loop is ready."""
        if reasons:
            self._health.not_ready(*reasons)
        else:
            self._health.ready()
