"""Every way Tidegate can refuse or fail, one class per cause.

A class fixes what is the same each time: a stable dotted `code`, the HTTP `status` it has at the API, whether
trying again can help (`retry`), a `title`, and the `advice` for the person who must act. An instance adds the
sentence that names the thing (`detail`) and machine-readable `facts`. Details and facts never hold a secret or
a cell value (I8); the underlying exception is kept as `__cause__`, never pasted into the text.
"""

from __future__ import annotations

from tidegate.errors.operating import *  # noqa: F403 - the table is all of its parts
from tidegate.errors.requests import *  # noqa: F403 - the table is all of its parts
from tidegate.errors.root import *  # noqa: F403 - the table is all of its parts
from tidegate.errors.sources import *  # noqa: F403 - the table is all of its parts
from tidegate.errors.targets import *  # noqa: F403 - the table is all of its parts
