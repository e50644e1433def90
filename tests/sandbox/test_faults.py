"""The box of faults: which request is befallen, and what then is on the wire, seen with a bare socket."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from xml.parsers import expat

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from vendortap.sandbox import faults, serve
from vendortap.sandbox.faults import KINDS, Asked, Fault, Faulty, fault
from vendortap.sandbox.kit import Call, Server, XmlNames, answer, json_answer, web_api_error

# --- which request -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers", "path"),
    [
        ("reset", range(1, 10), ""),
        ("reset/list", range(1, 10), "/list"),
        ("reset@3", [3], ""),
        ("503@2-4", [2, 3, 4], ""),
        ("429-date@2-/a-b/c", range(2, 10), "/a-b/c"),
        ("reset-in-body@1,4-5,9-/x", [1, 4, 5, 9], "/x"),
        ("hang:0", [], ""),
        ("hang:1/x", range(1, 10), "/x"),
    ],
)
def test_a_fault_is_read(text: str, numbers: Iterator[int], path: str) -> None:
    read = fault(text)
    assert text.startswith(read.kind)
    assert [number for number in range(1, 10) if read.befalls(number, "")] == list(numbers)
    assert read.path == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no fault; write KIND"),
        ("reset@", "is no fault"),
        ("reset at 2", "is no fault"),
        ("explode@2", "'explode' is no kind of fault; there are reset, "),
        ("500-date", "'500-date' is no kind"),
        ("reset@0", "'0' is no number of a request; write 2, 2-4 or 2-"),
        ("reset@-2", "'-2' is no number"),
        ("reset@2-3-4", "'2-3-4' is no number"),
        ("reset@2,,3", "'' is no number"),
        ("reset:2", "'2' is no chance; it is a number from 0 to 1"),
        ("reset:1.2.3", "is no chance"),
    ],
)
def test_what_is_no_fault_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fault(text)


@given(chance=st.floats(0, 1), dice=st.text(max_size=5))
def test_a_chance_is_the_same_for_the_same_dice(chance: float, dice: str) -> None:
    thrown = [Fault("reset", chance=chance).befalls(number, dice) for number in range(200)]
    assert thrown == [Fault("reset", chance=chance).befalls(number, dice) for number in range(200)]
    assert abs(sum(thrown) / 200 - chance) < 0.2


# --- a vendor ----------------------------------------------------------------------------------------

DOCUMENT = {"Number": "1", "Text": "Größe " * 200}
NAMES = XmlNames("Invoice")


def listed(call: Call) -> Response:
    rows = call.shown(call.moved([1, 2, 3, 4]))
    return json_answer({"rows": rows, "page": call.params.get("page")})


@pytest.fixture(scope="module")
def app() -> Faulty:
    kit = Server(web_api_error)
    routes = [
        kit.route("/invoice", "invoice", lambda call: answer(call.request, DOCUMENT, NAMES), guard=lambda _: None),
        kit.route(
            "/list",
            "list",
            listed,
            guard=lambda _: None,
            failed=lambda _: json_answer({"ok": False}),
        ),
        kit.route("/token", "token", lambda _: json_answer({"token": "t"})),
    ]
    return Faulty(kit.application(routes, truth=lambda: 42))


@pytest.fixture(scope="module")
def served(app: Faulty) -> Iterator[serve.Served]:
    with serve.serving(app) as found:
        yield found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "HUGE_MB", 3)
    monkeypatch.setattr(faults, "BOMB_MB", 3)


class Wire:
    """One connection, bytes in and bytes out."""

    def __init__(self, url: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10)

    def ask(self, path: str, accept: str = "application/json") -> None:
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode())

    def read(self) -> tuple[bytes, str]:
        """What comes until the connection ends, and how it ended; ``open`` where nothing more comes."""
        data = b""
        try:
            while piece := self.socket.recv(1 << 16):
                data += piece
        except ConnectionResetError:
            return data, "reset"
        except TimeoutError:
            return data, "open"
        finally:
            self.socket.close()
        return data, "closed"


def exchange(
    served: serve.Served, text: str, accept: str = "application/json", seconds: float = 10
) -> tuple[bytes, bytes, str]:
    """Ask once under a fault: head, body and the end of the connection."""
    served.app.order(text)
    wire = Wire(served.url)
    wire.socket.settimeout(seconds)
    wire.ask("/invoice", accept)
    data, end = wire.read()
    head, _, body = data.partition(b"\r\n\r\n")
    assert served.app.done.total() == 1
    return head, body, end


def length(head: bytes) -> int | None:
    """What Content-Length says."""
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(headers[b"content-length"]) if b"content-length" in headers else None


PLAIN = json.dumps(DOCUMENT, ensure_ascii=False, separators=(",", ":")).encode()


# --- broken connections ------------------------------------------------------------------------------


def test_a_reset_before_any_answer(served: serve.Served) -> None:
    assert exchange(served, "reset") == (b"", b"", "reset")


@pytest.mark.parametrize(
    ("kind", "size", "end"),
    [
        ("reset-before-body", 0, "reset"),
        ("reset-in-body", len(PLAIN) // 2, "reset"),
        ("reset-after-body", len(PLAIN), "reset"),
        ("length-too-long", len(PLAIN), "closed"),
        ("hang-in-body", len(PLAIN) // 2, "open"),
    ],
)
def test_an_answer_that_ends_early(served: serve.Served, kind: str, size: int, end: str) -> None:
    head, body, ended = exchange(served, kind, seconds=0.3 if end == "open" else 10)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert length(head) == len(PLAIN) + (100 if kind == "length-too-long" else 0)
    assert (body, ended) == (PLAIN[:size], end)


def test_a_body_without_a_length_that_is_closed_half_way(served: serve.Served) -> None:
    head, body, end = exchange(served, "close-in-body")
    assert b"Content-Type: application/json" in head
    assert b"transfer-encoding" not in head.lower()
    assert (length(head), body, end) == (None, PLAIN[: len(PLAIN) // 2], "closed")


def test_a_length_that_is_too_short_leaves_the_rest_on_the_connection(served: serve.Served) -> None:
    head, body, end = exchange(served, "length-too-short", seconds=0.3)
    assert (body, end) == (PLAIN, "open")
    assert length(head) == len(PLAIN) * 3 // 4


def test_silence(served: serve.Served) -> None:
    assert exchange(served, "hang", seconds=0.3) == (b"", b"", "open")


def test_a_slow_answer_comes_steadily(served: serve.Served) -> None:
    served.app.order("slow")
    wire = Wire(served.url)
    wire.ask("/invoice")
    until = time.monotonic() + 0.5
    pieces = []
    while time.monotonic() < until:
        pieces.append(wire.socket.recv(1 << 16))
    wire.socket.close()
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert length(head) == len(PLAIN)
    assert PLAIN.startswith(body)
    assert 0 < len(body) <= 11


def test_compressed_bodies_that_stop_half_way_have_the_length_of_the_half(served: serve.Served) -> None:
    head, body, _ = exchange(served, "truncated-gzip", seconds=0.3)
    assert b"content-encoding: gzip" in head.lower()
    assert length(head) == len(body)
    unpacking = zlib.decompressobj(31)
    assert PLAIN.startswith(unpacking.decompress(body))
    assert not unpacking.eof


# --- statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", faults.STATUSES)
def test_statuses_come_as_the_vendor_writes_them(served: serve.Served, kind: str) -> None:
    served.app.order(f"{kind}@1/invoice")
    refused = requests.get(f"{served.url}/invoice", timeout=10)
    assert refused.status_code == int(kind[:3])
    assert "Message" in refused.json()
    assert requests.get(f"{served.url}/invoice", timeout=10).status_code == 200


def test_retry_after_is_a_number_a_date_or_absurd(served: serve.Served) -> None:
    served.app.order("429@1", "429-date@2", "429-absurd@3")
    seconds, date, absurd = (requests.get(f"{served.url}/invoice", timeout=10).headers for _ in range(3))
    assert seconds["Retry-After"] == "1"
    assert 0 < parsedate_to_datetime(date["Retry-After"]).timestamp() - time.time() <= 2
    assert int(absurd["Retry-After"]) > 86_400 * 365


def test_token_calls_are_befallen_too(served: serve.Served) -> None:
    served.app.order("503@1/token")
    assert requests.get(f"{served.url}/invoice", timeout=10).status_code == 200
    assert requests.get(f"{served.url}/token", timeout=10).status_code == 503
    assert requests.get(f"{served.url}/token", timeout=10).status_code == 200


# --- bodies ------------------------------------------------------------------------------------------


def test_a_web_page_in_place_of_an_answer(served: serve.Served) -> None:
    served.app.order("html")
    page = requests.get(f"{served.url}/invoice", timeout=10)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<!DOCTYPE html>")


def get(served: serve.Served, path: str, text: str, accept: str = "application/json") -> requests.Response:
    served.app.order(text)
    return requests.get(f"{served.url}{path}", headers={"Accept": accept}, timeout=30)


@pytest.mark.parametrize("kind", ["huge", "gzip-bomb"])
def test_a_body_of_many_megabytes_is_what_it_was_with_something_added(served: serve.Served, kind: str) -> None:
    found = get(served, "/invoice", kind)
    assert len(found.content) > 3_000_000
    document = found.json()
    assert len(document.pop("Extension")) == 3_000_000
    assert document == DOCUMENT
    parser = expat.ParserCreate()
    body = get(served, "/invoice", kind, "application/xml").content
    parser.Parse(body, True)
    assert body.count(b"x" * 1_000_000) == 3


def test_a_bomb_is_small_on_the_wire(served: serve.Served) -> None:
    _, body, _ = exchange(served, "gzip-bomb", seconds=0.5)
    assert len(body) < 30_000


def test_a_deep_body_is_well_formed(served: serve.Served) -> None:
    body = get(served, "/invoice", "deep").text
    assert body.count("[") == body.count("]") == faults.NESTED
    assert json.loads(body.replace("[", "").replace("]", "").replace('"Extension":,', "")) == DOCUMENT
    parser = expat.ParserCreate()
    parser.Parse(get(served, "/invoice", "deep", "application/xml").content, True)


@pytest.mark.parametrize(
    ("kind", "body", "begin"),
    [
        ("application/json", b"[]", b'{"Extension":[[['),
        ("application/json", b"{ }", b'{"Extension":[[['),
        ("application/json", b'[{"a":1}]', b'[{"Extension":[[['),
        ("application/xml", b"<List/>", b"<Extensions><Extension><Extension>"),
        (
            "application/xml",
            b'<?xml version="1.0"?>\n<List a="b"></List>',
            b'<?xml version="1.0"?>\n<List a="b"><Extension>',
        ),
        ("application/xml", b"<List><Row/></List>", b"<List><Extension><Extension>"),
    ],
)
def test_something_is_added_to_any_body(kind: str, body: bytes, begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "NESTED", 50)
    bare = Faulty(Starlette(routes=[Route("/", lambda _: Response(body, media_type=kind))]))
    bare.order("deep")
    with serve.serving(bare) as served:
        found = requests.get(served.url, timeout=10).content
    assert found.startswith(begin)
    if "json" in kind:
        json.loads(found)
    else:
        expat.ParserCreate().Parse(found, True)


# --- lists and the vendor's own ----------------------------------------------------------------------


def pages(served: serve.Served, *texts: str, count: int = 4) -> list[str]:
    """What a list's pages hold: their rows and the number that was asked for."""
    served.app.order(*texts)
    found = [requests.get(f"{served.url}/list?page={n}", timeout=10).json() for n in range(1, count + 1)]
    return [f"{page['page']}:{''.join(map(str, page['rows']))}" if "rows" in page else "failed" for page in found]


