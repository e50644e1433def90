"""What a token may be: whatever a vendor issues is held to it before anything is made of it."""

from __future__ import annotations

import re

TOKEN_LENGTH = 1 << 14
"""The longest token, in characters: hardly a server takes a longer header, and no longer secret is looked for."""
HEADER_LENGTH = TOKEN_LENGTH + 256
"""The longest header with one in it: there is a scheme before it."""
_SENDABLE = re.compile("[!-~\u00a1-\u00ff][ -~\u00a0-\u00ff]*")
"""What a header can carry (RFC 9110, 5.5): Latin-1 without controls, and without a blank at its begin."""


def unfit(text: str, most: int = TOKEN_LENGTH) -> str:
    """Say why a text is no token, or no header, that could be sent; empty where it is one."""
    if len(text) > most:
        return f"has {len(text):,} characters, and may have {most:,}"
    return "" if _SENDABLE.fullmatch(text) else "has characters that a header cannot carry"
