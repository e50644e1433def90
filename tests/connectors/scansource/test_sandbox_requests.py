"""How the ScanSource sandbox answers: paths, parameters, formats, credentials and refusals."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from lxml import etree

from tap_scansource import sandbox

if TYPE_CHECKING:
    pass
from tests.connectors.scansource.kit import FIRST, GATEWAY, SECOND, TOKEN_FORM, Client, serving, stamp

# ------------------------------------------------------------------------------------- paths and parameters


def test_both_path_forms_with_and_without_prefix_give_the_same(client: Client) -> None:
    bearer = client.bearer()
    number = "40000001"
    documented = f"/invoice/detail/{FIRST}/{number}"
    wanted = client.get(documented).content
    assert client.get(f"/api{documented}").content == wanted
    for prefix in ("", GATEWAY):
        for names in (("customerNumber", "InvoiceNumber"), ("CUSTOMERNUMBER", "invoicenumber")):
            query: dict[str, Any] = dict(zip(names, (FIRST, number), strict=True))
            assert client.get(f"{prefix}/detail", bearer, **query).content == wanted
    rows = client.get(f"/invoice/summary/{FIRST}", PAGESIZE=5).content
    assert len(json.loads(rows)) == 5
    assert client.get(f"/api/invoice/summary/{FIRST}", pageSize=5).content == rows
    assert client.get("/summary", customerNumber=FIRST, pageSize=5).content == rows
    assert client.get(f"{GATEWAY}/summary", bearer, customerNumber=FIRST, pagesize=5).content == rows


def test_exclude_serial_tracking_empties_both_lists(client: Client) -> None:
    path = f"/invoice/detail/{FIRST}/40000000"
    full = client.json(path, excludeSerialTracking="False")
    without = client.json(path, excludeSerialTracking="true")
    assert any(line["SerialNumbers"] for line in full["InvoiceLines"])
    full["TrackingNumbers"] = []
    for line in full["InvoiceLines"]:
        line["SerialNumbers"] = []
    assert without == full


def test_pages() -> None:
    with serving(invoices=1500) as client:
        path = f"/invoice/summary/{FIRST}"
        default = client.json(path)
        assert len(default) == 100
        assert client.json(path, page=1, pageSize=100, unknown="x") == default
        most = client.json(path, pageSize=5000)
        assert len(most) == 1000
        assert most[:100] == default
        last = client.json(path, page=2, pageSize=1000)
        assert len(last) == 1500 * 3 // 4 - 1000
        assert client.json(path, page=3, pageSize=1000) == []
        numbers = [row["InvoiceNumber"] for row in most + last]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "query",
    [{"page": "0"}, {"page": "x"}, {"pageSize": "-1"}, {"fromDate": "yesterday"}, {"toDate": "2021-13-01"}],
)
def test_a_parameter_that_does_not_bind_is_400(client: Client, query: dict[str, Any]) -> None:
    response = client.get(f"/invoice/summary/{FIRST}", **query)
    assert (response.status_code, response.json()) == (400, {"Message": "The request is invalid."})


def test_number_filters(client: Client) -> None:
    rows = client.summaries(FIRST)
    for row in rows[::17]:
        assert client.summaries(FIRST, invoiceNumber=row["InvoiceNumber"]) == [row]
        assert client.summaries(FIRST, salesOrderNumber=row["OrderNumber"]) == [row]
        same_order = [other for other in rows if other["PONumber"] == row["PONumber"]]
        assert len(same_order) > 1
        assert client.summaries(FIRST, poNumber=row["PONumber"]) == same_order
    assert client.summaries(FIRST, invoiceNumber=rows[0]["InvoiceNumber"], poNumber="another") == []
    assert client.summaries(SECOND, invoiceNumber=rows[0]["InvoiceNumber"]) == []


@pytest.mark.parametrize(("option", "name"), [("entered", "DateEntered"), ("changed", "LastChanged")])
def test_date_filters(option: str, name: str) -> None:
    with serving(invoices=1000, date_filter=option) as client:
        rows = client.summaries(FIRST)
        day = stamp(rows[300][name]).replace(hour=0, minute=0, second=0, microsecond=0)
        dates = {"fromDate": f"{day:%Y-%m-%d}", "toDate": f"{day + timedelta(days=1):%Y-%m-%d}"}
        within = [row for row in rows if day <= stamp(row[name]) < day + timedelta(days=2)]
        assert 0 < len(within) < len(rows)
        assert client.summaries(FIRST, **dates) == within
        assert client.summaries(FIRST, fromDate=dates["fromDate"]) == [r for r in rows if stamp(r[name]) >= day]
        exact = stamp(rows[300][name])
        assert rows[300] in client.summaries(FIRST, fromDate=exact.isoformat(), toDate=exact.isoformat())
        in_utc = (exact + timedelta(hours=5)).isoformat() + "Z"
        assert rows[300] in client.summaries(FIRST, fromDate=in_utc, toDate=in_utc)
        assert client.summaries(FIRST, fromDate="1999-01-01", toDate="9999-12-31") == rows


# -------------------------------------------------------------------------------------- content negotiation


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        ("text/json", "text/json; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
        ("application/xml;q=0.5, application/json", "application/json; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml; charset=utf-8"),
        ("image/png", "application/json; charset=utf-8"),
    ],
)
def test_accept_chooses_the_format(client: Client, accept: str | None, content_type: str) -> None:
    # requests sends "Accept: */*" unless the header is None.
    headers: Any = {"Accept": accept}
    paths = (
        f"/invoice/detail/{FIRST}/40000000",
        f"/invoice/summary/{FIRST}",
        f"/invoice/detail/{FIRST}/none",
    )
    for path in paths:
        response = client.get(path, headers)
        assert response.headers["Content-Type"] == content_type
        if "xml" in content_type:
            etree.fromstring(response.content)
        else:
            response.json()


def test_gzip_only_for_those_who_accept_it(client: Client) -> None:
    path = f"/invoice/summary/{FIRST}"
    packed = client.get(path, {"Accept-Encoding": "gzip"})
    plain = client.get(path, {"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content


# ------------------------------------------------------------------------------------------- authentication


def test_subscription_key_is_needed_everywhere(client: Client) -> None:
    paths = [f"{prefix}/invoice/summary/{FIRST}" for prefix in ("", "/api")]
    paths += [f"{prefix}/summary?customerNumber={FIRST}" for prefix in ("", GATEWAY)]
    bearer = client.bearer()
    for path in paths:
        missing = requests.get(client.base + path, headers=bearer, timeout=10)
        assert (missing.status_code, missing.json()["statusCode"]) == (401, 401)
        assert missing.json()["message"].startswith("Access denied due to missing subscription key")
        wrong = client.get(path, {**bearer, "Ocp-Apim-Subscription-Key": "wrong", "Accept": "application/xml"})
        assert (wrong.status_code, wrong.json()["statusCode"]) == (401, 401)
        assert wrong.json()["message"].startswith("Access denied due to invalid subscription key")
        assert client.get(path, bearer).status_code == 200


def test_the_gateway_needs_a_bearer_token_as_well(client: Client) -> None:
    path = f"{GATEWAY}/detail?customerNumber={FIRST}&InvoiceNumber=40000000"
    no_bearer = client.bearer()["Authorization"].replace("Bearer", "Basic")
    for authorization in ("", "Bearer", "Bearer wrong", no_bearer):
        refused = client.get(path, {"Authorization": authorization})
        assert refused.status_code == 401
        assert set(refused.json()) == {"statusCode", "message"}
    assert client.get(path, client.bearer()).status_code == 200


def test_token_answer_is_that_of_rfc_6749(client: Client) -> None:
    response = client.token()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["access_token"] != client.token().json()["access_token"]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"scope": "wrong"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
    ],
)
def test_token_refusals(client: Client, changes: dict[str, str], status: int, error: str) -> None:
    response = client.token(**changes)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert "access_token" not in response.json()


def test_token_request_must_be_a_form(client: Client) -> None:
    response = requests.post(client.base + sandbox.TOKEN_PATH, json=TOKEN_FORM, timeout=10)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_revoked_and_expired_tokens_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(invoices=4) as client:
        path, bearer = f"{GATEWAY}/summary?customerNumber={FIRST}", client.bearer()
        assert client.get(path, bearer).status_code == 200
        client.state.revoke_tokens()
        assert client.get(path, bearer).status_code == 401
        assert client.get(path, client.bearer()).status_code == 200
        monkeypatch.setattr(sandbox, "TOKEN_SECONDS", 0)
        assert client.get(path, client.bearer()).status_code == 401
        assert client.state.requests == {"token": 3, "summary": 4}


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "path",
    [
        f"/invoice/detail/{FIRST}/39999999",
        f"/invoice/detail/{FIRST}/40000120",
        f"/invoice/detail/{FIRST}/040000000",
        f"/invoice/detail/{SECOND}/40000000",
        "/invoice/detail/unknown/40000000",
        "/invoice/summary/unknown",
        "/summary",
        f"/detail?customerNumber={FIRST}",
        "/nowhere",
    ],
)
def test_unknown_is_404_in_web_apis_form(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert list(response.json()) == ["Message"]
    in_xml = client.get(path, {"Accept": "application/xml"})
    assert in_xml.status_code == 404
    assert in_xml.text.startswith("<Error><Message>")


def test_rate_limit_answers_as_azure_does() -> None:
    with serving(invoices=4, rate=0.01) as client:
        path = f"/invoice/summary/{FIRST}"
        assert client.get(path).status_code == 200
        limited = client.get(path)
        seconds = limited.headers["Retry-After"]
        assert 0 < int(seconds) <= 100
        message = f"Rate limit is exceeded. Try again in {seconds} seconds."
        assert (limited.status_code, limited.json()) == (429, {"statusCode": 429, "message": message})
        assert client.token().status_code == 200
        assert client.state.requests == {"summary": 2, "429": 1, "token": 1}


def test_rate_limit_allows_a_burst_of_one_second() -> None:
    with serving(invoices=4, rate=5) as client:
        assert [client.get(f"/invoice/summary/{FIRST}").status_code for _ in range(5)] == [200] * 5


def test_injected_faults_come_first_and_then_end() -> None:
    with serving(invoices=4) as client:
        path = f"/invoice/detail/{FIRST}/40000000"
        client.state.fail(2, 429, {"Retry-After": "7"})
        client.state.fail(1, 500)
        client.state.fail(1, 503, {"Retry-After": "2"})
        client.state.fail(1, 401)
        assert client.token().status_code == 200
        answers = [client.get(path) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [429, 429, 500, 503, 401, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert answers[0].json()["message"] == "Rate limit is exceeded. Try again in 7 seconds."
        assert answers[2].json() == {"Message": "An error has occurred."}
        assert answers[3].headers["Retry-After"] == "2"
        assert answers[4].json()["statusCode"] == 401
        client.state.fail(1, 429)
        assert client.get(path).headers["Retry-After"] == "1"
        assert client.state.requests == {"token": 1, "detail": 7, "429": 3}


def test_latency_delays_the_answer() -> None:
    with serving(invoices=4, latency_ms=60) as client:
        client.token()
        start = time.monotonic()
        client.get(f"/invoice/summary/{FIRST}")
        assert time.monotonic() - start >= 0.06
