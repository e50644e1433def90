"""`vendortap doctor` and `vendortap completion`: of this installation, of broken ones, and in real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vendortap.plugins import host

BIN = Path(sysconfig.get_path("scripts"))
ON_PATH = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
BROKEN_METADATA = "Metadata-Version: 2.1\nName: tap-vendor\nVersion: 2.5\n"


def vendortap(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vendortap.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**ON_PATH, **env}, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done


def site(folder: Path, name: str, metadata: str, **files: str) -> str:
    """A folder of installed packages with one distribution in it, for PYTHONPATH."""
    info = folder / f"{name}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(metadata)
    for file, text in files.items():
        (info / f"{file}.txt").write_text(text)
    return str(folder)


# --- doctor ------------------------------------------------------------------------------------------


def test_doctor_finds_a_sound_installation_sound() -> None:
    done = vendortap("doctor", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["healthy"] is True
    states = {(one["area"], one["name"]): one["state"] for one in said["findings"]}
    assert {name for area, name in states if area == "plugin"} == set(host.find())
    own = distribution("vendortap")
    needed = {Requirement(text).name for text in own.requires or () if "extra ==" not in text}
    assert {name for area, name in states if area == "package"} - {"vendortap"} <= needed
    assert {"click", "lxml", "singer-sdk"} <= {name for area, name in states if area == "package"}
    assert {name for area, name in states if area == "extra"} == set(own.metadata.get_all("Provides-Extra") or ())
    assert set(states.values()) == {"ok"}


def test_doctor_names_a_broken_plugin_and_how_to_mend_it(tmp_path: Path) -> None:
    entry = f"[{host.GROUP}]\nvendor = vendor_that_is_not_there\n"
    path = site(tmp_path, "tap_vendor-2.5", BROKEN_METADATA, entry_points=entry)
    done = vendortap("doctor", PYTHONPATH=path)
    assert done.returncode == 1
    assert "broken" in done.stdout
    assert "connector 'vendor' of tap-vendor 2.5 cannot be used" in done.stdout
    assert "→ upgrade or uninstall tap-vendor" in done.stdout


def test_doctor_names_a_package_of_another_version_and_the_command_that_mends_it(tmp_path: Path) -> None:
    path = site(tmp_path, "pluggy-0.1", "Metadata-Version: 2.1\nName: pluggy\nVersion: 0.1\n")
    done = vendortap("doctor", "--json", PYTHONPATH=path)
    assert done.returncode == 1
    [broken] = [one for one in json.loads(done.stdout)["findings"] if one["state"] == "broken"]
    assert (broken["area"], broken["name"]) == ("package", "pluggy")
    assert broken["detail"].startswith("0.1, wanted is ")
    assert broken["remedy"].startswith("pip install 'pluggy")


def test_doctor_names_what_is_wrong_with_the_system(tmp_path: Path) -> None:
    env = {"REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem"), "PATH": os.defpath, "PYTHONTZPATH": ""}
    done = vendortap("doctor", "--json", **env)
    assert done.returncode == 1
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"] if one["state"] != "ok"}
    assert found["REQUESTS_CA_BUNDLE"]["state"] == "broken"
    assert found["commands"]["state"] == "missing"
    assert str(BIN) in found["commands"]["remedy"]


# --- completion --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"), [("ru", "run"), ("describe scan", "scansource"), ("run x --rep", "--report")]
)
def test_commands_options_and_connectors_are_completed(typed: str, offered: str) -> None:
    words = ["vendortap", *typed.split()]
    env = {"_VENDORTAP_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run([BIN / "vendortap"], capture_output=True, text=True, env={**ON_PATH, **env}, check=False)
    assert f"plain,{offered}" in done.stdout.splitlines()


def test_what_is_printed_for_bash_makes_bash_complete() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = """
        source <(vendortap completion bash)
        COMP_WORDS=(vendortap desc) COMP_CWORD=1
        complete -p vendortap
        _vendortap_completion vendortap desc vendortap
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=ON_PATH, check=True)
    assert "_vendortap_completion vendortap" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1] == "describe"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    done = vendortap("completion", shell)
    assert done.returncode == 0
    assert f"{shell}_complete" in done.stdout


def test_another_shell_is_bad_usage() -> None:
    assert vendortap("completion", "csh").returncode == 2
