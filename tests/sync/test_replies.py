"""What a reply may be taken for: over a real socket, with the connectors as they are installed."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import make_catalog, parse, read
from vendortap.errors import BodyError, MissingError, RecordError, VendorError
from vendortap.plugins import host
from vendortap.singer.tap import tap_class
from vendortap.sync.state import has_bookmark

if TYPE_CHECKING:
    from tests.conftest import Figure, Output

AMAZON, INGRAM, SCANSOURCE, VISIBLE, MIDNIGHT = "amazon-vendor", "ingram-micro", "scansource", "visiblescm", "midnight"
ORDERS = "/vendor/directFulfillment/shipping/v1/customerInvoices"
JSON, XML, HTML = "application/json", "application/xml", "text/html"


class Said(NamedTuple):
    """An answer: a document, or the bytes of a body."""

    document: Any = None
    status: int = 200
    kind: str | None = JSON
    body: bytes | None = None


Answer = Callable[[str, str, bytes], Said]
"""Path, query and body of a request → the answer."""
TOKEN = {"access_token": "t0k3n-4711", "token": "t0k3n-4711", "token_type": "Bearer", "expires_in": 3600}


@contextmanager
def vendor(answer: Answer) -> Iterator[str]:
    """A vendor whose sign-in works, and which answers everything else in this way."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = Said(TOKEN) if "oken" in path or path == "/login" else answer(path, query, sent)
            body = json.dumps(said.document).encode() if said.body is None else said.body
            self.send_response(said.status)
            if said.kind:
                self.send_header("Content-Type", said.kind)
            if said.status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if said.status != 204:
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the server's name for it

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def settings(name: str, url: str) -> dict[str, Any]:
    own: Mapping[str, dict[str, Any]] = {
        AMAZON: {
            "token_url": f"{url}/login",
            "client_id": "client",
            "client_secret": "s3cr3t-4711",
            "refresh_token": "r3fr3sh-4711",
            "restricted_data_token": False,
            "start_date": "2026-05-01",
            "end_date": "2026-05-04",
        },
        INGRAM: {
            "token_url": f"{url}/login",
            "client_id": "client",
            "client_secret": "s3cr3t-4711",
            "customer_number": "20-222222",
            "country_code": "US",
        },
        SCANSOURCE: {"path_style": "path", "subscription_key": "0" * 32, "customer_numbers": ["1"]},
        VISIBLE: {"token": "t0k3n-4711"},
        MIDNIGHT: {"domain_name": "print", "user_name": "user", "password": "s3cr3t-4711"},
    }
    return {**own[name], "base_url": url, "retry_seconds": 0, "requests_per_second": None}


def run(name: str, answer: Answer, streams: Sequence[str], **changes: Any) -> Output:
    with vendor(answer) as url:
        catalog = make_catalog(streams=streams, connector=name)
        return read({**settings(name, url), **changes}, catalog=catalog, connector=name)


def failed(name: str, answer: Answer, streams: Sequence[str], **changes: Any) -> tuple[VendorError, list[Any]]:
    """Return the error of a run, and the messages that it wrote before."""
    written = BytesIO()
    text = TextIOWrapper(written, encoding="utf-8", write_through=True)
    with vendor(answer) as url, redirect_stdout(text):
        catalog = make_catalog(streams=streams, connector=name)
        tap = tap_class(host.load(name))(config={**settings(name, url), **changes}, catalog=catalog)
        try:
            with pytest.raises(VendorError) as caught:
                tap.sync_all()
        finally:
            tap.client.close()
    return caught.value, parse(written.getvalue())


def records(messages: list[Any], stream: str) -> list[Any]:
    return [m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]


# --- envelopes ---------------------------------------------------------------------------------------

