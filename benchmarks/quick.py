"""Compares the working tree with another revision: ``make bench-quick``, or ``python -m benchmarks.quick REV``.

For those who change hot code: JSON, XML, documents and ``--discover``, in turn, in under two minutes, and printed as
ratios. Without a revision it is the last release tag; where there is none, the last commit if files were changed since,
or else the one before.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks import contenders, environments, results
from benchmarks.contenders import Job
from benchmarks.dataset import Form
from benchmarks.environments import OURS, Environment
from benchmarks.fetching import fetching
from benchmarks.figures import Figure, wall
from benchmarks.measure import Command, Failed, run
from benchmarks.paths import ROOT, WORK
from benchmarks.results import Run, spread
from benchmarks.session import Entry, Session, folder

SIZES = {"json": 20_000, "xml": 4_000, "details": 400}
ROUNDS = 5
IN_FLIGHT = 20


def main() -> None:
    """Build both, run them in turn, and print the ratios."""
    parser = argparse.ArgumentParser(prog="benchmarks.quick", description="Compare the working tree with a revision.")
    parser.add_argument("revision", nargs="?", default="", help="a commit, branch or tag")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="default: %(default)s")
    options = parser.parse_args()
    revision = _git("rev-parse", "--short=12", f"{options.revision or default_revision()}^{{commit}}")
    both = {
        revision: environments.light("quick-other", extracted(revision)),
        "working tree": environments.light("quick-this", ROOT),
    }
    print(f"Working tree against {revision}: above 1 the working tree is the faster one. {options.rounds} rounds.\n")
    session = Session({**SIZES, "runs": options.rounds})
    with session.serving("json", SIZES["json"]) as json, session.serving("xml", SIZES["xml"]) as xml:
        jobs: dict[str, tuple[Entry, Figure]] = {
            "JSON list, CPU": (_list(session, "json", json.plain), lambda run: run.cpu),
            "XML list, CPU": (_list(session, "xml", xml.plain), lambda run: run.cpu),
            "documents, wall": (_details(session, json.slow), wall),
            "--discover, CPU": (Entry("discover", (OURS,), _discover), lambda run: run.cpu),
        }
        for what, (entry, figure) in jobs.items():
            print(compared(what, both, entry, figure, options.rounds), flush=True)


def compared(what: str, both: Mapping[str, Environment], entry: Entry, figure: Figure, rounds: int) -> str:
    """Run an entry in both environments in turn; returns a line with both medians, and the ratio with its spread."""
    taken: dict[str, list[float]] = {name: [] for name in both}
    for number in range(1, rounds + 1):
        for name, environment in both.items():
            with folder(f"quick-{entry.name}") as path:
                run = entry.measure({OURS: environment}, path, number)
            if run.error:
                sys.exit(f"{what}, {name}: {run.error}")
            taken[name].append(figure(run))
    others, ours = taken.values()
    ratio = spread([before / after for before, after in zip(others, ours, strict=True)])
    seconds = f"{spread(others).median:7.2f} s → {spread(ours).median:6.2f} s"
    return f"{what:<18}{seconds}   {ratio.median:5.2f} × ({ratio.least:.2f}–{ratio.greatest:.2f})"


def default_revision() -> str:
    """Return what the working tree is compared with where nothing is asked for."""
    if tag := _git("describe", "--tags", "--abbrev=0", check=False):
        return tag
    return "HEAD" if results.revision().endswith("+") else "HEAD~1"


def extracted(revision: str) -> Path:
    """Return a folder with the files of a revision."""
    tree = WORK / "revisions" / revision
    if not tree.exists():
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=True)  # noqa: S607 - from PATH
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(tree, filter="data")
    return tree


def _git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)  # noqa: S607 - from PATH
    if check and done.returncode:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _list(session: Session, form: Form, url: str) -> Entry:
    job: Callable[[Path], Job] = partial(_job, f"{url}/{SIZES[form]}", form)
    return fetching(contenders.VENDORTAP, job, session.truth(form, SIZES[form]))


def _job(url: str, form: Form, path: Path) -> Job:
    return Job(url, path, form)


def _details(session: Session, url: str) -> Entry:
    def job(path: Path) -> Job:
        return Job(f"{url}/{SIZES['details']}", path, stream="invoice_details", concurrency=IN_FLIGHT)

    return fetching(contenders.VENDORTAP, job, session.truth("json", SIZES["details"]))


def _discover(both: Mapping[str, Environment], path: Path, number: int) -> Run:
    arguments = [both[OURS].script("tap-scansource"), "--discover"]
    usage, _ = run(Command(arguments, {"LOGLEVEL": "WARNING"}), path)
    return Run(contender="discover", round=number, **asdict(usage))


if __name__ == "__main__":
    try:
        main()
    except (environments.NotInstalled, Failed) as error:
        sys.exit(str(error))
