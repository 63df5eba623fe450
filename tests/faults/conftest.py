"""The pipelines' fixtures, for the tests that break what pipelines stand on."""

from __future__ import annotations

from pipeline.conftest import duck_pair, each_pair, old_pair, pair, small_chunks

__all__ = ["duck_pair", "each_pair", "old_pair", "pair", "small_chunks"]
