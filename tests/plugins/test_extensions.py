"""What plugins bring through hooks, with real installed distributions, and what becomes of it when they fail."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import vendortap
from tests.conftest import Output, StartVendor, make_catalog
from vendortap.declare.model import Node, PageAction, Record, Reply
from vendortap.declare.model import Request as Sent
from vendortap.errors import ConfigError, PluginError, VendortapError
from vendortap.http.client import Client
from vendortap.plugins import extensions, host
from vendortap.plugins.extensions import Actions, Format
from vendortap.sandbox import serve
from vendortap.singer.tap import tap_class
from vendortap.sync import reading
from vendortap.sync.quarantine import QuarantineEntry

ACTION = """
from vendortap.declare import PageAction, hookimpl

@hookimpl
def page_action(connector, stream, options):
    def act(records):
        {act}
    def end():
        {end}
    return PageAction(act, alters={alters}, end=end)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs distributions in this process, each with one module: ``install("mask", code)``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    made: list[str] = []

    def install_plugin(name: str, code: str, group: str = host.HOOKS) -> None:
        module = f"plugin_of_test_{tmp_path.name}_{name}".replace("-", "_")
        made.append(module)
        (site / f"{module}.py").write_text(code)
        metadata = site / f"vendor_{name}-2.5.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vendor-{name}\nVersion: 2.5\n")
        (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")

    yield install_plugin
    for module in made:
        sys.modules.pop(module, None)


def action(act: str = "pass", end: str = "pass", *, alters: bool = True) -> str:
    return ACTION.format(act=act, end=end, alters=alters)


# --- actions on pages --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
def test_an_action_changes_what_goes_into_messages_and_nothing_else(
    install: Install, sandboxes: StartVendor, form: str
) -> None:
    vendor = sandboxes("scansource", invoices=30)
    before = vendor.read(format=form, catalog=make_catalog(streams=["invoices"]))
    install("mask", action("for record in records: record['PONumber'] = '***'"))
    after = vendor.read(format=form, catalog=make_catalog(streams=["invoices"]))
    assert {record["PONumber"] for record in after.records("invoices")} == {"***"}
    assert after.records("invoices") == [{**record, "PONumber": "***"} for record in before.records("invoices")]
    assert after.state["bookmarks"] == before.state["bookmarks"]


def test_an_action_that_only_looks_leaves_every_byte_as_it_is(install: Install, sandboxes: StartVendor) -> None:
    def lines(output: Output) -> list[Any]:
        return [{**message, "time_extracted": None} for message in output.messages if message["type"] == "RECORD"]

    vendor = sandboxes("scansource", invoices=30)
    before = vendor.read()
    install("look", action("assert all(record['InvoiceNumber'] for record in records)", alters=False))
    assert lines(vendor.read()) == lines(before)


@pytest.mark.parametrize("way", ["read", "read_arrow", "batches", "stream maps"])
def test_no_way_leads_past_an_action(install: Install, sandboxes: StartVendor, way: str, tmp_path: Path) -> None:
    vendor = sandboxes("scansource", invoices=30)
    install("mask", action("for record in records: record['PONumber'] = '***'"))
    config = vendor.config()
    if way == "read":
        read = vendortap.read("scansource", config, streams=["invoices"])
        shown = {item.record["PONumber"] for item in read if isinstance(item, vendortap.StreamRecord)}
    elif way == "read_arrow":
        batches = vendortap.read_arrow("scansource", config, streams=["invoices"])
        tables = [item.batch for item in batches if isinstance(item, vendortap.StreamBatch)]
        shown = {value for batch in tables for value in batch.column("PONumber").to_pylist()}
    elif way == "stream maps":
        done = vendor.read(stream_maps={"invoices": {"copy": "PONumber"}}, catalog=make_catalog(streams=["invoices"]))
        shown = {record["copy"] for record in done.records("invoices")}
    else:
        encoding = {"format": "jsonl", "compression": "none"}
        storage = {"root": tmp_path.as_uri()}
        vendor.read(batch_config={"encoding": encoding, "storage": storage}, catalog=make_catalog(streams=["invoices"]))
        shown = {"***" if '"PONumber":"***"' in line else line for line in _batched(tmp_path)}
    assert shown == {"***"}


def _batched(folder: Path) -> list[str]:
    files = list(folder.glob("*invoices-*"))
    texts = [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files]
    return [line.replace(" ", "") for text in texts for line in text.decode().splitlines()]


def test_the_end_is_told_when_a_stream_ends_in_an_error_too(
    install: Install, sandboxes: StartVendor, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    install("end", action("raise KeyError('secret')", f"import pathlib; pathlib.Path({str(told)!r}).open('x').close()"))
    vendor = sandboxes("scansource", invoices=30)
    with pytest.raises(PluginError) as caught:
        vendor.read(catalog=make_catalog(streams=["invoices"]))
    assert told.exists()
    assert str(caught.value).startswith(
        "scansource, invoices: plugin 'end' of vendor-end 2.5: page_action raised KeyError"
    )
    assert "secret" not in str(caught.value)


@pytest.mark.promise("A plugin that fails stops the run with its name, and what came before it stays covered")
@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("raise ValueError(records[0])", "page_action raised ValueError (plugin_of_test_"),
        ("records.pop()", "; it may change values only"),
        ("del records[0]['PONumber']", "page_action left something at $ that the schema does not have there"),
        ("records[0]['More'] = 1", "page_action left something at $ that the schema does not have there"),
        ("records[3]['CustomerNumber'] = 0.5", "page_action left something at $.CustomerNumber that the schema"),
    ],
)
def test_what_an_action_may_not_do_is_an_error_with_plugin_hook_and_stream(
    install: Install, sandboxes: StartVendor, act: str, said: str
) -> None:
    install("bad", action(act))
    vendor = sandboxes("scansource", invoices=30)
    with pytest.raises(PluginError) as caught:
        vendor.read(catalog=make_catalog(streams=["invoices"]))
    assert str(caught.value).startswith("scansource, invoices: plugin 'bad' of vendor-bad 2.5: ")
    assert said in str(caught.value)


