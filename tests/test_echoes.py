"""A vendor that sends secrets back, in each place of its answers and in each way of writing them: nobody is shown one.

Over a real socket. What taps and commands then write is searched for the secrets by what a reader could undo, not by
what vendortap looks for. Records are data, and not searched; they have them, unchanged.
"""

from __future__ import annotations

import base64
import binascii
import html
import html.entities
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote

import pytest

import vendortap
from tests.conftest import environment, executable
from tests.http.kit import Got, Say, Vendor
from vendortap.errors import VendorError
from vendortap.plugins import host
from vendortap.plugins.validation import settings as settings_of
from vendortap.testing import recording
from vendortap.testing.harness import served

if TYPE_CHECKING:
    from tests.conftest import Files

SECRET = 'Pl4nted/s3cret+~<7>&="two"%4Ax'
"""With what URLs, JSON, XML and Base64 treat in their own ways, and what they take for an escape."""
NAME = "t0k3n-Planted.4711_Name"
"""One that may be a name in XML and HTTP: the token that the vendor gives out."""
FORGED = "forged: all is well"

# --- ways of writing ---------------------------------------------------------------------------------


def _packed(before: str, encode: Callable[[bytes], bytes] = base64.b64encode) -> Callable[[str], str]:
    return lambda secret: encode(f"{before}{secret} and more".encode()).decode()


NAMES = {text: name for name, text in html.entities.html5.items() if name.endswith(";")}
WAYS: Mapping[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "inside a word": lambda secret: f"x{secret}y",
    "percent": lambda secret: quote(secret, ""),
    "percent, lower case": lambda secret: quote(secret, "").lower(),
    "percent, each": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "percent, twice": lambda secret: quote(quote(secret, ""), ""),
    "a form": lambda secret: quote_plus(f"{secret} and more"),
    "JSON": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "JSON, each": lambda secret: "".join(rf"\u{ord(char):04X}" for char in secret),
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "XML": lambda secret: html.escape(secret),
    "XML, decimal": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "XML, hexadecimal": lambda secret: "".join(f"&#x{ord(char):X};" for char in secret),
    "XML, with zeros": lambda secret: "".join(f"&#{ord(char):011};" for char in secret),
    "XML, percent": lambda secret: quote(html.escape(secret), ""),
    "XML of JSON": lambda secret: html.escape(json.dumps(secret)),
    "names of HTML": lambda secret: "".join(f"&{NAMES[char]}" if char in NAMES else char for char in secret),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "hexadecimal, capitals": lambda secret: secret.encode().hex().upper(),
    "Base64": _packed(""),
    "Base64, one on": _packed("x"),
    "Base64, two on": _packed("xy"),
    "Base64 for URLs": _packed("x", base64.urlsafe_b64encode),
    "Base64, percent": lambda secret: quote(_packed("xy")(secret), ""),
    "behind much": lambda secret: "w" * 45 + secret,
    "behind more": lambda secret: "word " * 38 + secret,
    "with no width": lambda secret: "\u200b".join(secret),
    "with blank glyphs": lambda secret: "\u2800\U0001d159".join(secret),
    "with marks": lambda secret: "\u202e".join(secret),
    "with controls": lambda secret: f"\x1b]0;{secret[:9]}\x00{secret[9:]}\x07\n{FORGED}",
}
SAFE = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")


def readings(text: str) -> Iterator[str]:
    """Yield what a patient reader makes of a text."""
    text = "".join(char for char in text if (char.isprintable() and char not in "\u2800\U0001d159") or char == "\n")
    texts = {text}
    for _ in range(3):
        for one in list(texts):
            texts |= {unquote(one), html.unescape(one), _unescaped(one)}
    for one in texts:
        yield one.casefold()
        yield one.replace("+", " ").casefold()


def _unescaped(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r'\\(["/\\])', r"\1", text)


