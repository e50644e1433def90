"""Where things are. Everything under WORK is made by the benchmarks, is not committed, and may be removed."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".bench"
"""Environments, served data, logs, and what runs write."""
PLUGIN = ROOT / "benchmarks" / "plugin"
PEERS = ROOT / "benchmarks" / "peers"
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
