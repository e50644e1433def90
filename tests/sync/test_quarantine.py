"""The quarantine: what goes in comes out, byte for byte; commands show it, and replay it once it can be read."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Figure, Files, StartVendor, Vendor, Warehouse, environment, executable, make_catalog, parse
from tests.decode.test_bad_records import LIST, Spoiled
from tests.strategies import spoil
from vendortap.cli.quarantine import _entry_row
from vendortap.cli.tables import table
from vendortap.errors import ConfigError
from vendortap.support import files
from vendortap.support.redact import shown_line
from vendortap.sync import quarantine
from vendortap.sync.quarantine import Account, Quarantine, QuarantineEntry, read, read_all

STRANGE = "18.01.2025 00:13"
"""A date that the tap reads with the setting date_format, and only with it."""


def kept(raw: bytes = b"{}", **changes: Any) -> QuarantineEntry:
    values: dict[str, Any] = {
        "connector": "acme",
        "stream": "invoices",
        "key": {"Number": "1"},
        "path": "$[0].Total",
        "error": "a number expected",
        "media_type": "application/json",
        "raw": raw,
        "request": {"method": "GET", "path": "/invoices", "params": {"page": "1"}},
        "params": {"customer": "7"},
        "bookmark": None,
        "schema": "sha256:0",
        "time": datetime(2025, 1, 31, tzinfo=UTC),
    }
    return QuarantineEntry(**{**values, **changes})


def private(folder: Path) -> Path:
    folder.chmod(0o700)
    return folder


# --- the file ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raws=st.lists(st.binary(max_size=40) | st.text(max_size=20).map(str.encode), min_size=1, max_size=4),
    stamp=st.none() | st.datetimes(timezones=st.just(UTC)),
    text=st.text(max_size=10),
)
def test_what_is_put_in_comes_out_byte_for_byte(
    raws: list[bytes], stamp: datetime | None, text: str, tmp_path_factory: pytest.TempPathFactory, promise: Figure
) -> None:
    """A record in quarantine is kept byte for byte, whatever its bytes are."""
    promise(f"{len(raws)} records")
    folder = private(tmp_path_factory.mktemp("kept"))
    entries = [kept(raw, bookmark=stamp, key={"Number": text}, params={"customer": text}) for raw in raws]
    quarantine = Quarantine(folder, "acme")
    for entry in entries:
        quarantine.put(entry)
    distinct = list({entry.id: entry for entry in entries}.values())
    assert list(read(quarantine.path)) == distinct
    again = Quarantine(folder, "acme")
    before = quarantine.path.read_bytes()
    for entry in entries:
        again.put(entry)
    assert quarantine.path.read_bytes() == before, "what is there already is not written twice"
    assert before.count(b"\n") == len(set(raws)), "a line an entry"
    again.close([entry.id for entry in distinct[:2]], "replayed")
    assert list(read(quarantine.path)) == distinct[2:]


def test_a_line_that_was_cut_short_harms_no_other(tmp_path: Path) -> None:
    quarantine = Quarantine(private(tmp_path), "acme")
    quarantine.put(kept(b"1"))
    with quarantine.path.open("ab") as file:
        file.write(b'{"id": "0", "time": "2025')
    Quarantine(tmp_path, "acme").put(kept(b"2"))
    assert [entry.raw for entry in read(quarantine.path)] == [b"1", b"2"]


def test_of_several_entries_of_one_record_each_is_closed_by_itself(tmp_path: Path) -> None:
    quarantine = Quarantine(private(tmp_path), "acme")
    for raw in (b"1", b"2"):
        quarantine.put(kept(raw))
    assert quarantine.keys("invoices") == {("1",): [kept(b"1").id, kept(b"2").id]}
    quarantine.close([kept(b"1").id], "replayed")
    assert quarantine.keys("invoices") == {("1",): [kept(b"2").id]}
    quarantine.close([kept(b"2").id, "nosuch"], "superseded")
    assert quarantine.keys("invoices") == {}


def test_two_programs_may_write_at_once(tmp_path: Path) -> None:
    """As a run and a replay do: neither knows of the other's entries, and none is lost."""
    first, second = (Quarantine(private(tmp_path), "acme") for _ in range(2))
    for number in range(20):
        (first, second)[number % 2].put(kept(b"%d" % number))
    first.close([kept(b"0").id], "replayed")
    assert [entry.raw for entry in read(first.path)] == [b"%d" % number for number in range(1, 20)]


