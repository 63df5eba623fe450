"""See `tidegate.testing.site`."""

from tidegate.testing.site import Refused, Site, eventually

__all__ = ["Refused", "Site", "eventually"]
