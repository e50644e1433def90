"""What of XML is a list without rows: a root that is called like one, and has nothing in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vendortap.declare.empty import childless
from vendortap.declare.model import Reply

EMPTY = childless("ArrayOf*", "Bills")


def says(body: bytes, *, status: int = 200, kind: str = "application/xml") -> bool:
    return EMPTY(Reply(status, {"content-type": kind}, body, datetime.now(UTC)))


@pytest.mark.parametrize(
    "text",
    [
        "<ArrayOfInvoice/>",
        "<ArrayOf></ArrayOf>",
        '<?xml version="1.0" encoding="utf-8"?>\r\n<ArrayOfBill xmlns:xsi="http://www.w3.org/x" />\n',
        "<b:Bills xmlns:b='x'>\n</b:Bills>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_without_rows_is_empty(text: str, encoding: str) -> None:
    assert says(text.encode(encoding))


@pytest.mark.parametrize(
    "body",
    [
        b"<Error/>",
        b"<Bill/>",
        b"<BillsOfOthers/>",
        b"<ArrayOfBill>none</ArrayOfBill>",
        b"<Bills><Bill/></Bills>",
        b"",
        b"\xff",
    ],
)
def test_what_is_called_otherwise_or_has_something_in_it_is_not(body: bytes) -> None:
    assert not says(body)


def test_neither_is_a_refusal_or_json() -> None:
    assert not says(b"<Bills/>", status=404)
    assert not says(b"<Bills/>", kind="application/json")
