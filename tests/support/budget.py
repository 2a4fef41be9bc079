"""How much of a long search a run of the tests takes: a share by default, all of it in `make search`."""

import os

WHOLE = "TESTS_SEARCH_WHOLE"
"""The variable of the environment that `make search` sets."""
SHARE = 0.1


def budget(whole: int, *, least: int = 1) -> int:
    """Return how many of the examples of a whole search this run takes: a tenth of them, but at least ``least``."""
    return whole if os.environ.get(WHOLE) else max(round(SHARE * whole), least)
