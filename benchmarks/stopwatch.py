"""Runs one command and writes what it took: ``stopwatch.py REPORT COMMAND...``.

A process of its own, which imports next to nothing: a child's peak memory starts from that of the process that
starts it (getrusage(2): ``ru_maxrss`` is kept over exec), and the benchmarks themselves are larger than what they
measure. Times are those of the command and of all its children that it waited for.
"""

import json
import os
import sys
import time

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""ru_maxrss is in bytes there, in kilobytes elsewhere."""


def main() -> None:
    """Run the command to its end."""
    report, *command = sys.argv[1:]
    began = time.monotonic()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    took = {
        "wall": time.monotonic() - began,
        "user": usage.ru_utime,
        "system": usage.ru_stime,
        "peak_mib": usage.ru_maxrss * RSS_UNIT / 2**20,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    with open(report, "w", encoding="utf-8") as file:
        json.dump(took, file)


if __name__ == "__main__":
    main()
