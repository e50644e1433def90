"""How values are written as JSON: amounts digit for digit, as numbers or as text."""

from __future__ import annotations

import msgspec

ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
"""Amounts as numbers."""
STRINGS_ENCODER = msgspec.json.Encoder(decimal_format="string", enc_hook=str)
"""Amounts as text."""
