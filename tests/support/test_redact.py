"""What a vendor says is made fit for one line of a message, without secrets and mail addresses."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendortap.support.redact import MESSAGE_LENGTH, Redactor, one_line, unexpected

SECRET = "s3cr3t/+value"


@pytest.mark.promise("What a message quotes of a vendor is one short line without secrets and mail addresses")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Plain words.", "Plain words."),
        ("two\r\nlines\tand\x1b[31m colours\u202e\x00", "two lines and [31m colours"),
        (f"the key {SECRET} is bad", "the key *** is bad"),
        ("the key s3cr3t%2F%2Bvalue is bad", "the key *** is bad"),
        ("key=s3cr3t/+value-and-more", "key=***"),
        ("write to <jane.doe@acme.test>, please", "write to *** please"),
        ("abc", "abc"),
        ("", ""),
        ("word " * 39 + "fives", "word " * 39 + "fives"),
        ("word " * 50, "word " * 38 + "word…"),
        ("x" * 200, "x" * 200),
        ("words and " + "x" * 300, "words and…"),
        ("x" * 300, "…"),
        ("x" * 195 + SECRET, "x" * 195 + "***"),
    ],
)
def test_what_is_quoted_is_made_fit(text: str, shown: str) -> None:
    assert Redactor([SECRET, "", "abc", "    ", SECRET + "-and-more", "\ud800long"])(text) == shown


@pytest.mark.parametrize("words", range(180, 205, 3))
def test_no_part_of_a_secret_is_left_when_a_text_is_cut_before_the_secret_is_known(words: int) -> None:
    text = f"{'w ' * (words // 2)}{SECRET} and more {'w ' * 100}"
    assert "s3cr" not in Redactor([SECRET])(Redactor()(text))


@settings(deadline=None)
@given(st.text(), st.text(min_size=1))
def test_redaction_takes_any_text(text: str, secret: str) -> None:
    shown = Redactor([secret])(text + secret + text)
    assert len(shown) <= MESSAGE_LENGTH
    assert shown.isprintable()
    assert "@" not in shown


@pytest.mark.promise("A secret that a vendor echoes is blanked out whatever stands around it", figure="100 texts")
@settings(deadline=None)
@given(st.text(max_size=40), st.text(alphabet=st.characters(categories=["L", "N"]), min_size=4), st.text(max_size=40))
def test_no_secret_is_shown_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    assert secret not in Redactor([secret])(f"{before} {secret}{after}")


@pytest.mark.promise("A secret that a vendor echoes is blanked out whatever stands around it", figure="300 texts")
@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=5), st.text(min_size=4), st.binary(max_size=5))
def test_no_secret_is_shown_in_base64_whatever_stands_around_it(before: bytes, secret: str, after: bytes) -> None:
    redact = Redactor([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        word = encode(before + secret.encode() + after).decode()
        assert redact(f"this {word} is bad").split()[1] == "***"
        assert redact(f"this {quote(word, '')} is bad").split()[1] == "***"


@pytest.mark.parametrize(
    "write",
    [
        str.upper,
        str.lower,
        quote,
        lambda secret: quote(secret, "").lower(),
        quote_plus,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        escape,
    ],
)
def test_a_secret_is_known_in_the_forms_that_a_vendor_may_echo_it_in(write: Callable[[str], str]) -> None:
    secret = 'pässword/+<1> & "two"\\'
    assert "word" not in Redactor([secret]).blank(f"a {write(secret)} b").lower()


def test_what_is_blanked_in_many_lines_stays_in_many_lines() -> None:
    assert Redactor([SECRET]).blank(f"one {SECRET}\n  two\n") == "one ***\n  two\n"


@pytest.mark.promise("A defect is told by its places in the code, without any value")
def test_what_nobody_foresaw_is_told_by_its_places_and_without_values() -> None:
    def inner() -> None:
        raise KeyError("Jane Doe")

    def outer() -> None:
        try:
            inner()
        except KeyError:
            raise ValueError(f"no {SECRET}") from None

    with pytest.raises(ValueError, match="no ") as caught:
        outer()
    told = unexpected(caught.value)
    assert told.startswith("unexpected ValueError; ")
    assert "in outer" in told
    assert "in inner" not in told
    caught.value.__suppress_context__ = False
    assert "in inner" in (told := unexpected(caught.value))
    assert told.splitlines()[-1] == "KeyError"
    assert "Jane" not in told.replace('raise KeyError("Jane Doe")', "")
    assert SECRET not in told


def test_what_is_learned_later_is_blanked_out_too() -> None:
    redact = Redactor(["first-secret"])
    assert redact("first-secret second-secret") == "*** second-secret"
    redact.learn(["second-secret"])
    assert redact("first-secret second-secret") == "*** ***"


def test_threads_may_learn_and_ask_at_once() -> None:
    redact = Redactor()
    together = threading.Barrier(8)

    def learn(number: int) -> None:
        together.wait(20)
        for n in range(50):
            redact.learn([f"secret-{number}-{n}-"])
            redact("whatever")

    threads = [threading.Thread(target=learn, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {redact(f"secret-{number}-{n}-") for number in range(8) for n in range(50)} == {"***"}


def test_one_line_has_neither_breaks_nor_runs_of_blanks() -> None:
    assert one_line(" a\n\n b\u2028c\td ") == "a b c d"
