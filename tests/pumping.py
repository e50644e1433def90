"""Texts that a regular expression takes longest for, made of its own alphabet; and whether it takes too long for them.

A repetition costs more than linear time where what it has matched can be matched in many ways, or from many places.
So each repetition of an expression is pumped up: behind what stands before it, together with that again and again,
and before the next repetition; each time with something behind it that does not match.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from re import _constants as ops  # type: ignore[attr-defined] # the parser of re itself, which nobody else has
from re import _parser as parser  # type: ignore[attr-defined] # as above
from typing import Any

LENGTH = 8_000
"""Characters of a pumped text: what is quadratic takes a second for them, what is linear less than a millisecond."""
SUSPECT_SECONDS = 0.02
"""What takes less is not measured any further."""
LIMIT_SECONDS = 1.0
"""What takes more is not waited for."""
GROWTH = 3.0
"""By how much the time of a text of twice the length may be more: 2 is linear, 4 is quadratic."""
_ENDS = ("", "\0")
_REPEATS = tuple(getattr(ops, name) for name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") if hasattr(ops, name))
_CATEGORIES = {
    ops.CATEGORY_DIGIT: "7",
    ops.CATEGORY_NOT_DIGIT: "a",
    ops.CATEGORY_SPACE: " ",
    ops.CATEGORY_NOT_SPACE: "a",
    ops.CATEGORY_WORD: "a",
    ops.CATEGORY_NOT_WORD: "-",
}


class TooLongError(Exception):
    """An expression was not done within the limit."""


def slow_text(pattern: re.Pattern[Any], method: str) -> str | None:
    """Return the beginning of a pumped text for which a method of a pattern takes more than linear time, if any."""
    return next((text[:80] for text in dict.fromkeys(pumped(pattern)) if is_slow(pattern, method, text)), None)


def is_slow(pattern: re.Pattern[Any], method: str, text: str) -> bool:
    """Tell whether the method takes time for the text that grows with more than its length."""
    whole = _seconds(pattern, method, text)
    if whole < SUSPECT_SECONDS:
        return False
    if whole >= LIMIT_SECONDS:
        return True
    half = min(_seconds(pattern, method, text[: len(text) // 2] + text[-1:]) for _ in range(3))
    whole = min(_seconds(pattern, method, text) for _ in range(3))
    return whole >= SUSPECT_SECONDS and whole > GROWTH * half


def _seconds(pattern: re.Pattern[Any], method: str, text: str) -> float:
    """Return the seconds of work of this process, at most the limit; other processes may do what they like."""
    given: Any = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
    call: Callable[[], Any] = {
        "finditer": lambda: [*pattern.finditer(given)],
        "sub": lambda: pattern.sub(given[:0], given),
        "subn": lambda: pattern.subn(given[:0], given),
    }.get(method, lambda: getattr(pattern, method)(given))
    began = time.process_time()
    try:
        with _limited():
            call()
    except TooLongError:
        return LIMIT_SECONDS
    return time.process_time() - began


@contextmanager
def _limited() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# --- texts -------------------------------------------------------------------------------------------


def pumped(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Yield texts of ``LENGTH`` characters or so."""
    source = pattern.pattern
    tree = parser.parse(source if isinstance(source, str) else source.decode("latin-1"), pattern.flags & ~re.UNICODE)
    repeats = list(_repeats(tree, ""))
    whole = _sample(tree)
    for character in sorted({*whole, *(w for _, words in repeats for w in "".join(words)), " ", "a", "0"}):
        yield from (character * LENGTH + end for end in _ENDS)
    if whole:
        yield from (whole * (LENGTH // len(whole) + 1) + end for end in _ENDS)
    for index, (before, words) in enumerate(repeats):
        following = repeats[index + 1][1] if index + 1 < len(repeats) else []
        for word in filter(None, words):
            times = LENGTH // len(word)
            for end in _ENDS:
                yield before + word * times + end
                yield (before + word) * (LENGTH // len(before + word) + 1) + end
                for other in filter(None, following[:1]):
                    yield before + word * (times // 2) + other * (LENGTH // 2 // len(other)) + end


def _repeats(tree: Any, before: str) -> Iterator[tuple[str, list[str]]]:
    """Yield for each repetition what may stand before it, and what it may repeat."""
    for op, argument in tree:
        if op in _REPEATS:
            if argument[1] > 3:
                yield before, _words(argument[2])
            yield from _repeats(argument[2], before)
        else:
            for inner in _inner(op, argument):
                yield from _repeats(inner, before)
        before += _sample([(op, argument)])


def _words(tree: Any) -> list[str]:
    """Return what may be repeated: one text, or one for each kind of character."""
    items = list(tree)
    if len(items) == 1 and items[0][0] is ops.IN:
        return [*_members(items[0][1])][:3]
    if len(items) == 1 and items[0][0] is ops.BRANCH:
        return [_sample(branch) for branch in items[0][1][1]][:3]
    return [_sample(tree)]


def _inner(op: Any, argument: Any) -> list[Any]:
    if op is ops.SUBPATTERN:
        return [argument[-1]]
    if op is ops.BRANCH:
        return list(argument[1])
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        return [argument[1]]
    return [argument] if op is getattr(ops, "ATOMIC_GROUP", None) else []


def _sample(tree: Any) -> str:
    """Return a text that a part of an expression matches, as far as that can be told without trying."""
    return "".join(_sample_of(op, argument) for op, argument in tree)


def _sample_of(op: Any, argument: Any) -> str:
    if op is ops.LITERAL:
        return chr(argument)
    if op is ops.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if op is ops.ANY:
        return "a"
    if op is ops.IN:
        return next(_members(argument), "")
    if op in _REPEATS:
        return _sample(argument[2]) * int(max(argument[0], min(argument[1], 1)))
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        return ""
    inner = _inner(op, argument)
    return _sample(inner[0]) if inner else ""


def _members(items: Any) -> Iterator[str]:
    """Yield a character or two of each part of a class."""
    if items[0][0] is ops.NEGATE:
        probe = re.compile("".join(["[", *(re.escape(c) for c in _members(items[1:])), "]"]))
        yield from (c for c in "a0 -<" if not probe.match(c))
        return
    for op, argument in items:
        if op is ops.LITERAL:
            yield chr(argument)
        elif op is ops.RANGE:
            yield chr(argument[0])
        elif op is ops.CATEGORY:
            yield _CATEGORIES[argument]
