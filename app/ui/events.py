"""What the events of the page have in common."""

from __future__ import annotations

from typing import Any

# Not part of the API, and without a veil over what they update. A list of components that show progress, though empty,
# is what keeps Gradio quick: else it copies all that is in each output, the conversation too, at each step of an
# event and of every event after it.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "show_progress_on": []}
