"""Programs that tests need and pip does not install."""

import shutil

import pytest


def program(*names: str) -> str:
    """Return the path of a program by one of its names; the test fails where there is none."""
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.fail(f"{names[0]} is not installed; `make tools` installs it (as root on Debian)")
