"""What a reply says of itself under HTTP 200: ready-made checks of a stream's pages."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vendortap.errors import MissingError, RefusedError
from vendortap.model import Page
from vendortap.redact import Redactor

Check = Callable[[Page], None]
"""Raises what a page says of itself."""

_quote = Redactor()


def flag(name: str, *, message: str) -> Check:
    """Hold a page to a value that is false when the call failed; ``message`` names the vendor's sentence.

    Both are names of ``Rows.more``.

    Raises (the check):
        RefusedError: it is false, with the vendor's sentence.
    """

    def check(page: Page) -> None:
        if page.more.get(name) is False:
            raise RefusedError(f"the vendor says that the call failed{_said(page, message)}.")

    return check


def status(name: str, *, good: Collection[str], message: str, missing: Collection[str] = ()) -> Check:
    """Hold a page to a status word; ``message`` names the vendor's sentence. Both are names of ``Rows.more``.

    ``missing`` are the sentences, or other status words, that mean that the vendor does not hand the record out;
    case does not count.

    Raises (the check):
        MissingError: one of ``missing``.
        RefusedError: any other status that is not ``good``.
    """
    fine = {word.casefold() for word in good}
    absent = {word.casefold() for word in missing}

    def check(page: Page) -> None:
        word, sentence = (str(page.more.get(key) or "") for key in (name, message))
        if word.casefold() in fine:
            return
        error = MissingError if absent & {word.casefold(), sentence.casefold()} else RefusedError
        raise error(f"the vendor answers {_quote(word) or 'without a status'}{_said(page, message)}.")

    return check


def no_errors(name: str) -> Check:
    """Hold a page to a list of errors that is empty or absent when the call went well: a name of ``Rows.more``.

    Raises (the check):
        RefusedError: there are errors, with the first one's code and message.
    """

    def check(page: Page) -> None:
        errors = page.more.get(name)
        if not errors:
            return
        first = errors[0] if isinstance(errors, list) else errors
        members = first if isinstance(first, dict) else {}
        said = ": ".join(_quote(text) for key in ("code", "message") if isinstance(text := members.get(key), str))
        raise RefusedError(f"the vendor answers with errors{f': {said}' if said else ''}.")

    return check


def _said(page: Page, message: str) -> str:
    text = page.more.get(message)
    return f": {_quote(text).rstrip('.')}" if isinstance(text, str) and text.strip() else ""