def test_lists(served: serve.Served) -> None:
    assert pages(served) == ["1:1234", "2:1234", "3:1234", "4:1234"]
    assert pages(served, "empty-page@2/list") == ["1:1234", "2:", "3:1234", "4:1234"]
    assert pages(served, "moving-rows@3-") == ["1:1234", "2:1234", "3:2341", "4:2341"]
    assert pages(served, "repeat-page@3") == ["1:1234", "2:1234", "2:1234", "4:1234"]
    assert pages(served, "repeat-page@2-") == ["1:1234"] * 4
    assert pages(served, "error@2") == ["1:1234", "failed", "3:1234", "4:1234"]


@pytest.mark.parametrize(
    ("earlier", "later", "is_later"),
    [
        ("/list?of=7&page=1", "/list?of=7&page=2", True),
        ("/list?of=7", "/list?of=7&page=2", True),
        ("/list?of=7&page=2", "/list?of=7&page=2", False),
        ("/list?of=7&page=3", "/list?of=7&page=1", False),
        ("/list?of=7&page=1", "/list?of=8&page=2", False),
        ("/list?of=7&page=1", "/other?of=7&page=2", False),
        ("/list?of=7", "/list?of=7&token=abc%3D", True),
        ("/list?of=7", "/list?of=7&token=abd", False),
        ("/list?of=7&more=1", "/list?of=7&page=2", False),
    ],
)
def test_a_page_that_is_repeated_is_one_of_the_same_list(earlier: str, later: str, is_later: bool) -> None:
    answer = faults.Answer(200, (), b'{"nextToken": "abc="}')
    before, now = (Asked.of(asked(url), b"") for url in (earlier, later))
    assert now.follows(before, answer, {"page", "token"}) is is_later
    assert now.follows(before, answer.having(gzip.compress(answer.body), content_encoding="gzip"), None) or not is_later


