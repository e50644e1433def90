"""Schemas drafted from samples: of every vendor here, of whatever hypothesis makes up, and of what is hard to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.decode.test_parity import LEAVES, arrays, objects
from tests.strategies import exact, to_json, to_xml, values
from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode import schemas
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import Dates
from vendortap.errors import DeclarationError, UsageError
from vendortap.plugins import host
from vendortap.scaffold import kinds, schema
from vendortap.scaffold.elements import ATTRIBUTES_LEFT_OUT, GUESSED_LIST
from vendortap.scaffold.infer import Inferred, Sample, infer, read_sample, rows_text
from vendortap.scaffold.observations import OTHER_CASE
from vendortap.scaffold.schema import CASE_ONLY, MAP

FIXTURES = Path(__file__).parents[1] / "fixtures"
TYPES = {"json": "application/json", "xml": "application/xml"}


def as_json(document: Any, name: str = "sample.json") -> Sample:
    return Sample(name, "application/json", json.dumps(document).encode())


def as_xml(text: str, name: str = "sample.xml") -> Sample:
    return Sample(name, "application/xml", text.encode())


def read(result: Inferred, sample: Sample) -> list[dict[str, Any]]:
    """Read a sample as a tap does that has the drafted schema."""
    node = schemas.compile_record(result.schema, "drafted")
    reply = Reply(200, {"content-type": sample.media_type}, sample.body, datetime.now(UTC))
    page = Reader(node, result.rows, result.keys, Dates()).read(reply)
    assert not page.invalid
    return [as_dict(row) for row in page.records]


def said(result: Inferred, sentence: str) -> list[str]:
    """Return the places that a sentence is said of."""
    return list(result.notes.places(sentence))


# --- the vendors' own samples ------------------------------------------------------------------------

SAMPLES = {
    ("midnight", "invoice_details"): ["midnight/invoice.json", "midnight/invoice.xml"],
    ("scansource", "invoice_details"): ["scansource/invoice.json", "scansource/invoice.xml"],
    ("visiblescm", "invoice_details"): ["visiblescm/invoice.json", "visiblescm/invoice.xml"],
    ("amazon-vendor", "customer_invoices"): ["amazon_vendor/v1-list.json"],
    ("ingram-micro", "invoices"): ["ingram_micro/v6-list.json"],
    ("ingram-micro", "invoice_details"): ["ingram_micro/v61-camel.json", "ingram_micro/v61-pascal.json"],
    ("ingram-micro", "invoice_details_v4"): ["ingram_micro/v4-strings.json", "ingram_micro/v4-numbers.json"],
}
ROWS = {
    ("amazon-vendor", "customer_invoices"): RecordSelector(("payload", "customerInvoices")),
    ("ingram-micro", "invoices"): RecordSelector(("invoices",), any_type=True),
    ("ingram-micro", "invoice_details"): RecordSelector(many=False, any_case=True, any_type=True),
    ("ingram-micro", "invoice_details_v4"): RecordSelector(
        ("serviceresponse", "invoicedetailresponse"), many=False, any_type=True
    ),
}
SAFER = {
    "scansource": {"$.InvoiceLines[].Id"},  # in XML only, and digits there may be anything
    # one sample has half of something; of the others none has a value
    "ingram-micro": {"$.lines[].quantity", "$.weight", "$.totalsales", "$.lines[].marginpercent"},
}
"""What the declared schema has another kind for, because its author knew more or less than the samples tell."""


def leaves(node: Node, path: str = "$") -> Iterator[tuple[str, object]]:
    """Yield each place of a schema with what it is there, in both formats."""
    if node.item is not None:
        yield path, ("array", node.xml_wrapped, node.item.xml_name)
        yield from leaves(node.item, f"{path}[]")
    elif node.kind == "object":
        for name, member in node.fields.items():
            yield from leaves(member, f"{path}.{name}")
    else:
        yield path, (node.kind, node.xml_name, node.xml_attribute)


def drafted(connector: str, stream: str) -> Inferred:
    return infer([read_sample(FIXTURES / name) for name in SAMPLES[connector, stream]])


def declared_node(connector: str, stream: str) -> Node:
    loaded = host.load(connector)
    return schemas.compile_record(schemas.load(loaded.schemas, stream), stream)


@pytest.mark.parametrize(("connector", "stream"), SAMPLES)
def test_a_vendors_samples_give_what_was_declared_by_hand(connector: str, stream: str) -> None:
    result = drafted(connector, stream)
    assert result.rows == ROWS.get((connector, stream), RecordSelector(many=False))
    declared = dict(leaves(declared_node(connector, stream)))
    found = dict(leaves(schemas.compile_record(result.schema, "drafted")))
    both = declared.keys() & found.keys()
    assert len(both) >= 2
    differ = {path for path in both if declared[path] != found[path]}
    dates = {path for path in differ if found[path] in [(kind, None, False) for kind in ("date", "date-time")]}
    assert differ - dates <= SAFER.get(connector, set())
    assert all(declared[path] == ("string", None, False) for path in dates)  # Ingram Micro mixes forms of dates


@pytest.mark.parametrize(("connector", "stream"), SAMPLES)
def test_a_drafted_schema_reads_a_vendors_samples_as_the_declared_one_does(connector: str, stream: str) -> None:
    result = drafted(connector, stream)
    declared = declared_node(connector, stream)
    shape = replace(
        declared, required=frozenset(), fields={k: replace(v, nullable=True) for k, v in declared.fields.items()}
    )
    for name in SAMPLES[connector, stream]:
        sample = read_sample(FIXTURES / name)
        reply = Reply(200, {"content-type": sample.media_type}, sample.body, datetime.now(UTC))
        rows = Reader(shape, result.rows, (), Dates()).read(reply).records
        for mine, theirs in zip(read(result, sample), map(as_dict, rows), strict=True):
            for field in mine.keys() & theirs.keys():
                assert as_text(mine[field]) == as_text(theirs[field]), field


def as_text(value: Any) -> Any:
    """Make equal what the two schemas may differ in: the case of names, dates as text, 2 or 2.0, blank or null."""
    if isinstance(value, dict):
        members = {name.casefold(): as_text(member) for name, member in value.items()}
        return {name: member for name, member in members.items() if member}
    if isinstance(value, list):
        return [as_text(entry) for entry in value]
    text = value.isoformat() if isinstance(value, date) else str("" if value is None else value)
    return text.replace("T", " ").removesuffix("+00:00").removesuffix(" 00:00:00").removesuffix(".0")


@pytest.mark.parametrize(("connector", "stream"), SAMPLES)
def test_a_declared_schema_takes_its_own_samples_without_a_change_but_what_is_known_to_be_missing(
    connector: str, stream: str
) -> None:
    existing = schemas.load(host.load(connector).schemas, stream)
    samples = [read_sample(FIXTURES / name) for name in SAMPLES[connector, stream]]
    result = infer(samples, existing=existing)
    new = {"amazon-vendor": 0, "ingram-micro": 2}.get(connector, 0)
    assert len(result.changes) <= new, result.changes
    assert list(result.schema["properties"])[: len(existing["properties"])] == list(existing["properties"])


# --- whatever hypothesis makes up --------------------------------------------------------------------

names = st.sampled_from(["id", "Name", "total", "Line", "at", "x", "PONumber", "Straße", "a-b", "a.b", "_", ""])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.decimals(-1000, 1000, places=2)
    | st.sampled_from(["", " ", "0", "007", "1.50", "-3", "true", "2025-01-31", "2025-01-31T12:00:00Z", "31/01/2025"])
    | st.text(max_size=5)
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(names, documents, min_size=1, max_size=5)


def is_given_back(document: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a decoded value says what the document said, as far as the schema declares it."""
    types = schema["type"]
    kind = schema.get("format") or next(t for t in ([types] if isinstance(types, str) else types) if t != "null")
    blank = isinstance(document, str) and not document.strip()
    if document is None or (blank and kind != "string"):
        return value is None
    if kind == "object":
        members = schema["properties"].items()
        return all(is_given_back(document.get(name), value[name], member) for name, member in members)
    if kind == "array":
        entries = document if isinstance(document, list) else [document]
        return len(entries) == len(value) and all(
            is_given_back(entry, found, schema["items"]) for entry, found in zip(entries, value, strict=True)
        )
    return is_leaf_given_back(document, value, kind)


