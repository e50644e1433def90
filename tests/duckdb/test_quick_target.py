"""The quick way inside the target: whole runs come to the same with it and without it."""

from __future__ import annotations

import gzip
import io
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import duckdb
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.duckdb.quick_kit import INVOICE, Made, anything, key_of, kinds, message, mostly_fitting, obj, objects, string
from vendortap.duckdb import database
from vendortap.duckdb.target import DuckdbSink, DuckdbTarget
from vendortap.errors import LoadError


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """The SDK takes the signals over; give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The records that did not go the quick way."""
    records: list[str] = []
    process = DuckdbTarget._process_record_message

    def watched(self: DuckdbTarget, message_dict: dict[str, Any]) -> None:
        records.append(message_dict["record"].get("No"))
        process(self, message_dict)

    monkeypatch.setattr(DuckdbTarget, "_process_record_message", watched)
    return records


def schema_message(**more: Any) -> str:
    return json.dumps({"type": "SCHEMA", "stream": "s", "schema": INVOICE, "key_properties": ["No"], **more}) + "\n"


def invoice(number: int, **changes: str) -> str:
    return message(obj({"No": string(str(number)), "Total": f"{number}.50", **changes}))


def load(file: Path, *lines: str, **config: Any) -> None:
    with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
        listen(target, "".join(lines).encode())


def listen(target: DuckdbTarget, text: bytes) -> None:
    target.listen(cast(IO[Any], io.BytesIO(text)))


def rows(file: Path, query: str) -> list[Any]:
    with duckdb.connect(str(file), config={"autoinstall_known_extensions": "false"}) as connection:
        return connection.execute(query).fetchall()


@st.composite
def runs(draw: st.DrawFn) -> str:
    """What a tap might write: two streams, schemas that change, records, states, and lines with something wrong."""
    records = objects(mostly_fitting, spoil=False)
    made = {"s": draw(records), "t": draw(records | objects(kinds))}
    text = []

    def write(kind: str, stream: str) -> None:
        nonlocal made
        if kind == "SCHEMA":
            keys = draw(key_of(made[stream]))
            message = {"type": kind, "stream": stream, "schema": made[stream].schema, "key_properties": keys}
            text.append(json.dumps(message))
        elif kind == "another SCHEMA":
            other = draw(records)
            properties = made[stream].schema["properties"] | other.schema["properties"]
            made |= {stream: Made({**other.schema, "properties": properties}, other.value)}
            write("SCHEMA", stream)
        elif kind == "STATE":
            text.append(obj({"type": string(kind), "value": draw(anything)}))
        else:
            record = draw(made[stream].value)
            if kind == "odd":
                record = draw(anything | st.just(record[:-1]))
            more = draw(st.sampled_from([{}, {"time_extracted": '"2025-01-31T00:00:00Z"'}, {"other": "1"}]))
            text.append(obj({"type": string("RECORD"), "stream": string(stream), "record": record, **more}))

    write("SCHEMA", "s")
    write("SCHEMA", "t")
    likely = ["RECORD"] * 30 + ["STATE", "STATE", "SCHEMA", "another SCHEMA", "odd"]
    for kind, stream in draw(
        st.lists(st.tuples(st.sampled_from(likely), st.sampled_from("sst")), min_size=2, max_size=15)
    ):
        write(kind, stream)
    return "\n".join([*text, ""])


class Outcome(NamedTuple):
    """What came of a run, but for the quick way's share in it."""

    error: str
    output: str
    logs: list[str]
    tables: dict[str, tuple[list[Any], list[Any]]]


