"""The locks name what pyproject.toml asks for: exact versions and hashes of their files, and nothing of where from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
PYTHONS = ("3.11", "3.12", "3.13")
_PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.]*)(?: ; (?P<marker>[^\\]+))? \\")
_HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


class Pin(NamedTuple):
    """One version in a lock, and where it counts."""

    name: str
    version: str
    marker: str | None
    hashes: int


def pins(lock: str) -> list[Pin]:
    """Read a lock; a line that is neither a version nor a hash is an error."""
    found: list[Pin] = []
    for line in (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8").splitlines():
        if pin := _PIN.fullmatch(line):
            found.append(Pin(pin["name"], pin["version"], pin["marker"], 0))
        else:
            assert _HASH.fullmatch(line), line
            found[-1] = found[-1]._replace(hashes=found[-1].hashes + 1)
    return found


def asked(group: str) -> list[Requirement]:
    """Return what a dependency group asks for."""
    found: list[Requirement] = []
    for entry in GROUPS[group]:
        found += asked(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


RUN = [
    Requirement(text)
    for text in (
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra),
    )
    if not text.startswith("vendortap[")
]
INTEGRATION = {
    f"integration/{path.stem}": [Requirement(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for path in sorted((ROOT / "locks" / "integration").glob("*.in"))
}
OTHERS = {group: asked(group) for group in ("fuzz", "audit", "site")}
LOCKS = {"run": RUN, "dev": [*RUN, *asked("dev")], **OTHERS, **INTEGRATION}


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    groups = [asked(group) for group in GROUPS]
    for requirement in (one for asked_for in [RUN, *groups, *INTEGRATION.values()] for one in asked_for):
        signs = {specifier.operator for specifier in requirement.specifier}
        assert {">=", "<"} <= signs, str(requirement)


@pytest.mark.promise("What CI installs is named by version and hash, and by nothing that says where it is from")
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_versions_and_hashes_and_nothing_else(lock: str) -> None:
    found = pins(lock)
    assert found
    assert [pin for pin in found if not pin.hashes] == []


def applies(marker: str | None, python: str) -> bool:
    """Whether a marker counts on Linux with this Python."""
    if marker is None:
        return True
    full = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    return Marker(marker).evaluate({**full, "sys_platform": "linux", "platform_machine": "x86_64"})


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_version_that_fits_for_all_that_is_asked_for(lock: str, python: str) -> None:
    versions = {pin.name: pin.version for pin in pins(lock) if applies(pin.marker, python)}
    for requirement in LOCKS[lock]:
        if applies(str(requirement.marker) if requirement.marker else None, python):
            version = versions.get(canonicalize_name(requirement.name))
            assert version, f"{requirement}: run `make lock`"
            assert SpecifierSet(str(requirement.specifier)).contains(version), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tools_are_locked_beside_the_very_versions_that_they_are_used_on(python: str) -> None:
    run, dev, site = (
        {pin.name: pin.version for pin in pins(lock) if applies(pin.marker, python)} for lock in ("run", "dev", "site")
    )
    assert run.items() <= dev.items()
    assert {name: version for name, version in site.items() if name in dev}.items() <= dev.items()