def test_what_is_no_json_is_passed_over_as_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "acme.jsonl"
    path.write_bytes(b"\n\xff\n" + b"\0" * 50 + b"\n{\n" + b"[" * 100_000 + b"\n")
    assert list(read(path)) == []


@pytest.mark.parametrize("line", ["null", "[]", "5", "{}", '{"done": "replayed"}', '{"id": [], "done": "replayed"}'])
def test_a_whole_line_that_is_no_entry_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "acme.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=r"the quarantine .*acme\.jsonl cannot be read: line 2 is no entry"):
        list(read(path))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_an_entry_is_it_can_be_listed_or_is_named(data: st.DataObject, tmp_path_factory: Any) -> None:
    """A member of a real one has become anything else, half of a surrogate pair included."""
    folder = private(tmp_path_factory.mktemp("kept"))
    quarantine = Quarantine(folder, "acme")
    quarantine.put(kept(b"1", params={"customer": "1"}))
    entry = json.loads(quarantine.path.read_text())
    spoil(entry, data.draw)
    quarantine.path.write_text(json.dumps(entry) + "\n")
    with suppress(ConfigError):
        (found,) = read_all(folder)
        assert table(["key"] * 6, [_entry_row(found)]).encode()
        assert shown_line("".join([*found.request, found.schema, found.media_type, found.id])).encode()
        assert Quarantine(folder, "acme", account=Account("a", {"customer": {"1"}})).entries()


def test_there_has_to_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        read_all(tmp_path / "none")
    assert read_all(tmp_path) == []


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = private(tmp_path) / "acme.jsonl"
    path.touch(mode=0o644)
    Quarantine(tmp_path, "acme").put(kept())
    assert path.stat().st_mode & 0o777 == 0o600


# --- commands ----------------------------------------------------------------------------------------


@pytest.mark.promise("What another user plants in a shared folder is neither followed, truncated nor believed")
def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    folder = private(tmp_path)
    (folder / "acme.jsonl").symlink_to(victim)
    with pytest.raises(ConfigError, match=r"cannot be read: .*acme\.jsonl is a symbolic link, which is not followed"):
        Quarantine(folder, "acme")
    (folder / "acme.jsonl").unlink()
    opened = Quarantine(folder, "acme")
    (folder / "acme.jsonl").symlink_to(victim)  # after the folder was looked at
    with pytest.raises(ConfigError, match=r"cannot be written: .*acme\.jsonl is a symbolic link"):
        opened.put(kept())
    with pytest.raises(ConfigError, match="is a symbolic link"):
        read_all(folder)
    assert victim.read_bytes() == b"kept"


