"""Loads what a tap wrote into a DuckDB file of a moment, and holds it against what the sandbox has."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, redirect_stdout
from decimal import Decimal
from pathlib import Path

from vendortap.duckdb.query import opened
from vendortap.duckdb.target import DuckdbTarget
from vendortap.testing.harness import signals

_SCHEMA = "loaded"


def problems(stdout: bytes, query: str, totals: Mapping[str, tuple[int, Decimal]]) -> Iterator[str]:
    """Yield what is not as the sandbox has it: currency by currency, the number of invoices and their exact sum.

    ``query`` is ``Sandbox.totals``, and ``totals`` what the sandbox's state says.
    """
    with tempfile.TemporaryDirectory() as folder, signals(), redirect_stdout(io.StringIO()):
        path = Path(folder) / "warehouse.duckdb"
        with closing(DuckdbTarget(config={"path": str(path), "default_target_schema": _SCHEMA})) as target:
            target.listen(io.StringIO(stdout.decode()))
        with opened(path) as connection:
            rows = connection.execute(query.replace("{schema}", _SCHEMA)).fetchall()
    loaded = {currency: (count, total) for currency, count, total in rows}
    for currency in sorted({*loaded, *totals}):
        if loaded.get(currency) != totals.get(currency):
            found, wanted = (_told(one.get(currency)) for one in (loaded, totals))
            yield f"{currency or 'all invoices'}: loaded are {found}, the sandbox has {wanted}"


def _told(total: tuple[int, Decimal] | None) -> str:
    return f"{total[0]} that come to {total[1]}" if total else "none"
