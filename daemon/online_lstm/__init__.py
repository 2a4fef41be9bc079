"""online-lstm: learn from a Kafka topic while predicting it."""


def __getattr__(name: str) -> str:
    """Give ``__version__``, looked up when it is asked for: that takes longer than all else at the start."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("online-lstm")
    raise AttributeError(name)
