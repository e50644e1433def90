"""Acme: invoices and invoice_details, as JSON or XML.  https://api.acme.example/docs"""

from vendortap.declare import (
    Amount,
    Connector,
    Limit,
    Parent,
    RecordSelector,
    Sandbox,
    Stream,
    bearer,
    by,
    get,
    hookimpl,
    listed,
    page_number,
    setting,
    stable,
)

ACME = Connector(
    name="acme",
    title="Acme",
    docs="https://api.acme.example/docs",
    schemas="tap_acme.schemas",
    base_url=setting("base_url"),
    auth=(bearer(setting="api_token"),),
    accept=by("format", {"json": "application/json", "xml": "application/xml"}),
    limit=Limit(rate=5, burst=5),
    streams=(
        Stream(
            name="invoices",
            title="The list of invoices: numbers, totals, changes",
            request=get("/invoices"),
            record_selector=RecordSelector(("invoices",)),
            pages=stable(page_number("page", size_param="per_page", size="page_size"), "number"),
            keys=("number",),
            replication_key="updated_at",
            amount=Amount("total", "currency"),
        ),
        Stream(
            name="invoice_details",
            title="The whole invoice with its lines",
            request=get("/invoices/{number}"),
            record_selector=RecordSelector(many=False),
            parent=Parent("number", (listed("invoice_numbers"),), stream="invoices", field="number", echo=("number",)),
            keys=("number",),
            replication_key="updated_at",
            amount=Amount("total", "currency"),
        ),
    ),
    sandbox=Sandbox(
        app="tap_acme.sandbox:app",
        config={"base_url": "{url}", "api_token": "sandbox-token", "requests_per_second": None},
        totals='SELECT "currency", count(*), sum("total") FROM {schema}."invoice_details" GROUP BY ALL',
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring Acme."""
    return ACME
