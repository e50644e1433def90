"""A ScanSource sandbox that no test changes, and all its invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_scansource import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.connectors.scansource.kit import Client, serving


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 120 invoices that no test changes."""
    with serving(invoices=120) as running:
        yield running


@pytest.fixture(scope="module")
def details(client: Client) -> list[dict[str, Any]]:
    """Every invoice of the shared sandbox, fetched over the wire, with its customer."""
    return [
        {"CustomerNumber": customer, **client.json(f"/invoice/detail/{customer}/{row['InvoiceNumber']}")}
        for customer in sandbox.CUSTOMER_NUMBERS
        for row in client.summaries(customer)
    ]
