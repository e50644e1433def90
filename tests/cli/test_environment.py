"""`vendortap run` and `quarantine replay` with a target that prints the environment it was given."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Files, Vendor, environment, executable

SECRETS = {
    "HTTP_PROXY": "http://user:hush-proxy@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hush-otel",
    "AWS_SECRET_ACCESS_KEY": "hush-aws",
    "TAP_SCANSOURCE_CLIENT_SECRET": "hush-tap",
    "TAP_OTHER_CLIENT_SECRET": "hush-other-tap",
    "TARGET_OTHER_PASSWORD": "hush-other-target",
    "TARGET_PRINTING_PASSWORD": "hush-own",
    "GITHUB_TOKEN": "hush-github",
}
PROMISE = "A target is given of the environment what it needs and what the operator names, and nothing else"
TARGET = f"""#!{sys.executable}
import json, os, sys
sys.stdin.readline()
taps = []
for pid in os.listdir("/proc") if os.path.isdir("/proc") else []:
    try:
        with open(f"/proc/{{pid}}/stat") as file:
            parent = file.read().rpartition(")")[2].split()[1]
        with open(f"/proc/{{pid}}/environ") as file:
            variables = dict(entry.partition("=")[::2] for entry in file.read().split(chr(0)) if entry)
    except OSError:
        continue
    if pid.isdigit() and int(parent) == os.getppid() and int(pid) != os.getpid():
        taps.append(variables)
with open("{{told}}", "w") as file:
    json.dump({{"target": dict(os.environ), "taps": taps}}, file)
sys.stdin.read()
sys.exit(int(sys.argv[1]))
"""


class Place:
    """A folder with a target that tells its environment, and commands that run into it."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder, self.config = folder, config
        self.target = folder / "target-printing"
        self.target.write_text(TARGET.replace("{told}", str(folder / "told.json")))
        self.target.chmod(self.target.stat().st_mode | stat.S_IXUSR)

    def run(self, *options: str, code: int = 0) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
        command = [executable("vendortap"), *options, "--config", self.config, "--target", f"{self.target} {code}"]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(**SECRETS), cwd=self.folder, check=False
        )
        told = self.folder / "told.json"
        return json.loads(told.read_text()) if told.exists() else {}, done


@pytest.fixture
def place(vendor: Vendor, file: Files, tmp_path: Path) -> Place:
    return Place(tmp_path, file(vendor.config()))


def secret(variables: dict[str, str]) -> set[str]:
    return {name for name in SECRETS if variables.get(name) == SECRETS[name]} - {"NO_PROXY"}


@pytest.mark.promise(PROMISE)
def test_a_target_gets_its_own_settings_and_no_secret_of_others(place: Place) -> None:
    told, done = place.run("run", "scansource")
    assert done.returncode == 0, done.stderr
    assert secret(told["target"]) == {"TARGET_PRINTING_PASSWORD"}
    assert {"PATH", "HOME"} <= told["target"].keys()
    assert "were not given" not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at another process")
@pytest.mark.promise("A tap is not given the settings of targets and of other taps")
def test_a_tap_gets_its_own_settings_and_no_secret_of_targets(place: Place) -> None:
    told, _ = place.run("run", "scansource")
    [tap] = told["taps"]
    assert secret(tap) == {
        "HTTP_PROXY",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "AWS_SECRET_ACCESS_KEY",
        "TAP_SCANSOURCE_CLIENT_SECRET",
    }
    told, _ = place.run("run", "scansource", "--tap-env", "GITHUB_TOKEN")
    assert "GITHUB_TOKEN" in told["taps"][0]
    assert "GITHUB_TOKEN" not in told["target"]


@pytest.mark.promise(PROMISE)
def test_the_operator_names_more(place: Place) -> None:
    told, _ = place.run("run", "scansource", "--target-env", "AWS_*", "--target-env", "GITHUB_TOKEN")
    assert secret(told["target"]) == {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "TARGET_PRINTING_PASSWORD"}


@pytest.mark.promise(PROMISE)
def test_a_target_that_fails_is_told_with_the_names_of_what_it_was_not_given(place: Place) -> None:
    _, done = place.run("run", "scansource", code=7)
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "was not given" in line]
    assert {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "TARGET_OTHER_PASSWORD"} <= set(line.replace(",", "").split())
    assert line.endswith("If it needs one of them, name it with --target-env")
    assert "TARGET_PRINTING_PASSWORD" not in line
    assert "hush" not in done.stderr


@pytest.mark.promise(PROMISE)
def test_a_replay_gives_its_target_no_more(place: Place, vendor: Vendor, file: Files) -> None:
    (place.folder / "quarantine").mkdir(mode=0o700)
    place.config = file(vendor.config(quarantine_dir=str(place.folder / "quarantine")))
    told, done = place.run("quarantine", "replay", "scansource", code=7)
    assert secret(told["target"]) == {"TARGET_PRINTING_PASSWORD"}
    assert "GITHUB_TOKEN" in done.stderr
    assert "hush" not in done.stderr
    told, _ = place.run("quarantine", "replay", "scansource", "--target-env", "GITHUB_TOKEN", code=7)
    assert "GITHUB_TOKEN" in told["target"]
