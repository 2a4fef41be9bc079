"""online-lstm: learn from a Kafka topic while predicting its next values."""


def __getattr__(name: str) -> str:
    """Return ``__version__``, looked up on demand, because the lookup is the slowest part of the start."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("online-lstm")
    raise AttributeError(name)
