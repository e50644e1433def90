"""Runs a connector's sandbox: a local server that speaks the vendor's protocol, on loopback only."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import Connector
from vendortap.errors import PluginError, VendortapError
from vendortap.sandbox.faults import Wire
from vendortap.support.extras import require

if TYPE_CHECKING:
    import uvicorn

_HANGING_SECONDS = 0.2
"""A connection that is still open so long after the server was told to end is cut."""


@dataclass(frozen=True, slots=True)
class Served:
    """A sandbox that runs: its address, and the application, whose ``state`` knows the truth."""

    url: str
    app: Any


def application(
    connector: Connector, *, invoices: int, seed: int = 1, latency_ms: float = 0, rate: float = 0, **options: Any
) -> Any:
    """Return the ASGI application of a connector's sandbox; ``options`` are the sandbox's own.

    ``vendortap.sandbox.faults.Faulty`` around it makes it misbehave.

    Raises:
        PluginError: the connector has no sandbox, or it cannot be loaded.
        VendortapError: the extra 'sandbox' is not installed.
    """
    if connector.sandbox is None:
        raise PluginError(f"the connector {connector.name!r} has no sandbox")
    require("sandbox", "a sandbox", "starlette", "uvicorn")
    module, _, function = connector.sandbox.app.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
        return make(invoices=invoices, seed=seed, latency_ms=latency_ms, rate=rate, **options)
    except Exception as error:  # whatever a plugin's sandbox raises is the plugin's fault
        raise PluginError(f"the sandbox {connector.sandbox.app} cannot be made: {error}") from error


def settings(connector: Connector, url: str) -> dict[str, Any]:
    """Return the settings that lead a tap to the sandbox at ``url``."""
    declared = connector.sandbox.config if connector.sandbox else {}
    return {k: v.replace("{url}", url) if isinstance(v, str) else v for k, v in declared.items()}


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[Served]:
    """Serve an ASGI application on loopback in a thread; port 0 takes a free one.

    Raises:
        VendortapError: the port is taken.
    """
    import uvicorn

    listener = _listener(port)
    # without uvicorn's own configuration of logging, which for a moment lets a server that starts beside this one talk
    config = uvicorn.Config(app, http=_protocol(), log_config=None, log_level="error", access_log=False, lifespan="off")
    server = _server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listener.close()


def _server(config: uvicorn.Config) -> uvicorn.Server:
    """Return a server that ends although somebody is left hanging: from Python 3.12.1 on asyncio waits for them."""
    import uvicorn

    class EndingServer(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for connection in list(self.server_state.connections):
                if transport := getattr(connection, "transport", None):
                    asyncio.get_running_loop().call_later(_HANGING_SECONDS, transport.abort)
            await super().shutdown(sockets)

    return EndingServer(config)


def _protocol() -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP/1.1, which lends applications their connections, so that ``faults`` can break them."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class LendingProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn does
            self.wire = Wire(transport)
            self.app_state = {**self.app_state, "wire": self.wire}
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.wire.lost.set()

    return LendingProtocol


def _listener(port: int) -> socket.socket:
    """Return a listening socket. Its protocol is named, as asyncio then sets TCP_NODELAY: else answers take 40 ms."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = f"{error.strerror}; choose another with --port, 0 takes a free one"
        raise VendortapError(f"the sandbox cannot listen on port {port}: {why}") from None
    return listener
