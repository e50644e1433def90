"""Parts that are installed only where they are wanted."""

from __future__ import annotations

from importlib.util import find_spec

from vendortap.errors import VendortapError

SOURCE = "path/to/vendortap"
"""What to give pip: vendortap is on no package index, so its name alone would be whatever somebody has put there."""


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{SOURCE}[{extra}]'"


def require(extra: str, purpose: str, *modules: str) -> None:
    """Say in a sentence which extra has to be installed.

    Raises:
        VendortapError: one of the modules is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise VendortapError(f"{purpose} needs {' and '.join(missing)}: {install(extra)}")
