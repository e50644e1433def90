"""Vendors drafted from OpenAPI documents: what these have wrong is coped with, or said to be left out."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendortap.decode import schemas
from vendortap.errors import UsageError
from vendortap.scaffold import openapi
from vendortap.scaffold.document import load
from vendortap.scaffold.vendor import LIMIT_ASSUMED, DraftStream, Listed, Pages, SignIn, Vendor

FIXTURES = Path(__file__).parents[1] / "fixtures" / "openapi"


def draft(name: str, *matches: str) -> Vendor:
    return openapi.draft(load(FIXTURES / name), "acme", matches=matches)


def drafted(document: dict[str, Any]) -> Vendor:
    return openapi.draft(document, "acme")


def of_record(record: Any, **more: Any) -> dict[str, Any]:
    """A document of one list of such records."""
    listed = {"type": "object", "properties": {"rows": {"type": "array", "items": record}}}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": listed}}}}
    return {"openapi": "3.0.0", "info": {"title": "A"}, "paths": {"/rows": {"get": {"responses": answer}}}, **more}


def member(declared: Any, **more: Any) -> tuple[Any, tuple[str, ...]]:
    """Draft a record's member; returns its schema (None: left out), and what is said."""
    properties = {"id": {"type": "string"}, "total": declared}
    (stream,) = drafted(of_record({"type": "object", "properties": properties}, **more)).streams
    return stream.schema["properties"].get("total"), stream.comments


def says(stream: DraftStream, sentence: str, place: str) -> bool:
    return any(comment.startswith(sentence) and place in comment for comment in stream.comments)


# --- whole documents ---------------------------------------------------------------------------------


def test_a_distributors_document_gives_a_list_and_its_documents() -> None:
    vendor = draft("distributor.yaml")
    assert vendor.title == 'Distributor "Invoices"'
    assert vendor.base_url == "https://eu.api.distributor.example:443/sandbox"
    token_url = "https://api.distributor.example:443/oauth/oauth30/token"
    assert vendor.auth == (SignIn("oauth2-client", token_url=token_url),)
    assert vendor.headers == {"IM-CustomerNumber": "im_customer_number"}
    assert vendor.unique_headers == ("IM-CorrelationID",)
    assert vendor.required == ("im_customer_number", "country_code")
    assert vendor.comments == (
        "Left out, as the answer holds no list of objects: GET /oauth/token, GET /resellers/v6/free",
        LIMIT_ASSUMED,
    )
    invoices, details = vendor.streams
    assert (invoices.name, invoices.rows, invoices.keys) == ("invoices", ("invoices",), ("invoiceNumber",))
    assert invoices.params == {"countryCode": "{country_code}"}
    assert invoices.pages == Pages(
        "page-number", "pageNumber", "pageSize", total=("recordsFound",), size=100, greatest=100, assumed=False
    )
    assert (details.path, details.many) == ("/resellers/v6.1/invoices/{invoice_number}", False)
    assert details.keyed == Listed("invoice_number", "invoice_number_list", "invoices", "invoiceNumber")
    assert details.replication_key == invoices.replication_key == "lastModified"


def test_what_a_distributors_document_has_wrong_is_mended_or_said() -> None:
    invoices, details = draft("distributor.yaml").streams
    listed, members = invoices.schema["properties"], details.schema["properties"]
    assert listed["no"]["type"] == ["string", "null"]  # which YAML 1.1 reads as false
    assert listed["invoiceStatus"] == {"type": ["string", "null"]}  # allOf
    assert invoices.schema["required"] == ["invoiceNumber"]  # and nothing that the document requires
    assert says(invoices, "An example of the document is not what it declares", "$.invoices[0].invoiceAmountInclTax")
    assert says(details, "An example of the document has nothing of what its schema declares", "")
    assert members["invoiceDate"]["format"] == "date-time"  # as its example has it
    assert members["paid"]["type"] == ["number", "null"]  # an amount that may be text
    assert members["weight"]["type"] == ["number", "null"]  # of type "decimal"
    assert members["guessable"]["type"] == ["number", "null"]  # told by its example
    assert members["lines"]["items"]["properties"]["quantity"]["type"] == ["number", "null"]
    assert members["lines"]["items"]["properties"]["serialNumbers"]["items"]["type"] == ["object", "null"]
    assert details.any_case
    assert "wrong" not in members  # of the schema whose name differs in case only
    for sentence, place in (
        ("refers to itself; left out", "$.related"),
        ("has no type that could be told; left out", "$.mystery"),
        ("an object without declared members; left out", "$.anything"),
        ("refers to what is not in the document; left out", "$.lost, $.elsewhere"),
        ("differs only in case", "$.lines[].TaxPercentage"),
        ("declared as text, though the name is an amount's", "$.totaltaxamount"),
        ("its example is not what it is declared as; one of the two is wrong", "$.flag"),
        ("its example is not what it is declared as; declared as what takes both", "$.lines[].quantity"),
    ):
        assert says(details, sentence, place), sentence
    left_out = {"related", "mystery", "anything", "lost", "elsewhere"}
    assert not left_out & members.keys()


