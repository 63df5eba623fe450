"""Fixtures of this folder."""

from api.rig import api, driven, standing_api, stocked

__all__ = ["api", "driven", "standing_api", "stocked"]