@pytest.mark.promise("What another user plants in a shared folder is neither followed, truncated nor believed")
def test_a_folder_that_another_user_has_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could read what is put there, even where nobody else can enter it."""
    folder = private(tmp_path)
    for module in (files, quarantine):
        monkeypatch.setattr(module, "trusted_owners", lambda: {54321})
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match="is a symbolic link of another user"):
        Quarantine(tmp_path / "link", "acme")
    with pytest.raises(ConfigError, match=r"is another user's \(uid \d+\), who could read"):
        Quarantine(folder, "acme")


def command(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    parts = [executable("vendortap"), "quarantine", *map(str, arguments)]
    return subprocess.run(parts, capture_output=True, env=environment(), check=False, timeout=60)


def strange_dates(vendor: Vendor) -> None:
    """Have the fourth row of each list carry a date that only `date_format` reads."""

    def change(body: bytes) -> bytes:
        rows = re.findall(rb'"DateEntered":"([^"]*)"', body)
        return body.replace(rows[3], STRANGE.encode()) if len(rows) > 3 else body

    vendor.wire.app = Spoiled(vendor.wire.app, LIST, change)


MENDED = {"date_format": "%d.%m.%Y %H:%M"}


@pytest.fixture
def filled(start: StartVendor, tmp_path: Path) -> tuple[Vendor, dict[str, Any], Path]:
    """A vendor, settings, and a quarantine with a row of each of two lists."""
    vendor = start(invoices=20)
    strange_dates(vendor)
    folder = tmp_path / "kept"
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(folder))
    vendor.read(**config)
    return vendor, config, folder


def test_the_commands_show_what_is_there_and_its_values_only_when_asked(
    filled: tuple[Vendor, dict[str, Any], Path], promise: Figure
) -> None:
    """`vendortap quarantine list` and `show` print no value of a record but its key, unless --raw asks for it."""
    _, _, folder = filled
    entries = list(read(folder / "scansource.jsonl"))
    listed = command("list", folder)
    head, *lines = listed.stdout.decode().splitlines()
    assert (listed.returncode, listed.stderr) == (0, b"")
    assert head.split() == ["n", "when", "connector", "stream", "key", "path", "error"]
    for number, (line, entry) in enumerate(zip(lines, entries, strict=True), 1):
        assert line.startswith(f"{number}  2")
        assert f"InvoiceNumber {entry.key['InvoiceNumber']}  $[3].DateEntered  a date-time expected" in line
    shown = command("show", folder, 2).stdout.decode()
    assert "GET /summary" in shown
    assert f"{len(entries[1].raw)} bytes of application/json" in shown
    assert STRANGE not in listed.stdout.decode() + shown
    assert command("show", folder, 2, "--raw").stdout == entries[1].raw
    assert STRANGE.encode() in entries[1].raw
    beyond = command("show", folder, 3)
    assert (beyond.returncode, b"there are 2 entries" in beyond.stderr) == (2, True)


def test_replay_writes_messages_and_leaves_what_nobody_is_known_to_have_taken(
    filled: tuple[Vendor, dict[str, Any], Path], file: Files, promise: Figure
) -> None:
    """Replay decodes again with today's connector, through selection and settings, and loses no entry."""
    vendor, config, folder = filled
    path = folder / "scansource.jsonl"
    before = path.read_bytes()
    bad = command("replay", "scansource", "--config", file(config))
    assert bad.returncode == 3
    assert [message["type"] for message in parse(bad.stdout)] == ["SCHEMA"]
    assert b"a date-time expected at $.DateEntered" in bad.stderr
    assert b"vendortap: 0 good now, 2 not; its entries stay" in bad.stderr

    without = make_catalog(streams=["invoices"], deselect={"invoices": ["PONumber"]})
    good = command("replay", "scansource", "--config", file({**config, **MENDED}), "--catalog", file(without))
    assert good.returncode == 0
    (schema, *records) = parse(good.stdout)
    assert "PONumber" not in schema["schema"]["properties"]
    assert [message["type"] for message in records] == ["RECORD"] * 2
    whole = vendor.read(**{**config, **MENDED}).records("invoices")
    for message in records:
        (same,) = [row for row in whole if row["InvoiceNumber"] == message["record"]["InvoiceNumber"]]
        assert message["record"] == {name: value for name, value in same.items() if name != "PONumber"}
    assert path.read_bytes().startswith(before)
    unselected = make_catalog(streams=["invoice_details"])
    path.write_bytes(before)  # as it was before the vendor's records were handed on
    left = command("replay", "scansource", "--config", file({**config, **MENDED}), "--catalog", file(unselected))
    assert (left.returncode, left.stdout) == (3, b"")
    assert b"its stream is not selected" in left.stderr
    assert path.read_bytes() == before


