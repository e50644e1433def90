"""Records in a Python program: the same as the tap's, with its state; as Arrow, exact to the digit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from tests.strategies import values
from vendortap import StreamBatch, StreamRecord, StreamState, errors, read, read_arrow
from vendortap.declare.model import Node
from vendortap.embed.arrow import Holds, arrow_schema, to_batch, unfit

if TYPE_CHECKING:
    from tests.conftest import Output, StartVendor, Vendor

CONNECTORS = ("amazon-vendor", "ingram-micro", "midnight", "scansource", "visiblescm")
as_json = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
plain = msgspec.json.Decoder(float_hook=Decimal)


@pytest.fixture(scope="module")
def running(sandboxes: StartVendor) -> Mapping[str, Vendor]:
    return {name: sandboxes(name, invoices=15) for name in CONNECTORS}


@pytest.mark.parametrize("name", CONNECTORS)
def test_read_yields_the_very_records_and_state_of_the_tap(
    name: str, running: Mapping[str, Vendor], read_tap: Callable[..., Output]
) -> None:
    config = running[name].config()
    tapped = read_tap(config, connector=name)
    items = list(read(name, config))
    records = [item for item in items if isinstance(item, StreamRecord)]
    for stream in {item.stream for item in records} | {m["stream"] for m in tapped.of("RECORD")}:
        ours = [plain.decode(as_json.encode(item.record)) for item in records if item.stream == stream]
        assert ours == tapped.records(stream)
    assert len(records) == len(tapped.of("RECORD")) > 0
    states = [item for item in items if isinstance(item, StreamState)]
    assert not states or states[-1].state["bookmarks"].keys() <= tapped.state["bookmarks"].keys()


def test_read_and_tap_go_on_from_each_others_state(
    running: Mapping[str, Vendor], read_tap: Callable[..., Output]
) -> None:
    config = running["scansource"].config()
    tapped = read_tap(config)
    assert [i for i in read("scansource", config, state=tapped.state) if isinstance(i, StreamRecord)] == []
    *_, last = (i for i in read("scansource", config) if isinstance(i, StreamState))
    assert read_tap(config, state=last.state).of("RECORD") == []


def test_a_state_covers_what_came_before_it_and_no_more(running: Mapping[str, Vendor]) -> None:
    config = running["scansource"].config()
    whole = [i.record["InvoiceNumber"] for i in read("scansource", config) if isinstance(i, StreamRecord)]
    some: list[str] = []
    state: dict[str, Any] = {}
    reading = read("scansource", config)
    for item in reading:
        if isinstance(item, StreamRecord):
            some.append(item.record["InvoiceNumber"])
        elif item.stream == "invoice_details" and len(some) > len(whole) * 2 // 3:
            state = item.state
            break
    reading.close()
    rest = [i.record["InvoiceNumber"] for i in read("scansource", config, state=state) if isinstance(i, StreamRecord)]
    assert rest
    assert some + rest == whole


def test_nothing_of_singer_is_imported_on_the_way(running: Mapping[str, Vendor]) -> None:
    program = (
        "import sys, vendortap\n"
        f"n = sum(1 for _ in vendortap.read('scansource', {running['scansource'].config()!r}, streams=['invoices']))\n"
        "sys.exit(0 if n and 'singer_sdk' not in sys.modules and 'pyarrow' not in sys.modules else 1)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_wrong_stream_setting_state_or_connector_is_a_sentence(running: Mapping[str, Vendor]) -> None:
    config = running["scansource"].config()
    with pytest.raises(errors.ConfigError, match="scansource has no stream 'bills'; it has invoices"):
        next(read("scansource", config, streams=["bills"]))
    with pytest.raises(errors.ConfigError, match="page_size"):
        next(read("scansource", {**config, "page_size": "many"}))
    with pytest.raises(errors.StateError):
        next(read("scansource", config, state={"bookmarks": 1}))
    with pytest.raises(errors.UnknownConnector):
        next(read("nobody", config))


# --- Arrow -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONNECTORS)
def test_batches_hold_every_record_to_the_digit(name: str, sandboxes: StartVendor) -> None:
    found: dict[str, list[Any]] = {}
    for item in read_arrow(name, sandboxes(name, invoices=12).config(), batch_size=7):
        if isinstance(item, StreamBatch):
            found.setdefault(item.stream, []).extend(item.batch.to_pylist())
    expected: dict[str, list[Any]] = {}
    for other in read(name, sandboxes(name, invoices=12).config()):  # another one: neither has seen many requests yet
        if isinstance(other, StreamRecord):
            expected.setdefault(other.stream, []).append(in_utc(other.record))
    assert found == expected
    assert found


def in_utc(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: in_utc(member) for name, member in value.items()}
    if isinstance(value, list):
        return [in_utc(item) for item in value]
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def test_duckdb_polars_and_pandas_take_batches_with_exact_sums(running: Mapping[str, Vendor]) -> None:
    vendor = running["scansource"]
    items = list(read_arrow("scansource", vendor.config(), streams=["invoice_details"]))
    table = pa.Table.from_batches([item.batch for item in items if isinstance(item, StreamBatch)])
    assert isinstance(items[-1], StreamState)
    truth = {currency: total for currency, (_, total) in vendor.state.totals().items()}
    connection = duckdb.connect()
    connection.register("details", table)
    assert dict(connection.sql("SELECT Currency, sum(Total) FROM details GROUP BY ALL").fetchall()) == truth
    frame = pl.DataFrame(table)
    assert dict(frame.group_by("Currency").agg(pl.col("Total").sum()).iter_rows()) == truth
    typed = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert typed.groupby("Currency")["Total"].sum().to_dict() == truth


NODE = Node(
    "object",
    nullable=False,
    fields={
        "Number": Node("string", nullable=False),
        "Total": Node("number"),
        "Count": Node("integer"),
        "Paid": Node("boolean"),
        "At": Node("date-time"),
        "Day": Node("date"),
        "Lines": Node("array", item=Node("object", False, fields={"Price": Node("number")})),
    },
)


def batch_of(record: dict[str, Any]) -> pa.RecordBatch:
    """A batch of one record, made as ``read_arrow`` makes it."""
    schema, lines = arrow_schema(NODE, 38, 9), as_json.encode_lines([record])
    try:
        if not Holds(NODE, 38, 9)([record]):
            raise ValueError
        return to_batch(lines, schema)
    except ValueError:
        error = unfit(lines, NODE, schema, ["Number"])
        assert error is not None
        raise error from None


@settings(deadline=None)
@given(record=values(NODE))
@example(record={**dict.fromkeys(NODE.fields), "Number": "7", "Total": Decimal("9.99999999999995805696E-24")})
def test_a_record_is_in_a_batch_as_it_is_or_refused_by_key_and_path(record: dict[str, Any]) -> None:
    try:
        batch = batch_of(record)
    except errors.RecordError as error:
        refusal = str(error)
        assert refusal.startswith(f"Number {record['Number']}: the value at $.")
        return
    assert batch.to_pylist() == [in_utc(record)]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"Total": Decimal("0.0000000001")}, r"\$\.Total has too many digits for decimal128\(38, 9\)"),
        ({"Total": Decimal("1296223392079633353.0223163928")}, r"\$\.Total has too many digits"),
        ({"Total": Decimal(10) ** 29}, r"\$\.Total has too many digits"),
        ({"Total": Decimal("1E-48")}, r"\$\.Total has too many digits"),  # of which pyarrow makes 0
        ({"Total": Decimal("1." + 80 * "0")}, r"\$\.Total has too many digits"),
        ({"Lines": [{"Price": Decimal("9.5E-78")}]}, r"\$\.Lines\[0\]\.Price has too many digits"),
        ({"Lines": [{"Price": Decimal(1)}, {"Price": Decimal("1E-10")}]}, r"\$\.Lines\[1\]\.Price has too many"),
        ({"Count": 2**63}, r"\$\.Count is too large for int64"),
    ],
)
def test_what_a_column_cannot_hold_is_named_and_never_rounded(record: dict[str, Any], path: str) -> None:
    whole = {**dict.fromkeys(NODE.fields), "Number": "7", **record}
    with pytest.raises(errors.RecordError, match=f"Number 7: the value at {path}"):
        batch_of(whole)


def test_dates_and_times_keep_their_moment() -> None:
    at = datetime(2025, 1, 31, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    whole = {**dict.fromkeys(NODE.fields), "Number": "7", "At": at, "Day": date(2025, 1, 31)}
    (row,) = batch_of(whole).to_pylist()
    assert (row["At"], row["Day"]) == (at, date(2025, 1, 31))


@pytest.mark.parametrize("decimal", [(39, 9), (0, 0), (10, 11)])
def test_a_decimal_type_that_there_is_not_is_a_sentence(decimal: tuple[int, int]) -> None:
    with pytest.raises(errors.ConfigError, match="the precision goes up to 38"):
        arrow_schema(NODE, *decimal)
