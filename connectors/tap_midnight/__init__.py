"""Midnight (Print Reach): print shops' invoices, as JSON or XML.  https://api.vsmidnight.com/Help

``invoices`` is POST v1/Generic/InvoiceList, ``invoice_details`` is POST v2/invoice/detail; both only read. The list
is paged by row offset, says its total in each row, and repeats an invoice once for each of its orders. Neither
call can be asked for what changed. What is assumed of the vendor is a setting whose description says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from vendortap.declare import (
    Amount,
    Config,
    Connector,
    JsonRenewal,
    Limit,
    Parent,
    Plan,
    RecordSelector,
    Sandbox,
    Stream,
    Value,
    by,
    childless,
    hookimpl,
    ignoring_case,
    in_file,
    json_login,
    listed,
    post,
    present,
    row_offset,
    setting,
    stable,
)

_MEDIA_TYPE = by("format", {"json": "application/json", "xml": "application/xml"})
_FIRST, _ROWS = ("tableFilterModel", "First"), ("tableFilterModel", "Rows")


def _mis_key(config: Config) -> Mapping[str, str]:
    return {"MISKEY": config["mis_key"]} if config.get("mis_key") else {}


MIDNIGHT = Connector(
    name="midnight",
    title="Midnight",
    docs="https://api.vsmidnight.com/Help",
    schemas="vendortap_schemas.midnight",
    base_url=setting("base_url"),
    auth=(
        json_login(
            url="/v1/Token/UserAuthentication",
            members={
                "DomainName": "domain_name",
                "UserName": "user_name",
                "Password": "password",
                "IsPasswordEncrypted": setting("is_password_encrypted"),
            },
            scheme=setting("authorization_scheme"),
            unit_seconds=by("expires_in_unit", {"seconds": 1, "minutes": 60, "milliseconds": 0.001}),
            renewal=JsonRenewal(
                "/v1/Token/RegenerateAuthToken",
                auth_member="AuthToken",
                refresh_member="RefreshToken",
                account=("base_url", "domain_name", "user_name"),
            ),
        ),
    ),
    headers=_mis_key,
    accept=_MEDIA_TYPE,
    zone=setting("timezone"),
    limit=Limit(rate=10, burst=10),
    streams=(
        Stream(
            name="invoices",
            title="The list of invoices: amounts, status, dates",
            request=post(
                "/v1/Generic/InvoiceList",
                {
                    "ShowPaid": "{show_paid}",
                    "ShowInactive": "{show_inactive}",
                    "tableFilterModel": {"Filters": {}, "SortField": "InvoiceDate", "SortOrder": 1},
                },
            ),
            record_selector=RecordSelector(empty=(childless("ArrayOf*"),)),
            pages=stable(
                row_offset(_FIRST, size_path=_ROWS, size="page_size", total="TotalRecords", first="first_row"),
                "Guid",
                "OrderID",
                "CustomerPaymentID",
                total="TotalRecords",
            ),
            keys=("Guid",),
            distinct=True,
            amount=Amount("InvoiceAmount"),
        ),
        Stream(
            name="invoice_details",
            title="The whole invoice: payment, address, lines and their items",
            request=post(
                "/v2/invoice/detail", {"Guid": "{guid}"}, media_type=_MEDIA_TYPE, xml_root="InvoiceSelectRequest"
            ),
            plan=Plan(lookback="lookback_days"),
            parent=Parent(
                "guid",
                (listed("invoice_guids"), in_file("invoice_guids_file", column="invoice_guids_column")),
                stream="invoices",
                field="Guid",
                changed="InvoiceDate",
                echo=("GUID",),
                same=ignoring_case,
            ),
            record_selector=RecordSelector(many=False, more={"guid": Value(("GUID",)), "message": Value(("Message",))}),
            check=present("guid", errors="message"),
            keys=("RequestedGuid",),
            add={"RequestedGuid": "guid"},
            replication_key="ListedInvoiceDate",
            amount=Amount("TotalBilledAmount"),
        ),
    ),
    sandbox=Sandbox(
        app="tap_midnight.sandbox:app",
        config={
            "base_url": "{url}",
            "domain_name": "sandbox-print",
            "user_name": "sandbox",
            "password": "sandbox~not-a-pässword",
            "requests_per_second": None,
        },
        totals="""SELECT '', count(*), sum("TotalBilledAmount") FROM {schema}.invoice_details""",
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring Midnight."""
    return MIDNIGHT
