"""What processes have to do with the ones that start them."""

import shutil


def ending_with_its_parent() -> list[str]:
    """Prefix a command so that the kernel ends it with the thread that starts it (PR_SET_PDEATHSIG)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
