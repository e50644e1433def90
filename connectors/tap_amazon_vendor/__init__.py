"""Amazon Vendor Direct Fulfillment Shipping: customer invoices.  https://developer-docs.amazon.com/sp-api

``customer_invoices`` is getCustomerInvoices, at most seven days at a time; ``customer_invoices_by_number`` is
getCustomerInvoice. The records carry no date: the only cursor is the window that was asked for, by when *orders*
became available. Invoices hold personal data, so a Restricted Data Token is needed; an expired one answers 403.
"""

from __future__ import annotations

import json

from vendortap.declare import (
    Config,
    Connector,
    Flow,
    Limit,
    Parent,
    Plan,
    RecordSelector,
    Reply,
    Request,
    Sandbox,
    Setting,
    Stream,
    Value,
    Windows,
    absent,
    amazon_rate_limit,
    by,
    first,
    get,
    hookimpl,
    in_file,
    listed,
    no_errors,
    refresh_token,
    setting,
    stable,
    token,
    token_credentials,
    token_document,
)

_PATHS = {
    "v1": "/vendor/directFulfillment/shipping/v1/customerInvoices",
    "2021-12-28": "/vendor/directFulfillment/shipping/2021-12-28/customerInvoices",
}
_HEADER = "x-amz-access-token"
_PRODUCTION = by("region", {r: f"https://sellingpartnerapi-{r}.amazon.com" for r in ("na", "eu", "fe")})
_SANDBOX = by("region", {r: f"https://sandbox.sellingpartnerapi-{r}.amazon.com" for r in ("na", "eu", "fe")})


def _rows(*path: str, many: bool) -> Setting:
    """v1 wraps in ``payload``, the later version does not; only a list has pages.

    In the model all members are optional: an envelope without a list is a list without rows, and one without a document
    says that there is none.
    """
    versions = {"v1": ("payload",), "2021-12-28": ()}
    errors = {"errors": Value(("errors",), "any")}

    def rows(payload: tuple[str, ...]) -> RecordSelector:
        paging = {"next": Value((*payload, "pagination", "nextToken"))} if many else {}
        place = (*payload, *path)
        return RecordSelector(
            place, many, {**paging, **errors}, empty=(absent(*place, beside=("pagination", "errors")),)
        )

    return by("api_version", {version: rows(payload) for version, payload in versions.items()})


_login = refresh_token(
    token_url=setting("token_url"),
    refresh_token="refresh_token",  # noqa: S106 - settings' names
    client_id="client_id",
    client_secret="client_secret",  # noqa: S106 - likewise
    header=_HEADER,
    scheme="",
)


def _restricted_data_token_url(config: Config) -> str:
    """Where the exchange happens: in production for the static sandbox too, which has none of its own."""
    host: str = first(setting("base_url"), _PRODUCTION)(config)
    path = "/tokens/2021-03-01/restrictedDataToken"
    return config.get("restricted_data_token_url") or f"{host.rstrip('/')}{path}"


def _restricted_data_token(config: Config) -> Flow:
    """Login with Amazon, then createRestrictedDataToken (Tokens API 2021-03-01) for both operations."""
    credentials = yield from _login(config)
    if not config["restricted_data_token"]:
        return credentials
    path = _PATHS[config["api_version"]]
    resources = [{"method": "GET", "path": p} for p in (path, f"{path}/{{purchaseOrderNumber}}")]
    reply = yield Request(
        "POST",
        _restricted_data_token_url(config),
        headers={**credentials.headers, "Content-Type": "application/json", "Accept": "application/json"},
        body=json.dumps({"restrictedResources": resources}).encode(),
    )
    return token_credentials(
        token_document(reply), header=_HEADER, scheme="", member="restrictedDataToken", lifetime="expiresIn"
    )


def _token_expired(reply: Reply) -> bool:
    """Tell an expired token, which Amazon answers with 403, from every other refusal."""
    return reply.status in (401, 403) and b"access token you provided has expired" in reply.body


AMAZON_VENDOR = Connector(
    name="amazon-vendor",
    title="Amazon Vendor Direct Fulfillment",
    docs="https://developer-docs.amazon.com/sp-api/docs/vendor-direct-fulfillment-shipping-api-v1-reference",
    schemas="vendortap_schemas.amazon_vendor",
    base_url=first(setting("base_url"), lambda config: (_SANDBOX if config["sandbox"] else _PRODUCTION)(config)),
    auth=(_restricted_data_token,),
    expired=_token_expired,
    limit=Limit(rate=10, burst=10, each_endpoint=True),
    rate_limit=amazon_rate_limit,
    trace="x-amzn-requestid",
    streams=(
        Stream(
            name="customer_invoices",
            title="The customer invoices of the orders that became available in a time window",
            request=get(
                by("api_version", _PATHS),
                createdAfter="{created_after}",
                createdBefore="{created_before}",
                limit="{limit}",
                sortOrder="{sort_order}",
                shipFromPartyId="{ship_from_party_id}",
            ),
            plan=Plan(
                windows=Windows("start_date", "end_date", "window_days", ("created_after", "created_before")),
                lookback="lookback_days",
            ),
            record_selector=_rows("customerInvoices", many=True),
            pages=stable(token("nextToken", found="next"), "purchaseOrderNumber"),
            check=no_errors("errors"),
            keys=("purchaseOrderNumber",),
            replication_key="createdBefore",
            document="content",
        ),
        Stream(
            name="customer_invoices_by_number",
            title="The customer invoices of configured purchase order numbers",
            request=get(by("api_version", {v: f"{p}/{{purchase_order_number}}" for v, p in _PATHS.items()})),
            parent=Parent(
                "purchase_order_number",
                (
                    listed("purchase_order_numbers"),
                    in_file("purchase_order_numbers_file", column="purchase_order_numbers_column"),
                ),
                echo=("purchaseOrderNumber",),
            ),
            record_selector=_rows(many=False),
            check=no_errors("errors"),
            keys=("purchaseOrderNumber",),
            document="content",
        ),
    ),
    sandbox=Sandbox(
        app="tap_amazon_vendor.sandbox:app",
        config={
            "base_url": "{url}",
            "token_url": "{url}/auth/o2/token",
            "client_id": "amzn1.application-oa2-client.sandbox",
            "client_secret": "sandbox~not-a-secret",
            "refresh_token": "Atzr|sandbox",
            "start_date": "2026-05-01",
            "requests_per_second": None,
        },
        # the documents themselves say what they come to
        totals=r"""
            SELECT said.currency, count(*), sum(said.total::DECIMAL(38, 2)) FROM (
                SELECT regexp_extract(from_base64("content")::VARCHAR, '[Tt]otal(?:: | currency=\\x22)([A-Z]{3})'
                                      '(?: |\\x22>)(-?[0-9]+[.][0-9]{2})', ['currency', 'total']) AS said
                FROM {schema}.customer_invoices
            ) GROUP BY ALL""",
        options={"rate_limit": 0},
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring Amazon Vendor Direct Fulfillment."""
    return AMAZON_VENDOR