def is_leaf_given_back(document: Any, value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return bool(value == str(document))
        case "number" | "integer":
            return not isinstance(document, bool) and exact(Decimal(value)) == exact(Decimal(document))
        case "boolean":
            return value is (document in (True, "true"))
        case "date":
            return bool(value.isoformat() == document)
        case _:
            return bool(value == Dates().parse(document))


@pytest.mark.promise(
    "A schema drafted from samples reads them, and says what it leaves out", figure="100 sets of samples"
)
@settings(deadline=None, max_examples=100)
@given(bodies=st.lists(records, min_size=1, max_size=3))
def test_whatever_the_documents_the_drafted_schema_gives_them_back(bodies: list[dict[str, Any]]) -> None:
    samples = [Sample("body", "application/json", to_json(body, drop_nulls=False).encode()) for body in bodies]
    result = infer(samples, rows=())
    schemas.check(result.schema, "drafted")
    for body, sample in zip(bodies, samples, strict=True):
        (record,) = read(result, sample)
        assert is_given_back(body, record, result.schema)
    declared = set(result.schema["properties"])
    left_out = {place.removeprefix("$.") for why in (kinds.MIXED, schema.NO_NAME) for place in said(result, why)}
    assert {name for body in bodies for name in body} - declared <= left_out  # nothing is left out silently


@pytest.mark.promise("A schema that is extended reads what it read before", figure="50 schemas")
@settings(deadline=None, max_examples=50)
@given(first=records, second=records)
def test_a_schema_that_was_extended_reads_what_it_read_before_and_what_is_new(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, other = (Sample("body", "application/json", to_json(b, drop_nulls=False).encode()) for b in (first, second))
    before = infer([one], rows=(), title="Kept")
    assume(not said(before, kinds.MIXED))  # what was left out is no promise
    assume(set(before.keys) <= set(second))  # a key in none of the samples is the request's to give
    try:
        after = infer([other], rows=(), existing=before.schema)
    except UsageError:  # what a schema declares as text cannot become an object: that is said, and nothing is written
        return
    assert after.schema["title"] == "Kept"
    (record,) = read(after, other)
    assert is_given_back(second, record, after.schema)
    assert len(read(after, one)) == 1
    assert not infer([one, other], rows=(), existing=after.schema).changes


# Nodes whose leaves are each of the one kind that XML can tell from text alone.
plain = st.sampled_from(LEAVES).map(lambda kind: Node(kind, nullable=True))
nodes = st.recursive(plain, lambda inner: objects(inner) | arrays(plain | objects(inner)), max_leaves=8)
both = objects(nodes).map(lambda node: replace(node, nullable=False, required=frozenset(), xml_name="Record"))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), drop_nulls=st.booleans())
def test_json_and_xml_of_the_same_documents_give_one_schema_that_reads_both_alike(
    data: st.DataObject, drop_nulls: bool
) -> None:
    node = data.draw(both)
    documents = data.draw(st.lists(values(node), min_size=1, max_size=3))
    samples = [
        [Sample("json", TYPES["json"], to_json(d, drop_nulls=drop_nulls).encode()) for d in documents],
        [Sample("xml", TYPES["xml"], to_xml(d, node, drop_nulls=drop_nulls)) for d in documents],
    ]
    result = infer([*samples[0], *samples[1]], rows=())
    for in_json, in_xml in zip(*samples, strict=True):
        assert len(read(result, in_json)) == len(read(result, in_xml)) == 1