def test_a_swagger_2_document_gives_tokens_envelopes_and_documents() -> None:
    vendor = draft("marketplace.json")
    assert vendor.base_url == "https://sellers.marketplace.example/vendor"
    assert vendor.auth == (SignIn("api-key", header="x-access-token"),)
    invoices, details = vendor.streams
    assert invoices.rows == ("payload", "customerInvoices")
    found = ("payload", "pagination", "nextToken")
    assert invoices.pages == Pages("token", "nextToken", "limit", found=found, size=50, greatest=50, assumed=False)
    assert invoices.params == {"createdAfter": "{created_after}"}
    assert any("Plan(windows=...)" in comment for comment in invoices.comments)
    assert details.rows == ("payload",)
    assert details.schema["properties"]["total"]["properties"]["amount"]["type"] == [
        "number",
        "null",
    ]  # format: decimal


def test_a_document_of_openapi_3_1_gives_both_formats_and_both_ways_to_sign_in() -> None:
    vendor = draft("billing.yaml")
    assert vendor.base_url is None
    assert vendor.formats == ("json", "xml")
    assert vendor.auth == (SignIn("api-key", header="X-Key"), SignIn("basic"))
    (bills,) = vendor.streams
    assert (bills.path, bills.rows, bills.many) == ("/customers/{customer_id}/bills", (), True)
    assert bills.pages.kind == "offset"
    members = bills.schema["properties"]
    assert members["id"] == {"type": "integer", "xml": {"attribute": True}}
    assert members["due"] == {"type": ["string", "null"], "format": "date"}
    assert members["lines"]["xml"] == {"name": "Lines", "wrapped": True}
    assert members["status"]["type"] == ["string", "null"]
    assert set(members["party"]["properties"]) == {"person", "company"}
    assert says(bills, "text or a number; declared as text", "$.reference")
    assert says(bills, "one of several forms", "$.party")


def test_only_what_matches_is_drafted() -> None:
    assert [stream.name for stream in draft("distributor.yaml", "SEARCH", "nothing").streams] == ["invoices"]
    with pytest.raises(UsageError, match="no GET with credit in it"):
        draft("distributor.yaml", "credit")


# --- single difficulties -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"type": "number", "format": "float"}, {"type": ["number", "null"]}),
        ({"type": "integer"}, {"type": ["number", "null"]}),  # its name is that of an amount
        ({"type": ["number", "string"]}, {"type": ["number", "null"]}),
        ({"type": "String"}, {"type": ["string", "null"]}),
        ({"type": "string", "format": "money"}, {"type": ["number", "null"]}),
        ({"type": "string", "format": "date", "example": "31.1.2025"}, {"type": ["string", "null"]}),
        ({"type": "string", "format": "uuid"}, {"type": ["string", "null"]}),
        ({"enum": ["a", "b"]}, {"type": ["string", "null"]}),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, {"type": ["boolean", "null"]}),
        ({"oneOf": [{"type": "boolean"}, {"type": "string"}]}, None),
        ({"type": "null"}, None),
        ({"type": "array"}, None),
        ({"type": "array", "items": {}}, None),
        ({"type": "object", "properties": {"x": {"type": "object"}}}, None),
        ({"type": "file"}, None),
        (True, None),
        ("text", None),
        (None, None),
    ],
)
def test_a_members_type_is_told_or_it_is_left_out(declared: Any, expected: Any) -> None:
    found, comments = member(declared)
    assert found == expected
    assert expected is not None or not isinstance(declared, dict) or any("$.total" in said for said in comments)


