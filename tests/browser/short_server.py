"""The page on the small model with little memory: python short_server.py PORT POSITIONS

Keys and values of more than so many positions are asked of the allocator in one piece that no machine has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

import app.backends.local as local
from app.engine.loader import LoadedModel, load_model
from app.settings import Settings
from app.ui.demo import build_demo, launch

MORE_THAN_THERE_IS = 2**50  # bytes


def short_of_memory(loaded: LoadedModel, positions: int) -> LoadedModel:
    """The model with an allocator that fails above so many positions."""

    def allocate(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        cache, new = kwargs.get("past_key_values"), kwargs.get("inputs_embeds")
        new = kwargs["input_ids"] if new is None else new
        if (cache.get_seq_length() if cache else 0) + new.shape[1] > positions:
            torch.empty(MORE_THAN_THERE_IS, dtype=torch.uint8)

    loaded.runner.language_model.register_forward_pre_hook(allocate, with_kwargs=True)
    return loaded


if __name__ == "__main__":
    port, most = map(int, sys.argv[1:])
    tiny = Path(__file__).resolve().parents[2] / "assets" / "tiny-minicpm-v"
    settings = Settings(
        model=str(tiny), port=port, device="cpu", engine="plain", option_defaults={"max_new_tokens": 24}
    )
    local.load_model = lambda *given: short_of_memory(load_model(*given), most)
    backend = local.LocalBackend(settings)
    backend.start()
    launch(build_demo(backend, settings), settings)
