"""Bytes to typed records, driven by a compiled schema, and documents to the bytes of a request.

``schemas`` compiles, ``structs`` makes the records' types, ``values`` has the lexical rules. ``reader`` makes a page of
a reply: by ``json`` or ``xml`` in one step, else by ``coerce``, which mends what vendors are known to get wrong.
``drift`` notices what is not declared, ``bounds`` limits sizes, ``body`` writes.
"""
