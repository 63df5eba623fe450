"""What a run of everything leaves out because it takes minutes; TIDEGATE_LONG=1 takes it in."""

from __future__ import annotations

import os

import pytest

long = pytest.mark.skipif(not os.environ.get("TIDEGATE_LONG"), reason="takes minutes: set TIDEGATE_LONG=1")
