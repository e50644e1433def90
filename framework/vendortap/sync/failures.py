"""What could not be read while everything else is: told when it happens, and raised when all else has been read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vendortap.errors import VendorError, VendortapError

log = logging.getLogger("vendortap.sync")

TOLD_AT_MOST = 20
"""So many failures are named in the error at the end; all of them have been logged when they happened."""


GIVEN_UP_AFTER = 10
"""So many requests that fail before any succeeds are taken for a mistake in the settings, and the rest is not asked."""


class Failures:
    """The failures of one stream: documents, or partitions of its list. Only so many are kept, so memory stays flat."""

    def __init__(self, who: str) -> None:
        self.count = 0
        self.has_success = False
        self._who = who
        self._errors: list[VendortapError] = []

    def note(self, error: VendortapError) -> None:
        """Note an error that says who and where.

        Raises:
            VendortapError: it is not of one request alone; or the first requests have all failed.
        """
        if not error.of_one_request:
            raise error from None
        log.warning("%s. All others are read first.", str(error).rstrip("."))
        self.count += 1
        if len(self._errors) < TOLD_AT_MOST:
            self._errors.append(error)
        if not self.has_success and self.count == GIVEN_UP_AFTER:
            head = f"{self._who}: the first {self.count} requests all failed, so no others were sent."
            raise combined(self._errors, head, self.count)

    def end(self) -> None:
        """Raise what failed, now that all else has been read.

        Raises:
            VendortapError: the one error, or one that names several.
        """
        if self.count:
            head = f"{self._who}: {self.count} requests failed, and all others have been read."
            error = combined(self._errors, head, self.count)
            error.is_last = True
            raise error


def combined(errors: Sequence[VendortapError], head: str, count: int) -> VendortapError:
    """Return the one error, or one that names these of ``count``, of their kind where they have one in common."""
    if count == 1:
        return errors[0]
    more = f" {count - len(errors)} more are in the log." if count > len(errors) else ""
    kind = type(errors[0]) if len({type(error) for error in errors}) == 1 else VendorError
    return kind(f"{head} {' '.join(f'{str(error).rstrip(chr(46))}.' for error in errors)}{more}")
