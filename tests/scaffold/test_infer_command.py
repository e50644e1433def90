"""`vendortap infer`, as its users run it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

from vendortap.scaffold import layout

VENDORTAP = str(Path(sysconfig.get_path("scripts")) / "vendortap")
FIXTURES = Path(__file__).parents[1] / "fixtures"


def infer(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VENDORTAP, "infer", *map(str, arguments)], capture_output=True, text=True)


def test_a_draft_goes_to_standard_output_and_what_it_rests_on_to_standard_error() -> None:
    done = infer(FIXTURES / "ingram_micro" / "v6-list.json", "--title", "Invoices")
    assert done.returncode == 0
    assert json.loads(done.stdout)["required"] == ["invoiceNumber"]
    assert '    "invoicedAmountDue": {"type": ["number", "null"]},\n' in done.stdout
    assert "vendortap: the records are taken to be at invoices\n" in done.stderr
    assert "RCW67" not in done.stderr  # no value of a sample


def test_a_schema_is_extended_in_place_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    schema, sample = tmp_path / "schema.json", tmp_path / "sample.json"
    first = infer(FIXTURES / "scansource" / "invoice.json", "--output", schema)
    assert first.returncode == 0
    assert f"written to {schema}; declare record_selector=RecordSelector(many=False)" in first.stderr
    assert schema.stat().st_mode & 0o777 == 0o644
    sample.write_text(json.dumps({"InvoiceNumber": "1", "Rebate": 1.5}))
    second = infer(sample, "--rows", ".", "--extend", schema, "--output", schema)
    assert "changed: $.Rebate is new: number" in second.stderr
    widened = schema.read_text()
    assert infer(sample, "--rows", ".", "--extend", schema, "--output", schema).stderr.count("changed:") == 0
    assert schema.read_text() == widened


def test_what_is_wrong_is_one_sentence_and_exit_code_2_and_nothing_is_written(tmp_path: Path) -> None:
    sample, output = tmp_path / "sample.json", tmp_path / "schema.json"
    sample.write_text("not JSON")
    commands: list[list[str | Path]] = [
        [sample, "--output", output],
        [tmp_path / "missing.json", "--output", output],
        [FIXTURES / "ingram_micro" / "v6-list.json", "--rows", "x.y", "--output", output],
        [FIXTURES / "ingram_micro" / "v6-list.json", "--extend", sample, "--output", output],
        [FIXTURES / "ingram_micro" / "v6-list.json", "--extend", sample, "--key", "x", "--output", output],
        ["--output", output],
    ]
    for arguments in commands:
        done = infer(*arguments)
        assert done.returncode == 2
        assert "rror" in done.stderr
        assert "Traceback" not in done.stderr
        assert not output.exists()


def test_a_property_stands_on_a_line_if_it_fits() -> None:
    described = {"type": "string", "description": "x" * 120}
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": described}, "required": ["a"]}
    text = layout.dumps(schema)
    assert json.loads(text) == schema
    assert text == (
        '{\n  "type": "object",\n  "properties": {\n    "a": {"type": "string"},\n'
        '    "b": {"type": "string",\n      "description": "' + "x" * 120 + '"}\n  },\n  "required": ["a"]\n}\n'
    )
