"""Drift: noticed once each, by all readings alike, without a value; reported, or an error, or kept."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Figure, Files, StartVendor, Vendor, environment, executable, make_catalog, marked
from tests.decode.kit import coerced, counting, plain
from tests.decode.test_bad_records import LIST, Spoiled, stopped
from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode.drift import ENOUGH, EVENTS_AT_MOST, EVERY, FIRST, TIMES, Drift
from vendortap.decode.reader import NAMES_AT_MOST, Reader
from vendortap.decode.structs import RecordStruct
from vendortap.decode.values import Dates
from vendortap.errors import DriftError, StateError

LINE = Node("object", False, fields={"Price": Node("number"), "Text": Node("string")}, xml_name="Line")
ROW = Node(
    "object",
    False,
    xml_name="Invoice",
    fields={
        "Number": Node("string", False),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Lines": Node("array", item=LINE, xml_wrapped=True),
        "Parts": Node("array", item=Node("object", False, fields={"Sku": Node("string")}, xml_name="Part")),
        "To": Node("object", fields={"City": Node("string")}),
    },
    required=frozenset({"Number"}),
)
PAGES = RecordSelector(("list",))
SECRET = "Jane Doe 4711"
encode = msgspec.json.Encoder(decimal_format="number").encode


def drift(**options: Any) -> Drift:
    return Drift("acme", "invoices", ROW, **options)


def reader(noticed: Drift | None, *, record_selector: RecordSelector = PAGES, **options: Any) -> Reader:
    return Reader(ROW, record_selector, ("Number",), Dates(), drift=noticed, **options)


def reply(body: str | bytes, form: str = "json") -> Reply:
    data = body.encode() if isinstance(body, str) else body
    return Reply(200, {"content-type": f"application/{form}"}, data, datetime.now(UTC))


def page(*records: Any) -> Reply:
    return reply(encode({"list": list(records)}))


def told(noticed: Drift) -> set[tuple[str, str]]:
    return {(event.kind, event.field) for event in noticed.events}


# --- the readings agree ----------------------------------------------------------------------------------

amounts = st.none() | st.decimals(-1000, 1000, places=2)
names = st.sampled_from(["Extra", "total", "odd name", "class", "_x", "straße", "Number2"])
anything = st.none() | st.integers() | st.text(max_size=3) | st.dictionaries(names, st.integers(), max_size=2)
lines = st.fixed_dictionaries({}, optional={"Price": amounts, "Text": st.text(max_size=3), "Extra": anything})
records = st.fixed_dictionaries(
    {"Number": st.text("0123456789", min_size=1, max_size=4)},
    optional={
        "Total": amounts | st.just("1.50"),
        "Count": st.none() | st.integers(0, 9) | st.sampled_from(["7", 3.0, "x"]),
        "Paid": st.sampled_from([None, True, "true", "perhaps"]),
        "At": st.sampled_from([None, "2025-01-18T00:00:00Z", "2025-01-18", "then"]),
        "Lines": st.none() | st.lists(lines, max_size=2) | lines,
        "To": st.none() | st.fixed_dictionaries({}, optional={"City": st.text(max_size=3), "Zip": anything}),
        "New": anything,
        "a.b[0]": anything,
        'quoted "x"': anything,
    },
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=st.lists(st.lists(records, max_size=4), min_size=1, max_size=3))
def test_the_typed_and_the_coerced_reading_agree_on_records_and_events(pages: list[list[Any]], promise: Figure) -> None:
    """The typed reading notices the very drift that the coerced reading notices, and gives the same records."""
    promise(f"{len(pages)} pages")
    seen = []
    for made in (drift_reader, coerced_drift_reader):
        noticed, readings = made()
        with pytest.MonkeyPatch.context() as patch:  # they look at different pages closer
            patch.setattr("vendortap.decode.reader._is_one_of_few", lambda _: True)
            read = [readings.read(page(*records)) for records in pages]
        written = [[encode(row) for row in one.records] for one in read]
        events = sorted(map(str, noticed.events))
        seen.append((written, [one.invalid for one in read], events))
    assert seen[0] == seen[1]
    unwatched = [coerced(reader(None)).read(page(*records)) for records in pages]
    assert seen[0][0] == [[encode(row) for row in one.records] for one in unwatched], "noticing changes no record"


def drift_reader() -> tuple[Drift, Reader]:
    noticed = drift()
    return noticed, reader(noticed)


def coerced_drift_reader() -> tuple[Drift, Reader]:
    noticed = drift()
    return noticed, coerced(reader(noticed))


every_reading = pytest.mark.parametrize("made", [drift_reader, coerced_drift_reader])
Made = Callable[[], tuple[Drift, Reader]]


def test_pages_are_typed_again_after_the_first_that_drifted() -> None:
    noticed, ways = drift_reader()
    bodies = counting(ways)
    for _ in range(3):
        (row,) = ways.read(page({"Number": "1", "New": {"a": [1]}, "Lines": [{"Price": 1, "odd name": 2}]})).records
        assert isinstance(row, RecordStruct)
        assert encode(row) == (
            b'{"Number":"1","Total":null,"Count":null,"Paid":null,"At":null,'
            b'"Lines":[{"Price":1,"Text":null}],"Parts":null,"To":null}'
        )
        assert len(bodies) == 1
    assert told(noticed) == {("unknown", "New"), ("unknown", "Lines[].odd name")}
    ways.read(page({"Number": "1", "New": 1, "Newer": 1}))
    assert ("unknown", "Newer") in told(noticed)


def test_xml_notices_elements_on_every_page_and_attributes_on_some(promise: Figure) -> None:
    """Unknown fields are noticed in XML as in JSON, attributes too; what stands beside the records is none."""
    body = (
        '<r xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><list><Invoice kind="a"><Number>1</Number>'
        '<Lines><Line><Price i:nil="true"/></Line><Line><New>x</New></Line></Lines>'
        "<Part><Sku>s</Sku></Part><Part><Colour>red</Colour></Part><Extra>{}</Extra></Invoice></list><Page>1</Page></r>"
    )
    noticed = drift()
    ways = reader(noticed)
    for text in ("1", "2", "3"):
        assert plain(ways.read(reply(body.format(text), "xml")).records[0]["Parts"]) == [{"Sku": "s"}, {"Sku": None}]
    assert {event.field: event.path for event in noticed.events} == {
        "@kind": "$.list[0].@kind",
        "Lines[].New": "$.list[0].Lines[1].New",
        "Parts[].Colour": "$.list[0].Parts[1].Colour",
        "Extra": "$.list[0].Extra",
    }


def test_bytes_that_are_no_text_in_what_nobody_asked_for_harm_nothing_where_drift_is_not_watched() -> None:
    body = b'{"list": [{"Number": "1", "New": "\xff"}]}'
    (row,) = reader(None).read(reply(body)).records
    assert row["Number"] == "1"


@every_reading
def test_a_name_in_another_case_is_another_type_unless_the_vendor_is_known_for_it(made: Made) -> None:
    noticed, ways = made()
    for _ in range(2):
        (row,) = ways.read(page({"number": "2", "Number": "1", "TOTAL": 1})).records
        assert (row["Number"], row["Total"]) == ("1", 1)
    assert [(event.kind, event.field, event.expected) for event in noticed.events] == [
        ("unknown", "number", None),
        ("type", "TOTAL", "written 'Total'"),
    ]
    assert noticed.events[1].sentence == "the field TOTAL is not always written 'Total', see $.list[0].TOTAL"
    noticed = drift()
    reader(noticed, record_selector=RecordSelector(("list",), any_case=True)).read(
        page({"number": "1", "TOTAL": 1, "New": 1})
    )
    assert told(noticed) == {("unknown", "New")}


def test_what_is_looked_for_in_a_record_that_is_the_whole_reply_is_not_unknown() -> None:
    from vendortap.declare.model import Value

    noticed = drift()
    rows = RecordSelector(many=False, more={"errors": Value(("errors",), "any")})
    reader(noticed, record_selector=rows).read(reply(b'{"Number": "1", "errors": null, "New": 1}'))
    assert told(noticed) == {("unknown", "New")}


# --- types -------------------------------------------------------------------------------------------


@every_reading
@pytest.mark.parametrize(
    ("member", "field", "expected"),
    [
        ({"Total": "1.50"}, "Total", "a number"),
        ({"Count": "7"}, "Count", "an integer"),
        ({"Paid": "true"}, "Paid", "true or false"),
        ({"Lines": {"Price": 1}}, "Lines", "a list"),
        ({"Lines": [{"Text": 5}]}, "Lines[].Text", "a string"),
        ({"Total": "much"}, "Total", "a number"),
        ({"To": "Ulm"}, "To", "an object"),
    ],
)
def test_another_type_is_noticed_whether_it_can_be_mended_or_not(
    made: Made, member: dict[str, Any], field: str, expected: str, promise: Figure
) -> None:
    """Another type than declared is noticed, whether it is mended or makes a bad record."""
    noticed, ways = made()
    ways.read(page({"Number": "0"}, {"Number": "1", **member}))
    (event,) = noticed.events
    assert (event.kind, event.field) == ("type", field)
    assert event.path.startswith("$.list[1].")
    assert (event.expected or "").startswith(expected)


@pytest.mark.parametrize(
    "member", [{"Total": ""}, {"Count": 3.0}, {"At": " "}, {"Total": None}, {"Text": ""}, {"Total": 1}]
)
def test_what_vendors_write_for_null_or_for_a_whole_number_is_no_other_type(member: dict[str, Any]) -> None:
    noticed = drift()
    reader(noticed).read(page({"Number": "1", **{k: v for k, v in member.items() if k in ROW.fields}}))
    assert noticed.events == []


def test_numbers_as_strings_are_no_drift_of_a_vendor_that_is_known_for_them() -> None:
    noticed = drift()
    ways = reader(noticed, record_selector=RecordSelector(("list",), any_type=True))
    ways.read(page({"Number": "1", "Total": "1.50"}, {"Number": "2", "Count": "7"}))
    assert noticed.events == []
    ways.read(page({"Number": "1", "Count": "many"}))
    assert told(noticed) == {("type", "Count")}


def test_amounts_as_strings_are_looked_for_on_the_first_page_and_ever_more_rarely() -> None:
    """The decoder takes them without a word, and looking closer at each page would cost as much as reading it."""
    found = []
    for first in range(1, 70):
        noticed = drift()
        ways = reader(noticed)
        for number in range(1, 70):
            ways.read(page({"Number": "1", "Total": "1.50" if number == first else 1}))
        found += [first] if noticed.events else []
    assert found == [1, 4, 16, 64]


# --- names that are the vendor's ---------------------------------------------------------------------


def test_an_event_is_told_once_with_stable_fields_and_no_value(
    caplog: pytest.LogCaptureFixture, promise: Figure
) -> None:
    """A drift event is one log line with stable fields and an example path, never a value."""
    noticed = drift()
    ways = reader(noticed)
    for number in range(5):
        ways.read(page({"Number": "1"}, {"Number": "2", "New": f"{SECRET} {number}", "Total": SECRET}))
    lines = [record for record in caplog.records if record.name == "vendortap.drift"]
    (line, other) = sorted(lines, key=lambda one: '"type"' in one.getMessage())
    assert line.levelno == logging.WARNING
    word, _, document = line.getMessage().partition(" ")
    assert (word, json.loads(document)) == (
        "drift",
        {
            "connector": "acme",
            "stream": "invoices",
            "kind": "unknown",
            "field": "New",
            "path": "$.list[1].New",
            "expected": None,
        },
    )
    assert json.loads(document) == vars(line)["drift"]
    assert '"type", "field": "Total"' in other.getMessage()
    assert SECRET not in caplog.text


def test_names_that_are_data_are_made_fit_and_have_an_end() -> None:
    noticed = drift(redact=lambda name: name.replace("jane@example.com", "***"))
    ways = reader(noticed)
    ways.read(page({"Number": "1", "jane@example.com": 1}))
    assert told(noticed) == {("unknown", '["***"]')}
    bodies = counting(ways)
    for number in range(NAMES_AT_MOST + 10):
        (row,) = ways.read(page({"Number": "1", f"customer {number}": 1})).records
        assert isinstance(row, RecordStruct)
    assert len(noticed.events) == EVENTS_AT_MOST
    assert len(bodies) == NAMES_AT_MOST, "all names pass from now on"
    assert not ways._readings.is_watched


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("a.b", '["a.b"]'),
        ("a[0]", '["a[0]"]'),
        ('say "x"', '["say \\"x\\""]'),
        ("odd name", ".odd name"),
    ],
)
def test_a_name_that_could_be_taken_for_two_is_quoted(name: str, step: str) -> None:
    for made in (drift_reader, coerced_drift_reader):
        noticed, ways = made()
        for _ in range(3):
            assert ways.read(page({"Number": "1", name: 1, "To": {name: 1}})).records[0]["Number"] == "1"
        assert {event.field: event.path for event in noticed.events} == {
            step.removeprefix("."): f"$.list[0]{step}",
            f"To{step}": f"$.list[0].To{step}",
        }


# --- fields that are not there any more --------------------------------------------------------------


def run(remembered: Mapping[str, Any] | None, rows: Iterable[Mapping[str, Any]], **options: Any) -> Drift:
    """One run over typed records."""
    noticed = drift(remembered=remembered, **options)
    nulls = dict.fromkeys(ROW.fields)
    noticed.look([{**nulls, **row} for row in rows])
    noticed.end()
    return noticed


USUAL = {"Number": "1", "Total": 1, "To": {"City": "Ulm"}, "Lines": [{"Price": 1, "Text": "a"}]}


def test_a_field_that_is_not_there_any_more_is_noticed_after_many_records(promise: Figure) -> None:
    """A field that earlier runs saw and that stays away is noticed, over as many runs as it takes."""
    first = run(None, [USUAL] * 3)
    assert first.events == []
    without = {**USUAL, "Total": None}
    second = run(first.fields(), [without] * (ENOUGH - 1))
    assert second.events == []
    third = run(second.fields(), [without])
    assert [(e.kind, e.field, e.path) for e in third.events] == [("absent", "Total", "$.Total")]
    assert told(run(third.fields(), [])) == {("absent", "Total")}, "it still is, as long as nobody mends the schema"
    back = run(third.fields(), [without, USUAL])
    assert back.events == []
    assert back.fields()["Total"] == (ENOUGH + 2, 0), "it is known now that it may stay away for so long"


def test_a_rare_field_is_not_taken_for_gone() -> None:
    rare = [{**USUAL, "Paid": True} if number % 50 == 49 else USUAL for number in range(200)]
    first = run(None, rare)
    assert first.fields()["Paid"] == (50, 0)
    kept, runs = first.fields(), TIMES * 50 // 100
    for number in range(1, runs + 1):
        later = run(kept, [USUAL] * 100)
        kept = later.fields()
        assert told(later) == ({("absent", "Paid")} if number == runs else set())


def test_of_an_object_that_is_gone_its_members_are_not_named() -> None:
    first = run(None, [USUAL])
    gone = run(first.fields(), [{**USUAL, "To": None, "Lines": [{"Price": 1, "Text": None}]}] * ENOUGH)
    assert told(gone) == {("absent", "To"), ("absent", "Lines[].Text")}
    empty = run(first.fields(), [{**USUAL, "Lines": []}] * ENOUGH)
    assert told(empty) == {("absent", "Lines")}


def test_a_field_that_was_never_there_is_not_missed_and_one_that_is_exempt_not_either() -> None:
    assert run(None, [{"Number": "1"}] * 3 * ENOUGH).events == []
    first = run(None, [USUAL], exempt=("Total",))
    assert "Total" not in first.fields()
    assert run({"Total": (1, 500)}, [], exempt=("Total",)).events == []
    assert run({"NoSuch": (1, 500)}, []).events == [], "nor one that the schema does not have any more"


def test_what_is_remembered_is_bounded_by_the_schema() -> None:
    kept: Any = None
    for _ in range(5):
        kept = run(kept, [USUAL] * 10).fields()
    assert set(kept) == {"Number", "Total", "To", "To.City", "Lines", "Lines[].Price", "Lines[].Text"}


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(1, 400), max_size=6))
def test_pages_of_any_size_are_looked_at_alike(cuts: list[int]) -> None:
    rows = [
        {"Number": "1", "Total": n if n % 97 == 96 else None, "Count": 1 if n == 999 else None} for n in range(1000)
    ]
    nulls = dict.fromkeys(ROW.fields)
    rows = [{**nulls, **row} for row in rows]
    noticed = drift()
    start = 0
    for end in [*sorted(cuts), 1000]:
        noticed.look(rows[start:end])
        start = max(start, end)
    assert noticed.fields()["Total"] == (97, 0)
    assert "Count" not in noticed.fields(), f"beyond the first {FIRST} records, a sample is looked at"


# --- a tap -------------------------------------------------------------------------------------------


def drifted(vendor: Vendor, form: str = "json") -> None:
    """Have the third row of each list carry a field more."""

    def change(body: bytes) -> bytes:
        before, after = (b'{"OrderNumber":', b'{"Surcharge":{"net":12345678901234567.10},"OrderNumber":')
        if form == "xml":
            before, after = (b"<OrderNumber>", b"<Surcharge><net>12345678901234567.10</net></Surcharge><OrderNumber>")
        parts = body.split(before)
        return body if len(parts) < 5 else before.join(parts[:3]) + after + before.join(parts[3:])

    vendor.wire.app = Spoiled(vendor.wire.app, LIST, change)


INVOICES = make_catalog(streams=["invoices"])


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_run_reports_drift_and_goes_on(
    form: str, start: StartVendor, tmp_path: Path, file: Files, promise: Figure
) -> None:
    """By default a run reports drift, in its log and in what `vendortap run` prints, and changes no record."""
    vendor = start(invoices=20)
    plain = vendor.read(catalog=INVOICES, format=form)
    drifted(vendor, form)
    seen = vendor.read(catalog=INVOICES, format=form)
    assert [m["record"] for m in seen.of("RECORD")] == [m["record"] for m in plain.of("RECORD")]
    config, catalog = file(vendor.config(format=form)), file(INVOICES)
    target = f"sh -c 'cat > {tmp_path}/messages'"
    parts = [executable("vendortap"), "run", "scansource", "--config", config, "--catalog", catalog, "--target", target]
    done = subprocess.run(parts, capture_output=True, env=environment(), text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr.endswith(
        "vendortap: drift: scansource, invoices: the field Surcharge is not declared, see $[2].Surcharge\n"
    )
    assert done.stderr.count('"field": "Surcharge"') == 1
    assert "12345678901234567" not in done.stderr + done.stdout


def test_a_run_may_stop_at_drift(start: StartVendor, promise: Figure) -> None:
    """With on_drift `fail` a run stops at drift, with everything before it handed on; `ignore` looks away."""
    vendor = start(invoices=20)
    first, second = vendor.config()["customer_numbers"]
    drifted(vendor)
    spoil = vendor.wire.app.spoil
    vendor.wire.app.spoil = lambda body: (
        spoil(body) if vendor.wire.asked[-1].params["customerNumber"] == second else body
    )
    output, error = stopped(vendor, DriftError, catalog=INVOICES, on_drift="fail", concurrency=1)
    assert error == (
        f"scansource, invoices (customer number {second}): the field Surcharge is not declared, see $[2].Surcharge. "
        "Extend the schema of the stream, or set on_drift to 'warn'"
    )
    assert {row["CustomerNumber"] for row in output.records("invoices")} == {first}
    assert marked(output.state, "invoices") == [first]
    ignored = vendor.read(catalog=INVOICES, on_drift="ignore", state=output.state)
    assert {row["CustomerNumber"] for row in ignored.records("invoices")} == {second}
    assert ignored.state["bookmarks"]["invoices"]
    assert "fields" not in ignored.state, "what is not looked at is not remembered"


def test_a_field_that_goes_is_noticed_by_way_of_the_state(
    start: StartVendor, caplog: pytest.LogCaptureFixture, promise: Figure
) -> None:
    """What earlier runs saw is in the state; one without it, or from before, goes on as well."""
    vendor = start(invoices=240)
    state = vendor.read(catalog=INVOICES).state
    assert state["fields"]["invoices"]["PONumber"] == [1, 0]
    vendor.wire.app = Spoiled(vendor.wire.app, LIST, lambda body: body.replace(b'"PONumber":', b'"Gone":'))
    caplog.clear()
    again = vendor.read(catalog=INVOICES, state=state)
    said = {
        (event["kind"], event["field"]) for event in (vars(r)["drift"] for r in caplog.records if hasattr(r, "drift"))
    }
    assert said == {("unknown", "Gone"), ("absent", "PONumber")}
    assert again.state["fields"]["invoices"]["PONumber"] == [1, FIRST + 240 // EVERY - FIRST // EVERY]
    _, error = stopped(vendor, DriftError, catalog=INVOICES, state=state, on_drift="fail")
    assert "is not declared" in error
    del state["fields"]
    assert vendor.read(catalog=INVOICES, state=state).of("RECORD") == []
    with pytest.raises(StateError, match="the state's 'fields' cannot be read"):
        vendor.read(catalog=INVOICES, state={**state, "fields": {"invoices": {"PONumber": "x"}}})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("scansource", {}),
        ("scansource", {"format": "xml"}),
        ("ingram-micro", {}),
        ("midnight", {}),
        ("midnight", {"format": "xml"}),
        ("visiblescm", {}),
        ("visiblescm", {"format": "xml"}),
        ("amazon-vendor", {}),
        ("amazon-vendor", {"api_version": "2021-12-28"}),
    ],
)
def test_what_the_vendors_document_is_no_drift(
    name: str, changes: dict[str, Any], sandboxes: StartVendor, caplog: pytest.LogCaptureFixture, promise: Figure
) -> None:
    """No connector takes for drift what its vendor documents."""
    options = {"rate_limit": 0} if name == "amazon-vendor" else {}
    vendor = sandboxes(name, invoices=40, **options)
    streams = [stream.name for stream in vendor.connector.streams]
    output = vendor.read(catalog=make_catalog(streams=streams, connector=name), **changes)
    assert output.of("RECORD")
    assert [record.getMessage() for record in caplog.records if record.name == "vendortap.drift"] == []