def test_actions_are_taken_in_the_order_of_the_plugins_names(install: Install, sandboxes: StartVendor) -> None:
    for name in ("second", "first"):
        install(name, action(f"for record in records: record['PONumber'] = (record['PONumber'] or '')[:0] + '{name}'"))
    done = sandboxes("scansource", invoices=10).read(catalog=make_catalog(streams=["invoices"]))
    assert {record["PONumber"] for record in done.records("invoices")} == {"second"}


def test_what_is_replayed_from_the_quarantine_is_acted_on(install: Install, sandboxes: StartVendor) -> None:
    vendor = sandboxes("scansource", invoices=10)
    record = vendor.read(catalog=make_catalog(streams=["invoices"])).records("invoices")[0]
    entry = QuarantineEntry(
        connector="scansource",
        stream="invoices",
        key={},
        path="$[0]",
        error="a number expected",
        media_type="application/json",
        raw=json.dumps(record, default=str).encode(),
        request={},
        params={"customer_number": record["CustomerNumber"]},
        bookmark=None,
        schema="",
        time=datetime.now(UTC),
    )
    install("mask", action("for record in records: record['PONumber'] = '***'"))
    tap = tap_class(vendor.connector)(config=vendor.config())
    again = reading.redecode(tap.source(), entry)
    tap.client.close()
    assert (again["InvoiceNumber"], again["PONumber"]) == (record["InvoiceNumber"], "***")


# --- what is brought by name -------------------------------------------------------------------------