def shows(text: str, secret: str) -> bool:
    """Whether a secret can be read out of a text."""
    wanted = {secret.casefold(), secret.replace("+", " ").casefold(), secret.encode().hex()}
    if any(part in reading for reading in readings(text) for part in wanted):
        return True
    for word in set(re.findall(r"[A-Za-z0-9+/_-]{16,}", unquote(text))):
        for start in range(4):
            piece = word[start:].translate(str.maketrans("-_", "+/"))
            try:
                if secret.encode() in base64.b64decode(piece[: len(piece) // 4 * 4]):
                    return True
            except binascii.Error:
                continue
    return False


@pytest.mark.parametrize("way", WAYS)
def test_the_search_finds_what_the_vendor_writes(way: str) -> None:
    for secret in (SECRET, NAME):
        assert shows(f"before {WAYS[way](secret)} after", secret)


# --- places ------------------------------------------------------------------------------------------


def said(document: Any, status: int = 200, kind: str = "application/json", **headers: str) -> Say:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    given = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Say(status, body, {name: _header(value) for name, value in given.items()})


def _header(value: str) -> str:
    return re.sub(r"[\r\n\0]", "", value).encode("latin-1", "replace").decode("latin-1")


def row(number: str = "90001", **members: Any) -> dict[str, Any]:
    whole = {"invoiceNumber": number, "invoiceDate": "2026-01-02", "invoicedAmountDue": 5, "currencyCode": "USD"}
    return whole | members


def listing(*rows: Any, **beside: Any) -> dict[str, Any]:
    return {"invoices": list(rows), "recordsFound": len(rows), **beside}


def _xml(echo: str) -> bytes:
    name, text = echo if SAFE.fullmatch(echo) else "other", html.escape("".join(filter(str.isprintable, echo)))
    return f"<{name}><invoices><{name}>{text}</{name}></invoices></{name}>".encode()


PLACES: Mapping[str, Callable[[str], Say]] = {
    "error": lambda echo: said({"errors": [{"message": echo, "id": echo, "fields": [{"field": echo}]}]}, 400),
    "error in XML": lambda echo: said(b"<e><message><![CDATA[%b]]></message></e>" % _cdata(echo), 400, "text/xml"),
    "login": lambda echo: said({"error_description": echo}, 401, www_authenticate=echo),
    "redirect": lambda echo: said({}, 302, location=f"https://{echo}.evil.test/{echo}"),
    "redirect host": lambda echo: said({}, 302, location=f"https://{re.sub('[^A-Za-z0-9._-]', '', echo)}/"),
    "type": lambda echo: said({}, 200, f"application/{echo}"),
    "charset": lambda echo: said(b"<a/>", 200, f"application/xml; charset={echo}"),
    "charset of JSON": lambda echo: said(b"\xff[]", 200, f"application/json; charset={echo}"),
    "coding": lambda echo: said({}, 200, content_encoding=echo),
    "wait": lambda echo: said({}, 429, retry_after=echo),
    "key": lambda echo: said({echo: 1}),
    "key like another": lambda echo: said({"Invoices": [], echo: echo}),
    "field": lambda echo: said(listing(row() | {echo: {echo: 1}})),
    "envelope": lambda echo: said({"errors": [{"code": echo, "message": echo}]}),
    "currency": lambda echo: said(listing(row(currencyCode=echo))),
    "number": lambda echo: said(listing(row(echo))),
    "number twice": lambda echo: said(listing(row(echo), row(echo, customerOrderNumber="other"))),
    "number of a bad record": lambda echo: said(listing(row(echo, invoicedAmountDue={echo: echo}))),
    "name in XML": lambda echo: said(_xml(echo), 200, "application/xml"),
    "name of a header": lambda echo: said({}, 500, **{echo if SAFE.fullmatch(echo) else "x": echo}),
}


def _cdata(echo: str) -> bytes:
    return "".join(char for char in echo if char.isprintable() or char == "\n").encode()


@contextmanager
def answering(answer: Callable[[Got], Say]) -> Iterator[str]:
    """A vendor that answers so, by its address."""
    vendor = Vendor(answer)
    thread = threading.Thread(target=vendor.serve_forever)
    thread.start()
    try:
        yield vendor.url
    finally:
        vendor.over.set()
        vendor.shutdown()
        thread.join()
        vendor.server_close()


@contextmanager
def echoing() -> Iterator[str]:
    """A vendor that signs in, and then answers as the path says: ``/<place>/<way>/<which secret>/…``."""
    places, ways = list(PLACES.values()), list(WAYS.values())

    def answer(got: Got) -> Say:
        _, place, way, which, *rest = got.target.split("/")
        if "token" in rest[0]:
            return said({"access_token": NAME, "expires_in": 3600})
        if rest[-1].startswith("invoices?"):
            return places[int(place)](ways[int(way)]((SECRET, NAME)[int(which)]))
        return said({"errors": [{"id": "1", "type": "x", "message": "gone"}]}, 404)

    with answering(answer) as url:
        yield url


def config(url: str, place: str, way: str, which: int, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    base = f"{url}/{list(PLACES).index(place)}/{list(WAYS).index(way)}/{which}"
    given = {
        "base_url": base,
        "token_url": f"{base}/token",
        "client_id": "client",
        "client_secret": SECRET,
        "customer_number": "20-222222",
        "country_code": "US",
        "retry_seconds": 0,
        "requests_per_second": None,
        "concurrency": 1,
        "on_missing": "skip",
    }
    return {**given, **(changes or {})}


CASES = [(place, way, which) for place in PLACES for way in WAYS for which in (0, 1)]
"""Of which each test takes some: no step divides how many ways or places there are, so that each of them comes up."""

# --- taps --------------------------------------------------------------------------------------------

DRIVER = """
import json, logging, os, sys
from vendortap.singer import command

os.environ["VENDORTAP_REPORT_TOTALS"] = "1"
for number, config in enumerate(json.load(open(sys.argv[1]))):
    json.dump(config, open("config.json", "w"))
    os.environ["VENDORTAP_REPORT"] = os.path.abspath(f"report-{number}.json")
    sys.stderr.write(f"### {number}\\n")
    command._run_tap("ingram-micro", ["--config", "config.json"])
    logging.getLogger().handlers.clear()
    sys.stderr.flush()
"""
"""Runs the tap again and again in one process, as its command does."""


@pytest.mark.promise("A secret that a vendor sends back is shown nowhere, wherever it stands and however it is written")
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_vendor_echoes_is_in_no_log_error_report_or_state(
    form: str, file: Files, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    cases = CASES[::11] if form == "text" else CASES[3::31]
    with echoing() as url:
        keep = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "quarantine")}
        jobs = file([config(url, *case, keep) for case in cases])
        env = environment(LOGLEVEL="DEBUG", VENDORTAP_LOG_FORMAT=form, OTEL_TRACES_EXPORTER="console")
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, jobs], env=env, cwd=tmp_path, capture_output=True, check=False
        )
    stderr = done.stderr.decode()
    assert done.returncode == 0, stderr[-3000:]
    parts = re.split(r"^### \d+\n", stderr, flags=re.MULTILINE)[1:]
    assert len(parts) == len(cases)
    for case, number, part in zip(cases, range(len(cases)), parts, strict=True):
        report = (tmp_path / f"report-{number}.json").read_text()
        for text in (part, report):
            assert not [secret for secret in (SECRET, NAME) if shows(text, secret)], (case, text)
            assert all(char.isprintable() or char == "\n" for char in text), (case, text)
        assert not any(line.startswith(FORGED) for line in part.splitlines()), case
    states = [line for line in done.stdout.decode().splitlines() if json.loads(line)["type"] != "RECORD"]
    assert states
    assert not [secret for secret in (SECRET, NAME) if shows("\n".join(states), secret)]
    names = [str(path) for path in tmp_path.rglob("*")]
    assert not [secret for secret in (SECRET, NAME) if shows("\n".join(names), secret)]
    assert "***" in stderr
    record_property("figure", f"{len(cases)} answers")


