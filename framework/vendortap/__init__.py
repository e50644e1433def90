"""vendortap: invoices out of vendors' APIs, as Singer taps made of pluggable connectors."""

from __future__ import annotations

from vendortap.hookspecs import hookimpl
from vendortap.model import HOOKSPEC_VERSION, Connector, Stream

__all__ = ["HOOKSPEC_VERSION", "Connector", "Stream", "__version__", "hookimpl"]


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: reading metadata is not free."""
    if name == "__version__":
        from importlib.metadata import version

        return version("vendortap")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
