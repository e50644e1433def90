"""A tap on singer-sdk, written as its documentation teaches.

``BENCH_VARIANT`` is ``default``, or ``tuned``: with the fastest official settings. ``BENCH_STREAM`` is ``invoices``,
``invoices_xml`` or ``invoice_details``; ``BENCH_SCHEMA`` is the file of the invoices' JSON schema.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import xmltodict
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.pagination import BasePageNumberPaginator
from xml_values import convert

SCHEMA = json.loads(Path(os.environ["BENCH_SCHEMA"]).read_text(encoding="utf-8"))
PAGE_SIZE = 200


class VendorStream(RESTStream):
    """What the vendor's streams have in common."""

    records_jsonpath = "$.Invoices[*]"
    next_page_token_jsonpath = "$.NextPage"  # noqa: S105 - a path
    primary_keys = ("InvoiceNumber",)

    @property
    def url_base(self) -> str:
        """Return where the API is."""
        return self.config["base_url"]

    def get_url_params(self, context, next_page_token):
        """Ask for a page."""
        return {"page": next_page_token or 1, "size": PAGE_SIZE}


class Invoices(VendorStream):
    """The list."""

    name = "invoices"
    path = "/invoices"
    schema = SCHEMA


class XmlPages(BasePageNumberPaginator):
    """Counts pages while the vendor names a next one."""

    def has_more(self, response) -> bool:
        """Look at the end of the page, rather than parse it a second time."""
        return b"<NextPage>" in response.content[-64:]


class InvoicesXml(Invoices):
    """The list in XML, made typed by the schema."""

    @property
    def http_headers(self):
        """Ask for XML."""
        return {"Accept": "application/xml"}

    def get_new_paginator(self):
        """Count pages."""
        return XmlPages(1)

    def parse_response(self, response):
        """Yield invoices as xmltodict has them."""
        lists = ("Invoice", "InvoiceLine", "string")
        yield from xmltodict.parse(response.content, force_list=lists)["InvoicePage"]["Invoices"]["Invoice"]

    def post_process(self, row, context=None):
        """Make the values typed."""
        return convert(row, SCHEMA)


class Index(VendorStream):
    """The numbers of the invoices."""

    name = "invoice_index"
    path = "/index"
    selected_by_default = False  # read for its children only
    schema = th.PropertiesList(
        th.Property("InvoiceNumber", th.StringType), th.Property("LastChanged", th.DateTimeType)
    ).to_dict()

    def get_child_context(self, record, context):
        """Say which document belongs to a row."""
        return {"number": record["InvoiceNumber"]}


class Details(VendorStream):
    """The documents."""

    name = "invoice_details"
    path = "/invoices/{number}"
    schema = SCHEMA
    parent_stream_type = Index
    records_jsonpath = "$"
    next_page_token_jsonpath = None
    state_partitioning_keys = ()

    def get_url_params(self, context, next_page_token):
        """Ask for the document alone."""
        return {}


STREAMS = {"invoices": (Invoices,), "invoices_xml": (InvoicesXml,), "invoice_details": (Index, Details)}


class VendorTap(Tap):
    """The tap."""

    name = "tap-vendor"
    config_jsonschema = th.PropertiesList(th.Property("base_url", th.StringType, required=True)).to_dict()

    def discover_streams(self):
        """Return what is to be measured."""
        return [stream(self) for stream in STREAMS[os.environ["BENCH_STREAM"]]]


if os.environ["BENCH_VARIANT"] == "tuned":
    VendorTap.message_writer_class = MsgSpecWriter
    VendorStream.TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE


if __name__ == "__main__":
    VendorTap.cli()