LISTS: Mapping[str, tuple[str, str]] = {
    AMAZON: ("customer_invoices", "$.payload.customerInvoices"),
    INGRAM: ("invoices", "$.invoices"),
    SCANSOURCE: ("invoices", "$"),
    VISIBLE: ("invoices", "$.List"),
    MIDNIGHT: ("invoices", "$"),
}
WRONG: Mapping[str, Said] = {
    "another top name": Said({"Payload": {"customerInvoices": [], "Invoices": [], "list": []}}),
    "nested differently": Said({"data": {"payload": {"customerInvoices": []}, "invoices": [], "List": []}}),
    "null": Said(None),
    "a scalar": Said(7),
    "a text": Said("ok"),
    "an error object of a gateway": Said({"fault": {"faultstring": "Policy failed", "detail": {"errorcode": "x"}}}),
    "HTML": Said(body=b"<html><h1>Sign in</h1></html>", kind=HTML),
    "HTML that claims to be JSON": Said(body=b"<html><h1>Sign in</h1></html>"),
    "an empty body": Said(body=b""),
    "white space": Said(body=b" \r\n "),
    "204": Said(status=204, kind=None, body=b""),
    "an XML root of something else": Said(body=b"<Error><Message>No</Message></Error>", kind=XML),
    "an XML root that is empty": Said(body=b"<Error/>", kind=XML),
    "an XML root with a text": Said(body=b"<string>No invoices</string>", kind=XML),
    "a 404 with HTML": Said(status=404, body=b"<html>Not found</html>", kind=HTML),
    "a 404 of a gateway": Said({"fault": {"faultstring": "Unable to identify proxy for host"}}, status=404),
    "a 404 without a body": Said(status=404, body=b"", kind=None),
    "a 404 with a list of errors as rate limits have it": Said({"errors": [{"message": "x"}]}, status=404),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("name", LISTS)
def test_a_reply_that_has_no_place_for_records_is_never_an_empty_list(name: str, case: str, promise: Figure) -> None:
    """A reply without the place of its records is an error, unless the declaration says that it means none"""
    promise("1 case")
    stream, _ = LISTS[name]
    error, messages = failed(name, lambda *_: WRONG[case], [stream])
    assert str(error).startswith(f"{name}, {stream}")
    assert records(messages, stream) == []
    assert not [m for m in messages if m["type"] == "STATE" and has_bookmark(m["value"], stream)]


@pytest.mark.parametrize("name", [AMAZON, INGRAM, VISIBLE])
def test_a_null_or_a_list_in_the_wrong_place_is_an_error_too(name: str) -> None:
    stream, place = LISTS[name]
    document: Any = None
    for member in reversed(place.split(".")[1:]):
        document = {member: document}
    for wrong in (document, [], [document]):
        assert failed(name, lambda *_, wrong=wrong: Said(wrong), [stream])[1][-1]["type"] != "RECORD"


@pytest.mark.parametrize(
    ("name", "said", "sentence"),
    [
        (AMAZON, {"Payload": {}}, r"no list of records at \$\.payload\.customerInvoices: \$ has Payload;"),
        (AMAZON, {"payload": {"CustomerInvoices": []}}, r"customerInvoices: \$\.payload has CustomerInvoices;"),
        (AMAZON, {"payload": None}, r"\$\.payload is null;"),
        (INGRAM, {"recordsFound": 1, "invoices": None}, r"\$\.invoices is null;"),
        (SCANSOURCE, {"Message": "secret words"}, r"no list of records at \$: \$ has Message;"),
        (VISIBLE, {"IsSuccessful": True, "Rows": []}, r"\$\.List: \$ has IsSuccessful, Rows;"),
    ],
)
def test_the_error_names_the_place_and_what_is_there_instead_and_no_value(name: str, said: Any, sentence: str) -> None:
    stream, _ = LISTS[name]
    with pytest.raises(BodyError, match=sentence) as caught:
        run(name, lambda *_: Said(said), [stream])
    assert "check base_url" in str(caught.value)
    assert "secret words" not in str(caught.value)


@pytest.mark.promise("A list does not end where the name of its next token or its errors is written in another way")
@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ({"pagination": {"NextToken": "b"}}, "NextToken where nextToken"),
        ({"pagination": {"next_token": "b"}}, "next_token where nextToken"),
        ({"Pagination": {"nextToken": "b"}}, "Pagination where pagination"),
    ],
)
def test_a_next_token_under_another_name_is_an_error_and_no_end(beside: Mapping[str, Any], name: str) -> None:
    stream, _ = LISTS[AMAZON]
    row = {"purchaseOrderNumber": "P1", "content": "e30="}
    said = Said({"payload": {"customerInvoices": [row], **beside}})
    error, messages = failed(AMAZON, lambda *_: said, [stream])
    assert name in str(error)
    assert not [m for m in messages if m["type"] == "STATE" and has_bookmark(m["value"], stream)]


