"""The environments of the contenders: each has one of its own, as their pins conflict.

They are made with venv and pip, once; a changed list of requirements makes them anew. What cannot be installed is
reported, and the contenders that need it are left out.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.paths import PLUGIN, ROOT, WORK

OURS = "vendortap"

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "singer-sdk": ("singer-sdk[msgspec]==0.54.9", "simplejson==4.3.0", "xmltodict==1.0.4"),
    "singer-python": ("singer-python==6.8.0", "requests==2.34.2", "xmltodict==1.0.4"),
    "airbyte-cdk": ("airbyte-cdk==7.39.1",),
    "dlt": ("dlt[filesystem,duckdb]==1.31.0", "duckdb==2.0.0", "pyarrow==26.0.1"),
    "limits": (
        *("msgspec==0.22.0", "urllib3==2.8.0", "requests==2.34.2", "lxml==6.1.3", "xmltodict==1.0.4"),
        *("duckdb==2.0.0", "pytz==2026.6"),
    ),
    "target-duckdb": ("target-duckdb==0.8.0", "duckdb<1.3"),  # with a newer duckdb it loses rows without a word
}


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def script(self, name: str) -> str:
        """Return one of its console scripts."""
        return str(self.folder / "bin" / name)

    @property
    def packages(self) -> Path:
        """Where its distributions are."""
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def versions(self) -> dict[str, str]:
        """Return what is installed: distribution → version."""
        found = importlib.metadata.distributions(path=[str(self.packages)])
        return dict(sorted((item.metadata["Name"], item.version) for item in found))


class NotInstalled(Exception):
    """An environment cannot be made; the message is pip's last line."""


def peer(name: str) -> Environment:
    """Return a peer's environment, made where it is not there yet.

    Raises:
        NotInstalled: its requirements cannot be installed.
    """
    requirements = REQUIREMENTS[name]
    return _made(WORK / "environments" / name, requirements, "\n".join(requirements))


def ours() -> Environment:
    """Return an environment with the project as it is here, installed from its wheel as users have it.

    Raises:
        NotInstalled: the project or its dependencies cannot be installed.
    """
    project, plugin = _wheels(OURS, ROOT)
    stamp = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    environment = _made(WORK / "environments" / OURS, [f"{project}[duckdb]"], stamp)
    _pip(environment.python, ["install", "--no-deps", "--force-reinstall", str(project), str(plugin)], OURS)
    return environment


def light(name: str, tree: Path) -> Environment:
    """Return an environment with the project as it is in a tree, and the plugin as it is here; made in seconds.

    Its dependencies are in an environment beside it, which all trees that ask for the same ones share.

    Raises:
        NotInstalled: the project or its dependencies cannot be installed.
    """
    described = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*described["dependencies"], *described["optional-dependencies"]["duckdb"]]
    stamp = "\n".join(needed)
    digest = hashlib.sha256(stamp.encode()).hexdigest()[:12]
    base = _made(WORK / "environments" / f"dependencies-{digest}", needed, stamp)
    environment = Environment(WORK / "environments" / name)
    subprocess.run([base.python, "-m", "venv", "--clear", "--without-pip", str(environment.folder)], check=True)
    (environment.packages / "dependencies.pth").write_text(f"{base.packages}\n", encoding="utf-8")
    wheels = map(str, _wheels(name, tree))
    _pip(base.python, ["--python", environment.python, "install", "--no-deps", *wheels], name)
    return environment


def _wheels(name: str, tree: Path) -> tuple[Path, Path]:
    """Build the wheels of the project in a tree, and of the plugin."""
    folder = WORK / "wheels" / name
    shutil.rmtree(folder, ignore_errors=True)
    for source in (tree, PLUGIN):
        build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
        _pip(sys.executable, build, name)
    (project,), (plugin,) = folder.glob("vendortap-*.whl"), folder.glob("tap_bench-*.whl")
    return project, plugin


def _made(folder: Path, requirements: Sequence[str], stamp: str) -> Environment:
    environment = Environment(folder)
    stamped = folder / "made-from"
    if stamped.exists() and stamped.read_text(encoding="utf-8") == stamp:
        return environment
    print(f"{folder.name}: installing ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    _pip(environment.python, ["install", *requirements], folder.name)
    stamped.write_text(stamp, encoding="utf-8")
    return environment


def _pip(python: str, arguments: Sequence[str], name: str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [f"pip fails for {name}"]
        raise NotInstalled(said[-1].removeprefix("ERROR: "))
