"""Makes a vendor's text fit for a message: one short line without secrets and mail addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MESSAGE_LENGTH = 200
"""Longest message of a vendor that is quoted, in characters."""
SECRET_LENGTH = 4
"""Shorter values are not taken for secrets: blanking them out would blank out ordinary words."""


class Redactor:
    """Makes a vendor's text fit for a message, and knows the secrets that no message may show."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Blank out these values from now on, also where they are percent-encoded."""
        forms: set[str] = set()
        for value in secrets:
            forms |= {
                one_line(value),
                quote(value, "", errors="replace"),
                quote_plus(value, errors="replace"),
            }
        long_enough = {form for form in forms if len(form) >= SECRET_LENGTH}
        with self._lock:  # Longest first: a secret may be a part of another one.
            self._known = tuple(sorted(long_enough.union(self._known), key=len, reverse=True))

    def __call__(self, text: str) -> str:
        """Return ``text`` as it may be shown."""
        text = one_line(text)
        for secret in self._known:
            text = text.replace(secret, "***")
        text = " ".join("***" if "@" in word else word for word in text.split())
        if len(text) <= MESSAGE_LENGTH:
            return text
        # Not within a word: it may be a part of a secret that whoever reads this text next would blank out.
        return text[: MESSAGE_LENGTH - 1].rpartition(" ")[0] + "…"


def one_line(text: str) -> str:
    """Return the text without line breaks, control characters and runs of blanks."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