def test_the_page_may_be_in_the_body() -> None:
    answer, bodies = faults.Answer(200, (), b"[]"), (b'{"model": {"First": 0, "Rows": 5}}', b"<M><First>5</First></M>")
    first, second = (Asked.of(asked("/list"), body) for body in bodies)
    third = Asked.of(asked("/list"), b'{"model": {"First": 10, "Rows": 5}}')
    assert third.follows(first, answer, {"first"})
    assert not third.follows(second, answer, {"first"})
    assert second.params == {"First": "5"}


def asked(url: str) -> faults.Scope:
    path, _, query = url.partition("?")
    return {"path": path, "query_string": query.encode()}


def test_a_list_without_a_page_before_is_answered_as_ever_and_nothing_is_counted(served: serve.Served) -> None:
    assert pages(served, "repeat-page@1") == ["1:1234", "2:1234", "3:1234", "4:1234"]
    assert served.app.done.total() == 0


def test_where_the_documents_know_no_failure_under_200_it_is_the_usual_one(served: serve.Served) -> None:
    found = get(served, "/invoice", "error", "application/xml")
    assert (found.status_code, found.text) == (200, "<Error><Message>An error has occurred.</Message></Error>")


def test_the_first_fault_that_is_due_befalls_and_all_go_on_counting(served: serve.Served) -> None:
    assert pages(served, "empty-page@2", "error@2-3", "moving-rows@4") == ["1:1234", "2:", "failed", "4:2341"]
    assert served.app.done == {"empty-page": 1, "error": 1, "moving-rows": 1}


