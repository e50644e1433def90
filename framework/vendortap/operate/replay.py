"""Records in quarantine, decoded again with today's connector: into messages, or through a target into its database.

An entry is closed when a target has handed back a STATE that covers its record, as in a run; until then it stays, so
that whatever breaks on the way, the record is in the one place or in the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import IO, Any

from vendortap.declare.model import Connector
from vendortap.errors import ConfigError, VendortapError
from vendortap.operate.run import GRACE_SECONDS
from vendortap.singer.tap import REPLAYED, ConnectorTap, tap_class
from vendortap.support import environment
from vendortap.sync import quarantine
from vendortap.sync.quarantine import QuarantineEntry
from vendortap.sync.state import is_state


@dataclass(slots=True)
class Replayed:
    """What was written, what was not and why, and how many entries belong to another account."""

    written: list[QuarantineEntry] = field(default_factory=list)
    left: list[tuple[QuarantineEntry, str]] = field(default_factory=list)
    others: int = 0


def replay(
    connector: Connector,
    config: Mapping[str, Any],
    catalog: Mapping[str, Any] | None = None,
    target: Sequence[str] | None = None,
    *,
    mark: bool = False,
    target_env: Sequence[str] = (),
) -> Replayed:
    """Write SCHEMA and RECORD messages of what is good now, as the tap would, to ``target`` or standard output.

    Entries are closed that a STATE covers which the target handed back. Whether whoever reads standard output has
    taken them cannot be known here; with ``mark`` they are closed all the same. ``target_env`` names variables of the
    environment that the target is given beside those that it needs.

    Raises:
        ConfigError: there is no quarantine.
        VendortapError: the target failed, or handed back no STATE that covers all; entries not covered stay.
    """
    kept = quarantine.of(connector, config)
    if kept is None:
        raise ConfigError("the setting 'quarantine_dir' is missing; it names the quarantine that is to be replayed")
    tap = tap_class(connector)(config=dict(config), catalog=catalog)
    entries, others = kept.entries()
    done = Replayed(others=others)
    if target is None:
        _write(tap, entries, done)
        kept.close([entry.id for entry in done.written] if mark else [], "replayed")
        return done
    load = _Load()
    try:
        with _into(target, load, target_env):
            _write(tap, entries, done, states=True)
    finally:  # also where a record stops the replay: what the target has taken by then is in its tables
        taken = [entry.id for entry in done.written if entry.id in load.covered]
        kept.close(taken, "replayed")
    _check_taken(load, target[0], len(taken), len(done.written))
    return done


def _write(tap: ConnectorTap, entries: Iterable[QuarantineEntry], done: Replayed, *, states: bool = False) -> None:
    for entry, problem in tap.replay(entries, states=states):
        if problem is None:
            done.written.append(entry)
        else:
            done.left.append((entry, problem))
    sys.stdout.flush()


@dataclass(slots=True)
class _Load:
    """What became of a target: the entries that its STATEs cover, its exit code, whether it closed the pipe early.

    ``withheld`` are the names of variables that it was not given.
    """

    covered: set[str] = field(default_factory=set)
    code: int = 0
    is_broken: bool = False
    withheld: Sequence[str] = ()

    def take(self, lines: IO[bytes]) -> None:
        """Take what the target prints, to its end; runs in a thread."""
        with lines:
            for line in lines:
                ids = json.loads(line).get(REPLAYED) if is_state(line) else None
                self.covered.update(entry for entry in (ids if isinstance(ids, list) else ()) if isinstance(entry, str))


@contextmanager
def _into(command: Sequence[str], load: _Load, target_env: Sequence[str]) -> Iterator[None]:
    """Have standard output go into a target, and wait until that has ended."""
    quiet = {"LOGLEVEL": "WARNING", **environment.for_target(os.environ, command, target_env)}
    load.withheld = environment.withheld(os.environ, quiet, command)
    try:
        target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=quiet)  # noqa: S603 - the operator's own command
    except OSError as error:
        raise ConfigError(f"{command[0]!r} cannot be started: {error.strerror}") from None
    assert target.stdin is not None  # noqa: S101 - pipes were asked for
    assert target.stdout is not None  # noqa: S101 - likewise
    states = threading.Thread(target=load.take, args=(target.stdout,), name="state", daemon=True)
    states.start()
    try:
        with TextIOWrapper(target.stdin, encoding="utf-8") as pipe, redirect_stdout(pipe):
            yield
    except BrokenPipeError:
        load.is_broken = True  # its exit code, and its own message, may say more
    finally:
        load.code = target.wait()
        states.join(GRACE_SECONDS)  # what it started may live on and hold its output open


def _check_taken(load: _Load, name: str, taken: int, written: int) -> None:
    """Raise what kept the target from taking all that was written.

    Raises:
        VendortapError: says what it was, and how many entries stay.
    """
    stay = f"{taken:,} of {written:,} entries are closed, the others stay" if taken else "all entries stay"
    if load.code:
        hint = f". {environment.hint(load.withheld)}" if load.withheld else ""
        raise VendortapError(f"the target failed with exit code {load.code}; its message is above, and {stay}{hint}")
    if load.is_broken:
        raise VendortapError(f"the target {name} ended before it had read everything; {stay}. {_WHAT_TO_DO}")
    if taken < written:
        raise VendortapError(
            f"the target {name} handed back no STATE that covers everything, so it is not known to have loaded it; "
            f"{stay}. {_WHAT_TO_DO}"
        )


_WHAT_TO_DO = (
    "Give a Singer target, which prints a STATE when it has loaded what came before. For a program that prints none, "
    "write to standard output instead, and give --mark once it has loaded all of it"
)
