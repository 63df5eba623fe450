"""What every source must do, as a test class: subclass it, say how to make a source and how to change its database, and
each promise of `connect.source` is held to its word against the real system.

Written for pytest, which finds `Test…` subclasses by itself; importing this needs no pytest.
"""

from __future__ import annotations

from tidegate.testing.source_contract.copying import Copying
from tidegate.testing.source_contract.describing import Describing
from tidegate.testing.source_contract.following import Following
from tidegate.testing.source_contract.resuming import Resuming

__all__ = ["SourceContract"]


class SourceContract(Describing, Copying, Following, Resuming):
    """Subclasses give `source` and `session`, and say in the class attributes what their system is like. The database
    is empty at the start of each test; statements are plain SQL."""