# --- what is hard to tell ----------------------------------------------------------------------------


def properties(result: Inferred) -> dict[str, Any]:
    found: dict[str, Any] = result.schema["properties"]
    return found


def test_amounts_are_numbers_even_where_the_samples_have_none_with_a_fraction() -> None:
    result = infer([as_json({"number": "A1", "total": 12, "taxAmount": "3", "count": 3, "taxCode": 7})])
    kinds_found = {name: member["type"] for name, member in properties(result).items()}
    assert kinds_found == {
        "number": "string",
        "total": ["number", "null"],
        "taxAmount": ["number", "null"],
        "count": ["integer", "null"],
        "taxCode": ["integer", "null"],
    }
    assert said(result, kinds.AMOUNT) == ["$.total"]
    assert said(result, kinds.AMOUNT_AS_TEXT) == ["$.taxAmount"]


def test_dates_are_told_from_text_and_the_wider_of_two_forms_is_taken() -> None:
    both_forms = [{"a": "2025-01-31", "b": "2025-01-31", "c": "2025-01-31"}]
    both_forms += [{"a": "2025-02-28", "b": "2025-02-28T10:00:00", "c": "31.1.2025"}]
    found = properties(infer([as_json(both_forms)]))
    assert [found[name].get("format") for name in "abc"] == ["date", "date-time", None]


