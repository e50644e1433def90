"""The one pipeline: slices → requests → replies → rows → records and bookmarks, in the order of the plan.

Units are fetched concurrently, a bounded number ahead; what they give is handed on in plan order, so that the
records and their order do not depend on the concurrency, and a bookmark moves only over a contiguous prefix
of complete slices. The pipeline takes ``send``; it opens no connection of its own.

The modules, from the top: ``reading`` reads a stream, and ``listing`` the list that its documents are asked for by;
``ordering`` has the threads, ``fetching`` what they do. ``filter`` leaves out what is not to be handed on,
``bookmarks`` says how far they lead, ``counters`` counts, ``scratch`` keeps on disk what memory should not hold, and
``context`` has what all of them are given. ``state``, ``quarantine``, ``documents``, ``totals`` and ``telemetry`` are
what it keeps.
"""
