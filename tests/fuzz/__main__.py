"""Let atheris look for inputs that hypothesis does not think of: ``python -m tests.fuzz [SECONDS]``, for all targets.

Each target has a process of its own (tests/fuzz/one.py), since libFuzzer ends the one that it runs in. Where atheris
is not installed, which has wheels of one platform only, this says so and ends with 0.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.corpus import KINDS, seeds

SECONDS = 30
"""For all targets together."""


def main(arguments: Sequence[str]) -> int:
    """Fuzz all targets, one after the other; 1 where one of them let an error out that is not ours."""
    if importlib.util.find_spec("atheris") is None:
        print("NOT FUZZED with atheris, which is not installed: it has no wheel of this Python and platform.")  # noqa: T201
        return 0
    seconds = int(arguments[0]) if arguments else SECONDS
    broken = [target for target in KINDS if not fuzz(target, max(1, seconds // len(KINDS)))]
    return 1 if broken else 0


def fuzz(target: str, seconds: int) -> bool:
    """Fuzz one target for a time, and say how it went."""
    with tempfile.TemporaryDirectory(prefix="vendortap-fuzz-") as folder:
        for number, body in enumerate(seeds()[KINDS[target]]):
            (Path(folder) / str(number)).write_bytes(body)
        command = [sys.executable, "-m", "tests.fuzz.one", target, folder, f"-max_total_time={seconds}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    runs = re.findall(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    good = done.returncode == 0 and bool(runs)
    print(f"{target}: {int(runs[0]):,} inputs" if good else f"{target}: {done.stdout}{done.stderr[-4000:]}")  # noqa: T201
    return good


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
