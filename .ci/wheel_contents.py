"""Says whether a wheel holds every file of the packages in the tree: python .ci/wheel_contents.py WHEEL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

SOURCES = {"framework": "vendortap", "connectors": "tap_*", "schemas": "vendortap_schemas"}


def expected(tree: Path) -> Iterator[str]:
    """Yield the path in the wheel of every file that belongs into it."""
    for folder, pattern in SOURCES.items():
        for package in (tree / folder).glob(pattern):
            for file in package.rglob("*"):
                if file.is_file() and "__pycache__" not in file.parts:
                    yield file.relative_to(tree / folder).as_posix()


def main() -> None:
    """Compare and report; ends with 1 where a file is missing or does not belong into the wheel."""
    with ZipFile(sys.argv[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    wanted = set(expected(Path(__file__).resolve().parents[1]))
    if held != wanted:
        sys.exit(f"missing in the wheel: {sorted(wanted - held)}; not in the tree: {sorted(held - wanted)}")
    print(f"{len(held)} files, as in the tree")  # noqa: T201 - what a command says


if __name__ == "__main__":
    main()
