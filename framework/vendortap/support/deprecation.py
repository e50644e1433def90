"""What is on its way out: it goes on working until the version that removes it, and warns whoever still uses it.

``deprecated`` is for functions; what is deprecated otherwise, such as an argument, warns by ``deprecate``.
A hook is deprecated by ``hookspec(warn_on_impl=DeprecationWarning(str(...)))``. docs/stability.md has the rules.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Deprecation:
    """What is deprecated, since which version, which one removes it, and what to use instead."""

    what: str
    since: str
    removed_in: str
    instead: str

    def __str__(self) -> str:
        """Return the sentence that warns."""
        return (
            f"vendortap: {self.what} is deprecated since {self.since} and is removed in {self.removed_in}; "
            f"use {self.instead}"
        )


DEPRECATIONS: list[Deprecation] = []
"""All that ``deprecated`` has marked; none of them may outlive its version."""


def deprecate(deprecation: Deprecation, *, stacklevel: int = 2) -> None:
    """Warn the caller of whoever calls this; ``stacklevel`` as that of ``warnings.warn``, one further out."""
    warnings.warn(str(deprecation), DeprecationWarning, stacklevel=stacklevel + 1)


def deprecated(*, since: str, removed_in: str, instead: str) -> Callable[[F], F]:
    """Mark a function: each call warns with a DeprecationWarning at the caller's line (PEP 702 has the attribute)."""

    def mark(function: F) -> F:
        deprecation = Deprecation(f"{function.__module__}.{function.__qualname__}", since, removed_in, instead)
        DEPRECATIONS.append(deprecation)

        @functools.wraps(function)
        def warning(*arguments: Any, **options: Any) -> Any:
            deprecate(deprecation)
            return function(*arguments, **options)

        warning.__deprecated__ = str(deprecation)  # type: ignore[attr-defined] # PEP 702; mypy knows its own decorator only
        return warning  # type: ignore[return-value] # the same signature, by wraps

    return mark
