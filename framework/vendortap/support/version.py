"""The installed version."""

from __future__ import annotations

from importlib.metadata import distribution


def version() -> str:
    """Return this package's version.

    Only the head of its metadata is read: the whole, with the README, takes a tenth as long as all imports here.

    Raises:
        PackageNotFoundError: it is not installed, as where it runs from a source tree.
    """
    head = (distribution("vendortap").read_text("METADATA") or "").partition("\n\n")[0]
    return next(line.removeprefix("Version: ") for line in head.splitlines() if line.startswith("Version: "))
