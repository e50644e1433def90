"""target-vendortap-duckdb: a Singer target that loads into one DuckDB file, exactly.

- ``number`` becomes DECIMAL(``decimal_precision``, ``decimal_scale``), never DOUBLE; a number with more digits
  is an error, never rounded. ``integer`` becomes BIGINT, or HUGEINT where the schema's bounds ask for it.
- ``date-time`` becomes TIMESTAMPTZ; without an offset it is taken as UTC. DuckDB keeps microseconds: finer
  instants go to the nearest one. ``date`` and ``time`` become DATE and TIME.
- Objects become STRUCT, arrays LIST, recursively; what has no single type becomes JSON, digits untouched.
- Rows are upserted by the stream's key properties (``load_method``: upsert, append-only or overwrite); a stream
  without keys is appended to. ``overwrite`` replaces the table, its columns included, with the first commit of the
  run.
- Columns, and fields inside STRUCTs, are added as the schema grows; types widen where nothing can be lost.
- Everything pending is committed in one transaction, and STATE is printed only after it: when
  ``batch_size_rows`` rows are pending (default 10,000), at a STATE message at least ``max_batch_age_seconds``
  after the last commit, and at the end.
- A bad message stops the run with its line number, and leaves the file as of the last commit; so does a signal.
- Record types are always checked; with ``validate_records`` (the default) also ``required`` and null. Other
  JSON Schema words (``enum``, ``pattern``, ``maximum``) are not checked. Undeclared properties are not loaded;
  a warning names each once.
- BATCH messages with local JSONL files, plain or gzip, load like records. ACTIVATE_VERSION is ignored: rows that the
  tap does not send any more stay in the table, unless ``load_method`` is overwrite.

No message and no log line of this package holds a value of a record.
"""

from __future__ import annotations

import importlib.util
import sys

from vendortap.support.extras import install

MISSING = f"target-vendortap-duckdb needs the package duckdb: {install('duckdb')}"


def main() -> None:
    """Run the target as a command; ends the process: 0 done, 1 not loaded, 2 wrong settings or usage."""
    if importlib.util.find_spec("duckdb") is None:
        print(MISSING, file=sys.stderr)  # noqa: T201 - the command has nothing else yet
        sys.exit(1)
    from vendortap.duckdb.target import run

    run()
