"""Whatever is read, only errors of ours come out: of decoders, catalog, state, settings, tokens, messages."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import KINDS, seeds, spoiled
from tests.fuzz.targets import OURS, TARGETS

EXAMPLES = 120


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_sound_is_read(target: str) -> None:
    for body in seeds()[KINDS[target]]:
        try:
            TARGETS[target](body)
        except OURS as error:
            assert target.startswith(("json typed", "json rows", "xml typed")), error  # of another schema


@pytest.mark.promise("Whatever is sent or given, only errors of ours come out", figure=f"{EXAMPLES} bad inputs")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_errors_of_ours_come_out(target: str, data: st.DataObject) -> None:
    body = data.draw(spoiled(KINDS[target]))
    try:
        TARGETS[target](body)
    except OURS:
        pass
