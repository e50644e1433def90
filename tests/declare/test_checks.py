"""What a reply says of itself under HTTP 200."""

from __future__ import annotations

from typing import Any

import pytest

from vendortap.declare.checks import Check, both, flag, no_errors, present, status
from vendortap.declare.model import Page
from vendortap.errors import MissingError, RefusedError, VendorError

FLAG = flag("ok", message="said")
STATUS = status("word", good=("SUCCESS", "OK"), message="said", missing=("NOTHING", "Data Not Found"))
ERRORS = no_errors("errors", "fault")
PRESENT = present("number", errors="errors")


def page(absent: bool = False, **more: Any) -> Page:
    return Page([] if absent else [{"number": "1"}], more, absent)


def complaint(check: Check, *pages: Page) -> VendorError:
    """What a check raises on the last page; those before are good."""
    for good in pages[:-1]:
        check(good)
    with pytest.raises(VendorError) as caught:
        check(pages[-1])
    return caught.value


@pytest.mark.parametrize("ok", [True, None])
def test_a_flag_that_is_true_or_absent_is_good(ok: object) -> None:
    FLAG(page(ok=ok, said="whatever"))
    FLAG(page())


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("No such invoice.", "the vendor says that the call failed: No such invoice."),
        ("  two\r\nlines ", "the vendor says that the call failed: two lines."),
        (" ", "the vendor says that the call failed."),
        (None, "the vendor says that the call failed."),
        (5, "the vendor says that the call failed."),
    ],
)
def test_a_flag_that_is_false_is_refused_with_the_vendors_sentence(said: object, sentence: str) -> None:
    error = complaint(FLAG, page(ok=False, said=said))
    assert (type(error), str(error)) == (RefusedError, sentence)


@pytest.mark.parametrize("word", ["SUCCESS", "success", "Ok", " SUCCESS "])
def test_a_good_status_passes_whatever_its_case(word: str) -> None:
    STATUS(page(word=word, said="Data Not Found"))


@pytest.mark.parametrize(
    ("more", "kind", "sentence"),
    [
        ({"word": "FAILED", "said": "Boom."}, RefusedError, "the vendor answers FAILED: Boom."),
        ({"word": "SUCCESSFUL"}, RefusedError, "the vendor answers SUCCESSFUL."),
        ({}, RefusedError, "the vendor answers without a status."),
        ({"word": None, "said": None}, RefusedError, "the vendor answers without a status."),
        ({"word": "", "said": "Boom"}, RefusedError, "the vendor answers without a status: Boom."),
        ({"word": "nothing", "said": "x"}, MissingError, "the vendor answers nothing: x."),
        ({"word": "FAILED", "said": "DATA NOT FOUND "}, MissingError, "the vendor answers FAILED: DATA NOT FOUND."),
        ({"word": "FAILED", "said": "Data Not Found here"}, RefusedError, "answers FAILED: Data Not Found here."),
        ({"word": 7}, RefusedError, "the vendor answers 7."),
    ],
)
def test_any_other_status_is_what_it_says(more: dict[str, Any], kind: type[VendorError], sentence: str) -> None:
    error = complaint(STATUS, page(word="SUCCESS"), page(**more))
    assert type(error) is kind
    assert str(error).endswith(sentence)


def test_a_good_status_without_a_record_is_missing() -> None:
    error = complaint(STATUS, page(absent=True, word="SUCCESS"))
    assert (type(error), str(error)) == (MissingError, "the vendor answers SUCCESS without a record.")


@pytest.mark.parametrize("errors", [None, [], {}, ""])
def test_no_errors_are_good(errors: object) -> None:
    ERRORS(page(errors=errors, fault=None))
    ERRORS(page())


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([{"code": "Unauthorized", "message": "Denied.", "details": "x"}, {"code": "B"}], ": Unauthorized: Denied: x"),
        ({"Code": "X", "MESSAGE": "y"}, ": X: y"),
        ([{"message": "only this"}], ": only this"),
        ([{"code": " ", "message": "only this"}], ": only this"),
        ([{"code": 5}], ""),
        (["a sentence."], ": a sentence"),
        ("a sentence.", ": a sentence"),
        ([None], ""),
        (True, ""),
        (7, ""),
    ],
)
def test_errors_are_refused_with_code_and_message_of_the_first(errors: object, said: str) -> None:
    for bad in (page(errors=errors), page(fault=errors)):
        error = complaint(ERRORS, bad)
        assert (type(error), str(error)) == (RefusedError, f"the vendor answers with errors{said}.")


@pytest.mark.parametrize(
    ("more", "kind", "sentence"),
    [
        ({}, MissingError, "the vendor answers with an empty document."),
        ({"number": "", "errors": []}, MissingError, "the vendor answers with an empty document."),
        ({"errors": [{"message": "Not found."}]}, MissingError, "with an empty document: Not found."),
        ({"errors": [{"code": "404"}]}, MissingError, "with an empty document: 404."),
        ({"errors": [{"message": "It does not exist"}]}, MissingError, "with an empty document: It does not exist."),
        ({"errors": [{"message": "No access"}]}, RefusedError, "the vendor answers with errors: No access."),
        ({"errors": [{}]}, RefusedError, "the vendor answers with errors."),
    ],
)
def test_a_document_without_its_number_is_missing_or_refused(
    more: dict[str, Any], kind: type[VendorError], sentence: str
) -> None:
    error = complaint(PRESENT, page(number="1", errors=[{"message": "a warning"}]), page(**more))
    assert type(error) is kind
    assert str(error).endswith(sentence)


def test_of_two_checks_the_first_speaks_first() -> None:
    check = both(ERRORS, STATUS)
    check(page(word="OK"))
    assert type(complaint(check, page(word="FAILED", errors="x"))) is RefusedError
    assert str(complaint(check, page(word="nothing", errors="x"))) == "the vendor answers with errors: x."
    assert type(complaint(check, page(word="nothing"))) is MissingError


@pytest.mark.promise("What a message quotes of a vendor is one short line without secrets and mail addresses")
@pytest.mark.parametrize(
    ("check", "more"),
    [
        (FLAG, {"ok": False, "said": "{}"}),
        (STATUS, {"word": "{}"}),
        (STATUS, {"word": "FAILED", "said": "{}"}),
        (ERRORS, {"errors": [{"code": "{}", "message": "{}"}]}),
        (ERRORS, {"errors": "{}"}),
        (PRESENT, {"errors": ["{}"]}),
    ],
    ids=["flag", "status", "status' sentence", "error", "error's sentence", "absent"],
)
def test_messages_are_one_short_line_without_addresses(check: Check, more: dict[str, Any]) -> None:
    said = "ask\njane.doe@acme.test\x00 " + "about it " * 100

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{}", said)
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {name: filled(member) for name, member in value.items()} if isinstance(value, dict) else value

    text = str(complaint(check, page(**filled(more))))
    assert "ask *** about it" in text
    assert "jane" not in text
    assert text.isprintable()
    assert len(text) < 500
