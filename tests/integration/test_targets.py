"""Every stream of all taps into each target: what arrives, reconciled with the sandboxes; docs/targets.md says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import page, postgres, stores
from tests.integration.page import Column, Seen
from tests.integration.truth import AMOUNTS, CONNECTORS, Mode, Truth, by_key, kind, sums

if TYPE_CHECKING:
    from tests.conftest import StartVendor
    from tests.integration.conftest import GetEnvironment
    from tests.integration.stores import Store, Stored

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("postgres", "jsonl", "csv", "duckdb", "parquet", "parquet inferred")
GetTruth = Callable[[str], Truth]
GetStore = Callable[[str], "Store"]
GetSeen = Callable[[str, bool], Mapping[str, Seen]]


@pytest.fixture(scope="module")
def truth(sandboxes: StartVendor) -> GetTruth:
    return cache(lambda connector: Truth(sandboxes, connector))


@pytest.fixture(scope="module")
def store(environment: GetEnvironment, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[GetStore]:
    """Gives targets by name, each started when it is first asked for."""
    with ExitStack() as stack:

        def make(name: str) -> Store:
            folder = tmp_path_factory.mktemp(name)
            if name == "postgres":
                return stores.postgres(environment("target-postgres"), request.getfixturevalue("postgres_server"))
            if name == "jsonl":
                return stores.jsonl(environment("target-jsonl"), folder)
            if name == "csv":
                return stores.csv_files(environment("target-csv"), folder)
            if name == "duckdb":
                return stores.duckdb_file(folder)
            system, port = served()
            return stores.parquet(environment("target-s3"), system, port, by_schema=name == "parquet")

        @cache
        def served() -> tuple[Any, int]:
            port, folder = postgres.free_port(), tmp_path_factory.mktemp("moto")
            return stack.enter_context(stores.bucket(environment("target-s3"), folder, port)), port

        yield cache(make)


@pytest.fixture(scope="module")
def seen(store: GetStore, truth: GetTruth, tmp_path_factory: Any) -> GetSeen:
    """Loads all taps into a target, and reconciles; with amounts as numbers or as strings."""

    def load(target: str, decimals: bool) -> Mapping[str, Seen]:
        found: dict[str, Seen] = {}
        folder = tmp_path_factory.mktemp("configs")
        for connector in CONNECTORS:
            name = f"{connector.replace('-', '_')}_{'strings' if decimals else 'numbers'}"
            held, into = truth(connector), store(target)
            into.load(name, held.output(Mode(decimals, into.nested)).stdout, folder)
            for stream in held.streams:
                reconcile(held, stream, into, into.read(name, stream), found)
        return found

    return cache(load)


def reconcile(truth: Truth, stream: str, store: Store, stored: Stored, found: dict[str, Seen]) -> None:
    """Hold a table against what was sent, and what was sent and, if it is exact, the table against the sandbox."""
    where, schema, keys, sent = (
        (truth.case.name, stream),
        truth.schema(stream),
        truth.keys(stream),
        truth.records(stream),
    )
    wanted, got = (by_key(schema, keys, rows, nulls=store.nulls) for rows in (sent, stored.rows))
    amount = AMOUNTS[where]
    assert sums(map(amount, wanted.values())) == truth.totals(stream, sent), where
    assert len(stored.rows) == (len(wanted) if store.upserts else len(sent)), where
    assert set(got) == set(wanted), where
    exact = True
    for name, member in schema["properties"].items():
        entry = found.setdefault(kind(member), Seen())
        entry.types |= {stored.types[name]} if name in stored.types else set()
        same = all(got[key][name] == row[name] for key, row in wanted.items())
        entry.exact &= same
        exact &= same
    assert not exact or sums(map(amount, got.values())) == truth.totals(stream, sent), where


@pytest.mark.parametrize("decimals", [False, True], ids=["numbers", "strings"])
@pytest.mark.parametrize("target", TARGETS)
def test_every_stream_of_all_taps_arrives(store: GetStore, seen: GetSeen, target: str, decimals: bool) -> None:
    if decimals and not store(target).strings:
        with pytest.raises(AssertionError, match="ArrowTypeError: object of type <class 'str'> cannot be converted"):
            seen(target, decimals)
        return
    kinds = seen(target, decimals)
    assert set(kinds) == set(page.KINDS)
    inexact = {name for name, entry in kinds.items() if not entry.exact}
    assert inexact == page.INEXACT.get(target, set())


def test_the_page_says_what_was_seen(store: GetStore, seen: GetSeen) -> None:
    columns = []
    for target in TARGETS:
        into = store(target)
        columns.append(
            Column(into.title, seen(target, False), seen(target, True) if into.strings else None, into.nested)
        )
    document, made = ROOT / "docs" / "targets.md", ROOT / "build" / "targets.md"
    said = document.read_text(encoding="utf-8")
    written = page.write(said, page.table(columns))
    made.parent.mkdir(exist_ok=True)
    made.write_text(written, encoding="utf-8")
    assert said == written, "see build/targets.md; if that is right, it is docs/targets.md"