def test_a_part_of_an_answer_is_none() -> None:
    part = Said([{"InvoiceNumber": "1", "Total": 1}], status=206)
    with pytest.raises(VendorError, match=r"206 Partial Content\. It is a part of an answer"):
        run(SCANSOURCE, lambda *_: part, ["invoices"])


def test_the_root_of_an_xml_list_that_has_other_elements_is_named() -> None:
    said = Said(body=b"<Error><Message>No</Message><Code>7</Code></Error>", kind=XML)
    with pytest.raises(BodyError, match=r"no list of records at \$: the XML root <Error> has Message, Code;"):
        run(SCANSOURCE, lambda *_: said, ["invoices"], format="xml")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("v1", {}),
        ("v1", {"payload": {}}),
        ("v1", {"payload": {"pagination": {}}, "errors": None}),
        ("v1", {"payload": {"customerInvoices": []}}),
        ("2021-12-28", {}),
        ("2021-12-28", {"pagination": {}}),
    ],
)
def test_the_empty_forms_of_amazons_model_are_empty(version: str, said: Any) -> None:
    done = run(AMAZON, lambda *_: Said(said), ["customer_invoices"], api_version=version)
    assert done.of("RECORD") == []
    assert done.state["bookmarks"]["customer_invoices"]


@pytest.mark.parametrize(("version", "other"), [("v1", "2021-12-28"), ("2021-12-28", "v1")])
def test_the_envelope_of_the_other_version_is_an_error(version: str, other: str) -> None:
    rows = {"customerInvoices": [{"purchaseOrderNumber": "A1", "content": ""}]}
    said = rows if other == "2021-12-28" else {"payload": rows}
    with pytest.raises(BodyError, match="another version of it"):
        run(AMAZON, lambda *_: Said(said), ["customer_invoices"], api_version=version)


def test_a_wrong_envelope_in_the_middle_of_a_list_is_an_error_and_the_bookmark_stays() -> None:
    def answer(_: str, query: str, __: bytes) -> Said:
        if "nextToken" in query:
            return Said({"Payload": {"customerInvoices": []}})
        rows = [{"purchaseOrderNumber": "A1", "content": ""}]
        return Said({"payload": {"customerInvoices": rows, "pagination": {"nextToken": "b"}}})

    error, messages = failed(AMAZON, answer, ["customer_invoices"])
    assert "$ has Payload" in str(error)
    assert [r["purchaseOrderNumber"] for r in records(messages, "customer_invoices")] == ["A1"]
    states = [m["value"] for m in messages if m["type"] == "STATE"]
    assert not any(has_bookmark(state, "customer_invoices") for state in states)


# --- 404 ---------------------------------------------------------------------------------------------

NOT_FOUND = {"errors": [{"traceid": "1", "type": "Not Found", "message": "No invoices.", "fields": []}]}
INNER_404 = {"errors": [{**NOT_FOUND["errors"][0], "message": "The remote server returned an error: (404) Not Found."}]}


