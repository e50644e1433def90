"""What a vendor says is made fit for one line of a message, without secrets and mail addresses."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Callable
from html.entities import html5
from itertools import product
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendortap.errors import BodyError
from vendortap.support.redact import (
    MESSAGE_LENGTH,
    NAME_LENGTH,
    Redactor,
    has_secret,
    one_line,
    shown,
    shown_document,
    shown_line,
    shown_lines,
    shown_name,
    unexpected,
    without_secrets,
)

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


@pytest.mark.parametrize(("secret", "text"), [("0000ªßßġ", "0000ªßßġ"), ("ssss0000", "ßß0000"), ("ΐΐΐΐ", "ΐΐΐΐ")])
def test_a_secret_is_found_in_a_text_that_case_folding_makes_longer(secret: str, text: str) -> None:
    assert Redactor([secret]).blank(text) == "***"


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


# --- in this order: redacted, stripped, cut ----------------------------------------------------------

LONG = "pl4nted-secret-17x"


@pytest.mark.promise("No part of a secret is left where a name is cut")
@pytest.mark.parametrize("before", range(NAME_LENGTH - len(LONG) - 2, NAME_LENGTH + 2))
def test_what_is_cut_has_been_redacted(before: int) -> None:
    redact = Redactor([LONG])
    shown_as = shown_name("w" * before + LONG + "w" * 30)
    assert "pl4" not in shown_as
    assert len(shown_as) <= NAME_LENGTH
    assert "pl4" not in shown(f"{'w ' * 90}{'w' * (before - 40)}{LONG}{'w ' * 90}")
    del redact


def test_only_the_begin_of_a_very_long_text_is_looked_at_and_no_secret_is_cut_there() -> None:
    redact = Redactor([LONG])
    for blanks in range((1 << 14) - 40, (1 << 14) + 20, 7):
        assert "pl4" not in redact(" " * blanks + LONG + " " * 100_000)
    for blanks in range((1 << 15) - 40, (1 << 15) + 20, 7):
        assert "pl4" not in shown_name(" " * blanks + LONG + " " * 100_000)


@pytest.mark.promise("A secret is recognised through what is not seen between its characters", figure="1 marks")
@pytest.mark.parametrize(
    "code",
    [
        *(0x00, 0x07, 0x08, 0x09, 0x0A, 0x0D, 0x1B, 0x7F, 0x80, 0x85, 0x9B, 0x9C, 0xAD, 0x34F, 0x61C, 0x115F, 0x180E),
        *(0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2060, 0x2066, 0x2069, 0x3164),
        *(0xFE0F, 0xFEFF, 0xFFA0, 0xFFFE, 0xE000, 0xE0001, 0xE0100, 0x10FFFF, 0xD800, 0xA0),
        *(0x1160, 0x17B4, 0x17D2, 0x180F, 0x1BAB, 0x2800, 0x2D7F, 0xFFF0, 0xFFFC, 0x1107F, 0x13441, 0x16FE4, 0x1BC9D),
        *(0x1D159, 0x1D173, 0xE0FFF),
    ],
)
def test_what_is_not_seen_neither_hides_a_secret_nor_is_shown(code: int) -> None:
    redact, mark = Redactor([LONG]), chr(code)
    for text in (mark.join(LONG), f"a{mark}{LONG[:5]}{mark}{mark}{LONG[5:]}{mark}b"):
        for fit in (redact, shown, shown_name, shown_line, shown_lines):
            told = fit(text)
            assert "***" in told
            assert "17x" not in told.replace(" ", "")
            assert mark == "\n" or mark not in told
    assert shown_lines(f"one{mark}two") == ("one\ntwo" if mark == "\n" else "one two")
    assert shown_line(f"one{mark}two") == "one two"


@pytest.mark.promise("A secret is recognised in any mixture of escapes")
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_secret_is_known_in_any_mixture_of_escapes(data: st.DataObject) -> None:
    secret = 'pä55 wörd/+<&>"\U0001f511'
    ways: list[Callable[[str], str]] = [
        str,
        lambda char: "".join(f"%{byte:02x}" for byte in char.encode()),
        lambda char: "".join(f"%25{byte:02X}" for byte in char.encode()),
        lambda char: json.dumps(char)[1:-1],
        lambda char: f"&#{ord(char)};",
        lambda char: f"&#x{ord(char):x};",
        lambda char: escape(char, {'"': "&quot;"}),
    ]
    written = "".join(data.draw(st.sampled_from(ways))(char) for char in secret)
    told = Redactor([secret]).blank(f"before {written} after")
    assert told == "before *** after"


ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: quote(text, ""),
    html.escape,
    lambda text: json.dumps(text)[1:-1],
)


@pytest.mark.promise("A secret is recognised in any mixture of escapes")
@pytest.mark.parametrize(
    "secret", ['a&b%41"c9Xq', r"Do\bin&<r>9%3Fx", "x&amp;y%2541-z", r"a\\b\u0041&#65;&lt;z", '%\\"b/c&copy#c']
)
def test_a_secret_with_escapes_of_its_own_is_known_in_mixtures_of_them(secret: str) -> None:
    redact = Redactor([secret])
    for ways in (ways for levels in (1, 2, 3, 4) for ways in product(ESCAPES, repeat=levels)):
        text = secret
        for write in ways:
            text = write(text)
        assert redact.blank(f"before {text} after") == "before *** after"


def test_a_secret_that_the_vendor_has_decoded_is_known() -> None:
    assert Redactor(["key%2Fof%2Fmine"])("a key/of/mine b") == "a *** b"


@pytest.mark.parametrize("zeros", [1, 9, 6_000])
@pytest.mark.parametrize("end", [";", ""])
def test_references_may_begin_with_zeros(zeros: int, end: str) -> None:
    secret = "Zwölf-<3>"
    for write in ("&#{0}{1:d}{2}", "&#x{0}{1:x}{2}", "&#X{0}{1:X}{2}"):
        text = " ".join(write.format("0" * zeros, ord(char), end) for char in secret)
        assert "***" in Redactor([" ".join(secret)]).blank(text)


def test_references_may_have_any_name_of_html() -> None:
    for name, text in html5.items():
        assert Redactor([f"k3y{text}more"]).blank(f"k3y&{name}more") == "***"
    assert Redactor(["k3y&more&no"]).blank("k3y&more&no &other;") == "*** &other;"


@pytest.mark.parametrize("secret", ["İzmir1", "ẞig-key", "oﬃce-1", "k\u0131ş-1", "kiln-id", "KILN-ID"])
def test_a_secret_is_known_in_any_case_of_its_letters(secret: str) -> None:
    """Also where it is short, and its letters become more; and in the cases that Turkish has."""
    redact = Redactor([secret, "a-secret-that-is-longer-than-that"])
    turkish = str.maketrans("i\u0131I\u0130", "\u0130I\u0131i")
    written = {secret, *(case(secret) for case in (str.upper, str.lower, str.title, str.swapcase, str.casefold))}
    written |= {secret.translate(turkish), secret.translate(turkish).upper()}
    assert {redact(text) for text in written} == {"***"}


@pytest.mark.parametrize(
    "write",
    [
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
        lambda secret: secret.encode("latin-1").hex(),
        lambda secret: secret.encode().decode("latin-1"),
        lambda secret: quote(secret, "", encoding="latin-1"),
        lambda secret: "".join(f"%u{ord(char):04x}" for char in secret),
        lambda secret: "".join(f"\\x{ord(char):02x}" for char in secret),
        lambda secret: secret.replace(" ", "%20"),
        lambda secret: base64.b64encode(secret.encode("latin-1")).decode(),
        lambda secret: base64.encodebytes(b"x" * 50 + secret.encode()).decode(),
    ],
)
def test_a_secret_is_known_in_other_encodings(write: Callable[[str], str]) -> None:
    secret = "pässword of Jürgen"
    assert Redactor([secret])(f"a {write(secret)} b").startswith("a ***")
    assert "rgen" not in Redactor([secret]).blank(write(secret)).casefold()


def test_values_of_three_characters_are_no_secrets() -> None:
    assert Redactor(["abc", "äöü"]).blank("abc äöü %61bc") == "abc äöü %61bc"
    assert Redactor(["abcd"]).blank("abcd") == "***"


def test_whoever_shows_anything_goes_by_all_secrets_of_the_process() -> None:
    first, second = Redactor(["first-secret"]), Redactor(["my-first-secret-no-2"])
    assert shown_line("my-first-secret-no-2 first-secret") == "*** ***"
    assert has_secret("x%66irst-secretx")
    assert not has_secret("first")
    error = without_secrets(BodyError("a first-secret\nand more"))
    assert str(error) == "a *** and more"
    document = {"first-secret": ["first-secret", 1, None, {"amount": "first-secret"}]}
    assert shown_document(document, but=("amount",)) == {"first-secret": ["***", 1, None, {"amount": "first-secret"}]}
    del first, second
    assert shown_line("first-secret") == "first-secret"


@pytest.mark.parametrize(
    ("name", "told"), [("@odata.count", "@odata.count"), ("jane@acme.test", "***"), ("a b@c d", "a *** d")]
)
def test_a_name_may_begin_as_a_mail_address_does_not(name: str, told: str) -> None:
    assert shown_name(name) == told
