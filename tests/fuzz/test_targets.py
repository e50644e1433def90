"""Whatever is read, only errors of ours come out: of decoders, catalog, state, settings, tokens, messages."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import KINDS, seeds, spoiled
from tests.fuzz.targets import OURS, TARGETS

EXAMPLES = 120


OF_ANOTHER_SCHEMA = {"json typed", "xml typed"}


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in OF_ANOTHER_SCHEMA])
def test_what_is_sound_is_read(target: str) -> None:
    for body in seeds()[KINDS[target]]:
        TARGETS[target](body)


@pytest.mark.promise("Whatever is sent or given, only errors of ours come out", figure=f"{EXAMPLES} bad inputs")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_errors_of_ours_come_out(target: str, data: st.DataObject) -> None:
    body = data.draw(spoiled(KINDS[target]))
    with suppress(*OURS):
        TARGETS[target](body)