def test_a_404_with_the_body_of_the_specification_is_an_empty_list() -> None:
    done = run(INGRAM, lambda *_: Said(NOT_FOUND, 404), ["invoices"])
    assert (done.of("RECORD"), has_bookmark(done.state, "invoices")) == ([], False)


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_404_in_a_list_is_never_its_end(status: int, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vendortap.http.rate_limit.BACKOFF_SECONDS", 0.02)
    if (status, page) == (404, 1):
        pytest.skip("that is an empty list")

    def answer(_: str, query: str, __: bytes) -> Said:
        if f"pageNumber={page}" in query:
            return Said(NOT_FOUND if status == 404 else INNER_404, status)
        number = query.partition("pageNumber=")[2][:1]
        row = {"invoiceNumber": f"30-{number}", "invoiceDate": f"2026-01-0{number}"}
        return Said({"recordsFound": 0, "invoices": [row]})

    error, messages = failed(INGRAM, answer, ["invoices"], page_size=1, retry_seconds=5)
    assert isinstance(error, MissingError)
    assert "check base_url" in str(error)
    assert len(records(messages, "invoices")) <= page - 1


# --- another document --------------------------------------------------------------------------------


def one(name: str, own: str) -> Said:
    """A document with its own number."""
    documents: Mapping[str, Any] = {
        AMAZON: {"payload": {"purchaseOrderNumber": own, "content": "eA=="}},
        INGRAM: {"invoiceNumber": own, "invoiceStatus": "OPEN"},
        SCANSOURCE: {"InvoiceNumber": own, "DocType": "IN"},
        VISIBLE: {"IsSuccessful": True, "InvoiceRefNumber": own, "Terms": "30"},
        MIDNIGHT: {"GUID": own, "InvoiceStatus": "Open"},
    }
    return Said(documents[name])


DETAILS: Mapping[str, tuple[str, str, str]] = {
    AMAZON: ("customer_invoices_by_number", "purchase_order_numbers", "purchaseOrderNumber"),
    INGRAM: ("invoice_details", "invoice_numbers", "invoiceNumber"),
    SCANSOURCE: ("invoice_details", "invoice_numbers", "InvoiceNumber"),
    VISIBLE: ("invoice_details", "invoice_numbers", "InvoiceRefNumber"),
    MIDNIGHT: ("invoice_details", "invoice_guids", "GUID"),
}
KEYS = ["AA1", "BB2", "CC3"]


def asked_for(name: str, path: str, body: bytes) -> str:
    return str(json.loads(body)["Guid"]) if name == MIDNIGHT else path.rpartition("/")[2]


@pytest.mark.parametrize("name", DETAILS)
def test_a_document_with_another_number_is_an_error_named_by_the_one_asked_for_and_the_others_arrive(
    name: str, promise: Figure
) -> None:
    """A document that does not say the number it was asked for by is never handed on as that document"""
    promise("1 connector")
    stream, setting, field = DETAILS[name]

    def answer(path: str, _: str, body: bytes) -> Said:
        key = asked_for(name, path, body)
        return one(name, "CC3" if key == "BB2" else key)

    error, messages = failed(name, answer, [stream], **{setting: KEYS})
    assert isinstance(error, RecordError)
    assert f"what the vendor answers for BB2 has another {field}" in str(error)
    assert [r[field] for r in records(messages, stream)] == ["AA1", "CC3"]


@pytest.mark.parametrize("name", DETAILS)
def test_a_document_with_another_number_is_quarantined_under_the_one_asked_for(name: str, tmp_path: Path) -> None:
    stream, setting, field = DETAILS[name]

    folder = tmp_path / "quarantine"
    done = run(
        name,
        lambda *_: one(name, "CC3"),
        [stream],
        **{setting: KEYS},
        on_bad_record="quarantine",
        quarantine_dir=str(folder),
    )
    assert [r[field] for r in done.records(stream)] == ["CC3"]
    entries = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    assert [set(entry["key"].values()) & set(KEYS) for entry in entries] == [{"AA1"}, {"BB2"}]
    assert {entry["error"] for entry in entries} == {"the number that was asked for expected"}
    assert {entry["path"].rpartition(".")[2] for entry in entries} == {field}


def test_ingrams_numbers_may_have_hyphens_or_not_and_v4s_may_leave_the_branch_out() -> None:
    stream = "invoice_details"
    done = run(INGRAM, lambda *_: one(INGRAM, "30K000112"), [stream], invoice_numbers=["30-K0001-12"])
    assert [r["requestedNumber"] for r in done.records(stream)] == ["30-K0001-12"]
    body = {"invoicenumber": "RCW67-11", "totalamount": 1}
    said = {"serviceresponse": {"responsepreamble": {"responsestatus": "SUCCESS"}, "invoicedetailresponse": body}}
    v4 = "invoice_details_v4"
    assert run(INGRAM, lambda *_: Said(said), [v4], order_numbers=["20-RCW67-11"]).records(v4)
    with pytest.raises(RecordError, match="20-RCW67-12 has another invoicenumber"):
        run(INGRAM, lambda *_: Said(said), [v4], order_numbers=["20-RCW67-12"])


# --- one bad answer among many -----------------------------------------------------------------------

BAD: Mapping[str, Said] = {
    "a fault under 200": Said({"fault": {"faultstring": "no"}}),
    "an empty object": Said({}),
    "null": Said(None),
    "a list": Said([]),
    "HTML": Said(body=b"<html></html>", kind=HTML),
    "an empty body": Said(body=b""),
    "a body cut short": Said(body=b'{"payload": {'),
    "400": Said({"message": "bad number"}, 400),
    "404": Said({"message": "unknown"}, 404),
    "410": Said(body=b"", status=410, kind=None),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", DETAILS)
def test_one_bad_answer_does_not_stop_the_others_and_is_named_at_the_end(name: str, case: str, promise: Figure) -> None:
    """A document that the vendor does not give keeps no other from arriving; the error at the end names it"""
    promise("1 case")
    stream, setting, field = DETAILS[name]

    def answer(path: str, _: str, body: bytes) -> Said:
        key = asked_for(name, path, body)
        return BAD[case] if key == "AA1" else one(name, key)

    error, messages = failed(name, answer, [stream], **{setting: KEYS}, on_missing="fail")
    assert "AA1" in str(error)
    assert [r[field] for r in records(messages, stream)] == ["BB2", "CC3"]


def test_several_bad_answers_are_all_named() -> None:
    stream, setting, _ = DETAILS[AMAZON]

    def answer(path: str, _: str, __: bytes) -> Said:
        return one(AMAZON, "BB2") if path.endswith("BB2") else Said({"errors": [{"code": "X", "message": "no"}]})

    error, messages = failed(AMAZON, answer, [stream], **{setting: KEYS})
    assert "2 requests failed, and all others have been read" in str(error)
    assert "AA1" in str(error)
    assert "CC3" in str(error)
    assert len(records(messages, stream)) == 1


def test_an_empty_payload_of_amazon_is_skipped_where_the_operator_wants_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, setting, field = DETAILS[AMAZON]

    def answer(path: str, _: str, __: bytes) -> Said:
        key = path.rpartition("/")[2]
        return Said({"payload": {}}) if key == "BB2" else one(AMAZON, key)

    with caplog.at_level(logging.WARNING):
        done = run(AMAZON, answer, [stream], **{setting: KEYS}, on_missing="skip")
    assert [r[field] for r in done.records(stream)] == ["AA1", "CC3"]
    assert any("BB2" in text and "Skipped" in text for text in caplog.messages)


@pytest.mark.parametrize("status", [401, 403, 503])
def test_what_concerns_all_still_stops_at_once(status: int) -> None:
    stream, setting, _ = DETAILS[AMAZON]
    asked: list[str] = []

    def answer(path: str, _: str, __: bytes) -> Said:
        asked.append(path)
        return Said({"errors": [{"code": "X", "message": "no"}]}, status)

    failed(AMAZON, answer, [stream], **{setting: [f"A{n}" for n in range(50)]}, concurrency=1)
    assert len(asked) <= 6


def test_one_unknown_customer_is_an_error_after_the_others_and_its_bookmark_stays() -> None:
    def answer(path: str, query: str, _: bytes) -> Said:
        if "/summary/2" in path:
            return Said({"Message": "Customer not found."}, 404)
        if "/summary/" in path:
            row = {"InvoiceNumber": "7", "LastChanged": "2026-01-01T10:00:00"}
            return Said([row] if "page=1&" in f"{query}&" else [])
        return one(SCANSOURCE, "7")

    customers = ["2", "1", "3"]
    streams = ["invoices", "invoice_details"]
    error, messages = failed(SCANSOURCE, answer, streams, customer_numbers=customers)
    assert "scansource, invoices (customer number 2)" in str(error)
    for stream in streams:
        assert [r["CustomerNumber"] for r in records(messages, stream)] == ["1", "3"]
        marks = messages[-1]["value"]["bookmarks"][stream]["partitions"].values()
        assert {m["context"]["customer_number"] for m in marks if m.get("replication_key_value")} == {"1", "3"}
