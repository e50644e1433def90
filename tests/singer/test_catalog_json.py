"""catalog.json at the top level is what `vendortap catalog` prints, and its catalogs work."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from vendortap.plugins import host

ROOT = Path(__file__).parents[2]
BIN = Path(sysconfig.get_path("scripts"))
FIRST_PARTY = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]


def output(*command: str) -> str:
    return subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def printed() -> str:
    return output("vendortap", "catalog")


def test_the_file_is_up_to_date(printed: str) -> None:
    stored = (ROOT / "catalog.json").read_text(encoding="utf-8")
    assert stored == printed, "run: vendortap catalog > catalog.json"


def test_it_has_every_first_party_connector(printed: str) -> None:
    entries: dict[str, Any] = json.loads(printed)
    assert list(entries) == FIRST_PARTY
    for name, entry in entries.items():
        assert entry.keys() == {"title", "executable", "capabilities", "catalog"}
        assert entry["title"]
        assert (BIN / entry["executable"]).exists(), name
        assert {"discover", "state", "catalog", "batch", "stream-maps"} <= set(entry["capabilities"])


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_a_connectors_catalog_is_what_its_tap_discovers(name: str, printed: str) -> None:
    catalog = json.loads(output("vendortap", "catalog", name))
    assert catalog == json.loads(printed)[name]["catalog"]
    assert catalog == json.loads(output(f"tap-{name}", "--discover"))