def outcome(file: Path, text: str, config: dict[str, Any], *, quickly: bool) -> tuple[Outcome, int]:
    """Load into the new file, with the quick way or without; return also how many records took it."""
    output = io.StringIO()
    logs: list[str] = []
    count = 0
    error = ""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output):
        if not quickly:
            patch.setattr(DuckdbSink, "quick_way", lambda _: None)
        with closing(DuckdbTarget(config={"path": str(file), **config})) as target:
            handler = logging.Handler()
            handler.emit = lambda record: logs.append(record.getMessage())  # type: ignore[method-assign] # of this one
            target.logger.addHandler(handler)
            take = target.reader.take

            def counted(line: bytes) -> bool:
                nonlocal count
                took = take(line)
                count += took
                return took

            target.reader.take = counted
            try:
                listen(target, text.encode())
            except LoadError as caught:
                error = str(caught)
            finally:
                target.logger.removeHandler(handler)
    query = "SELECT table_name FROM duckdb_tables() ORDER BY ALL"
    names = [name for (name,) in rows(file, query)]
    tables = {
        name: (rows(file, f"DESCRIBE {name}"), rows(file, f"SELECT {name}::VARCHAR FROM {name}")) for name in names
    }
    return Outcome(error, output.getvalue(), logs, tables), count


@settings(deadline=None, max_examples=30)
@given(
    text=runs(),
    strict=st.booleans(),
    size=st.sampled_from([2, 10_000]),
    method=st.sampled_from(["upsert", "append-only", "overwrite"]),
)
def test_any_messages_come_to_the_same_with_the_quick_way_and_without(
    tmp_path_factory: pytest.TempPathFactory, text: str, strict: bool, size: int, method: str
) -> None:
    """The same tables and types, rows in the same order, the same error, warnings, commits and states."""
    folder = tmp_path_factory.mktemp("run")
    config = {"validate_records": strict, "batch_size_rows": size, "load_method": method, "max_batch_age_seconds": 0}
    fast, share = outcome(folder / "fast.duckdb", text, config, quickly=True)
    slow, none = outcome(folder / "slow.duckdb", text, config, quickly=False)
    assert fast == slow
    assert none == 0
    event("by the quick way: " + ("some" if share else "none"))
    event("error" if fast.error else "no error")


def test_both_ways_share_a_batch_its_order_and_its_keys(tmp_path: Path, seen: list[str]) -> None:
    lines = [invoice(n, **({"Note": string("e2"), "Total": f"{n}e2"} if n % 3 else {})) for n in range(30)]
    again = [invoice(7), invoice(8, Total="8e3"), invoice(9, Total="9"), invoice(9, Total="9e9"), invoice(9)]
    load(tmp_path / "x.duckdb", schema_message(), *lines, *again)
    assert seen == [str(n) for n in range(30) if n % 3] + ["8", "9"]
    found = rows(tmp_path / "x.duckdb", "SELECT No, Total FROM s")
    assert [int(number) for number, _ in found] == [*range(7), *range(10, 30), 7, 8, 9]
    assert {int(number): float(total) for number, total in found} == {
        **{n: n * 100 if n % 3 else n + 0.5 for n in range(30)},
        7: 7.5,
        8: 8000,
        9: 9.5,
    }


def test_a_batch_of_many_files_keeps_order_and_keys(
    tmp_path: Path, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_FILE_SIZE", 100)
    numbers = [*range(50), 0, 17, *range(60, 80), 17, 79, 80]
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, Count=str(i)) for i, n in enumerate(numbers)))
    last = {n: i for i, n in enumerate(numbers)}
    expected = sorted(last.items(), key=lambda item: item[1])
    assert rows(tmp_path / "x.duckdb", "SELECT No::INT, Count FROM s") == expected
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, Count="0") for n in numbers), load_method="append-only")
    assert rows(tmp_path / "x.duckdb", "SELECT count(*) FROM s") == [(len(expected) + len(numbers),)]
    assert seen == []


def test_an_undeclared_property_is_named_once_and_passed_over(
    tmp_path: Path, seen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        invoice(1, new='"31337"', nothing="null"),
        invoice(2, new='{"a": [1e400]}', Lines='[{"Price": 1, "sku": "31337"}]'),
        invoice(3, nothing="1", Lines='[{"Price": 1, "sku": "31337"}]'),
        invoice(4, nothing="null", new="1", other="1"),
        invoice(5, nothing="2", Lines='[{"sku": null}]'),
    ]
    load(tmp_path / "x.duckdb", schema_message(), *lines)
    assert seen == ["1", "2", "3", "4"], "each name takes one record the other way, and its first value another"
    named = [r.getMessage().split(" ")[0] for r in caplog.records if r.levelno == logging.WARNING]
    assert named == ["$.new", "$.Lines[].sku", "$.nothing", "$.other"]
    assert "31337" not in caplog.text
    assert rows(tmp_path / "x.duckdb", "SELECT count(*), sum(Total) FROM s") == [(5, 17.5)]