def test_references_in_circles_end() -> None:
    circles = {
        "components": {"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}
    }
    assert member({"$ref": "#/components/schemas/A"}, **circles)[0] is None
    document = of_record({"type": "object", "properties": {"id": {"type": "string"}}}, **circles)
    document["paths"]["/rows"]["get"]["parameters"] = [{"$ref": "#/components/schemas/A"}]
    assert [stream.name for stream in drafted(document).streams] == ["rows"]


def test_streams_of_one_name_get_others() -> None:
    document = of_record({"type": "object", "properties": {"id": {"type": "string"}}})
    get = document["paths"]["/rows"]["get"]
    document["paths"] |= {"/v2/rows": {"get": {**get, "operationId": "listRowsV2"}}, "/v3/rows/": {"get": get}}
    assert [stream.name for stream in drafted(document).streams] == ["rows", "list_rows_v2", "rows_2"]


def test_a_list_whose_records_have_no_key_is_left_out_and_said() -> None:
    document = of_record({"type": "object", "properties": {"id": {"type": "string"}}})
    other = of_record({"type": "object", "properties": {"amount": {"type": "number"}}})
    document["paths"]["/sums"] = other["paths"]["/rows"]
    assert "Left out, as no property could identify a record: GET /sums" in drafted(document).comments


def test_a_document_that_does_not_hold_its_key_is_given_it() -> None:
    document = of_record({"type": "object", "properties": {"id": {"type": "string"}}})
    answer = {"200": {"content": {"application/json": {"schema": {"properties": {"total": {"type": "number"}}}}}}}
    parameters = [{"name": "row-id", "in": "path", "required": True, "schema": {"type": "string"}}]
    document["paths"]["/rows/{row-id}"] = {"get": {"parameters": parameters, "responses": answer}}
    _, details = drafted(document).streams
    assert (details.path, details.add, details.keys) == ("/rows/{row_id}", "requested_row_id", ("requested_row_id",))
    assert details.keyed == Listed("row_id", "row_id_list", "rows", "id")


def test_a_list_whose_paging_cannot_be_told_says_so_loudly() -> None:
    document = of_record({"type": "object", "properties": {"id": {"type": "string"}}})
    document["paths"]["/rows"]["get"]["parameters"] = [{"name": "page", "in": "query", "schema": {"type": "integer"}}]
    (stream,) = drafted(document).streams
    assert stream.pages == Pages()
    assert any(comment.startswith("ONLY THE FIRST PAGE IS READ") for comment in stream.comments)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ({"type": "http", "scheme": "bearer"}, (SignIn("bearer"),)),
        ({"type": "apiKey", "in": "header", "name": "Authorization"}, (SignIn("bearer"),)),
        ({"type": "apiKey", "in": "query", "name": "key"}, ()),
        ({"type": "openIdConnect"}, ()),
        ({"type": "oauth2", "flows": {"authorizationCode": {"tokenUrl": "https://x.example"}}}, (SignIn("bearer"),)),
        ({}, ()),
    ],
)
def test_ways_to_sign_in(scheme: dict[str, Any], expected: tuple[SignIn, ...]) -> None:
    record = {"type": "object", "properties": {"id": {"type": "string"}}}
    vendor = drafted(of_record(record, components={"securitySchemes": {"way": scheme}}))
    assert vendor.auth == expected
    assert expected == (SignIn("bearer"),) or len(vendor.comments) > 1


# --- what cannot be read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "neither JSON nor YAML at line"),
        ("a: [1", "neither JSON nor YAML at line"),
        ("text", "is no OpenAPI document"),
        ("[1, 2]", "is no OpenAPI document"),
        ("openapi: 4.0.0", "is no OpenAPI document"),
        ("a: &a [*a]\nopenapi: 3.0.0", r"nested more than 100 levels deep at \$\.a"),
        ("x: !!python/object/apply:os.system [true]", "neither JSON nor YAML"),
    ],
)
def test_a_file_that_is_no_document_is_refused_in_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        openapi.draft(load(path), "acme")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def places(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [path, *(place for name, value in inner for place in places(value, (*path, name)))]


DOCUMENTS = [dict(load(FIXTURES / name)) for name in ("distributor.yaml", "marketplace.json", "billing.yaml")]
PLACES = [places(document)[1:] for document in DOCUMENTS]


@pytest.mark.promise(
    "Of an OpenAPI document that is wrong somewhere only our own errors come out", figure="150 documents"
)
@settings(deadline=None, max_examples=150)
@given(data=st.data(), number=st.integers(0, 2), value=anything)
def test_whatever_a_document_has_in_some_place_only_this_projects_errors_come_out(
    data: st.DataObject, number: int, value: Any
) -> None:
    document = copy.deepcopy(DOCUMENTS[number])
    *way, last = data.draw(st.sampled_from(PLACES[number]))
    place: Any = document
    for name in way:
        place = place[name]
    place[last] = value
    try:
        vendor = openapi.draft(document, "acme")
    except UsageError:
        return
    for stream in vendor.streams:
        schemas.compile_record(stream.schema, stream.name)
        assert json.dumps(stream.schema)