def test_replay_into_a_database_closes_what_the_target_has_taken(
    start: StartVendor, warehouse: Warehouse, tmp_path: Path, file: Files, promise: Figure
) -> None:
    """What a target has taken is closed, and the table is what it would have been without a bad record."""
    vendor = start(invoices=20)
    strange_dates(vendor)
    folder = tmp_path / "kept"
    config = vendor.config(on_bad_record="quarantine", quarantine_dir=str(folder))
    assert warehouse.load(config).exit_code == 3
    assert len(warehouse.table("invoices")) == 18
    broken = command("replay", "scansource", "--config", file({**config, **MENDED}), "--target", "sh -c 'exit 7'")
    assert broken.returncode == 1
    assert b"the target failed with exit code 7" in broken.stderr
    assert len(list(read(folder / "scansource.jsonl"))) == 2, "all entries stay"
    late = command(
        "replay", "scansource", "--config", file({**config, **MENDED}), "--target", "sh -c 'cat >/dev/null; exit 1'"
    )
    assert late.returncode == 1
    assert len(list(read(folder / "scansource.jsonl"))) == 2, "read to the end is not taken"

    done = command("replay", "scansource", "--config", file({**config, **MENDED}), "--to", warehouse.path)
    assert (done.returncode, done.stderr.decode()) == (0, "vendortap: 2 good now, 0 not\n")
    assert list(read(folder / "scansource.jsonl")) == []
    assert len(warehouse.table("invoices")) == 20
    again = command("replay", "scansource", "--config", file(config), "--to", warehouse.path)
    assert again.stderr.decode() == "vendortap: 0 good now, 0 not\n"
    assert command("list", folder).stdout.decode().split() == [
        "n",
        "when",
        "connector",
        "stream",
        "key",
        "path",
        "error",
    ]


def test_replay_marks_what_is_written_where_the_reader_is_relied_on(
    filled: tuple[Vendor, dict[str, Any], Path], file: Files
) -> None:
    _, config, folder = filled
    done = command("replay", "scansource", "--config", file({**config, **MENDED}), "--mark")
    assert done.returncode == 0
    assert len([m for m in parse(done.stdout) if m["type"] == "RECORD"]) == 2
    assert list(read(folder / "scansource.jsonl")) == []


def test_a_replayed_document_is_what_a_run_would_have_fetched(start: StartVendor, tmp_path: Path, file: Files) -> None:
    """With what the request knew of it: its customer and its replication key; XML as well."""
    vendor = start(invoices=10)
    catalog = make_catalog(streams=["invoice_details"])
    whole = {row["InvoiceNumber"]: row for row in vendor.read(catalog=catalog, format="xml").records("invoice_details")}
    victim = sorted(whole)[3]
    pattern = re.compile(rb"<ShipDate>([^<]*)</ShipDate>")

    def change(body: bytes) -> bytes:
        return pattern.sub(b"<ShipDate>18.01.2025 00:13</ShipDate>", body) if victim.encode() in body else body

    vendor.wire.app = Spoiled(vendor.wire.app, "/scsc/invoice/v1/detail", change)
    config = vendor.config(format="xml", on_bad_record="quarantine", quarantine_dir=str(tmp_path / "kept"))
    vendor.read(catalog=catalog, **config)
    done = command("replay", "scansource", "--config", file({**config, **MENDED}))
    (record,) = [m["record"] for m in parse(done.stdout) if m["type"] == "RECORD"]
    expected = {**whole[victim], "ShipDate": "2025-01-18T00:13:00-05:00"}
    assert record == expected


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("list", "/nowhere"), "does not exist"),
        (("show", ".", "0"), "0 is not in the range"),
        (("replay", "scansource"), "Missing option '--config'"),
        (("replay", "scansource", "--config", "{config}", "--to", "x.duckdb", "--target", "cat"), "give one of --to"),
        (("replay", "scansource", "--config", "{config}"), "'quarantine_dir' is missing"),
        (("replay", "scansource", "--config", "{kept}", "--target", "nosuch-target"), "cannot be started"),
    ],
)
def test_bad_usage_is_told(arguments: tuple[str, ...], why: str, vendor: Vendor, tmp_path: Path, file: Files) -> None:
    config = file(vendor.config())
    with_folder = file(vendor.config(quarantine_dir=str(tmp_path / "kept")))
    done = command(*(argument.format(config=config, kept=with_folder) for argument in arguments))
    assert done.returncode == 2
    assert why in done.stderr.decode()


def test_each_command_says_how_it_is_used() -> None:
    for name in ("list", "show", "replay"):
        assert f"vendortap quarantine {name}" in command(name, "--help").stdout.decode().partition("Examples:")[2]
