"""vendortap: invoices out of vendors' APIs, as Singer taps made of pluggable connectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vendortap.declare.hooks import hookimpl
from vendortap.declare.model import HOOKSPEC_VERSION, Connector, Stream

if TYPE_CHECKING:
    from vendortap.embed.read import StreamBatch, StreamRecord, StreamState, read, read_arrow

__version__: str

__all__ = [
    "HOOKSPEC_VERSION",
    "Connector",
    "Stream",
    "StreamBatch",
    "StreamRecord",
    "StreamState",
    "__version__",
    "hookimpl",
    "read",
    "read_arrow",
]

_EMBEDDED = ("StreamBatch", "StreamRecord", "StreamState", "read", "read_arrow")


def __getattr__(name: str) -> Any:
    """Look up when it is asked for what plugins and commands have no use for, and is not free to import."""
    if name == "__version__":
        from vendortap.support.version import version

        return version()
    if name in _EMBEDDED:
        from vendortap.embed import read as embedded

        return getattr(embedded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
