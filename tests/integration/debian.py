"""Programs of Debian's packages: found, or installed where apt-get is there and may, or missed in a clear sentence."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

PATIENCE = 120
"""Seconds to wait for somebody else who is installing something."""


def found(commands: Iterable[str], folders: Iterable[str] = ()) -> str | None:
    """Return the path of the first command that is on the path or in a folder (a glob; the last match counts)."""
    for command in commands:
        if path := shutil.which(command):
            return path
        for pattern in folders:
            if matches := sorted(Path("/").glob(f"{pattern.lstrip('/')}/{command}")):
                return str(matches[-1])
    return None


def installed(what: str, package: str, commands: Iterable[str], folders: Iterable[str] = ()) -> str:
    """Return the path of one of the commands, after installing Debian's package where none is there.

    Fails the test with what is missing and how to get it: a test that is skipped would be taken for one that passed.
    """
    if path := found(commands, folders):
        return path
    get_it = f"install it with `apt-get install {package}`, or otherwise, so that {' or '.join(commands)} is found"
    apt_get = shutil.which("apt-get")
    if apt_get is None:
        pytest.fail(f"{what} is missing, and there is no apt-get here: {get_it}", pytrace=False)
    if os.geteuid() != 0:
        pytest.fail(f"{what} is missing, and only root may install it: {get_it}", pytrace=False)
    if complaint := _install(apt_get, package):
        pytest.fail(f"{what} is missing, and apt-get cannot install it: {complaint}", pytrace=False)
    path = found(commands, folders)
    if path is None:
        pytest.fail(f"{what} is missing, though the package {package} is installed: {get_it}", pytrace=False)
    return path


@cache
def _install(apt_get: str, package: str) -> str | None:
    """Install a package; returns what is wrong, if anything is. One at a time: `apt-get update` waits for no other."""
    quietly: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["--quiet", "--quiet", "--option", f"DPkg::Lock::Timeout={PATIENCE}"]
    with Path(tempfile.gettempdir(), "vendortap-tests-apt.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            done = _patiently([apt_get, *options, *command], quietly)
            if done.returncode:
                return f"`apt-get {' '.join(command)}` ends with {done.returncode}: {done.stderr.strip()[-500:]}"
    return None


def _patiently(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command again as long as somebody else has the package lists."""
    stop = time.monotonic() + PATIENCE
    while True:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if not done.returncode or "Could not get lock" not in done.stderr or time.monotonic() > stop:
            return done
        time.sleep(0.5)
