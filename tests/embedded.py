"""What tests have to know of the embedded checkpoint, whatever its last training made of it."""

from __future__ import annotations

import json

from app.spaces import EMBEDDED

QUERIES = int(json.loads((EMBEDDED / "config.json").read_text("utf-8"))["query_num"])  # tokens of a slice
