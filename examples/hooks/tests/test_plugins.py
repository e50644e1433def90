"""Each plugin at work: a real server, real processes, a real database."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from vendortap_examples.csv_format import rows as read_csv
from vendortap_examples.link_pager import following
from vendortap_examples.mask import masked
from vendortap_examples.x12_format import invoices as read_x12

from vendortap.declare import Reply
from vendortap.plugins import host
from vendortap.sandbox import serve

INVOICES = 100
CONTACTS = "SELECT contact FROM ledger.invoices WHERE number IN ('L00000', 'L00001') ORDER BY number"
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def served() -> Iterator[serve.Served]:
    with serve.serving(serve.application(host.load("ledger"), invoices=INVOICES)) as running:
        yield running


def load(served: serve.Served, database: Path, **changes: Any) -> Done:
    """Run the tap into a database, as people do it."""
    config = database.with_suffix(".json")
    config.write_text(json.dumps({**serve.settings(host.load("ledger"), served.url), **changes}))
    command = [sys.executable, "-m", "vendortap.cli", "run", "ledger", "--config", str(config), "--to", str(database)]
    return subprocess.run(command, capture_output=True, text=True, cwd=database.parent)


def rows(database: Path, query: str) -> list[Any]:
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_signed_paged_csv_and_edi_arrive_to_the_cent_masked_and_audited(served: serve.Served, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    done = load(served, tmp_path / "all.duckdb", plugins={"audit": {"file": str(audit)}})
    assert done.returncode == 0, done.stderr
    sandbox = host.load("ledger").sandbox
    assert sandbox is not None
    totals = rows(tmp_path / "all.duckdb", sandbox.totals.replace("{schema}", "ledger"))
    assert {currency: (count, total) for currency, count, total in totals} == served.app.state.totals()
    listed = rows(tmp_path / "all.duckdb", "SELECT currency, count(*), sum(total) FROM ledger.invoices GROUP BY ALL")
    assert sorted(listed) == sorted(totals)
    lines = rows(tmp_path / "all.duckdb", "SELECT DISTINCT lines[2].price FROM ledger.invoice_details")
    assert [str(price) for (price,) in lines] == ["-0.500000000"]
    assert rows(tmp_path / "all.duckdb", CONTACTS) == [(None,), ("Doe, Jane <***>",)]
    written = [json.loads(line) for line in audit.read_text().splitlines()]
    assert {(line["connector"], line["stream"], line["pages"], line["records"]) for line in written} == {
        ("ledger", "invoices", 3, INVOICES),
        ("ledger", "invoice_details", INVOICES, INVOICES),
    }
    assert "@" not in audit.read_text()


def test_an_operator_can_switch_the_mask_off(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "plain.duckdb", plugins={"mask": False}, invoice_numbers=["L00001"])
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "plain.duckdb", CONTACTS) == [(None,), ("Doe, Jane <jane.1@customer.example>",)]


def test_the_mask_reaches_everything_inside_a_field_that_is_named() -> None:
    record = {"a": {"b": ["x", {"c": "y", "d": 1}]}, "e": "mail to x@y.test; or not"}
    assert masked(record, False, {"b"}) == {"a": {"b": ["***", {"c": "***", "d": 1}]}, "e": "mail to ***; or not"}


def test_a_wrong_key_is_refused_and_never_shown(served: serve.Served, tmp_path: Path) -> None:
    done = load(served, tmp_path / "none.duckdb", signing_key="another-key")
    assert done.returncode == 1
    assert "The signature is wrong." in done.stderr
    assert "another-key" not in done.stderr


def reply(body: bytes, content_type: str) -> Reply:
    return Reply(200, {"content-type": content_type}, body, received=None)  # type: ignore[arg-type] # looked at by nobody


def test_csv_is_read_by_its_charset_and_refused_where_rows_have_another_length() -> None:
    latin = reply('a,b\r\n1,\r\n"é""x",2\r\n'.encode("latin-1"), 'text/csv; charset="latin1"')
    assert read_csv(latin) == [{"a": "1", "b": None}, {"a": 'é"x', "b": "2"}]
    assert read_csv(reply(b"\xef\xbb\xbfa,b\n", "text/csv")) == []
    with pytest.raises(ValueError, match="row 3 has 1 fields, the first line 2"):
        read_csv(reply(b"a,b\n1,2\n3\n", "text/csv"))


def test_an_interchange_that_was_cut_short_is_refused(served: serve.Served) -> None:
    from vendortap_examples.ledger.sandbox import in_x12

    whole = in_x12(1, 5).encode()
    (found,) = read_x12(reply(whole, "application/edi-x12"))["invoices"]
    assert found["number"] == "L00005"
    for end in (10, 200, len(whole) - 30):
        with pytest.raises(ValueError, match="interchange"):
            read_x12(reply(whole[:end], "application/edi-x12"))


def test_only_the_next_page_is_followed() -> None:
    header = '<https://a.test/?page=1>; rel="first prev", </list?page=3,4>; rel="last NEXT"; title="x"'
    assert following(header) == "/list?page=3,4"
    assert following('</list>; rel="prev"') is None
    assert following("") is None
