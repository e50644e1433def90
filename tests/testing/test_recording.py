"""Recordings of replies: nothing secret or personal is in them, keys and sums are exact, and the suite passes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.kit import CASES
from vendortap.cli import commands
from vendortap.decode import schemas
from vendortap.errors import UsageError
from vendortap.plugins import host
from vendortap.sandbox import serve
from vendortap.support.redact import Redactor
from vendortap.testing import fake_data, recording, tape
from vendortap.testing.checks import CHECKS
from vendortap.testing.harness import NotApplicable, served

CONNECTOR = host.load("scansource")
PERSONAL = ("CompanyName", "Street1", "City", "PostalCode", "Attention")


@pytest.fixture(scope="module")
def vendor() -> Iterator[serve.Served]:
    with serve.serving(serve.application(CONNECTOR, invoices=12)) as running:
        yield running


@pytest.fixture(scope="module")
def folder(vendor: serve.Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording, made by the command."""
    place = tmp_path_factory.mktemp("recorded")
    (place / "config.json").write_text(json.dumps(serve.settings(CONNECTOR, vendor.url)))
    arguments = ["record", "scansource", "--config", str(place / "config.json"), "--to", str(place / "kept")]
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False, standalone_mode=False)
    assert "replies in" in done.stderr
    return place / "kept"


@pytest.mark.promise("No secret and no personal value of a vendor's replies is in a recording made for tests")
def test_nothing_secret_and_nothing_personal_is_recorded(vendor: serve.Served, folder: Path) -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    settings = serve.settings(CONNECTOR, vendor.url)
    assert vendor.url not in written
    for value in (*settings["customer_numbers"], settings["client_id"]):
        assert value not in written
    with served(CONNECTOR, config={}, invoices=12) as harness:
        records = harness.full().records("invoice_details")
    addresses = [
        record[place] for record in records for place in ("BillingAddress", "ShippingAddress") if record[place]
    ]
    personal = {value for address in addresses for name in PERSONAL if (value := address.get(name))}
    assert len(personal) > 10
    assert {value for value in personal if len(value) > fake_data.KNOWN_LENGTH and value in written} == set()


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_passes_against_a_recording(folder: Path, check: str) -> None:
    unlike = {"invoice_details": ["InvoiceLines[].Id"]}
    with served(CONNECTOR, config={}, recording=folder, unlike=unlike) as harness:
        assert harness.streams == ("invoices", "invoice_details")
        for stream in harness.streams if CHECKS[check].each_stream else [None]:
            is_left_out = check == "totals" or (check, stream) == ("foreign", "invoices")
            expected = pytest.raises(NotApplicable) if is_left_out else nullcontext()
            with expected:
                CHECKS[check].run(harness, *([stream] if stream else []))


def test_amounts_and_keys_are_those_of_the_vendor(folder: Path) -> None:
    with served(CONNECTOR, config={}, recording=folder) as replayed, served(CONNECTOR, config={}, invoices=12) as real:
        for stream in ("invoices", "invoice_details"):
            replay, vendors = (
                {record["InvoiceNumber"]: record["Total"] for record in harness.alone(stream).records(stream)}
                for harness in (replayed, real)
            )
            assert len(replay) == 12
            assert replay == vendors
            assert all(isinstance(total, Decimal | int) for total in replay.values())


@pytest.mark.promise("What vendortap keeps can be read by its owner only, whatever the umask is")
def test_only_the_owner_can_read_a_recording(tmp_path: Path) -> None:
    """And no link that somebody puts into its folder meanwhile is followed."""
    exchange = tape.Exchange(tape.Asked("GET", "/invoices", {}), 200, "application/json", "1.json")
    kept = tape.Recording("acme", {}, ["invoices"], [exchange])
    umask = os.umask(0)
    try:
        tape.write(tmp_path / "kept", kept, {"1.json": b"{}"})
    finally:
        os.umask(umask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "kept").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    with pytest.raises(UsageError, match="cannot be written: File exists"):
        tape.write(tmp_path / "twice", kept, {tape.INDEX: b"{}"})


