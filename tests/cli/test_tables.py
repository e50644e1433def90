"""What is in a table's cells cannot act on the terminal, nor show a secret."""

from __future__ import annotations

import pytest
from rich.console import Console

from vendortap.cli.progress import Progress
from vendortap.cli.tables import table
from vendortap.support.redact import Redactor

HOSTILE = "\x1b]8;;https://evil.test\x07INV\x1b[31m\u202e1\n2\u200b\x9b2J\x07pl4nted-secret"


@pytest.mark.promise("Tables and progress hold no escapes of terminals, no marks of direction and no secrets")
def test_a_cell_is_one_line_of_what_is_seen() -> None:
    redact = Redactor(["pl4nted-secret"])
    lines = table(["key", "n"], [[HOSTILE, "1"], ["x", "22"]]).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert [line.rstrip()[-2:] for line in lines] == [" n", " 1", "22"]
    assert "pl4nted" not in "".join(lines)
    del redact


def test_a_line_above_the_bars_is_text() -> None:
    redact = Redactor(["pl4nted-secret"])
    console = Console(record=True, force_terminal=True, width=200)
    Progress(console).log("target", HOSTILE)
    text = console.export_text(styles=True).strip()
    assert "\x1b]" not in text
    assert text.isprintable()
    assert "***" in text
    del redact
