"""The vendor that everything is measured against: one asyncio server that hands out what is rendered already.

``/{invoices}/invoices?page=1&size=200`` is a page of the list of so many invoices, ``/{invoices}/index`` with the
same parameters one of their numbers, ``/{invoices}/invoices/{number}`` one document; JSON, or XML where ``Accept``
asks for it. Three kinds of ports: one answers at once, one after LATENCY seconds, and some let RATE requests a second
through. ``/counts`` says what a port has answered, ``/reset`` lets it begin anew.

It is HTTP/1.1 as far as the clients need it, GET with kept connections, so that it takes little of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from benchmarks import invoices
from benchmarks.dataset import Dataset, Form
from benchmarks.paths import ROOT

LATENCY = 0.05
"""Seconds before the slow port answers."""
RATE, BURST = 40, 20
"""What a limited port lets through: requests a second, and how many at once. Above: 429 with Retry-After: 1."""
LIMITED_LATENCY = 0.01
LIMITED_PORTS = 6

_MEDIA_TYPES: dict[Form, str] = {"json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}
_REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests"}


class Refused(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, headers: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class Bucket:
    """A token bucket: ``rate`` a second, ``burst`` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.fill()

    def fill(self) -> None:
        """Begin anew with a full bucket."""
        self.tokens, self.at = float(self.burst), time.monotonic()

    def take(self) -> bool:
        """Take a token; False where there is none."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Port:
    """How one port answers, and what it has answered so far: status → times."""

    latency: float = 0.0
    bucket: Bucket | None = None
    counts: Counter[str] = field(default_factory=Counter)


class Vendor:
    """Answers from the rendered invoices."""

    def __init__(self, datasets: Mapping[Form, Dataset]) -> None:
        self.datasets = datasets

    def answer(self, target: str, form: Form) -> list[bytes]:
        """Return a body in parts; raises Refused."""
        address = urlsplit(target)
        query = {name: int(values[0]) for name, values in parse_qs(address.query).items()}
        match address.path.strip("/").split("/"):
            case [count, "invoices"]:
                return self._list(form, int(count), **query)
            case [count, "index"]:
                return [_index(int(count), **query)]
            case [_, "invoices", number]:
                return [self._document(form, int(number.removeprefix("INV")))]
        raise Refused(404)

    def _list(self, form: Form, count: int, page: int = 1, size: int = 200) -> list[bytes]:
        first = (page - 1) * size
        documents = self.datasets[form].documents(first, min(size, count - first))
        following = page + 1 if page * size < count else None
        if form == "json":
            return [b'{"Invoices":[', documents, b'],"NextPage":%s}' % json.dumps(following).encode()]
        token = f"<NextPage>{following}</NextPage>" if following else '<NextPage xsi:nil="true"/>'
        head = f'<?xml version="1.0" encoding="utf-8"?><InvoicePage {invoices.XSI}><Invoices>'
        return [head.encode(), documents, f"</Invoices>{token}</InvoicePage>".encode()]

    def _document(self, form: Form, index: int) -> bytes:
        document = self.datasets[form].documents(index, 1)
        return document if form == "json" else document.replace(b"<Invoice>", f"<Invoice {invoices.XSI}>".encode(), 1)


def _index(count: int, page: int = 1, size: int = 200) -> bytes:
    places = range((page - 1) * size, min(page * size, count))
    rows = [{"InvoiceNumber": invoices.number(i), "LastChanged": invoices.changed(i)} for i in places]
    return json.dumps({"Invoices": rows, "NextPage": page + 1 if page * size < count else None}).encode()


class Connection(asyncio.Protocol):
    """One client's connection to a port."""

    transport: asyncio.Transport

    def __init__(self, vendor: Vendor, port: Port) -> None:
        self.vendor, self.port = vendor, port
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete; none has a body."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            request, self.received = self.received[:end].decode("latin-1"), self.received[end + 4 :]
            self._respond(request)

    def _respond(self, request: str) -> None:
        line, *headers = request.split("\r\n")
        target = line.split(" ")[1]
        if target in ("/counts", "/reset"):
            self._send(_head(200, _MEDIA_TYPES["json"], body := self._control(target)), body)
            return
        accepted = "".join(header for header in headers if header.lower().startswith("accept:"))
        form: Form = "xml" if "xml" in accepted else "json"
        try:
            if self.port.bucket and not self.port.bucket.take():
                raise Refused(429, "Retry-After: 1\r\n")
            body = b"".join(self.vendor.answer(target, form))
            response = _head(200, _MEDIA_TYPES[form], body)
            self.port.counts["200"] += 1
        except Refused as refused:
            body = b"{}"
            response = _head(refused.status, _MEDIA_TYPES["json"], body, refused.headers)
            self.port.counts[str(refused.status)] += 1
        if self.port.latency:
            asyncio.get_running_loop().call_later(self.port.latency, self._send, response, body)
        else:
            self._send(response, body)

    def _control(self, target: str) -> bytes:
        body = json.dumps(self.port.counts).encode()
        if target == "/reset":
            self.port.counts.clear()
            if self.port.bucket:
                self.port.bucket.fill()
        return body

    def _send(self, head: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.writelines((head, body))


def _head(status: int, media_type: str, body: bytes, headers: str = "") -> bytes:
    lines = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{lines}{headers}\r\n".encode()


async def _serve(vendor: Vendor) -> None:
    """Listen on all ports, print them as one line of JSON, and go on until this is ended."""
    limited = [Port(LIMITED_LATENCY, Bucket(RATE, BURST)) for _ in range(LIMITED_PORTS)]
    numbers: list[int] = []
    for port in (Port(), Port(LATENCY), *limited):
        connect = partial(Connection, vendor, port)
        server = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", 0, backlog=512)
        numbers.append(server.sockets[0].getsockname()[1])
    print(json.dumps(numbers), flush=True)
    await asyncio.Event().wait()


# --- for those who measure ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: the addresses of its ports."""

    plain: str
    slow: str
    limited: Sequence[str]


@contextmanager
def serving(folder: Path, forms: Sequence[Form]) -> Iterator[Served]:
    """Run the server in a process of its own as long as the context lasts."""
    arguments = [sys.executable, "-m", "benchmarks.server", str(folder), *forms]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        plain, slow, *limited = [f"http://127.0.0.1:{port}" for port in json.loads(process.stdout.readline())]
        yield Served(plain, slow, limited)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def reset(url: str) -> dict[str, int]:
    """Let a port begin anew; returns what it had answered: status → times."""
    with urlopen(f"{url}/reset") as reply:  # noqa: S310 - the server above
        counts: dict[str, int] = json.load(reply)
    return counts


def main() -> None:
    """Serve until this is ended."""
    parser = argparse.ArgumentParser(prog="benchmarks.server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("forms", nargs="+", choices=("json", "xml"))
    options = parser.parse_args()
    vendor = Vendor({form: Dataset(options.folder, form) for form in options.forms})
    # epoll waits for whole milliseconds, and answers would be up to one too late; select does not
    asyncio.SelectorEventLoop(selectors.SelectSelector()).run_until_complete(_serve(vendor))


if __name__ == "__main__":
    main()