def test_what_a_client_has_learned_is_secret_but_not_who_signs_in() -> None:
    client, redact = Redactor(["s3cret-setting", "client", "t0ken-4711"]), Redactor(["s3cret-setting"])
    redact.learn_of(client, but={"client"})
    assert redact.blank("client t0ken-4711 s3cret-setting") == "client *** ***"


def test_too_much_is_refused_and_nothing_is_written(vendor: serve.Served, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="more than 3 replies to record; narrow the settings"):
        recording.record(CONNECTOR, serve.settings(CONNECTOR, vendor.url), tmp_path / "none", most=3)
    assert not (tmp_path / "none").exists()


def test_a_folder_with_something_in_it_and_another_connectors_recording_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="not an empty folder"):
        tape.write(folder, tape.Recording("scansource", {}, [], []), {})
    with pytest.raises(UsageError, match="is of 'scansource', version 1, not of 'acme'"):
        tape.load(folder, "acme")


# --- what is made up ---------------------------------------------------------------------------------

VALUES = st.text(st.sampled_from("aZ9 -.ß"), min_size=6, max_size=12)


@given(st.lists(VALUES, unique=True, max_size=20))
def test_a_made_up_value_is_stable_of_the_same_form_and_no_other_ones(values: list[str]) -> None:
    maker = fake_data.MadeUp(fake_data.Names())
    made = [maker.text(value) for value in values]
    assert made == [maker.text(value) for value in values]
    kinds = [[(c.isdigit(), c.isalpha()) for c in text] for text in values]
    assert [[(c.isdigit(), c.isalpha()) for c in text] for text in made] == kinds
    with_letters = [text for value, text in zip(values, made, strict=True) if sum(map(str.isalnum, value)) > 3]
    assert len(set(with_letters)) == len(with_letters)


def replaced(document: object, *, schema: object = None) -> object:
    names = fake_data.Names()
    names.add(schema or SCHEMA)  # type: ignore[arg-type] # a schema
    maker = fake_data.MadeUp(names)
    body = json.dumps(document).encode()
    fake_data.changed(body, "application/json", maker.learn)
    return json.loads(fake_data.changed(body, "application/json", maker.replace), parse_float=Decimal)


SCHEMA = {
    "properties": {
        "number": {"type": "string"},
        "total": {"type": ["number", "null"]},
        "remark": {"type": ["string", "null"]},
        "product_name": {"type": ["string", "null"], "personal": False},
        "desk": {"type": ["string", "null"], "personal": True},
        "ship_to": {"type": ["object", "null"], "properties": {"line": {"type": ["string", "null"]}}},
    }
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_amount_of_a_connector_is_taken_for_personal(name: str) -> None:
    connector = host.load(name)
    declared = [schemas.load(connector.schemas, stream.schema or stream.name) for stream in connector.streams]
    names = fake_data.Names()
    for schema in declared:
        names.add(schema)
    amounts = {path for schema in declared for path in numbers(schema, schema)}
    assert {path for path in amounts if names.is_personal(path)} == set()


def numbers(member: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of all that a schema declares as a number."""
    if "$ref" in member:
        member = root["$defs"][member["$ref"].rpartition("/")[2]]
    if "number" in member.get("type", ()):
        yield ()
    yield from numbers(member["items"], root) if "items" in member else ()
    for name, inner in member.get("properties", {}).items():
        yield from ((name, *path) for path in numbers(inner, root))


def test_marks_names_places_and_what_is_not_declared_say_what_is_personal() -> None:
    document = {
        "number": "A-1",
        "total": 12.5,
        "remark": "Jane Doe asked, write to jane@example.org",
        "product_name": "Cable",
        "desk": "Jane Doe",
        "ship_to": {"line": "12 High St"},
        "unheard_of": "secretive",
    }
    made = replaced(document)
    assert isinstance(made, dict)
    kept = {name: made[name] for name in ("number", "total", "product_name")}
    assert kept == {"number": "A-1", "total": Decimal("12.5"), "product_name": "Cable"}
    for name in ("desk", "ship_to", "unheard_of", "remark"):
        assert made[name] != document[name]
    assert made["remark"].startswith(f"{made['desk']} asked, write to ")
    assert made["remark"].endswith("@example.com")
