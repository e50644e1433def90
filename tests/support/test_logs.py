"""`--log-format json`: whoever speaks during a run, standard error has one JSON object a line."""

from __future__ import annotations

import json
import logging
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import environment
from vendortap.support import logs
from vendortap.support.redact import Redactor

if TYPE_CHECKING:
    from tests.conftest import Files, RunTap, StartVendor, Vendor

TALKATIVE = "import sys; sys.stdin.read(); print('{half an object', file=sys.stderr); print('[1]', file=sys.stderr)"


def run(config: str, *arguments: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "vendortap.cli", "run", "scansource", "--config", config, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=60, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_of_a_run_is_an_object_whoever_wrote_it(vendor: Vendor, file: Files) -> None:
    target = shlex.join([sys.executable, "-c", TALKATIVE])
    config = file(vendor.config(invoice_numbers=["999990"]))
    code, said = run(config, "--target", target, "--verbose", "--log-format", "json", LOGLEVEL="INFO")
    assert code == 3
    assert all({"time", "level", "message"} <= line.keys() for line in said)
    assert [line["message"] for line in said if line.get("source") == "target"] == ["{half an object", "[1]"]
    [metric] = [
        line
        for line in said
        if line.get("metric", {}).get("metric") == "record_count" and "invoices" in line["message"]
    ]
    assert (metric["source"], metric["metric"]["value"]) == ("tap", 60)
    assert metric["message"].startswith("METRIC: {")
    [skipped] = [line for line in said if line["message"].endswith("Skipped.")]
    assert (skipped["level"], skipped["source"], skipped["logger"]) == ("warning", "tap", "vendortap.sync")
    assert said[-1]["message"].startswith("vendortap: not obtained of what the vendor lists: 1,")
    progress = [line["progress"] for line in said if line["message"] == "progress"]
    assert progress[-1]["streams"]["invoices"]["records"] == 60


@pytest.mark.parametrize(
    ("changes", "arguments", "sentence"),
    [
        ({"page_size": "x"}, ("--target", "cat"), "the setting 'page_size' has to be integer"),
        ({}, ("--target", "no-such-target"), "'no-such-target' cannot be started"),
        ({}, (), "give one of --to FILE.duckdb and --target"),
    ],
)
def test_errors_are_objects_too(
    vendor: Vendor, file: Files, changes: dict[str, Any], arguments: tuple[str, ...], sentence: str
) -> None:
    code, [said] = run(file({**vendor.config(), **changes}), *arguments, VENDORTAP_LOG_FORMAT="json")
    assert (code, said["level"]) == (2, "error")
    assert sentence in said["message"]


def test_a_tap_by_itself_goes_by_the_environment(start: StartVendor, tap: RunTap) -> None:
    vendor = start(invoices=3)
    secret = vendor.config()["subscription_key"]
    vendor.state.fail(1, 401)
    done = tap(vendor.config(client_id=None), env={"VENDORTAP_LOG_FORMAT": "json", "LOGLEVEL": "DEBUG"})
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.code == 1
    assert said[-1]["message"].startswith("tap-scansource: error: ")
    assert {"debug", "info", "error"} <= {line["level"] for line in said}
    assert secret not in done.stderr


FORGED = "a\x1b[2J\u202e\u2028b\npl4nted%2dsecret"


@pytest.mark.promise("Lines of the log and errors hold no escapes of terminals, no marks of direction and no secrets")
@pytest.mark.parametrize("form", logs.FORMS)
def test_whatever_is_logged_or_said_is_fit_to_be_shown(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(logs.ENVIRONMENT, form)
    redact, root = Redactor(["pl4nted-secret"]), logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(root, "handlers", [handler])
    logs.set_up()
    logging.getLogger("any").warning("%s said %s", "who", FORGED)
    logging.getLogger("any").warning("METRIC: {half %s", FORGED)
    logs.say(f"error: {FORGED}", "error", more={"x": [FORGED]})
    logs.pass_on("target", FORGED)
    logs.pass_on("target", json.dumps({"message": FORGED}))
    said = capsys.readouterr().err
    assert "pl4nted" not in said
    assert said.count("***") >= 5
    assert all(line.isprintable() for line in said.splitlines())
    assert len(said.splitlines()) == (5 if form == "json" else 6), "what is said may have lines, a record may not"
    del redact
