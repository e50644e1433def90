"""What messages say: where a request went, the vendor's own reason, and which customer number fails a check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import make_catalog, read
from tests.sync.test_replies import (
    AMAZON,
    DETAILS,
    INGRAM,
    ORDERS,
    SCANSOURCE,
    TOKEN,
    Said,
    failed,
    one,
    run,
    settings,
    vendor,
)
from vendortap.cli import commands
from vendortap.errors import CredentialsError, MissingError, RefusedError, TransportError

STREAM, NUMBERS, _ = DETAILS[AMAZON]


def restricted(path: str, _: str, __: bytes) -> Said:
    """Amazon, whose exchange of tokens names the endpoints."""
    return Said({"errors": [{"code": "NotFound", "message": "No such order.", "details": "Check the number."}]}, 404)


def test_the_endpoint_of_amazon_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange of tokens has the endpoint's path in its body, and whatever stands there was taken for a secret."""
    monkeypatch.setitem(TOKEN, "restrictedDataToken", "r3stricted-4711")
    error, _ = failed(AMAZON, restricted, [STREAM], **{NUMBERS: ["A1"]}, on_missing="fail", restricted_data_token=True)
    assert isinstance(error, MissingError)
    assert f"GET {ORDERS}/A1 answered 404" in str(error)
    assert "No such order: Check the number." in str(error)


def test_the_path_in_quarantine_is_that_of_the_endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TOKEN, "restrictedDataToken", "r3stricted-4711")
    quarantine = {"on_bad_record": "quarantine", "quarantine_dir": str(tmp_path / "q"), "restricted_data_token": True}
    run(AMAZON, lambda *_: one(AMAZON, "B2"), [STREAM], **{NUMBERS: ["A1"]}, **quarantine)
    (line,) = (tmp_path / "q" / f"{AMAZON}.jsonl").read_text().splitlines()
    assert json.loads(line)["request"]["path"] == f"{ORDERS}/A1"


def test_an_error_of_the_network_names_the_host() -> None:
    stream, setting, _ = DETAILS[SCANSOURCE]
    config, catalog = settings(SCANSOURCE, "http://127.0.0.1:9"), make_catalog(streams=[stream])
    with pytest.raises(TransportError, match=r"GET /invoice/\S+ at 127\.0\.0\.1:9 failed: the connection failed"):
        read({**config, setting: ["1"]}, catalog=catalog)


def test_the_vendors_own_reason_is_shown_without_values_and_secrets() -> None:
    fields = [{"field": "invoiceFromDate", "value": "PERSONAL", "message": "is no date; s3cr3t-4711"}]
    said = Said({"errors": [{"id": "1", "type": "Bad", "message": "Invalid request", "fields": fields}]}, 400)
    with pytest.raises(RefusedError, match=r": Invalid request: invoiceFromDate is no date; \*\*\*\.") as caught:
        run(INGRAM, lambda *_: said, ["invoices"])
    assert "PERSONAL" not in str(caught.value)
    error = {"code": "Unauthorized", "message": "Denied.", "details": "The role is missing."}
    with pytest.raises(CredentialsError, match=r": Denied: The role is missing\."):
        run(AMAZON, lambda *_: Said({"errors": [error]}, 403), ["customer_invoices"])


def test_a_check_tries_every_customer_number(tmp_path: Path) -> None:
    def answer(path: str, _: str, __: bytes) -> Said:
        return Said({"Message": "Customer not found."}, 404) if path.endswith("/2") else Said([])

    with vendor(answer) as url:
        config = tmp_path / "config.json"
        for customers, code in ((["1", "3"], 0), (["1", "2", "3"], 1)):
            config.write_text(json.dumps({**settings(SCANSOURCE, url), "customer_numbers": customers}))
            done = CliRunner().invoke(commands, ["check", SCANSOURCE, "--config", str(config)], prog_name="vendortap")
            assert bool(done.exit_code) == bool(code)
            assert bool(re.search("customer number 2", done.output + str(done.exception))) == bool(code)


@pytest.mark.parametrize(
    "said", [Said(status=404, body=b"", kind=None), Said(status=404, body=b"<html>", kind="text/html")]
)
def test_a_check_does_not_believe_a_404_of_a_wrong_address(said: Said, tmp_path: Path) -> None:
    with vendor(lambda *_: said) as url:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(settings(INGRAM, url)))
        done = CliRunner().invoke(commands, ["check", INGRAM, "--config", str(config)], prog_name="vendortap")
    assert done.exit_code
    assert "check" in str(done.exception)