def test_a_date_in_a_form_of_the_vendors_own_is_text_and_said() -> None:
    result = infer([as_json({"id": "1", "at": "01/31/2025 10:00", "on": "31.1.25", "ip": "10.1.2.3"})])
    assert said(result, kinds.OWN_DATES) == ["$.at", "$.on"]
    assert properties(result)["at"] == {"type": ["string", "null"]}


def test_numbers_in_quotes_are_numbers_and_no_drift() -> None:
    result = infer([as_json([{"id": "1", "due": 1.5}, {"id": "2", "due": "2.50"}])])
    assert properties(result)["due"] == {"type": ["number", "null"]}
    assert said(result, kinds.QUOTED) == ["$.due"]
    assert result.rows == RecordSelector(any_type=True)


def test_what_the_samples_leave_open_is_said() -> None:
    result = infer([as_json({"a": None, "b": [], "c": [{"d": ""}], "e": "x"})], rows=())
    assert said(result, kinds.UNKNOWN) == ["$.a", "$.c[].d"]
    assert said(result, kinds.UNKNOWN_ENTRIES) == ["$.b"]


def test_what_no_type_can_hold_is_left_out_and_said() -> None:
    bodies: list[Any] = [{"id": 1, "x": True, "y": {"z": 1}}, {"id": 2, "x": "maybe", "y": "text"}]
    result = infer([as_json(bodies)])
    assert list(properties(result)) == ["id"]
    assert said(result, kinds.MIXED) == ["$.x", "$.y"]


def test_numbers_and_text_become_text_and_one_entry_or_several_become_a_list() -> None:
    bodies = [{"id": "1", "po": 7, "line": {"n": 1}}, {"id": "2", "po": "7a", "line": [{"n": 2}]}]
    result = infer([as_json(bodies)])
    assert properties(result)["po"] == {"type": ["string", "null"]}
    assert properties(result)["line"]["type"] == ["array", "null"]
    assert said(result, kinds.SOMETIMES_TEXT) == ["$.po"]
    assert said(result, kinds.ONE_OR_MANY) == ["$.line"]


def test_names_that_differ_only_in_case_are_one_where_no_document_has_both_and_said_where_one_has() -> None:
    apart = infer([as_json([{"Number": "1", "total": 1.5}, {"number": "2", "Total": 2.5}])])
    assert list(properties(apart)) == ["Number", "total"]
    assert apart.rows == RecordSelector(any_case=True)
    assert said(apart, OTHER_CASE) == ["$.Number", "$.total"]
    together = infer([as_json([{"number": "1", "tax": 1.5, "Tax": 2.5}])])
    assert list(properties(together)) == ["number", "tax", "Tax"]
    assert said(together, CASE_ONLY) == ["$.tax", "$.Tax"]


def test_an_object_that_reads_like_a_table_is_said() -> None:
    assert said(infer([as_json({"id": 1, "rates": {"1": 2, "7": 3}})]), MAP) == ["$.rates"]


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ([{"id": 1}], RecordSelector()),
        ({"id": 1, "lines": [{"x": 1}]}, RecordSelector(many=False)),
        ({"invoices": [{"id": 1}], "page": 1, "totalCount": 7}, RecordSelector(("invoices",))),
        ({"data": {"items": [{"id": 1}]}, "meta": {"next": "x"}}, RecordSelector(("data", "items"))),
        ({"status": "ok", "invoice": {"id": 1, "lines": [{"x": 1}]}}, RecordSelector(("invoice",), many=False)),
        ({"bills": [{"id": 1}], "credits": [{"id": 1}]}, RecordSelector(many=False)),
    ],
)
def test_where_the_records_are_is_guessed_and_said(document: Any, rows: RecordSelector) -> None:
    result = infer([as_json(document)])
    assert result.rows == rows
    assert any(line.startswith("the records are taken to be") for line in result.notes)


def test_where_the_records_are_can_be_told() -> None:
    result = infer([as_json({"bills": [{"id": 1}], "credits": [{"no": 1}]})], rows=("credits",))
    assert list(properties(result)) == ["no"]
    assert not any(line.startswith("the records are taken to be") for line in result.notes)
    assert rows_text(result.rows) == 'RecordSelector(("credits",))'


def test_a_key_can_be_told_and_has_to_be_there() -> None:
    bodies = [{"a": "1", "b": None}, {"a": "2"}]
    assert infer([as_json(bodies)], keys=["a"]).schema["required"] == ["a"]
    with pytest.raises(UsageError, match="'b' is empty or left out"):
        infer([as_json(bodies)], keys=["b"])
    with pytest.raises(UsageError, match="no property 'c'"):
        infer([as_json(bodies)], keys=["c"])


