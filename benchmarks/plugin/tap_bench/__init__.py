"""The vendor of the benchmarks (benchmarks/server.py): invoices as JSON or XML, a list with pages, and documents.

``invoices`` is what the peers' implementations read, and like theirs it has no replication key.
``invoice_changes`` is the same list read incrementally, ``invoice_details`` fetches the documents one by one.
"""

from __future__ import annotations

from vendortap.declare import Connector, Parent, RecordSelector, Stream, Value, by, get, hookimpl, setting, token

_LIST = get("/invoices", page="1", size="{page_size}")
_ROWS = RecordSelector(("Invoices",), more={"next": Value(("NextPage",), "integer")})
_PAGES = token("page", found="next")

BENCH = Connector(
    name="bench",
    title="Benchmarks",
    docs="https://bench.example/docs",
    schemas="tap_bench.schemas",
    base_url=setting("base_url"),
    accept=by("format", {"json": "application/json", "xml": "application/xml"}),
    streams=(
        Stream(
            name="invoices",
            title="The list, whole",
            request=_LIST,
            record_selector=_ROWS,
            pages=_PAGES,
            keys=("InvoiceNumber",),
        ),
        Stream(
            name="invoice_changes",
            title="The list, incrementally",
            schema="invoices",
            request=_LIST,
            record_selector=_ROWS,
            pages=_PAGES,
            keys=("InvoiceNumber",),
            replication_key="LastChanged",
            selected_by_default=False,
        ),
        Stream(
            name="invoice_index",
            title="The numbers of the invoices",
            request=get("/index", page="1", size="{page_size}"),
            record_selector=_ROWS,
            pages=_PAGES,
            keys=("InvoiceNumber",),
            replication_key="LastChanged",
            selected_by_default=False,
        ),
        Stream(
            name="invoice_details",
            title="The documents, one request each",
            schema="invoices",
            request=get("/invoices/{invoice_number}"),
            record_selector=RecordSelector(many=False),
            parent=Parent("invoice_number", stream="invoice_index", field="InvoiceNumber"),
            keys=("InvoiceNumber",),
            replication_key="LastChanged",
            selected_by_default=False,
        ),
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring the vendor of the benchmarks."""
    return BENCH
