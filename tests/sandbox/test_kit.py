"""The box of sandboxes: forms, limits, tokens and faults that all imitated vendors share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import requests
import xmltodict
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from vendortap.sandbox import kit, serve
from vendortap.sandbox.kit import Bucket, Call, Server, Tokens, XmlNames, json_answer, media_type, to_json, to_xml

# --- forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("10.00"), "10.00"),
        (Decimal("8"), "8.0"),
        (Decimal("-0.5"), "-0.5"),
        (Decimal("1E+3"), "1000.0"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        (7, "7"),
        (True, "true"),
        (None, "null"),
        ("", '""'),
        ('say "Größe"\n', '"say \\"Größe\\"\\n"'),
        ([], "[]"),
        ({"a": [Decimal("1.10"), None], "b": {"c": Decimal("2")}}, '{"a":[1.10,null],"b":{"c":2.0}}'),
    ],
)
def test_json_is_that_of_json_net(value: Any, text: str) -> None:
    assert to_json(value).decode() == text


def test_what_json_has_no_form_for_is_a_mistake_in_the_sandbox() -> None:
    with pytest.raises(TypeError, match="no form for date"):
        to_json({"at": datetime(2025, 1, 1).date()})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text('abc"\\{}[]äß\n')
    | st.decimals(places=2, allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("xyz"), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_document_comes_back_digit_for_digit(value: Any) -> None:
    assert json.loads(to_json(value), parse_float=Decimal) == value


NAMES = XmlNames(
    "Invoice",
    items={"Lines": "Line", "Serials": "Serial"},
    nil=frozenset({"Paid"}),
    renamed={"Sum": "Summe"},
    left_out=frozenset({"OnlyJson"}),
)


def test_xml_is_that_of_xml_serializer() -> None:
    document = {
        "Number": "A&B <1>",
        "Sum": Decimal("10.00"),
        "Open": True,
        "Paid": None,
        "Note": None,
        "OnlyJson": "x",
        "Lines": [{"Id": 1, "Serials": ["s1", "s2"]}, {"Id": 2, "Serials": []}],
        "Tags": ["a"],
        "Address": {"City": "Köln", "Paid": None, "Zip": None},
    }
    body = to_xml(document, NAMES).decode()
    assert body.startswith('<Invoice xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd=')
    assert "<Serials/>" in body, "an empty list is an empty element"
    assert "\n" not in body
    read = xmltodict.parse(body)["Invoice"]
    assert {name: value for name, value in read.items() if not name.startswith("@")} == {
        "Number": "A&B <1>",
        "Summe": "10.00",
        "Open": "true",
        "Paid": {"@xsi:nil": "true"},
        "Lines": {"Line": [{"Id": "1", "Serials": {"Serial": ["s1", "s2"]}}, {"Id": "2", "Serials": None}]},
        "Tags": {"string": "a"},
        "Address": {"City": "Köln", "Paid": {"@xsi:nil": "true"}},
    }


@pytest.mark.parametrize(
    ("count", "inside"), [(0, None), (1, {"Number": "0"}), (2, [{"Number": "0"}, {"Number": "1"}])]
)
def test_a_bare_list_is_an_array_of_its_type(count: int, inside: Any) -> None:
    names = XmlNames("ArrayOfInvoice", namespaces=())
    read = xmltodict.parse(to_xml([{"Number": n} for n in range(count)], names))
    assert read == {"ArrayOfInvoice": {"Invoice": inside} if count else None}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/xml", "application/xml"),
        ("TEXT/XML; charset=utf-8", "text/xml"),
        ("text/*", "text/json"),
        ("application/*", "application/json"),
        ("application/json, application/xml", "application/json"),
        ("application/xml, application/json", "application/xml"),
        ("application/xml;q=0.5, application/json;q=0.9", "application/json"),
        ("application/xml;q=0.5, */*;q=0.1", "application/xml"),
        ("text/html, application/xml;q=0.2", "application/xml"),
        ("application/xml;q=0", "application/json"),
        ("application/xml;q=lots", "application/json"),
        ("image/png", "application/json"),
        (",;,", "application/json"),
    ],
)
def test_accept_chooses_the_form(accept: str, chosen: str) -> None:
    assert media_type(accept) == chosen


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2025, 1, 31), "2025-01-31T00:00:00"),
        (datetime(2025, 1, 31, 1, 2, 3, 450_000), "2025-01-31T01:02:03.45"),
        (datetime(2025, 1, 31, 1, 2, 3, 456_789), "2025-01-31T01:02:03.456789"),
    ],
)
def test_dates_have_up_to_seven_fraction_digits_and_no_trailing_zeros(at: datetime, text: str) -> None:
    assert kit.stamp(at) == text
    assert kit.stamp(at, "-05:00") == f"{text}-05:00"
    assert kit.stamp(datetime(2025, 1, 31), tick=7) == "2025-01-31T00:00:00.0000007"


def test_the_same_parts_give_the_same_chance() -> None:
    assert [kit.random_for(1, 2, "x").random() for _ in range(2)] == [kit.random_for(1, 2, "x").random()] * 2
    assert kit.random_for(1, 2, "x").random() != kit.random_for(1, 2, "y").random()


def test_sums_are_exact_by_currency() -> None:
    amounts = [("USD", Decimal("0.10")), ("EUR", Decimal("-1")), ("USD", Decimal("0.20"))]
    assert kit.add_up(amounts) == {"USD": (2, Decimal("0.30")), "EUR": (1, Decimal("-1.00"))}


# --- limits and tokens -------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds that are moved by hand."""
    now = [1000.0]
    with monkeypatch.context() as patch:
        patch.setattr("vendortap.sandbox.kit.time.monotonic", lambda: now[0])
        yield now


