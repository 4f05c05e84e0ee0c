"""The real networks, compiled once for all files of this folder and for the services of other tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ml.models import Models
from ml.weights.fetch import default_dir


def models(**chosen: Any) -> Models:
    """`Models` of the fetched weights; arguments as there."""
    kept = os.environ.get("NETWORKS_DIR")
    return Models(default_dir(), compiled_dir=Path(kept) if kept else None, **chosen)
