"""What is made up in the place of personal data: quick to make, whatever the text."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.support.numbers import is_short
from vendortap.testing import fake_data

MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
"""What a mail address is; slow where there is none."""


def replaced(body: str) -> str:
    """A document of undeclared, that is personal, values with these replaced, within seconds."""
    began = time.process_time()
    maker = fake_data.MadeUp(fake_data.Names({"total", "remark"}))
    fake_data.changed(body.encode(), "application/json", maker.learn)
    made = fake_data.changed(body.encode(), "application/json", maker.replace).decode()
    assert time.process_time() - began < 10
    return made


@given(st.text(st.sampled_from("ab.@-+_ é"), max_size=30))
def test_mail_addresses_are_found_as_by_an_expression(text: str) -> None:
    cut = [*fake_data._mails(text)]
    assert "".join(part for _, part in cut) == text
    assert [part for is_mail, part in cut if is_mail] == [found[0] for found in MAIL.finditer(text)]


@pytest.mark.promise("A recording is made in linear time, whatever is recorded")
@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "a@" * 500_000, "a@b" * 300_000, "a@b." * 200_000, "@a.a" * 200_000, "." * 1_000_000]
)
def test_a_long_text_is_searched_for_mail_addresses_in_no_time(text: str) -> None:
    assert len(json.loads(replaced(json.dumps({"remark": text})))["remark"]) > 1_000
    replaced(json.dumps({"unheard_of": text}))


@pytest.mark.promise("A recording is made in linear time, whatever is recorded")
@pytest.mark.parametrize(
    "text", ["1e3000000000", "-1e-3000000000", "0e-3000000000", "1e" + "9" * 30, "9" * 4000, "9" * 5000]
)
def test_a_number_that_is_too_long_is_replaced_by_one_that_is_not(text: str) -> None:
    made = json.loads(replaced(f'{{"unheard_of": {text}, "other": 12.5}}'), parse_float=Decimal)
    assert is_short(made["unheard_of"])
    assert made["other"] != Decimal("12.5")
    assert is_short(json.loads(replaced(f'{{"unheard_of": {text}}}'), parse_float=Decimal)["unheard_of"])


@pytest.mark.promise("A recording is made in linear time, whatever is recorded")
def test_many_values_are_found_inside_texts_in_no_time() -> None:
    values = [f"Jane Doe {n:06}" for n in range(10_000)]
    made = json.loads(replaced(json.dumps({"names": values, "remark": " and ".join(values)})))
    assert made["remark"] == " and ".join(made["names"])
    assert not set(values) & set(made["names"])


def test_the_longest_value_is_found_and_only_whole_words_are() -> None:
    made = json.loads(
        replaced(json.dumps({"names": ["Jane Doe", "Jane", "Doe Ltd."], "remark": "Janet, Jane Doe, Doe Ltd. x"}))
    )
    jane_doe, _, limited = made["names"]
    assert made["remark"] == f"Janet, {jane_doe}, {limited} x"