def test_strict_requires_what_no_sample_leaves_out() -> None:
    result = infer([as_json([{"id": 1, "a": 2, "b": {"c": True}}, {"id": 2, "b": {"c": False}}])], strict=True)
    assert result.schema["required"] == ["id", "b"]
    assert properties(result)["b"]["required"] == ["c"]
    assert properties(result)["a"]["type"] == ["integer", "null"]


# --- XML ---------------------------------------------------------------------------------------------


def test_xml_by_itself_gives_lists_attributes_and_what_text_can_tell() -> None:
    text = """<Invoice xmlns="urn:x" version="3"><Id>007</Id><Total>12.50</Total><Paid>true</Paid><Code>12</Code>
    <Lines><Line><Sku>a</Sku></Line><Line><Sku>b</Sku></Line></Lines><Note>x</Note><Note>y</Note><Empty/></Invoice>"""
    result = infer([as_xml(text)])
    assert result.schema["xml"] == {"name": "Invoice"}
    assert properties(result) == {
        "version": {"type": ["string", "null"], "xml": {"attribute": True}},
        "Id": {"type": "string"},
        "Total": {"type": ["number", "null"]},
        "Paid": {"type": ["boolean", "null"]},
        "Code": {"type": ["string", "null"]},
        "Lines": {
            "type": ["array", "null"],
            "xml": {"wrapped": True},
            "items": {
                "type": "object",
                "xml": {"name": "Line"},
                "properties": {"Sku": {"type": ["string", "null"]}},
            },
        },
        "Note": {"type": ["array", "null"], "items": {"type": "string"}},
        "Empty": {"type": ["string", "null"]},
    }
    assert said(result, kinds.DIGITS) == ["$.version", "$.Code"]
    (record,) = read(result, as_xml(text))
    assert record["Total"] == Decimal("12.50")
    assert record["Lines"] == [{"Sku": "a"}, {"Sku": "b"}]


def test_a_list_of_one_is_guessed_by_its_name_and_said() -> None:
    result = infer([as_xml("<I><Id>x</Id><Lines><Line><A>1</A></Line></Lines><Ship><To><A>1</A></To></Ship></I>")])
    assert properties(result)["Lines"]["type"] == ["array", "null"]
    assert properties(result)["Ship"]["type"] == ["object", "null"]
    assert said(result, GUESSED_LIST) == ["$.Lines"]


def test_attributes_of_a_text_are_left_out_and_said() -> None:
    result = infer([as_xml('<I><Id>x</Id><Total currency="EUR">1.5</Total></I>')])
    assert properties(result)["Total"] == {"type": ["number", "null"]}
    assert said(result, ATTRIBUTES_LEFT_OUT) == ["$.Total"]


def test_a_list_of_records_in_xml_is_found_with_and_without_an_element_around_it() -> None:
    wrapped = infer([as_xml("<P><page>1</page><invoices><invoice><id>a</id></invoice></invoices></P>")])
    assert wrapped.rows == RecordSelector(("invoices",))
    assert wrapped.schema["xml"] == {"name": "invoice"}
    bare = infer([as_xml("<P><page>1</page><invoice><id>a</id></invoice><invoice><id>b</id></invoice></P>")])
    assert bare.rows == RecordSelector()
    assert bare.schema["xml"] == {"name": "invoice"}
    array = infer([as_xml("<ArrayOfInvoice><Invoice><Id>a</Id></Invoice></ArrayOfInvoice>")])
    assert array.rows == RecordSelector()
    assert array.schema["xml"] == {"name": "Invoice"}


def test_json_says_what_xml_cannot() -> None:
    document = {"number": "1", "count": 3, "lines": [{"sku": "7"}], "tags": ["x"], "ship": {"to": {"city": "y"}}}
    text = (
        "<I><number>1</number><count>3</count><line><sku>7</sku></line><tags><tag>x</tag></tags>"
        "<ship><to><city>y</city></to></ship></I>"
    )
    result = infer([as_json(document), as_xml(text)])
    assert properties(result)["count"] == {"type": ["integer", "null"]}
    assert properties(result)["lines"]["items"]["xml"] == {"name": "line"}
    assert read(result, as_json(document)) == read(result, as_xml(text)) == [document]


# --- extending ---------------------------------------------------------------------------------------

