"""Ledger: a made-up vendor that signs with HMAC, pages by Link headers, and writes CSV and EDI."""

from vendortap.declare import Connector, Parent, RecordSelector, Sandbox, Stream, get, hookimpl, listed, setting
from vendortap.plugins.extensions import auth_flow, pager

LEDGER = Connector(
    name="ledger",
    title="Ledger",
    docs="https://ledger.example/docs",
    schemas="vendortap_examples.ledger.schemas",
    base_url=setting("base_url"),
    auth=(auth_flow("hmac", key_id="key_id", key="signing_key"),),
    accept=lambda _: "text/csv, application/edi-x12",
    streams=(
        Stream(
            name="invoices",
            title="The list of invoices, as CSV",
            request=get("/invoices.csv"),
            record_selector=RecordSelector(any_type=True),  # CSV has no types: amounts are texts there
            pages=pager("link"),
            keys=("number",),
            replication_key="updated_at",
        ),
        Stream(
            name="invoice_details",
            title="The whole invoice, as transaction set 810 of X12",
            request=get("/invoices/{number}.x12"),
            record_selector=RecordSelector(("invoices",)),
            parent=Parent("number", (listed("invoice_numbers"),), stream="invoices", field="number"),
            keys=("number",),
            replication_key="updated_at",
        ),
    ),
    sandbox=Sandbox(
        app="vendortap_examples.ledger.sandbox:app",
        config={"base_url": "{url}", "key_id": "sandbox", "signing_key": "sandbox-key"},
        totals="SELECT currency, count(*), sum(total) FROM {schema}.invoice_details GROUP BY ALL",
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring Ledger."""
    return LEDGER
