"""The only package that knows Singer: a Connector becomes a singer-sdk Tap.

``command`` runs a tap, ``discovery`` asks one before it runs. ``tap`` and ``stream`` are what singer-sdk knows of a
connector. ``catalogs`` checks what it is given, ``shaping`` makes records and schemas Singer's, ``writer`` writes
messages, ``encoding`` has the JSON of both, and ``filters`` keeps data and secrets out of the log.

Every RECORD and BATCH goes through one way: selection (inside arrays too), amounts and dates as Singer has them,
stream maps and flattening, then the writer. The state's shape is that of vendortap.state.

singer-sdk's underscore methods that are overridden or called here are held by tests/framework/test_sdk_contract.py.
"""

import singer_sdk  # noqa: F401 - here: two imports further down CPython 3.11 maps and unmaps frames 5,000 times meanwhile

from vendortap.singer.catalogs import check_catalog
from vendortap.singer.command import run_tap
from vendortap.singer.discovery import catalog, catalog_entry, environment
from vendortap.singer.stream import ConnectorStream
from vendortap.singer.tap import ConnectorTap, tap_class
from vendortap.singer.writer import MessageWriter

__all__ = [
    "ConnectorStream",
    "ConnectorTap",
    "MessageWriter",
    "catalog",
    "catalog_entry",
    "check_catalog",
    "environment",
    "run_tap",
    "tap_class",
]
