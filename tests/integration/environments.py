"""Foreign programs in environments of their own, since what they pin does not agree with what this project needs.

What is installed is named by version and hash in ``locks/integration/NAME.txt``, made by ``make lock`` of the
``NAME.in`` beside it. An environment is made once, in ``.integration/NAME`` of this tree, and again when its lock or
the interpreter changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vendortap.support import lock

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".integration"
LOCKS = ROOT / "locks" / "integration"


@dataclass(frozen=True)
class Environment:
    """An environment of its own; ``folder`` has a ``bin``."""

    folder: Path

    def command(self, name: str) -> str:
        """Return the path of an installed command."""
        path = self.folder / "bin" / name
        assert path.is_file(), f"{path} is missing: `make clean`, then `make test-integration`"
        return str(path)

    def version(self, distribution: str) -> str:
        """Return the version of an installed distribution."""
        ask = f"import importlib.metadata as m; print(m.version({distribution!r}))"
        done = subprocess.run([self.command("python"), "-c", ask], capture_output=True, text=True, check=True)
        return done.stdout.strip()


def names() -> list[str]:
    """Return all environments that there are locks of."""
    return sorted(path.stem for path in LOCKS.glob("*.in"))


def environment(name: str) -> Environment:
    """Return the environment of that name, made where it is not there or is out of date."""
    folder = FOLDER / name
    FOLDER.mkdir(exist_ok=True)
    with lock.held(FOLDER / f"{name}.lock", f"the environment {name}"):
        requirements = LOCKS / f"{name}.txt"
        made_of = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
        stamp = folder / "made-of"
        if not stamp.exists() or stamp.read_text(encoding="ascii") != made_of:
            _make(folder, requirements)
            stamp.write_text(made_of, encoding="ascii")
    return Environment(folder)


def _make(folder: Path, requirements: Path) -> None:
    """Make the environment: with uv where that is installed beside the tests, as it takes a tenth of pip's time."""
    shutil.rmtree(folder, ignore_errors=True)
    uv = Path(sysconfig.get_path("scripts"), "uv")
    if uv.exists():
        _run([str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)])
        install = [str(uv), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        install = [str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    _run([*install, "--require-hashes", "--requirement", str(requirements)])


def _run(command: Iterable[str]) -> None:
    done = subprocess.run([*command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
