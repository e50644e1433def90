"""What an installation of vendortap is made of, what is broken in it, and how to mend it.

Nothing is sent to anybody, and no setting is read: `vendortap check` is for those.
"""

from __future__ import annotations

import os
import platform
import shutil
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from packaging.requirements import Requirement

from vendortap.plugins import host
from vendortap.support import extras

State = Literal["ok", "missing", "broken"]
"""``missing`` is what one may do without; what is ``broken`` is not to be lived with."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and, where it is not well, how to mend it."""

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; plugins are imported."""
    return [finding for look in _LOOKS for finding in look()]


def _python() -> Iterator[Finding]:
    found = platform.python_version()
    wanted = distribution("vendortap").metadata["Requires-Python"]
    fits = Requirement(f"python{wanted}").specifier.contains(found, prereleases=True)
    detail = f"{found} ({platform.python_implementation()}, {platform.system()} {platform.machine()}), in {sys.prefix}"
    remedy = "" if fits else f"vendortap needs Python {wanted}: make an environment with one, and install it there"
    yield Finding("python", "python", "ok" if fits else "broken", detail, remedy)


def _packages() -> Iterator[Finding]:
    own = distribution("vendortap")
    yield Finding("package", "vendortap", "ok", own.version)
    for requirement in _requirements(own, ""):
        detail, fits = _installed(requirement)
        remedy = "" if fits else f"pip install '{requirement.name}{requirement.specifier}'"
        yield Finding("package", requirement.name, "ok" if fits else "broken", detail, remedy)


def _extras() -> Iterator[Finding]:
    own = distribution("vendortap")
    for extra in sorted(own.metadata.get_all("Provides-Extra") or ()):
        found = {requirement.name: _installed(requirement) for requirement in _requirements(own, extra)}
        if lacking := [f"{name} {detail}" for name, (detail, fits) in found.items() if not fits]:
            yield Finding("extra", extra, "missing", ", ".join(lacking), f"{extras.install(extra)}, if it is wanted")
        else:
            yield Finding("extra", extra, "ok", ", ".join(f"{name} {detail}" for name, (detail, _) in found.items()))


def _requirements(of: Distribution, extra: str) -> Iterator[Requirement]:
    """Yield what a distribution needs here: in any case, or on top of that for an extra."""
    for text in of.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if not extra else not always and marker is not None and marker.evaluate({"extra": extra}):
            yield requirement


def _installed(requirement: Requirement) -> tuple[str, bool]:
    """Return which version is installed, and whether that is one that is wanted."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return "is not installed", False
    if requirement.specifier.contains(found, prereleases=True):
        return found, True
    return f"{found}, wanted is {requirement.specifier}", False


def _plugins() -> Iterator[Finding]:
    problems = host.problems()
    for name, plugin in host.find().items():
        if problem := problems[name]:
            remedy = f"upgrade or uninstall {plugin.package}, or tell its author"
            yield Finding("plugin", name, "broken", problem, remedy)
        else:
            yield Finding("plugin", name, "ok", plugin.distribution)
    if not problems:
        yield Finding(
            "plugin", "connectors", "broken", "there are none", f"pip install --force-reinstall {extras.SOURCE}"
        )


def _commands() -> Iterator[Finding]:
    scripts = Path(sys.executable).parent
    if shutil.which("vendortap"):
        yield Finding("system", "commands", "ok", f"vendortap is {shutil.which('vendortap')}")
    else:
        remedy = f"add {scripts} to PATH, or name the commands with their folder"
        yield Finding("system", "commands", "missing", "the folder of vendortap and the taps is not on PATH", remedy)


def _temporary() -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"\0")
        yield Finding("system", "temporary files", "ok", tempfile.gettempdir())
    except OSError as error:
        remedy = "make room there, or name another folder with TMPDIR"
        yield Finding("system", "temporary files", "broken", f"cannot be written: {error.strerror}", remedy)


def _zones() -> Iterator[Finding]:
    try:
        ZoneInfo("America/New_York")
        yield Finding("system", "time zones", "ok", "are known")
    except ZoneInfoNotFoundError:
        yield Finding("system", "time zones", "broken", "there is no database of time zones", "pip install tzdata")


def _tls() -> Iterator[Finding]:
    yield Finding("system", "TLS", "ok", ssl.OPENSSL_VERSION)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path and not Path(path).exists():
            remedy = f"correct or unset {name}, or name the authorities with the setting ca_bundle"
            yield Finding("system", name, "broken", f"{path} does not exist", remedy)


_LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _extras,
    _plugins,
    _commands,
    _temporary,
    _zones,
    _tls,
)
