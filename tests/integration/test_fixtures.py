"""What the other tests of this folder stand on is there, and is what it says."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration import debian, environments

if TYPE_CHECKING:
    from tests.integration.conftest import GetEnvironment
    from tests.integration.postgres import Server


def test_postgresql_runs_and_asks_for_its_password(postgres_server: Server) -> None:
    assert postgres_server.query("SELECT 0.1::numeric + 0.2, NULL, E'a\nb' UNION ALL SELECT 2, 'x', ''") == [
        ["0.3", "", "a\nb"],
        ["2", "x", ""],
    ]
    stranger = [
        "--host=127.0.0.1",
        f"--port={postgres_server.port}",
        "--username=vendortap",
        "--no-password",
        "postgres",
    ]
    asked = [postgres_server.psql, "--command=SELECT 1", *stranger]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 2


def test_chromium_draws_a_page(chromium: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    draw = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    draw += [f"--screenshot={picture}", "data:text/html,<h1>here</h1>"]
    subprocess.run(draw, capture_output=True, timeout=60, check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", environments.names())
def test_an_environment_agrees_with_itself(environment: GetEnvironment, name: str) -> None:
    made = environment(name)
    check = [made.command("python"), "-c", "import sys; print(sys.prefix)"]
    done = subprocess.run(check, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).samefile(made.folder)
    assert environment(name) == made


def test_what_is_missing_is_said_and_not_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="Teleprinter is missing, and there is no apt-get here: install"):
        debian.installed("Teleprinter", "teleprinter", ["tp"])
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: no such package' >&2; exit 100\n", encoding="ascii")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.fail.Exception, match="Teleprinter is missing, and only root may install it: install"):
        debian.installed("Teleprinter", "teleprinter", ["tp"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(pytest.fail.Exception, match="apt-get cannot install it: `apt-get update` ends with 100: E: no"):
        debian.installed("Teleprinter", "teleprinter", ["tp"])


def test_two_that_install_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """As two workers of pytest do; and for somebody who has the lists at first."""
    apt_get, lists = tmp_path / "apt-get", tmp_path / "lists"
    held = f"mkdir {lists} || {{ echo 'E: Could not get lock /var/lib/apt/lists/lock' >&2; exit 100; }}"
    apt_get.write_text(f"#!/bin/sh\n{held}\nsleep 0.2\nrmdir {lists}\n", encoding="ascii")
    apt_get.chmod(0o755)
    lists.mkdir()
    with ThreadPoolExecutor(3) as threads:
        complaints = threads.map(lambda package: debian._install(str(apt_get), package), ("one", "two", "three"))
        time.sleep(0.3)
        lists.rmdir()
        assert list(complaints) == [None] * 3
