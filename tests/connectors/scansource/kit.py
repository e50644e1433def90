"""A ScanSource sandbox that serves on a real socket, and what its tests ask it."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import requests
import uvicorn
from lxml import etree

from tap_scansource import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

FIRST, SECOND = sandbox.CUSTOMER_NUMBERS
KEY = {"Ocp-Apim-Subscription-Key": sandbox.SUBSCRIPTION_KEY}
GATEWAY = "/scsc/invoice/v1"
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
# http://webapitest.scansource.com/Help, GET invoice/summary: the members of one row.
SUMMARY_NAMES = [
    "OrderNumber",
    "InvoiceNumber",
    "PONumber",
    "DocType",
    "Total",
    "ShippingOption",
    "ShippingOptionDescription",
    "DateEntered",
    "LastChanged",
]
TOKEN_FORM = {
    "grant_type": "client_credentials",
    "client_id": sandbox.CLIENT_ID,
    "client_secret": sandbox.CLIENT_SECRET,
    "scope": sandbox.SCOPE,
}


class Client:
    """One sandbox, its base address and a session with the subscription key."""

    def __init__(self, app: Starlette, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> requests.Response:
        return self.session.get(self.base + path, params=params, headers=headers, timeout=10)

    def json(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def xml(self, path: str, **params: Any) -> etree._Element:
        response = self.get(path, {"Accept": "application/xml"}, **params)
        assert response.status_code == 200, response.text
        return etree.fromstring(response.content)

    def token(self, **changes: str) -> requests.Response:
        form = {name: value for name, value in {**TOKEN_FORM, **changes}.items() if value}
        return requests.post(self.base + sandbox.TOKEN_PATH, data=form, timeout=10)

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token().json()['access_token']}"}

    def summaries(self, customer: str, **params: Any) -> list[Any]:
        rows: list[Any] = []
        page = 0
        while True:
            page += 1
            found = self.json(f"/invoice/summary/{customer}", page=page, pageSize=37, **params)
            rows += found
            if not found:
                return rows


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    app = sandbox.app(**options)
    # asyncio switches Nagle's delay (40 ms a request) off only on sockets that name their protocol.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener, requests.Session() as session:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        session.headers.update(KEY)
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket already listens: a request sent before uvicorn accepts just waits for it.
            yield Client(app, f"http://127.0.0.1:{listener.getsockname()[1]}", session)
        finally:
            session.close()
            while not server.started:
                time.sleep(0.01)
            server.should_exit = True
            thread.join()


def sample(name: str) -> bytes:
    return (files("tap_scansource") / "samples" / name).read_bytes()


def stamp(text: str) -> datetime:
    """A vendor stamp of at most six fraction digits, on the vendor's wall clock."""
    text = text.removesuffix("-05:00")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f" if "." in text else "%Y-%m-%dT%H:%M:%S")