def test_the_record_has_what_the_vendor_sent(file: Files, tmp_path: Path) -> None:
    with echoing() as url:
        configs = file(config(url, "currency", "as it is", 0))
        command = [sys.executable, "-m", "vendortap.singer", "ingram-micro", "--config", configs]
        done = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, check=False)
    records = [line for line in map(json.loads, done.stdout.splitlines()) if line["type"] == "RECORD"]
    assert [line["record"]["currencyCode"] for line in records if line["stream"] == "invoices"] == [SECRET]


# --- programs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_a_program_is_raised_and_logged_no_secret(place: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with echoing() as url:
        for number, way in list(enumerate(WAYS))[list(PLACES).index(place) % 4 :: 4]:
            caplog.clear()
            texts = []
            try:
                found = vendortap.read("ingram-micro", config(url, place, way, number // 4 % 2), streams=["invoices"])
                texts = [json.dumps(item.state) for item in found if isinstance(item, vendortap.StreamState)]
            except VendorError as error:
                texts.append(str(error))
            texts += [entry.getMessage() for entry in caplog.records if entry.name.startswith("vendortap")]
            for text in texts:
                assert not [secret for secret in (SECRET, NAME) if shows(text, secret)], (way, text)
                assert text.isprintable(), (way, text)


# --- commands ----------------------------------------------------------------------------------------


@pytest.mark.promise("What commands print and report shows no secret that a vendor sends back")
@pytest.mark.parametrize("place", ["currency", "field", "number", "number of a bad record", "error"])
def test_commands_show_no_secret_in_tables_reports_and_messages(place: str, file: Files, tmp_path: Path) -> None:
    keep = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "quarantine")}
    said_by: list[str] = []
    with echoing() as url:
        for way in ("as it is", "percent", "Base64, one on", "with controls"):
            configs = file(config(url, place, way, 0, keep))
            command = [executable("vendortap"), "run", "ingram-micro", "--config", configs, "--verbose"]
            command += ["--target", "cat", "--state", "state.json", "--report", "run.json", "--report", "run.html"]
            env = environment(LOGLEVEL="DEBUG")
            done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
            said_by += [done.stdout, done.stderr]
            said_by += [(tmp_path / name).read_text() for name in ("run.json", "run.html")]
            if (tmp_path / "state.json").exists():
                said_by.append((tmp_path / "state.json").read_text())
                listed = [executable("vendortap"), "open", "list", "--state", "state.json"]
                said_by.append(subprocess.run(listed, env=env, cwd=tmp_path, capture_output=True, text=True).stdout)
            listed = [executable("vendortap"), "quarantine", "list", "quarantine"]
            said_by.append(subprocess.run(listed, env=env, cwd=tmp_path, capture_output=True, text=True).stdout)
    for text in said_by:
        assert not shows(text, SECRET), text
        assert all(char.isprintable() or char == "\n" for char in text), text


