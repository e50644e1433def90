"""Bytes to typed records, driven by a compiled schema, and documents to the bytes of a request.

``schemas`` compiles. ``reader`` makes a page of a reply; ``decoders`` chooses among ``json``, ``structs``,
``verbatim``, ``xml`` and ``xml_rows``; ``coerce`` mends what vendors are known to get wrong. ``drift`` notices what is
not declared, ``bounds`` limits sizes, ``body`` writes.
"""
