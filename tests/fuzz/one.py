"""Fuzz one target with atheris: ``python -m tests.fuzz.one TARGET FOLDER FLAG…``, the flags being libFuzzer's."""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["vendortap"]):
    from tests.fuzz.targets import OURS, TARGETS

LIMITS = ("-max_len=65536", "-timeout=60", "-rss_limit_mb=4096")


def main(target: str, folder: str, *flags: str) -> None:
    """Give the target one input after the other; ends the process."""
    read = TARGETS[target]

    def one(data: bytes) -> None:
        with suppress(*OURS):
            read(data)

    atheris.Setup([sys.argv[0], folder, *LIMITS, f"-artifact_prefix={folder}/", *flags], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