# --- recordings --------------------------------------------------------------------------------------


@pytest.mark.promise("No secret that a vendor sends back is in a recording made for tests, tokens included")
@pytest.mark.parametrize("secret", [SECRET, NAME])
@pytest.mark.parametrize("way", WAYS)
def test_a_recording_has_no_secret_that_the_vendor_sends_back(way: str, secret: str, tmp_path: Path) -> None:
    """Neither in a path that is asked for, nor in a header or a body; and no part of one that is like a name."""
    echo = WAYS[way](secret)
    kind = f"application/json; x={echo}"

    def answer(got: Got) -> Say:
        name = got.target.rpartition("/")[2]
        if name.startswith("token"):
            return said({"access_token": NAME, "expires_in": 3600})
        if name.startswith("invoices?"):
            return said(listing(row(echo), row("90002", currencyCode=echo)), 200, kind)
        beside = {"contactName": "s3cret", "unheardOf": "Planted", echo: {echo: [echo, "Planted"]}}
        return said(row(unquote(name.partition("?")[0])) | beside, 200, kind)

    with answering(answer) as url:
        given = {**config(url, "error", way, 0), "base_url": url, "token_url": f"{url}/token"}
        kept = recording.record(
            host.load("ingram-micro"), given, tmp_path / "kept", streams=["invoices", "invoice_details"]
        )
    written = "\n".join(path.read_text(encoding="utf-8") for path in (tmp_path / "kept").iterdir())
    assert not [one for one in (SECRET, NAME) if shows(written, one)], written
    assert "***" in written
    assert {exchange.media_type for exchange in kept.exchanges} == {"application/json"}
    assert sum("%2A%2A%2A" in exchange.asked.path for exchange in kept.exchanges) == 1
    if way in ("as it is", "inside a word"):
        assert not re.search("s3cr|4711|Pl4nted|t0k3n", written), written


def test_a_recording_of_a_vendor_that_echoes_secrets_can_be_replayed(tmp_path: Path) -> None:
    def answer(got: Got) -> Say:
        name = got.target.rpartition("/")[2]
        if name.startswith("token"):
            return said({"access_token": NAME, "expires_in": 3600})
        if name.startswith("invoices?"):
            return said(listing(row(NAME), row("90002")))
        return said(row(name.partition("?")[0]))

    connector = host.load("ingram-micro")
    with answering(answer) as url:
        given = {**config(url, "error", "as it is", 0), "base_url": url, "token_url": f"{url}/token"}
        given["sender_id"] = f"={SECRET}"
        kept = recording.record(connector, given, tmp_path / "kept", streams=["invoice_details"])
    assert kept.config["sender_id"] == "=***"
    with served(connector, config={}, recording=tmp_path / "kept") as subject:
        numbers = [record["invoiceNumber"] for record in subject.full().records("invoice_details")]
    assert sorted(numbers) == ["***", "90002"]


def test_each_secret_setting_is_planted_by_one_of_these_tests() -> None:
    properties = settings_of(host.load("ingram-micro"))["properties"]
    assert [name for name, setting in properties.items() if setting.get("secret")] == ["client_secret"]
