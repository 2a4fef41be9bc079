"""online-lstm: learn from a stream while predicting its next values, as a daemon for Kafka or with a ``Learner``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from online_lstm.api.learner import Learner

__all__ = ["Learner"]


def __getattr__(name: str) -> Any:
    """Return ``__version__`` or ``Learner``, each looked up on demand, as most commands need neither."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("online-lstm")
    if name == "Learner":
        from online_lstm.api.learner import Learner  # noqa: PLC0415

        return Learner
    raise AttributeError(name)