def test_ever_new_names_are_not_collected_for_ever(tmp_path: Path, seen: list[str]) -> None:
    load(tmp_path / "x.duckdb", schema_message(), *(invoice(n, **{f"x{n}": "1"}) for n in range(150)), invoice(500))
    assert len(seen) == 150
    assert rows(tmp_path / "x.duckdb", "SELECT count(*) FROM s") == [(151,)]


def test_a_record_that_does_not_fit_says_so_after_quick_ones(tmp_path: Path) -> None:
    with pytest.raises(
        LoadError, match=r"line 4: stream 's': \$\.Lines\[1\]\.Price must be a number, but is a boolean"
    ):
        load(
            tmp_path / "x.duckdb",
            schema_message(),
            invoice(1),
            invoice(2),
            invoice(3, Lines='[{"Price": 1}, {"Price": true}]'),
        )
    assert rows(tmp_path / "x.duckdb", "SELECT table_name FROM duckdb_tables()") == []


@pytest.mark.parametrize(
    "config",
    [
        {"stream_maps": {"s": {"Total": "Total"}}},
        {"flattening_enabled": True, "flattening_max_depth": 2},
        {"add_record_metadata": True},
    ],
)
def test_records_that_something_is_made_of_go_the_other_way(
    tmp_path: Path, seen: list[str], config: dict[str, Any]
) -> None:
    load(tmp_path / "x.duckdb", schema_message(), invoice(1), **config)
    assert seen == ["1"]


def test_streams_are_told_apart_and_a_new_schema_counts_from_its_line_on(tmp_path: Path, seen: list[str]) -> None:
    other = {"type": "object", "properties": {"No": {"type": "integer"}}}
    wider = {**INVOICE, "properties": {**INVOICE["properties"], "new": {"type": "integer"}}}
    load(
        tmp_path / "x.duckdb",
        schema_message(),
        schema_message(stream="t", schema=other, key_properties=[]),
        invoice(1, new="1"),
        '{"type": "RECORD", "stream": "t", "record": {"No": 5}}\n',
        schema_message(schema=wider),
        invoice(2, new="2"),
        '{"type": "RECORD", "stream": "t", "record": {"No": 6}}\n',
    )
    assert seen == ["1"]
    assert rows(tmp_path / "x.duckdb", "SELECT No, new FROM s ORDER BY ALL") == [("1", None), ("2", 2)]
    assert rows(tmp_path / "x.duckdb", "SELECT No FROM t") == [(5,), (6,)]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_records_of_batch_files_go_the_quick_way(tmp_path: Path, seen: list[str], compression: str) -> None:
    body = "".join(
        obj({"No": f'"{n}"', "Total": total}) + "\n" for n, total in enumerate(["1.50", "1e2", "3"])
    ).encode()
    path = tmp_path / "batch"
    path.write_bytes(gzip.compress(body) if compression == "gzip" else body)
    encoding = {"format": "jsonl", "compression": compression}
    batch = {"type": "BATCH", "stream": "s", "encoding": encoding, "manifest": [path.as_uri()] * 2}
    load(tmp_path / "x.duckdb", schema_message(), json.dumps(batch) + "\n", batch_size_rows=2)
    assert seen == ["1", "1"]
    assert rows(tmp_path / "x.duckdb", "SELECT No, Total FROM s ORDER BY No") == [("0", 1.5), ("1", 100), ("2", 3)]


def test_what_a_row_group_holds_is_no_more_than_what_is_committed_at_once(tmp_path: Path) -> None:
    lines = [invoice(n) for n in range(5000)]
    load(tmp_path / "x.duckdb", schema_message(), *lines, batch_size_rows=1500)
    assert rows(tmp_path / "x.duckdb", "SELECT count(DISTINCT row_group_id) > 1 FROM pragma_storage_info('s')") == [
        (True,)
    ]
    assert rows(tmp_path / "x.duckdb", "SELECT count(*), sum(Total) FROM s") == [
        (5000, sum(n + 0.5 for n in range(5000)))
    ]