EXISTING = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Invoice",
    "type": "object",
    "properties": {
        "number": {"type": "string", "description": "Ours."},
        "asked": {"type": "string", "description": "Of the request."},
        "count": {"type": ["integer", "null"], "title": "Count"},
        "sold": {"$ref": "#/$defs/Address", "description": "Who pays."},
        "at": {"type": ["string", "null"], "format": "date"},
        "line": {"type": ["object", "null"], "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
    },
    "required": ["number", "asked"],
    "$defs": {"Address": {"type": ["object", "null"], "properties": {"city": {"type": ["string", "null"]}}}},
}


def test_a_schema_is_widened_and_what_it_says_stays() -> None:
    body = {
        "number": "1",
        "count": 1.5,
        "sold": {"city": "x", "zip": "01"},
        "at": "2025-01-31T10:00:00",
        "line": [{"sku": None}],
        "new": True,
    }
    result = infer([as_json(body)], rows=(), existing=EXISTING)
    assert result.schema == {
        **EXISTING,
        "properties": {
            "number": {"type": "string", "description": "Ours."},
            "asked": {"type": "string", "description": "Of the request."},
            "count": {"type": ["number", "null"], "title": "Count"},
            "sold": {"$ref": "#/$defs/Address", "description": "Who pays."},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "line": {
                "type": ["array", "null"],
                "items": {"type": "object", "properties": {"sku": {"type": ["string", "null"]}}},
            },
            "new": {"type": ["boolean", "null"]},
        },
        "$defs": {
            "Address": {
                "type": ["object", "null"],
                "properties": {"city": {"type": ["string", "null"]}, "zip": {"type": ["string", "null"]}},
            }
        },
    }
    assert list(result.schema) == list(EXISTING)
    assert result.changes == [
        "$.count is number now: it was integer",
        "$.sold.zip is new: string",
        "$.at is date-time now: it was date",
        "$.line is a list now: it was object",
        "$.line[].sku may be null now: it was required",
        "$.new is new: boolean",
    ]
    assert EXISTING["properties"]["count"]["type"] == ["integer", "null"]  # type: ignore[index] # of mixed depth


def test_a_schema_without_xml_is_told_how_it_looks_there() -> None:
    existing = {
        "type": "object",
        "properties": {
            "number": {"type": "string"},
            "lines": {"type": ["array", "null"], "items": {"type": "object", "properties": {}}},
        },
        "required": ["number"],
    }
    text = "<Bill><Number>1</Number><lines><line><sku>a</sku></line></lines></Bill>"
    result = infer([as_xml(text)], existing=existing)
    assert result.schema["xml"] == {"name": "Bill"}
    assert read(result, as_xml(text)) == [{"number": "1", "lines": [{"sku": "a"}]}]


def test_a_file_that_is_no_schema_of_records_is_not_extended() -> None:
    with pytest.raises(DeclarationError, match="'type' has to be one type"):
        infer([as_json({"a": 1})], existing={"properties": {}})


def test_what_a_schema_cannot_be_widened_to_is_said_and_nothing_is_written() -> None:
    with pytest.raises(UsageError, match=r"does not read the sample other.json: .* at \$\.number"):
        infer([as_json({"number": {"x": 1}}, "other.json")], rows=(), existing=EXISTING)


# --- what cannot be read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([Sample("a.json", TYPES["json"], b'{"a":')], "a.json is not JSON"),
        ([as_xml("<a><b></a>", "b.xml")], "b.xml is not XML"),
        ([as_xml("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "c.xml")], "DTD"),
        ([as_xml("<a><id>1</id></a>"), as_xml("<b><id>1</id></b>")], "<a> and <b>"),
        ([as_json([1, 2])], "no records"),
        ([as_json("text")], "no records"),
        ([as_json({"a": [{"id": 1}]}), as_xml("<p><a><id>1</id></a><a><id>2</id></a></p>")], "infer each format"),
        ([Sample("deep", TYPES["json"], b'{"a":' * 900 + b"1" + b"}" * 900)], r"nested (too|more than 60)"),
    ],
)
def test_samples_that_give_no_schema_are_refused_in_a_sentence(samples: list[Sample], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        infer(samples)


def test_a_path_that_leads_nowhere_is_answered_with_what_is_there() -> None:
    with pytest.raises(UsageError, match=r"nothing at data\.rows; at data there is items, total"):
        infer([as_json({"data": {"items": [{"id": 1}], "total": 1}})], rows=("data", "rows"))
