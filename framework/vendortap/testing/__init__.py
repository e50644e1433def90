"""What a plugin's tests need: the conformance suite in one line, and recordings of real replies to run it against.

::

    from vendortap.testing import connector_suite

    TestAcme = connector_suite("acme")

``checks`` has the checks, which know nothing of pytest; ``harness`` runs a connector in this process against its
sandbox or a recording; ``recording`` records, ``fake_data`` replaces personal data, ``replaying`` serves what was
recorded, and ``tape`` is what that looks like on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vendortap.declare.model import Connector
from vendortap.support.extras import require


def connector_suite(
    connector: str | Connector,
    *,
    config: Mapping[str, Any] | None = None,
    invoices: int = 24,
    options: Mapping[str, Any] | None = None,
    recording: str | Path | None = None,
    unlike: Mapping[str, Iterable[str]] | None = None,
    skip: Mapping[str, str] | None = None,
) -> type[Any]:
    """Return a class of tests for pytest to collect: every check of ``vendortap.testing.checks``, and singer-sdk's own.

    Args:
        connector: the name of an installed connector, or a connector that is not installed.
        config: settings beside those that lead to the sandbox, say the keys of a stream that has no list to get
            them from, or a small page so that lists have several.
        invoices: how many invoices the sandbox has.
        options: further arguments of the sandbox's application.
        recording: a folder of ``vendortap record`` to run against in place of the sandbox.
        unlike: stream → properties, as ``lines[].id``, that the vendor itself has in one of its formats only.
        skip: check → why it does not apply to this vendor; shown by pytest.

    Raises:
        PluginError: there is no such connector, or it cannot be used.
        UsageError: the recording cannot be used, or ``skip`` names no check.
        VendortapError: the extra 'testing' is not installed.
    """
    require("testing", "the conformance suite", "pytest", "starlette", "uvicorn")
    from vendortap.testing.suite import make

    return make(
        connector,
        config=config or {},
        invoices=invoices,
        options=options or {},
        recording=Path(recording) if recording else None,
        unlike=unlike or {},
        skip=skip or {},
    )
