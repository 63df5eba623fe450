"""What every target must do, as a test class: subclass it, say how to make a target and how to read a table back, and
each promise of `connect.target.Target` is held to its word against the real system."""

from __future__ import annotations

from tidegate.testing.target_contract.applying import Applying
from tidegate.testing.target_contract.preparing import Preparing
from tidegate.testing.target_contract.running import Running
from tidegate.testing.target_contract.valued import Valued
from tidegate.testing.target_contract.viewed import Viewed

__all__ = ["TargetContract"]


class TargetContract(Preparing, Valued, Applying, Running, Viewed):
    """Subclasses give `target` and `rows`; everything else has a meaning for most systems. A connector that declares
    `exactly_once` is held to all of it."""
