"""Programs that tests need and pip does not install."""

import os
import shutil

import pytest


def program(*names: str) -> str:
    """Find a program by one of its names; in CI it has to be there."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed; `make tools` installs it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
