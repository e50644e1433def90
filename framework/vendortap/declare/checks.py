"""What a reply says of itself under HTTP 200: ready-made checks of a stream's pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from vendortap.declare.model import Page
from vendortap.declare.reasons import reason
from vendortap.errors import MissingError, RefusedError
from vendortap.support.redact import shown

Check = Callable[[Page], str | None]
"""Raises what a page says of itself; returns what the operator should be told of a page that is good."""

_NOT_FOUND = re.compile(r"not\W?found|(?:does|do) not exist|\b404\b", re.IGNORECASE)


def flag(name: str, *, message: str) -> Check:
    """Hold a page to a value that is false when the call failed; ``message`` names the vendor's sentence.

    Both are names of ``RecordSelector.more``.

    Raises (the check):
        RefusedError: it is false, with the vendor's sentence.
    """

    def check(page: Page) -> str | None:
        if page.more.get(name) is False:
            raise RefusedError(f"the vendor says that the call failed{_said(page, message)}.")
        return None

    return check


def status(
    name: str, *, good: Collection[str], message: str, missing: Collection[str] = (), partly: Collection[str] = ()
) -> Check:
    """Hold a page to a status word; ``message`` names the vendor's sentence. Both are names of ``RecordSelector.more``.

    ``missing`` are the sentences, or other status words, that mean that the vendor does not hand the record out;
    case does not count. So does a good status with no record. ``partly`` are status words of a record that the vendor
    has a reservation about, which the operator is told.

    Raises (the check):
        MissingError: one of ``missing``, or no record.
        RefusedError: any other status that is not ``good``.
    """
    fine, half, absent = ({word.casefold() for word in words} for words in (good, partly, missing))

    def check(page: Page) -> str | None:
        word, sentence = (str(page.more.get(key) or "").strip() for key in (name, message))
        is_good = word.casefold() in fine | half
        if is_good and not page.absent:
            return None if word.casefold() in fine else f"the vendor answers {shown(word)}{_said(page, message)}"
        said = f"{shown(word) or 'without a status'}{' without a record' if is_good else ''}{_said(page, message)}"
        missed = is_good or absent & {word.casefold(), sentence.casefold()}
        raise (MissingError if missed else RefusedError)(f"the vendor answers {said}.")

    return check


def no_errors(*names: str) -> Check:
    """Hold a page to errors that are empty or absent when the call went well: names of ``RecordSelector.more``.

    Each is a list of errors, one error, or a sentence.

    Raises (the check):
        RefusedError: there are errors, with the first one's code and message.
    """

    def check(page: Page) -> str | None:
        for errors in filter(None, map(page.more.get, names)):
            raise RefusedError(_with_errors(_first_error(errors)))
        return None

    return check


def present(name: str, *, errors: str | None = None) -> Check:
    """Hold a single document to a value that it has wherever the vendor has the document.

    ``name`` is a name of ``RecordSelector.more``; so is ``errors``, for vendors that put a list of errors in its place.

    Raises (the check):
        MissingError: there is no value, and no error or one that says that nothing was found.
        RefusedError: there is no value but another error, with its code and message.
    """

    def check(page: Page) -> str | None:
        found = page.more.get(errors or "")
        if page.more.get(name) or (page.absent and not found):
            return None  # if it has nothing of a document, the declaration says which of these replies mean that
        said = _first_error(found) if found else ""
        if found and not _NOT_FOUND.search(said):
            raise RefusedError(_with_errors(said))
        raise MissingError(f"the vendor answers with an empty document{f': {said}' if said else ''}.")

    return check


def both(first: Check, second: Check) -> Check:
    """Hold a page to two checks, one after the other."""

    def check(page: Page) -> str | None:
        told = filter(None, (first(page), second(page)))
        return "; ".join(told) or None

    return check


def _first_error(errors: Any) -> str:
    """Return code and message of the first error, as far as it has them; their names have no case."""
    first = errors[0] if isinstance(errors, list) and errors else errors
    members = {key.casefold(): text for key, text in first.items()} if isinstance(first, dict) else {}
    code = members.get("code")
    texts = (code if isinstance(code, str) else "", reason(first))
    return ": ".join(shown(text).rstrip(".") for text in texts if text.strip())


def _with_errors(said: str) -> str:
    return f"the vendor answers with errors{f': {said}' if said else ''}."


def _said(page: Page, message: str) -> str:
    text = page.more.get(message)
    return f": {shown(text).rstrip('.')}" if isinstance(text, str) and text.strip() else ""