def test_a_bucket_gives_its_burst_and_then_tells_how_long_to_wait(clock: list[float]) -> None:
    bucket = Bucket(0.5, burst=2)
    assert [bucket.wait() for _ in range(3)] == [0, 0, 2]
    clock[0] += 1.5
    assert bucket.wait() == 1
    clock[0] += 0.5
    assert [bucket.wait(), bucket.wait()] == [0, 2]
    clock[0] += 1000
    assert [bucket.wait() for _ in range(3)] == [0, 0, 2], "no more than the burst is saved up"


@pytest.mark.parametrize(("rate", "burst", "size"), [(3, None, 3), (2.5, None, 3), (0.1, None, 1), (0.1, 7, 7)])
def test_a_bucket_holds_a_seconds_worth_unless_it_is_told_otherwise(rate: float, burst: int | None, size: int) -> None:
    assert Bucket(rate, burst).size == size


def test_a_bucket_without_rate_never_makes_wait(clock: list[float]) -> None:
    bucket = Bucket(0)
    assert {bucket.wait() for _ in range(100)} == {0}


def test_tokens_are_good_until_they_end_or_are_revoked(clock: list[float]) -> None:
    tokens = Tokens(60)
    usual, short = tokens.issue(), tokens.issue(10)
    assert usual != short
    assert not tokens.valid("made up")
    assert (tokens.valid(usual), tokens.valid(short)) == (True, True)
    clock[0] += 10
    assert (tokens.valid(usual), tokens.valid(short)) == (True, False)
    later = tokens.issue()
    tokens.revoke()
    assert (tokens.valid(usual), tokens.valid(later)) == (False, False)


# --- a server ----------------------------------------------------------------------------------------


def guard(call: Call) -> Response | None:
    return None if call.request.headers.get("x-key") == "right" else json_answer({"Message": "who?"}, 401)


@pytest.fixture(scope="module")
def vendor() -> Server:
    return Server(kit.web_api_error)


@pytest.fixture(scope="module")
def url(vendor: Server) -> Iterator[str]:
    def echo(call: Call) -> Response:
        moment = call.moment("until", timezone(timedelta(hours=-5)), end_of_day=True)
        found = {"page": call.whole("page", 1), "until": moment.isoformat() if moment else None}
        return json_answer({**found, "number": call.params.get("number"), "body": call.body.decode()})

    def token(call: Call) -> Response:
        return json_answer({"got": call.json()})

    routes = [
        vendor.route("/echo/{Number}", "echo", echo, methods=("GET", "POST"), guard=guard),
        vendor.route("/token", "token", token, methods=("POST",)),
    ]
    with serve.serving(vendor.application(routes, totals=lambda: {"USD": (1, Decimal(1))})) as served:
        assert served.app.state.totals() == {"USD": (1, Decimal(1))}
        assert served.app.state.requests is vendor.requests
        yield served.url


