"""ScanSource keeps to what every connector has to."""

from vendortap.testing import connector_suite

TestScanSource = connector_suite(
    "scansource",
    unlike={"invoice_details": ["InvoiceLines[].Id"]},  # numbered in XML only, as in the vendor's samples
)
