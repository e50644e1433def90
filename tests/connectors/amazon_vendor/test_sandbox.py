"""The Amazon sandbox on the wire, checked against the vendor's documents (through a real socket)."""

from __future__ import annotations

import base64
import json
import re
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from lxml import etree

from tap_amazon_vendor import sandbox
from vendortap.sandbox.serve import serving as served

V1, V2 = (f"{sandbox.SHIPPING_PATH}/{version}/customerInvoices" for version in sandbox.VERSIONS)
EXPIRED = "The access token you provided has expired."
FORM = {
    "grant_type": "refresh_token",
    "refresh_token": sandbox.REFRESH_TOKEN,
    "client_id": sandbox.CLIENT_ID,
    "client_secret": sandbox.CLIENT_SECRET,
}
WEEK: dict[str, Any] = {"createdAfter": "2026-06-01T00:00:00Z", "createdBefore": "2026-06-08T00:00:00Z"}
DAY = timedelta(days=1)


class Client:
    """One sandbox, its base address and a session that sends a restricted data token."""

    def __init__(self, app: Any, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def get(self, path: str, token: str = "", **params: Any) -> requests.Response:
        headers = {"x-amz-access-token": token} if token else {}
        return self.session.get(self.base + path, params=params, headers=headers, timeout=10)

    def lwa(self, **changes: str) -> requests.Response:
        return requests.post(self.base + sandbox.LWA_PATH, data=FORM | changes, timeout=10)

    def rdt(self, *resources: Any, token: str = "") -> requests.Response:
        headers = {"x-amz-access-token": token or self.lwa().json()["access_token"]}
        body = {"restrictedResources": list(resources)}
        return self.session.post(self.base + sandbox.RDT_PATH, json=body, headers=headers, timeout=10)

    def login(self) -> None:
        paths = [path + end for path in (V1, V2) for end in ("", "/{purchaseOrderNumber}")]
        token = self.rdt(*({"method": "GET", "path": path} for path in paths)).json()["restrictedDataToken"]
        self.session.headers["x-amz-access-token"] = token

    def pages(self, path: str = V2, **params: Any) -> Iterator[list[dict[str, str]]]:
        while True:
            response = self.get(path, **params)
            assert response.status_code == 200, response.text
            document = response.json()["payload"] if path == V1 else response.json()
            yield document["customerInvoices"]
            if "pagination" not in document:
                return
            params["nextToken"] = document["pagination"]["nextToken"]

    def window(self, after: datetime, before: datetime, **params: Any) -> list[dict[str, str]]:
        bounds = {"createdAfter": after.isoformat(), "createdBefore": before.isoformat()}
        return [row for page in self.pages(**bounds, **params) for row in page]

    def everything(self, **params: Any) -> list[dict[str, str]]:
        starts = [sandbox.START + week * 7 * DAY for week in range(9)]
        return [row for at in starts for row in self.window(at, at + 7 * DAY, limit=100, **params)]


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    options = {"rate_limit": 0} | options
    with served(sandbox.app(**options)) as running, requests.Session() as session:
        client = Client(running.app, running.url, session)
        client.login()
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 300 orders, five a day, that no test changes."""
    with serving(invoices=300) as running:
        yield running


def error(response: requests.Response) -> tuple[int, Any, Any, Any]:
    assert list(response.json()) == ["errors"]
    [found] = response.json()["errors"]
    assert list(found) == ["code", "message", "details"]
    assert response.headers["x-amzn-RequestId"]
    return response.status_code, found["code"], found["message"], found["details"]


# ------------------------------------------------------------------------------------------ documents


def read(row: dict[str, str]) -> tuple[str, str, str, Decimal, list[tuple[int, Decimal]], Decimal]:
    """Form, order number, currency, total, (quantity, price) and tax of a document."""
    content = base64.b64decode(row["content"], validate=True)
    if content.startswith(b"<?xml"):
        root = etree.fromstring(content)
        total = root.find("total")
        assert total is not None
        sold = [(int(str(line.get("quantity"))), Decimal(str(line.get("price")))) for line in root.iterfind("line")]
        number, tax = root.findtext("purchaseOrder"), root.findtext("tax")
        return "xml", str(number), str(total.get("currency")), Decimal(str(total.text)), sold, Decimal(str(tax))
    form = "pdf" if content.startswith(b"%PDF-1.4") else "png" if content.startswith(b"\x89PNG") else "text"
    text = content.decode("utf-8" if form == "text" else "latin-1").replace(") Tj T*", "\n").replace("\0", "\n")
    number = re.findall(r"Purchase order: (\w+)", text)[0]
    currency, amount = re.findall(r"Total: ([A-Z]{3}) (-?[0-9.]+)", text)[0]
    sold = [(int(n), Decimal(price)) for n, price in re.findall(r"(-?\d+) x .*: ([0-9.]+) each", text)]
    return form, number, currency, Decimal(amount), sold, Decimal(re.findall(r"Tax: (-?[0-9.]+)", text)[0])


def test_totals_are_the_sums_of_the_documents(client: Client) -> None:
    rows = client.everything()
    assert len({row["purchaseOrderNumber"] for row in rows}) == len(rows) == 300
    sums: dict[str, tuple[int, Decimal]] = {}
    forms: Counter[str] = Counter()
    for row in rows:
        assert list(row) == ["purchaseOrderNumber", "content"]
        assert re.fullmatch("[a-zA-Z0-9]+", row["purchaseOrderNumber"])
        form, number, currency, total, sold, tax = read(row)
        assert number == row["purchaseOrderNumber"]
        assert sum((quantity * price for quantity, price in sold), tax) == total
        count, amount = sums.get(currency, (0, Decimal(0)))
        sums[currency] = count + 1, amount + total
        forms[form] += 1
    assert client.state.totals() == sums
    assert set(sums) == {"USD", "CAD", "EUR"}
    assert forms == {"pdf": 269, "xml": 15, "png": 15, "text": 1}
    assert list(client.state.invoices()) == rows


def test_documents_are_what_their_form_demands(client: Client) -> None:
    rows = {number: base64.b64decode(row["content"]) for number, row in enumerate(client.state.invoices())}
    pdf = rows[0]
    assert pdf.endswith(b"%%EOF\n")
    table = int(pdf.split(b"startxref\n")[1].split()[0])
    assert pdf[table:].startswith(b"xref\n0 6\n")
    for number, entry in enumerate(pdf[table:].splitlines(keepends=True)[3:8], 1):
        assert len(entry) == 20
        assert pdf[int(entry[:10]) :].startswith(b"%d 0 obj" % number)
    length = int(re.findall(rb"/Length (\d+)", pdf)[0])
    assert pdf.split(b">>stream\n", 1)[1][length:].startswith(b"\nendstream")
    png, place, kinds = rows[9], 8, []
    while place < len(png):
        [size] = struct.unpack(">I", png[place : place + 4])
        chunk = png[place + 4 : place + 8 + size]
        assert struct.unpack(">I", png[place + 8 + size : place + 12 + size]) == (zlib.crc32(chunk),)
        kinds.append(chunk[:4])
        place += 12 + size
    assert kinds == [b"IHDR", b"tEXt", b"IDAT", b"IEND"]
    everything = b"".join(rows.values())
    assert all(
        part in everything for part in (b"&amp;", b"&lt;office&gt;", b"\\(pliante\\)", "Müller".encode("cp1252"))
    )


def test_amounts_that_no_float_holds_and_credits(client: Client) -> None:
    totals = [read(row)[3] for row in client.state.invoices()]
    assert totals[7] == Decimal("1234567890123456.78")
    assert totals[13] * 100 == 2**53 + 1
    assert all(total < 0 for total in totals[8::15])
    assert sum(total < 0 for total in totals) == len(totals[8::15])


def test_same_seed_same_documents(client: Client) -> None:
    with serving(invoices=300) as again, serving(invoices=300, seed=2) as other:
        assert again.get(V1, **WEEK).content == client.get(V1, **WEEK).content
        assert other.get(V1, **WEEK).content != client.get(V1, **WEEK).content


# ---------------------------------------------------------------------------------------------- lists


def test_only_v1_wraps_in_payload(client: Client) -> None:
    wrapped, bare = client.get(V1, **WEEK), client.get(V2, **WEEK)
    assert list(wrapped.json()) == ["payload"]
    assert wrapped.json()["payload"] == bare.json()
    assert list(bare.json()) == ["customerInvoices"]
    assert wrapped.headers["x-amzn-RequestId"] != bare.headers["x-amzn-RequestId"]
    number = bare.json()["customerInvoices"][3]["purchaseOrderNumber"]
    single = client.get(f"{V2}/{number}").json()
    assert single == bare.json()["customerInvoices"][3]
    assert client.get(f"{V1}/{number}").json() == {"payload": single}


def test_pages_of_any_size_are_the_same_list(client: Client) -> None:
    [whole] = client.pages(**WEEK)
    assert len(whole) == 35
    assert [len(page) for page in client.pages(**WEEK, limit=10)] == [10, 10, 10, 5]
    assert [row for page in client.pages(V1, **WEEK, limit=7) for row in page] == whole
    assert [row for page in client.pages(**WEEK, limit=8, sortOrder="DESC") for row in page] == whole[::-1]
    first = client.get(V2, **WEEK, limit=10).json()["pagination"]["nextToken"]
    assert first.endswith("=")


def test_next_token_holds_only_with_the_same_parameters(client: Client) -> None:
    params: dict[str, Any] = {**WEEK, "limit": 10, "sortOrder": "ASC"}
    token = client.get(V2, **params).json()["pagination"]["nextToken"]
    changes: tuple[dict[str, Any], ...] = (
        {"limit": 11},
        {"sortOrder": "DESC"},
        {"shipFromPartyId": sandbox.WAREHOUSES[0]},
        {"createdAfter": "2026-06-02T00:00:00Z"},
        {"nextToken": token.rstrip("=")},
        {"nextToken": "MDAwMDAwMDAwMQ=="},
        {"nextToken": "%"},
    )
    for change in changes:
        refused = client.get(V2, **({**params, "nextToken": token} | change))
        assert error(refused) == (400, "InvalidInput", "Next token is invalid or expired", "")
    assert error(client.get(V2, nextToken=token))[2] == "Missing required parameter: createdAfter"
    assert client.get(V2, **params, nextToken=token).status_code == 200


def test_warehouses_share_the_orders(client: Client) -> None:
    both = [client.window(sandbox.START, sandbox.START + DAY, shipFromPartyId=name) for name in sandbox.WAREHOUSES]
    assert [len(rows) for rows in both] == [3, 2]
    assert client.window(sandbox.START, sandbox.START + DAY, shipFromPartyId="unknown") == []
    assert len(client.everything(shipFromPartyId=sandbox.WAREHOUSES[1])) == 150


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"createdAfter": None}, "Missing required parameter: createdAfter"),
        ({"createdBefore": None}, "Missing required parameter: createdBefore"),
        ({"createdBefore": "2026-06-08T00:00:01Z"}, "The date range to search must be no more than 7 days."),
        ({"createdBefore": "2026-05-31T00:00:00Z"}, "The date range to search must be no more than 7 days."),
        ({"createdAfter": "2026-06-01"}, "createdAfter must be in ISO-8601 date/time format."),
        ({"createdAfter": "yesterday"}, "createdAfter must be in ISO-8601 date/time format."),
        ({"limit": 0}, "limit must be from 1 to 100."),
        ({"limit": 101}, "limit must be from 1 to 100."),
        ({"limit": "ten"}, "limit must be from 1 to 100."),
        ({"sortOrder": "desc"}, "sortOrder must be ASC or DESC."),
    ],
)
def test_bad_parameters(client: Client, change: dict[str, Any], message: str) -> None:
    for path in (V1, V2):
        assert error(client.get(path, **WEEK | change)) == (400, "InvalidInput", message, "")


def test_times_are_compared_as_moments(client: Client) -> None:
    local = {"createdAfter": "2026-05-31T17:00:00-07:00", "createdBefore": "2026-06-08T02:00:00+02:00"}
    assert client.get(V2, **local).json() == client.get(V2, **WEEK).json()
    plain = client.session.get(f"{client.base}{V2}?createdAfter=2026-06-01T00:00:00+00:00&createdBefore=x", timeout=10)
    assert error(plain)[0] == 400  # a plus sign that was not encoded is a space


@pytest.mark.parametrize(("bounds", "counts"), [("[)", (5, 5)), ("()", (4, 4)), ("[]", (6, 6))])
def test_bounds_decide_on_orders_exactly_at_midnight(bounds: str, counts: tuple[int, int]) -> None:
    with serving(invoices=300, bounds=bounds) as client:
        days = [sandbox.START + n * DAY for n in (10, 11)]
        found = [client.window(day, day + DAY) for day in days]
        assert (len(found[0]), len(found[1])) == counts
        # One second on either side makes the windows overlap: nothing is lost whatever the bounds.
        wide = [client.window(day - timedelta(seconds=1), day + DAY + timedelta(seconds=1)) for day in days]
        assert len({row["purchaseOrderNumber"] for rows in wide for row in rows}) == 11


def test_start_and_end_may_be_set_and_orders_added() -> None:
    start, end = datetime(2025, 1, 1, 6, tzinfo=UTC), datetime(2025, 1, 3, tzinfo=UTC)
    with serving(invoices=10, start=start, end=end) as client:
        assert len(client.window(start, end)) == 10
        assert client.window(end, end + DAY) == []
        client.state.add(3)
        assert [row["purchaseOrderNumber"] for row in client.window(end, end + DAY)] == [
            f"D{10_000_010 + n}x" for n in range(3)
        ]
        assert sum(count for count, _ in client.state.totals().values()) == 13


def test_the_static_sandboxs_query(client: Client) -> None:
    payload = client.get(V1, **sandbox.STATIC_QUERY).json()["payload"]
    assert payload["pagination"] == {"nextToken": "MDAwMDAwMDAwMQ=="}
    [row] = payload["customerInvoices"]
    assert client.get(f"{V2}/{row['purchaseOrderNumber']}").json() == row
    other = {**sandbox.STATIC_QUERY, "limit": "3"}
    assert client.get(V1, **other).json() == {"payload": {"customerInvoices": []}}


@pytest.mark.parametrize(
    ("number", "status"),
    [("D10000300x", 404), ("D9999999x", 404), ("unknown", 404), ("D10000000-", 400), ("D%201", 400)],
)
def test_unknown_purchase_orders(client: Client, number: str, status: int) -> None:
    for path in (V1, V2):
        assert error(client.get(f"{path}/{number}"))[0] == status
    assert error(client.get("/nowhere"))[0] == 404


# --------------------------------------------------------------------------------------------- tokens


def test_lwa_answers(client: Client) -> None:
    body = client.lwa().json()
    assert list(body) == ["access_token", "token_type", "expires_in", "refresh_token"]
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    for change, status, name in (
        ({"refresh_token": "wrong"}, 400, "invalid_grant"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
    ):
        refused = client.lwa(**change)
        assert (refused.status_code, refused.json()["error"]) == (status, name)
        assert refused.json()["error_description"]
    in_json = requests.post(client.base + sandbox.LWA_PATH, json=FORM, timeout=10)
    assert in_json.status_code == 401


def test_restricted_data_tokens_are_for_their_resources(client: Client) -> None:
    generic = client.rdt({"method": "GET", "path": V1 + "/{purchaseOrderNumber}"}).json()
    assert list(generic) == ["restrictedDataToken", "expiresIn"]
    assert generic["expiresIn"] == 3600
    denied = (403, "Unauthorized", "Access to requested resource is denied.", "")
    token = generic["restrictedDataToken"]
    assert client.get(f"{V1}/D10000000x", token).status_code == 200
    assert error(client.get(f"{V2}/D10000000x", token)) == denied
    assert error(client.get(V1, token, **WEEK)) == denied
    token = client.rdt({"method": "GET", "path": f"{V2}/D10000001x"}).json()["restrictedDataToken"]
    assert client.get(f"{V2}/D10000001x", token).status_code == 200
    assert error(client.get(f"{V2}/D10000002x", token)) == denied
    assert error(client.rdt({"method": "GET", "path": V1}, token=token)) == denied
    assert error(client.get(V1, client.lwa().json()["access_token"], **WEEK)) == denied


def test_restricted_data_token_refusals(client: Client) -> None:
    foreign = {"method": "GET", "path": "/orders/v0/orders"}
    for resources in ([foreign], [{"method": "GET", "path": V1}, foreign], [{"method": "POST", "path": V1}], ["GET"]):
        status, code, message, _ = error(client.rdt(*resources))
        assert (status, code) == (400, "InvalidInput")
        assert message == "Application do not have access to some or all requested resource"
    assert error(client.rdt())[0] == 400
    assert error(client.rdt(*[{"method": "GET", "path": V1}] * 51))[0] == 400
    assert error(client.rdt(foreign, token="wrong"))[0] == 403


def test_unrestricted_takes_the_lwa_token() -> None:
    with serving(invoices=3, restricted=False) as client:
        assert client.get(V1, client.lwa().json()["access_token"], **WEEK).status_code == 200


def test_tokens_expire_in_the_middle_of_a_list() -> None:
    with serving(invoices=300) as client:
        pages = client.pages(V1, **WEEK, limit=10)
        assert len(next(pages)) == 10
        client.state.expire_tokens()
        params: dict[str, Any] = {**WEEK, "limit": 10}
        assert error(client.get(V1, **params)) == (
            403,
            "Unauthorized",
            "Access to requested resource is denied.",
            EXPIRED,
        )
        client.login()
        assert [len(page) for page in pages] == [10, 10, 5]
        client.state.revoke_tokens()
        assert "revoked" in error(client.get(V1, **params))[3]
        del client.session.headers["x-amz-access-token"]
        assert "missing" in error(client.get(V1, **params))[3]
        client.login()
        long = client.session.get(client.base + V1, params=params, headers={"User-Agent": "x" * 501}, timeout=10)
        assert error(long)[0] == 400


def test_tokens_live_as_long_as_told() -> None:
    with serving(invoices=3, token_seconds=0.5) as client:
        assert client.get(V1, **WEEK).status_code == 200
        time.sleep(0.5)
        assert error(client.get(V1, **WEEK))[3] == EXPIRED


# --------------------------------------------------------------------------------------------- limits


def test_each_operation_has_its_usage_plan() -> None:
    with serving(invoices=3, rate_limit=0.01) as client:
        answers = [client.get(V1, **WEEK) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert answers[0].headers["x-amzn-RateLimit-Limit"] == "0.01"
        message = "You exceeded your quota for the requested resource."
        assert error(answers[10]) == (429, "QuotaExceeded", message, "")
        assert not {"x-amzn-RateLimit-Limit", "Retry-After"} & set(answers[10].headers)
        assert client.get(V2, **WEEK).status_code == 200
        for number, status in (("D10000000x", 200), ("unknown", 404), ("-", 400)):
            answer = client.get(f"{V1}/{number}")
            assert (answer.status_code, answer.headers["x-amzn-RateLimit-Limit"]) == (status, "0.01")
        assert "x-amzn-RateLimit-Limit" not in client.get(V2, "wrong", **WEEK).headers
        expected = {"token": 1, "restricted_token": 1, "list": 13, "single": 3, "429": 1}
        assert client.state.requests == expected


def test_injected_faults_come_first_and_then_end() -> None:
    with serving(invoices=3) as client:
        client.state.fail(1, 403)
        client.state.fail(1, 503, {"Retry-After": "2"})
        client.state.fail(1, 429)
        client.state.fail(1, 500)
        answers = [client.get(V1, **WEEK) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [403, 503, 429, 500, 200]
        codes = [json.loads(answer.content)["errors"][0]["code"] for answer in answers[:4]]
        assert codes == ["Unauthorized", "ServiceUnavailable", "QuotaExceeded", "InternalFailure"]
        assert "x-amzn-RateLimit-Limit" not in answers[4].headers  # no usage plan


def test_kits_own_rate_and_latency() -> None:
    with serving(invoices=3, rate=0.01, latency_ms=30) as client:
        answer = client.get(V1, **WEEK)
        assert answer.status_code == 429  # the login took the only token
        assert answer.elapsed >= timedelta(milliseconds=30)
