"""The command of the soak: play histories, and say which ended badly and how to play each again."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import count, islice, takewhile
from multiprocessing import get_context

from tests.soak.histories import CONNECTORS, Event, draw
from tests.soak.oracle import Problem
from tests.soak.runs import play

WORKERS = 2
HANGS = 300
"""Seconds after which a history hangs: that is an error of its own."""


@dataclass(frozen=True)
class Result:
    """What one history came to."""

    connector: str
    seed: int
    replay: str
    events: tuple[Event, ...]
    codes: tuple[int | None, ...]
    problems: tuple[Problem, ...]
    unseen: int
    words: tuple[str, ...]


def played(unseen: bool, one: tuple[str, int]) -> Result:
    """Play one history, in a process of the pool."""
    signal.alarm(HANGS)
    history = draw(*one, unseen)
    verdict, outcomes = play(history)
    words = tuple(f"{o.error[:600]} {o.said[-600:]}" for o in outcomes) if verdict.problems else ()
    codes = tuple(outcome.code for outcome in outcomes)
    again = history.replay + (" --unseen" if unseen else "")
    return Result(*one, again, history.events, codes, tuple(verdict.problems), len(verdict.unseen), words)


def chosen(connectors: Sequence[str], first: int, histories: int | None) -> Iterator[tuple[str, int]]:
    """Yield connectors and seeds, one connector after the other for each seed."""
    for seed in islice(count(first), histories):
        yield from ((connector, seed) for connector in connectors)


def told(result: Result, verbose: bool) -> str:
    """Say what is wrong with a history, and how to play it again."""
    lines = [f"FAILED {result.connector}, seed {result.seed}; exit codes {result.codes}"]
    lines += [f"  {event}" for event in sorted(result.events, key=lambda event: (event.run, event.at))]
    for problem in result.problems:
        more = ", ..." if len(problem.numbers) > 5 else ""
        named = f": {len(problem.numbers)} ({', '.join(problem.numbers[:5])}{more})" if problem.numbers else ""
        lines.append(f"  run {problem.run + 1}, {problem.stream or 'all streams'}: {problem.what}{named}")
    lines += [f"  run {run} said: {words.strip()}" for run, words in enumerate(result.words, 1) if verbose]
    return "\n".join([*lines, f"  again: {result.replay}"])


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, help="Begin no history after so long.")
    parser.add_argument("--histories", type=int, help="So many of each connector. Default: 500, or as --seconds lets.")
    parser.add_argument("--seed", type=int, default=1, help="The first seed.")
    parser.add_argument("--connector", choices=CONNECTORS, action="append", help="Only this one; may be repeated.")
    parser.add_argument("--first-only", action="store_true", help="Stop at the first history that ends badly.")
    parser.add_argument("--unseen", action="store_true", help="Let rows leave lists where nobody can see it.")
    parser.add_argument("--verbose", action="store_true", help="Show what the runs of a bad history said.")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Play histories; 1 where one ended badly."""
    options = options_of(arguments)
    histories = options.histories or (None if options.seconds else 500)
    begun = time.monotonic()
    deadline = begun + (options.seconds or float("inf"))
    ones = takewhile(
        lambda _: time.monotonic() < deadline, chosen(options.connector or CONNECTORS, options.seed, histories)
    )
    bad: Counter[tuple[str, str]] = Counter()
    done: Counter[str] = Counter()
    failed = unseen = 0
    for result in results(ones, options.unseen):
        done[result.connector] += 1
        unseen += result.unseen
        failed += bool(result.problems)
        bad.update({(result.connector, problem.what) for problem in result.problems})
        if result.problems:
            say(told(result, options.verbose))
            if options.first_only:
                break
    took = time.monotonic() - begun
    for (connector, what), times in sorted(bad.items()):
        say(f"{connector}: {what}: {times} of {done[connector]} histories")
    total = done.total()
    say(f"{total:,} histories in {took:.0f} s ({total / took:.1f} a second), {failed:,} ended badly; {unseen:,} unseen")
    return 1 if failed or not total else 0


def quiet() -> None:
    """Prepare a process of the pool: each history collects what the product logs, and none may hang."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"unexpected: no end after {HANGS} s")

    signal.signal(signal.SIGALRM, hangs)
    logging.lastResort = None
    os.environ.pop("VENDORTAP_LOG_FORMAT", None)


def results(ones: Iterator[tuple[str, int]], unseen: bool) -> Iterator[Result]:
    """Play histories in processes, a few ahead; a process that dies is an error."""
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), quiet) as pool:
        waiting = {pool.submit(played, unseen, one) for one in islice(ones, 2 * WORKERS)}
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= {pool.submit(played, unseen, one) for one in islice(ones, len(ready))}
            yield from (future.result() for future in ready)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201
