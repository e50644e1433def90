"""Vendors to start from: one of which nothing is known but how it signs in and pages, and one known by samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vendortap.errors import UsageError
from vendortap.scaffold import allowed, names, schema
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
    invoices = DraftStream(
        name="invoices",
        title="The list of invoices: numbers, totals, changes",
        path=_PATHS.get(paging, "/invoices"),
        rows=("invoices",),
        many=True,
        keys=("number",),
        schema=_counted(_LIST, paging),
        replication_key="updated_at",
        pages=PAGES[paging],
        amount="total",
        item="invoice",
    )
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


def _vendor(name: str, title: str, streams: tuple[DraftStream, ...], auth: Auth, formats: Sequence[Format]) -> Vendor:
    host = f"https://api.{name}.example"
    ways = () if auth == "none" else (SignIn(auth, token_url=f"{host}/oauth/token"),)
    return Vendor(
        name=name,
        title=title,
        docs=f"{host}/docs",
        base_url=f"{host}/v1",
        streams=streams,
        auth=ways,
        formats=tuple(formats),
    )


# --- from samples ------------------------------------------------------------------------------------


def from_samples(name: str, title: str, samples: Sequence[Sample], auth: Auth, paging: Paging) -> Vendor:
    """Return a vendor whose list and document are drafted from bodies of its replies.

    Bodies with a list of records are pages of the list, the others documents. Where there is none of one kind, it
    is made of what the other has: a list needs the document's key, stamp, currency and total.

    Raises:
        UsageError: no schema can be drafted from the samples, or nothing in them could be a key.
    """
    alone = [(sample, infer([sample])) for sample in samples]
    pages = [sample for sample, inferred in alone if inferred.rows.many]
    documents = [sample for sample, inferred in alone if not inferred.rows.many]
    listed = infer(pages, title="A row of the list") if pages else None
    whole = infer(documents, title="Invoice") if documents else None
    formats: tuple[Format, ...] = tuple(
        form for form in ("json", "xml") if any(sample.media_type.endswith(form) for sample in samples)
    )
    streams: list[DraftStream] = []
    if listed is not None:
        streams.append(_list_stream(listed, paging))
    elif whole is not None:
        streams.append(_assumed_list(whole, paging))
    if whole is not None:
        streams.append(_document_stream(whole, streams[0]))
    return replace(_vendor(name, title, tuple(streams), auth, formats), comments=(LIMIT_ASSUMED,))


def _list_stream(inferred: Inferred, paging: Paging) -> DraftStream:
    declared = inferred.schema
    return DraftStream(
        name="invoices",
        title="The list of invoices",
        path=_PATHS.get(paging, "/invoices"),
        rows=inferred.rows.path,
        many=True,
        any_case=inferred.rows.any_case,
        any_type=inferred.rows.any_type,
        keys=_key(inferred),
        schema=_counted(declared, paging),
        replication_key=_stamp(declared),
        pages=PAGES[paging],
        item=str(declared.get("xml", {}).get("name", "")),
        amount=schema.total(declared),
        comments=(*inferred.notes, *_guessed(declared), "Where the list is, and how it pages, no sample tells."),
    )


def _assumed_list(whole: Inferred, paging: Paging) -> DraftStream:
    """Return a list that has of each document what a list is needed for."""
    (key,) = _key(whole)
    members = whole.schema["properties"]
    leaves = {name: member for name, member in members.items() if "items" not in member and "properties" not in member}
    wanted = {key, _stamp(whole.schema), schema.total(whole.schema), *(n for n in leaves if "currency" in n.lower())}
    declared = {
        "$schema": schema.DIALECT,
        "title": "A row of the list",
        "type": "object",
        "properties": {name: member for name, member in leaves.items() if name in wanted},
        "required": [key],
    }
    return DraftStream(
        name="invoices",
        title="The list of invoices",
        path=_PATHS.get(paging, "/invoices"),
        rows=("invoices",),
        many=True,
        keys=(key,),
        schema=_counted(declared, paging),
        replication_key=_stamp(declared),
        pages=PAGES[paging],
        item=str(whole.schema.get("xml", {}).get("name", "invoice")),
        amount=schema.total(declared),
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
        amount=schema.total(declared),
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
    amount = schema.total(declared)
    return (f"Guessed: {amount} is what a record comes to.",) if amount else ()


def _key(inferred: Inferred) -> tuple[str]:
    if not inferred.keys:
        raise UsageError("nothing in the samples could be the key of an invoice; draft with --auth and --paging alone")
    return (inferred.keys[0],)


def _stamp(declared: Schema) -> str | None:
    """Return the property that tells when a record changed last, if one is called so."""
    dates = (name for name, member in declared["properties"].items() if member.get("format") == "date-time")
    return next(filter(names.is_change, dates), None)