def ask(url: str, method: str = "GET", key: str = "right", **options: Any) -> requests.Response:
    headers = {"X-Key": key, **options.pop("headers", {})}
    return requests.request(method, url, headers=headers, timeout=20, **options)


def test_parameters_are_found_whatever_their_case(url: str) -> None:
    assert ask(f"{url}/echo/7?PAGE=3&Until=2025-01-31", "POST", data="body").json() == {
        "page": 3,
        "until": "2025-01-31T23:59:59.999999",
        "number": "7",
        "body": "body",
    }
    assert ask(f"{url}/echo/7?until=2025-01-31T12:00:00Z").json()["until"] == "2025-01-31T07:00:00"
    assert ask(f"{url}/echo/7?until=2025-01-31T12:00:00").json()["until"] == "2025-01-31T12:00:00"


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=1.5", "page=9999999999", "until=soon"])
def test_a_parameter_that_is_none_is_refused(url: str, query: str) -> None:
    answer = ask(f"{url}/echo/7?{query}")
    assert (answer.status_code, answer.json()) == (400, {"Message": "The request is invalid."})


def test_a_body_that_is_no_json_is_refused(url: str) -> None:
    assert requests.post(f"{url}/token", data="{", timeout=20).status_code == 400
    assert requests.post(f"{url}/token", data="{}", timeout=20).json() == {"got": {}}


def test_refusals_come_in_the_form_that_is_asked_for(url: str) -> None:
    answer = ask(f"{url}/nowhere", headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.text) == (404, "<Error><Message>Not Found</Message></Error>")
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    assert ask(f"{url}/echo/7", "PUT").status_code == 405
    assert ask(f"{url}/echo/7", key="wrong").json() == {"Message": "who?"}


def test_faults_are_given_in_their_order_to_guarded_requests_only_and_everything_is_counted(
    vendor: Server, url: str
) -> None:
    vendor.requests.clear()
    vendor.fail(1, 503)
    vendor.fail(1, 429)
    vendor.fail(1, 429, {"Retry-After": "7", "X-Extra": "yes"})
    assert requests.post(f"{url}/token", data="{}", timeout=20).status_code == 200
    answers = [ask(f"{url}/echo/7", key="wrong") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 429, 429, 401], "a fault comes before the guard"
    assert [answer.headers.get("Retry-After") for answer in answers] == [None, "1", "7", None]
    assert answers[2].headers["X-Extra"] == "yes"
    assert vendor.requests == {"token": 1, "echo": 4, "429": 2}


def test_the_limit_is_for_guarded_requests_with_the_right_key_only(vendor: Server, url: str) -> None:
    vendor.bucket = Bucket(0.001, burst=1)
    try:
        assert ask(f"{url}/echo/7", key="wrong").status_code == 401
        assert [ask(f"{url}/echo/7").status_code for _ in range(2)] == [200, 429]
        refused = ask(f"{url}/echo/7")
        assert 0 < int(refused.headers["Retry-After"]) <= 1000
        assert requests.post(f"{url}/token", data="{}", timeout=20).status_code == 200
    finally:
        vendor.bucket = Bucket(0)


def test_xml_has_attributes_and_lists_without_an_element_around_them() -> None:
    names = XmlNames("Bill", items={"Notes": "Note"}, renamed={"id": "@id"}, flat=frozenset({"Notes"}), namespaces=())
    document = {"id": 7, "Notes": ["a", "b"], "Lines": [], "Total": Decimal("1.50")}
    assert to_xml(document, names) == (b'<Bill id="7"><Note>a</Note><Note>b</Note><Lines/><Total>1.50</Total></Bill>')
    assert to_xml({"id": 8, "Notes": []}, names) == b'<Bill id="8"/>'
