"""What airbyte-cdk is told: a declarative manifest, as its connector builder writes it, and a configured catalog."""

from __future__ import annotations

from typing import Any

from benchmarks.dataset import Form

Document = dict[str, Any]

SIZE = {"size": "200"}
_NEXT = "response.NextPage"


def manifest(
    url: str, form: Form, stream: str, concurrency: int, schema: Document, limit: tuple[int, float] | None = None
) -> Document:
    """Return the manifest of one of the plugin's streams, ``invoices`` or ``invoice_details``.

    With a ``limit`` it holds itself to so many requests within so many seconds.
    """
    by_form = {"json": _invoices, "xml": _invoices_xml}
    streams = _details(url, schema) if stream == "invoice_details" else [by_form[form](url, schema)]
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [stream]},
        "streams": streams,
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
        "concurrency_level": {
            "type": "ConcurrencyLevel",
            "default_concurrency": concurrency,
            "max_concurrency": max(concurrency, 50),
        },
        **({"api_budget": _budget(*limit)} if limit else {}),
    }


def _budget(requests: int, seconds: float) -> Document:
    rates = [{"type": "Rate", "limit": requests, "interval": f"PT{seconds}S"}]
    policy = {"type": "MovingWindowCallRatePolicy", "rates": rates, "matchers": []}
    return {"type": "HTTPAPIBudget", "policies": [policy], "status_codes_for_ratelimit_hit": [429]}


def catalog(stream: str, schema: Document) -> Document:
    """Return the catalog that reads this stream in full."""
    described = {"name": stream, "json_schema": schema, "supported_sync_modes": ["full_refresh"]}
    return {"streams": [{"stream": described, "sync_mode": "full_refresh", "destination_sync_mode": "append"}]}


def _invoices(url: str, schema: Document) -> Document:
    retriever = _retriever(_requester(url, "/invoices", SIZE), ["Invoices"], paginator=_pages())
    return _stream("invoices", retriever, schema)


def _invoices_xml(url: str, schema: Document) -> Document:
    requester = _requester(url, "/invoices", SIZE) | {"request_headers": {"Accept": "application/xml"}}
    counted = {"type": "PageIncrement", "start_from_page": 1, "page_size": 200, "inject_on_first_request": True}
    retriever = _retriever(requester, ["InvoicePage", "Invoices", "Invoice"], paginator=_paginator(counted))
    return _stream("invoices", retriever | {"decoder": {"type": "XmlDecoder"}}, schema)


def _details(url: str, schema: Document) -> list[Document]:
    index = _stream("invoice_index", _retriever(_requester(url, "/index", SIZE), ["Invoices"], paginator=_pages()), {})
    parent = {
        "type": "ParentStreamConfig",
        "stream": index,
        "parent_key": "InvoiceNumber",
        "partition_field": "number",
    }
    router = {"type": "SubstreamPartitionRouter", "parent_stream_configs": [parent]}
    retriever = _retriever(_requester(url, "/invoices/{{ stream_partition.number }}", {}), [])
    return [index, _stream("invoice_details", retriever | {"partition_router": router}, schema)]


def _stream(name: str, retriever: Document, schema: Document) -> Document:
    loader = {"type": "InlineSchemaLoader", "schema": {"type": "object", "additionalProperties": True, **schema}}
    described = {"type": "DeclarativeStream", "name": name, "primary_key": ["InvoiceNumber"]}
    return described | {"schema_loader": loader, "retriever": retriever}


def _retriever(requester: Document, records: list[str], paginator: Document | None = None) -> Document:
    selector = {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": records}}
    paging = {"paginator": paginator} if paginator else {}
    return {"type": "SimpleRetriever", "requester": requester, "record_selector": selector, **paging}


def _requester(url: str, path: str, params: Document) -> Document:
    return {
        "type": "HttpRequester",
        "url_base": url,
        "path": path,
        "http_method": "GET",
        "request_parameters": params,
    }


def _pages() -> Document:
    token = {"cursor_value": f"{{{{ {_NEXT} }}}}", "stop_condition": f"{{{{ not ({_NEXT}) }}}}"}
    return _paginator({"type": "CursorPagination", **token})


def _paginator(strategy: Document) -> Document:
    option = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "page"}
    return {"type": "DefaultPaginator", "page_token_option": option, "pagination_strategy": strategy}