FORMAT = """
from vendortap.declare import hookimpl

@hookimpl
def register_decoders():
    return {formats}
"""
BROKEN: Mapping[str, tuple[str, str]] = {
    "import-error": ("import no_such_module", "raised ModuleNotFoundError: No module named 'no_such_module'"),
    "no-hook": ("", "implements no hook"),
    "connector": (
        "from vendortap.declare import hookimpl\n@hookimpl\ndef register_connector():\n    return None\n",
        "it implements register_connector, which is called only in modules",
    ),
    "no-functions": (FORMAT.format(formats="{'text/csv': 7}"), "register_decoders returned something else than"),
    "json": (FORMAT.format(formats="{'application/json': str}"), "JSON and XML are vendortap's own"),
    "upper-case": (FORMAT.format(formats="{'text/CSV': str}"), "a media type is in lower case"),
    "newer": ("HOOKSPEC_VERSION = 99", "made for hook specification 99"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_stops_a_run_and_can_be_switched_off(
    install: Install, sandboxes: StartVendor, name: str
) -> None:
    code, reason = BROKEN[name]
    install(name, code)
    vendor = sandboxes("scansource", invoices=10)
    with pytest.raises(PluginError) as caught:
        vendor.read()
    assert str(caught.value).startswith(f"plugin {name!r} of vendor-{name} 2.5 cannot be used: ")
    assert reason in str(caught.value)
    assert "'plugins': {" in str(caught.value)
    assert extensions.problems() == {name: str(caught.value)}
    assert vendor.read(plugins={name: False}).records("invoices")


def test_options_for_a_plugin_that_is_not_installed_are_refused(sandboxes: StartVendor) -> None:
    with pytest.raises(
        ConfigError, match="the setting 'plugins' names 'mask', which is not installed; installed: none"
    ):
        sandboxes("scansource", invoices=10).read(plugins={"mask": {}})


PARTS = """
from vendortap.declare import Credentials, hookimpl

def flow(fail=False):
    def authorize(config):
        yield from ()
        if fail:
            raise KeyError("secret")
        return {"Authorization": "x"}
    return authorize

def endless():
    def pages(request, config):
        yield request
        raise OSError("secret")
    return pages

@hookimpl
def register_auth_flows():
    return {"flow": flow}

@hookimpl
def register_pagers():
    return {"endless": endless, "nothing": lambda: None}
"""


def run_out(generator: Iterator[Any]) -> None:
    for _ in generator:
        pass


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda: run_out(extensions.auth_flow("flow")({})), "its auth flow 'flow' returned dict, not Credentials"),
        (
            lambda: run_out(extensions.auth_flow("flow", fail=True)({})),
            "its auth flow 'flow' raised KeyError (plugin_of",
        ),
        (lambda: run_out(extensions.pager("endless")(None, {})), "its pager 'endless' raised OSError (plugin_of"),  # type: ignore[arg-type] # passed on only
        (lambda: extensions.pager("endless", 7), "making its pager 'endless' raised TypeError"),
        (lambda: extensions.pager("nothing"), "making its pager 'nothing' gave NoneType, not a function"),
        (lambda: extensions.pager("link"), "no installed plugin brings the pager 'link'; there are: endless, nothing"),
        (lambda: extensions.auth_flow("x"), "no installed plugin brings the auth flow 'x'; there are: flow"),
    ],
)
def test_a_part_that_fails_or_is_not_there_is_named(install: Install, use: Callable[[], Any], said: str) -> None:
    install("parts", PARTS)
    with pytest.raises(PluginError) as caught:
        use()
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_two_plugins_that_bring_the_same_are_both_named(install: Install, sandboxes: StartVendor) -> None:
    for name in ("one", "two"):
        install(name, PARTS + FORMAT.format(formats="{'text/csv': str}"))
    both = "plugin 'one' of vendor-one 2.5 and by plugin 'two' of vendor-two 2.5"
    with pytest.raises(PluginError, match=f"the auth flow 'flow' is brought by {both}"):
        extensions.auth_flow("flow")
    with pytest.raises(PluginError, match=f"the format 'text/csv' is brought by {both}"):
        sandboxes("scansource", invoices=10).read()


# --- decoders ------------------------------------------------------------------------------------


def as_json(read: Callable[[Reply], Any]) -> Reply:
    reply = Reply(200, {"content-type": "text/plain", "link": "<x>"}, b"body", datetime.now(UTC))
    return Format("plugin 'x' of vendor-x 1", "text/plain", read).as_json(reply)


def _fails(error: Exception) -> Callable[[Reply], Any]:
    def read(_: Reply) -> Any:
        raise error

    return read


def test_a_reply_in_a_plugins_format_goes_on_as_json() -> None:
    reply = as_json(lambda reply: [{"text": reply.body.decode(), "amount": Decimal("10.00"), "none": None}])
    assert reply.body == b'[{"text":"body","amount":10.00,"none":null}]'
    assert (reply.media_type, reply.headers["link"]) == ("application/json", "<x>")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (_fails(ValueError("row 3")), "the answer is not the text/plain it is declared to be (row 3)"),
        (
            _fails(KeyError("secret")),
            "plugin 'x' of vendor-x 1: its format 'text/plain' raised KeyError (test_extensions",
        ),
        (lambda _: [{"a": [0.5]}], "its format 'text/plain' gave a float; numbers are Decimal or int"),
        (lambda _: {1: "x"}, "its format 'text/plain' gave a key;"),
        (lambda _: (1, 2), "its format 'text/plain' gave a tuple;"),
    ],
)
def test_a_body_that_is_not_of_the_format_and_a_reader_that_fails_are_told_apart(
    read: Callable[[Reply], Any], said: str
) -> None:
    with pytest.raises(VendortapError) as caught:
        as_json(read)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


