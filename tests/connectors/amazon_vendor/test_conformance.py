"""Amazon Vendor Direct Fulfillment keeps to what every connector has to."""

from datetime import UTC, datetime

from vendortap.testing import connector_suite

TestAmazonVendor = connector_suite(
    "amazon-vendor",
    config={
        "end_date": "2026-05-12",
        "limit": 4,
        "purchase_order_numbers": ["D10000000x", "D10000007x", "D10000011x"],
    },
    options={
        "start": datetime(2026, 5, 1, tzinfo=UTC),
        "end": datetime(2026, 5, 11, tzinfo=UTC),
    },
)
