"""Vendors to start from: one of which nothing is known but how it signs in and pages, and one known by samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vendortap.errors import UsageError
from vendortap.scaffold import allowed, schema
from vendortap.scaffold.infer import Inferred, Sample, infer
from vendortap.scaffold.vendor import (
    LIMIT_ASSUMED,
    Auth,
    DraftStream,
    Format,
    Listed,
    Pages,
    Paging,
    Schema,
    SignIn,
    Vendor,
)

PAGES: Mapping[Paging, Pages] = {
    "none": Pages(),
    "page-number": Pages("page-number", "page", "per_page"),
    "offset": Pages("offset", "offset", "limit", total=("total_count",)),
    "row-offset": Pages("row-offset", "offset", "limit", total=("total_count",)),
    "token": Pages("token", "next_token", "limit", found=("next_token",)),
}
"""What each way of paging looks like until the author says otherwise."""

_TEXT = {"type": ["string", "null"]}
_NUMBER = {"type": ["number", "null"]}
_STAMP = {"type": ["string", "null"], "format": "date-time"}
_LIST: Schema = {
    "$schema": schema.DIALECT,
    "title": "A row of the list",
    "type": "object",
    "properties": {"number": {"type": "string"}, "updated_at": _STAMP, "currency": _TEXT, "total": _NUMBER},
    "required": ["number"],
}
_DOCUMENT: Schema = {
    "$schema": schema.DIALECT,
    "title": "Invoice",
    "type": "object",
    "properties": {
        **_LIST["properties"],
        "lines": {
            "type": ["array", "null"],
            "xml": {"wrapped": True},
            "items": {
                "type": "object",
                "xml": {"name": "line"},
                "properties": {"sku": _TEXT, "quantity": {"type": ["integer", "null"]}, "price": _NUMBER},
            },
        },
    },
    "required": ["number"],
}

_PATHS: Mapping[Paging, str] = {"row-offset": "/invoices/search"}
_COUNT = {"type": ["integer", "null"], "description": "How many invoices there are altogether."}


def _counted(declared: Schema, paging: Paging) -> Schema:
    """Return a list's schema with the number of all rows, which each row has where a document's offset moves."""
    if paging != "row-offset":
        return declared
    return {**declared, "properties": {**declared["properties"], PAGES[paging].total[0]: _COUNT}}


def plain(name: str, title: str, auth: Auth, paging: Paging, formats: Sequence[Format]) -> Vendor:
    """Return a vendor with a list of invoices, and of each the whole document."""
    told = "The list of invoices: numbers, totals, changes"
    invoices = replace(_list(_LIST, ("number",), paging), title=told)
    details = DraftStream(
        name="invoice_details",
        title="The whole invoice with its lines",
        path="/invoices/{number}",
        rows=(),
        many=False,
        keys=("number",),
        schema=_DOCUMENT,
        replication_key="updated_at",
        keyed=Listed("number", "invoice_numbers", "invoices", "number"),
        amount="total",
        item="invoice",
    )
    return _vendor(name, title, (invoices, details), auth, formats)


def _list(declared: Schema, keys: tuple[str, ...], paging: Paging) -> DraftStream:
    return DraftStream(
        name="invoices",
        title="The list of invoices",
        path=_PATHS.get(paging, "/invoices"),
        rows=("invoices",),
        many=True,
        keys=keys,
        schema=_counted(declared, paging),
        replication_key=schema.changed(declared),
        pages=PAGES[paging],
        item="invoice",
        amount=schema.find(declared, "number", "total"),
    )


def _vendor(name: str, title: str, streams: tuple[DraftStream, ...], auth: Auth, formats: Sequence[Format]) -> Vendor:
    host = f"https://api.{name}.example"
    sign_ins = () if auth == "none" else (SignIn(auth, token_url=f"{host}/oauth/token"),)
    made = Vendor(name=name, title=title, docs=f"{host}/docs", base_url=f"{host}/v1", streams=streams)
    return replace(made, auth=sign_ins, formats=tuple(formats))


# --- from samples ------------------------------------------------------------------------------------


def from_samples(name: str, title: str, samples: Sequence[Sample], auth: Auth, paging: Paging) -> Vendor:
    """Return a vendor whose list and document are drafted from bodies of its replies.

    Bodies with a list of records are pages of the list, the others documents. Where there is none of one kind, it
    is made of what the other has: a list needs the document's key, stamp, currency and total.

    Raises:
        UsageError: no schema can be drafted from the samples, or nothing in them could be a key.
    """
    by_many: dict[bool, list[Sample]] = {True: [], False: []}
    for sample in samples:
        by_many[infer([sample]).rows.many].append(sample)
    listed = infer(by_many[True], title="A row of the list") if by_many[True] else None
    whole = infer(by_many[False], title="Invoice") if by_many[False] else None
    streams = [_list_stream(listed, paging)] if listed else []
    if whole is not None:
        streams = streams or [_assumed_list(whole, paging)]
        streams.append(_document_stream(whole, streams[0]))
    formats = sorted({sample.format for sample in samples})
    return replace(_vendor(name, title, tuple(streams), auth, formats), comments=(LIMIT_ASSUMED,))


def _list_stream(inferred: Inferred, paging: Paging) -> DraftStream:
    declared = inferred.schema
    return replace(
        _list(declared, _key(inferred), paging),
        rows=inferred.rows.path,
        any_case=inferred.rows.any_case,
        any_type=inferred.rows.any_type,
        item=str(declared.get("xml", {}).get("name", "")),
        comments=(*inferred.notes, *_guessed(declared), "Where the list is, and how it pages, no sample tells."),
    )


def _assumed_list(whole: Inferred, paging: Paging) -> DraftStream:
    """Return a list that has of each document what a list is needed for."""
    (key,) = _key(whole)
    members = whole.schema["properties"]
    leaves = {name: member for name, member in members.items() if "items" not in member and "properties" not in member}
    changed, total = schema.changed(whole.schema), schema.find(whole.schema, "number", "total")
    wanted = {key, changed, total, *(name for name in leaves if "currency" in name.lower())}
    declared = {
        "$schema": schema.DIALECT,
        "title": "A row of the list",
        "type": "object",
        "properties": {name: member for name, member in leaves.items() if name in wanted},
        "required": [key],
    }
    return replace(
        _list(declared, (key,), paging),
        item=str(whole.schema.get("xml", {}).get("name", "invoice")),
        comments=("No sample of the list was given: that there is one, and what it has of each invoice, is assumed.",),
    )


def _document_stream(inferred: Inferred, parent: DraftStream) -> DraftStream:
    declared = inferred.schema
    (key,) = _key(inferred)
    param = allowed.identifier(key, "key")
    stream = DraftStream(
        name="invoice_details",
        title="The whole invoice",
        path=f"/invoices/{{{param}}}",
        rows=inferred.rows.path,
        many=False,
        any_case=inferred.rows.any_case,
        any_type=inferred.rows.any_type,
        keys=(key,),
        schema=declared,
        keyed=Listed(param, allowed.setting(f"{param}s"), parent.name, parent.keys[0]),
        item=str(declared.get("xml", {}).get("name", "")),
        amount=schema.find(declared, "number", "total"),
        comments=(*inferred.notes, *_guessed(declared), "Where the document is, no sample tells."),
    )
    if parent.replication_key is None:
        return stream
    stamp: dict[str, Any] = {**_STAMP, "description": "Of the list."}
    properties = {**declared["properties"]}
    if properties.get(parent.replication_key, {}).get("format") != "date-time":
        properties[parent.replication_key] = stamp
    return replace(stream, replication_key=parent.replication_key, schema={**declared, "properties": properties})


def _guessed(declared: Schema) -> tuple[str, ...]:
    amount = schema.find(declared, "number", "total")
    return (f"Guessed: {amount} is what a record comes to.",) if amount else ()


def _key(inferred: Inferred) -> tuple[str]:
    if not inferred.keys:
        raise UsageError("nothing in the samples could be the key of an invoice; draft with --auth and --paging alone")
    return (inferred.keys[0],)
