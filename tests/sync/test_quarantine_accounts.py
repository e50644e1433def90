"""A quarantine that several accounts share: each sees, closes and replays its own entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Figure, Files, StartVendor, parse
from tests.sync.test_quarantine import MENDED, command, kept, private, strange_dates
from vendortap.plugins import host
from vendortap.sync import quarantine
from vendortap.sync.quarantine import Account, Quarantine, read


def test_the_same_record_of_two_accounts_is_two_entries(tmp_path: Path) -> None:
    first, second = (Quarantine(private(tmp_path), "acme", account=Account(name)) for name in ("a", "b"))
    for of in (first, second, first):
        of.put(kept())
    (mine, others), (theirs, _) = first.entries(), Quarantine(tmp_path, "acme", account=Account("b")).entries()
    assert ([entry.account for entry in mine], others) == (["a"], 1)
    assert [entry.account for entry in theirs] == ["b"]
    first.close([entry.id for entry in mine + theirs], "replayed")
    assert [entry.account for entry in read(first.path)] == ["b"], "nobody closes what is another's"
    assert second.keys("invoices") == {("1",): [theirs[0].id]}


def test_an_entry_of_before_there_were_accounts_is_anybodys_and_is_not_written_again(tmp_path: Path) -> None:
    before = Quarantine(private(tmp_path), "acme")
    before.put(kept())
    line = json.loads(before.path.read_text())
    assert line.pop("account") is None
    before.path.write_text(json.dumps(line) + "\n")
    for account in ("a", "b", None):
        of = Quarantine(tmp_path, "acme", account=Account(account))
        of.put(kept())
        (entry,), others = of.entries()
        assert (entry.id, others) == (line["id"], 0)
    of.close([line["id"]], "superseded")
    assert list(read(before.path)) == []


def test_an_entry_of_a_partition_that_the_settings_do_not_have_is_anothers(tmp_path: Path) -> None:
    mine = Quarantine(private(tmp_path), "acme", account=Account(None, {"customer": {"7", "8"}}))
    theirs = Quarantine(tmp_path, "acme", account=Account(None, {"customer": {"9"}}))
    mine.put(kept())
    theirs.put(kept(b"2", params={"customer": "9"}))
    theirs.put(kept(b"3", params={}))
    for of, raws in ((mine, [b"{}", b"3"]), (theirs, [b"2", b"3"])):
        entries, others = of.entries()
        assert ([entry.raw for entry in entries], others) == (raws, 1)
    assert Quarantine(tmp_path, "acme", account=Account(None, {"customer": {"9"}})).keys("invoices") == {
        ("1",): [entry.id for entry in entries]
    }


@pytest.mark.parametrize(
    ("connector", "settings", "others"),
    [
        ("scansource", {"customer_numbers": ["1000012345"]}, {"customer_numbers": ["1000067890"]}),
        ("ingram-micro", {"customer_number": "20-222222", "country_code": "US"}, {"country_code": "CA"}),
    ],
)
def test_an_account_is_what_the_settings_say(
    connector: str, settings: dict[str, Any], others: dict[str, Any], tmp_path: Path
) -> None:
    loaded, folder = host.load(connector), {"quarantine_dir": str(private(tmp_path)), "base_url": "https://x.test"}
    params = {"customer_number": "1000012345"} if connector == "scansource" else {}
    mine = quarantine.of(loaded, {**settings, **folder})
    theirs = quarantine.of(loaded, {**settings, **others, **folder})
    assert mine
    assert theirs
    mine.put(kept(connector=connector, params=params))
    assert (len(mine.entries()[0]), theirs.entries()) == (1, ([], 1))


def test_accounts_that_share_a_folder_replay_their_own_records(
    start: StartVendor, tmp_path: Path, file: Files, promise: Figure
) -> None:
    """Accounts that share a quarantine see, close and replay their own entries; of others they are told the number."""
    vendor = start(invoices=20)
    strange_dates(vendor)
    folder = tmp_path / "kept"
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(folder))
    vendor.read(**config)
    customers = {entry.params["customer_number"] for entry in read(folder / "scansource.jsonl")}
    assert len(customers) == 2
    for customer in sorted(customers):
        settings = {**config, **MENDED, "customer_numbers": [customer]}
        done = command("replay", "scansource", "--config", file(settings), "--mark")
        assert done.returncode == 0, done.stderr
        assert {m["record"]["CustomerNumber"] for m in parse(done.stdout) if m["type"] == "RECORD"} == {customer}
        others = "; 1 belong to another account of scansource, and stay" if customer == min(customers) else ""
        assert done.stderr.decode() == f"vendortap: 1 good now, 0 not{others}\n"
    assert list(read(folder / "scansource.jsonl")) == []


def test_the_commands_show_an_account_only_where_there_is_one(tmp_path: Path) -> None:
    for name in (None, "5d41402abc4b2a76"):
        Quarantine(private(tmp_path), "acme", account=Account(name)).put(kept())
        head, *lines = command("list", tmp_path).stdout.decode().splitlines()
        assert [head.split()[-1], *(line.split()[-1] for line in lines)] == (
            ["account", "-", name] if name else ["error", "expected"]
        )
    assert "account" not in command("show", tmp_path, 1).stdout.decode()
    assert f"account    {name}\n" in command("show", tmp_path, 2).stdout.decode()
