"""Connections whose answers end, over the adapter of requests."""

from __future__ import annotations

import io
import logging
import socket
import time
from http.client import HTTPResponse
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from vendortap.http.bodies import FRAMING_BYTES, FramingError


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


# urllib3 logs whole URLs, and keys may travel in their query.
for _logger in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_logger).addFilter(_is_error)


ORIGINS = 10
"""To how many origins connections are kept: so many as requests itself keeps."""


class _Until(io.RawIOBase):
    """What is read from a connection until ``end``, a time of the monotonic clock, and until ``left`` bytes have come.

    The socket's own timeout is for each piece: a byte now and then would keep a reader for ever. Bytes are counted
    here because http.client passes over interim answers, chunk extensions and trailers without end, and tells nobody.
    """

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, end: float) -> None:
        self._raw = raw
        self._connection = connection
        self._end = end
        self.left = FRAMING_BYTES
        self._each = connection.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer as a whole took too long")
        wanted = left if self._each is None else min(left, self._each)
        if wanted != self._connection.gettimeout():  # to set it lets other threads go first
            self._connection.settimeout(wanted)
        count = self._raw.readinto(buffer)
        self.left -= count or 0
        if self.left < 0:
            raise FramingError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def _ending(kind: type[HTTPConnection], seconds: float) -> type[HTTPConnection]:
    """Return connections whose answers, heads included, end ``seconds`` after their request at the latest."""

    class EndingConnection(kind):  # type: ignore[valid-type,misc] # a class made at run time
        def request(self, *arguments: Any, **options: Any) -> None:
            self.end = time.monotonic() + seconds
            super().request(*arguments, **options)

        def response_class(self, connection: socket.socket, *arguments: Any, **options: Any) -> HTTPResponse:
            response = HTTPResponse(connection, *arguments, **options)
            end = getattr(self, "end", time.monotonic() + seconds)  # a proxy's answer comes before any request
            self.until = _Until(response.fp.detach(), connection, end)
            response.fp = io.BufferedReader(self.until)
            return response

    return EndingConnection


class Adapter(HTTPAdapter):
    """requests' adapter, with connections whose answers end."""

    def __init__(self, reply_seconds: float, **options: Any) -> None:
        http = type("Pool", (HTTPConnectionPool,), {"ConnectionCls": _ending(HTTPConnection, reply_seconds)})
        https = type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": _ending(HTTPSConnection, reply_seconds)})
        self._pools = {"http": http, "https": https}
        self._connections: dict[str, Any] = {}
        super().__init__(pool_connections=ORIGINS, **options)

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the connections to a request's origin; proxies and certificates are those of the origin.

        They are looked up once: requests would look for the proxy, and at the file of certificates, each time.
        """
        origin = "/".join((request.url or "").split("/", 3)[:3])
        if (known := self._connections.get(origin)) is None:
            if len(self._connections) >= ORIGINS:
                self._connections.clear()
            known = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._connections[origin] = known
        return known

    def close(self) -> None:
        """Close all connections: urllib3 does when nobody holds them any more."""
        super().close()
        self._connections.clear()

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """Return what the request line says; only a proxy has to know more than the path."""
        return super().request_url(request, proxies) if proxies else request.path_url

    def build_response(self, request: PreparedRequest, answer: Any) -> Any:
        """Return an answer as urllib3 has it, still to be read; nobody needs what requests makes of it."""
        del request
        return answer

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # those connect in a way of their own
            manager.pool_classes_by_scheme = self._pools
        return manager
