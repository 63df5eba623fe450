"""Fixtures of this folder."""

from api.rig import api, standing_api, stocked

__all__ = ["api", "standing_api", "stocked"]