# --- what an action may leave behind -----------------------------------------------------------------

NODE = Node(
    "object",
    nullable=False,
    fields={
        "text": Node("string", nullable=False),
        "amount": Node("number"),
        "at": Node("date-time"),
        "lines": Node("array", item=Node("object", fields={"count": Node("integer"), "flag": Node("boolean")})),
        "more": Node("any"),
    },
)
LINES = st.lists(
    st.none() | st.fixed_dictionaries({"count": st.none() | st.integers(), "flag": st.none() | st.booleans()})
)
RECORDS = st.fixed_dictionaries(
    {
        "text": st.text(),
        "amount": st.none() | st.decimals(allow_nan=False, allow_infinity=False),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "lines": st.none() | LINES,
        "more": st.none() | st.integers() | st.text(),
    }
)


def acted(act: Callable[[Sequence[Record]], None], records: list[Record]) -> None:
    Actions(NODE, [("plugin 'x'", PageAction(act))]).act(records)


@given(st.lists(RECORDS))
def test_every_record_of_the_schema_may_be_left_behind(records: list[Record]) -> None:
    acted(lambda _: None, records)


@given(
    RECORDS,
    st.sampled_from(["text", "amount", "at"]),
    st.sampled_from([0.5, 7, True, Decimal("NaN"), Decimal("Infinity"), b"x", datetime(2025, 1, 1), ["x"], {}]),
)
def test_a_value_of_another_type_may_not(record: Record, name: str, value: Any) -> None:
    def act(records: Sequence[Record]) -> None:
        records[0][name] = value

    with pytest.raises(PluginError, match=rf"plugin 'x': page_action left something at \$\.{name} that"):
        acted(act, [record])


@given(RECORDS)
def test_neither_may_one_inside_a_list(record: Record) -> None:
    def act(records: Sequence[Record]) -> None:
        records[0]["lines"] = [None, {"count": 1, "flag": 1}]

    with pytest.raises(PluginError, match=r"left something at \$\.lines\[1\]\.flag that"):
        acted(act, [record])


# --- signatures and headers --------------------------------------------------------------------------


def test_a_signature_is_made_of_each_attempt_as_it_is_sent(install: Install) -> None:
    install("signs", SIGNS)
    seen: list[tuple[str, str, bytes]] = []

    async def answer(request: Request) -> Response:
        body = await request.body()
        url = request.url
        seen.append((request.headers["x-signed"], f"{request.method} {url.path}?{url.query}", body))
        return PlainTextResponse("", 503 if len(seen) == 1 else 200, {"Retry-After": "0"})

    with serve.serving(Starlette(routes=[Route("/a b", answer, methods=["POST"])])) as served:
        client = Client(name="x", base_url=served.url, config={}, auth=[extensions.auth_flow("count")], retry_seconds=5)
        client.send(Sent("POST", "/a%20b", {"q": "ä /"}, body=b"body"))
        client.close()
    assert [signed for signed, _, _ in seen] == [
        f"{number} POST {served.url}/a%20b?q=%C3%A4+%2F 4 fixed" for number in (1, 2)
    ]
    assert {(asked, body) for _, asked, body in seen} == {("POST /a b?q=%C3%A4+%2F", b"body")}


SIGNS = """
from itertools import count
from vendortap.declare import Credentials, hookimpl

def counted():
    def flow(config):
        yield from ()
        numbers = count(1)
        def sign(request):
            number = next(numbers)
            parts = number, request.method, request.url, len(request.body), request.headers["X-Fixed"]
            return {"X-Signed": " ".join(map(str, parts))}
        return Credentials({"X-Fixed": "fixed"}, sign=sign)
    return flow

@hookimpl
def register_auth_flows():
    return {"count": counted}
"""