def test_by_the_same_seed_the_same_requests_are_befallen(app: Faulty, served: serve.Served) -> None:
    runs = []
    for seed in (1, 1, 2):
        app.seed = seed
        runs.append(pages(served, "empty-page:0.5", count=20))
    assert runs[0] == runs[1] != runs[2]


# --- other applications ------------------------------------------------------------------------------


def test_an_application_of_any_kind_can_be_wrapped_but_for_what_only_vendors_can_do() -> None:
    plain = Starlette(routes=[Route("/", lambda _: Response("{}", media_type="application/json"))])
    faulty = Faulty(plain)
    assert faulty.state is plain.state
    with pytest.raises(ValueError, match=r"this sandbox has no way to do 'moving-rows': a row of a list"):
        faulty.order("moving-rows")
    with serve.serving(faulty) as served:
        faulty.order("503@1", "429-absurd@2", "huge@3")
        answers = [requests.get(served.url, timeout=10) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 429, 200, 200]
    assert answers[1].headers["Retry-After"] == "999999999"
    assert len(answers[2].content) > 3_000_000


def test_a_server_ends_although_somebody_is_left_hanging(capfd: pytest.CaptureFixture[str]) -> None:
    faulty = Faulty(Starlette(routes=[Route("/", lambda _: Response("x" * 100))]))
    faulty.order("hang@1", "hang-in-body@2", "slow@3")
    with serve.serving(faulty) as served:
        wires = [Wire(served.url) for _ in range(3)]
        for wire in wires:
            wire.ask("/")
        while faulty.done.total() < 3:
            time.sleep(0.01)
        time.sleep(0.1)
    for wire in wires:
        wire.socket.close()
    assert capfd.readouterr() == ("", "")


def test_every_kind_says_what_happens() -> None:
    assert all(KINDS.values())
    assert gzip.decompress(b"".join(faults._members([b"ab", b"c"]))) == b"abc"
