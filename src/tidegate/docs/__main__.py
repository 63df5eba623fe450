"""`python -m tidegate.docs FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegate.docs import write

write(Path(sys.argv[1]))
