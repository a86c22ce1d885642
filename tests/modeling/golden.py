"""The golden files: conversations, and what the official code made of them in fp32 on a CPU."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor, AutoTokenizer, BitsAndBytesConfig

import app.modeling  # noqa: F401  (registers the models)

ROOT = Path(__file__).parents[1] / "golden"
MODELS = ("minicpm-v-2_6", "minicpm-llama3-v-2_5")
# Of the official features only every fourth of a slice is kept here, for size.
KEPT_FEATURES = "vision_embeddings_every_4th_query"


@dataclass(frozen=True)
class Case:
    """One conversation and its expected numbers."""

    model: str
    name: str

    def __str__(self) -> str:
        return f"{self.model}-{self.name}"

    @property
    def folder(self) -> Path:
        return ROOT / self.model / "cases" / self.name

    @property
    def spec(self) -> dict[str, Any]:
        return json.loads((self.folder / "messages.json").read_text())

    @property
    def expected(self) -> dict[str, Any]:
        return json.loads((self.folder / "expected.json").read_text())

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "expected.safetensors")

    def image(self, name: str) -> Image.Image:
        return Image.open(self.folder / name).convert("RGB")

    def msgs(self) -> list[Any]:
        """The messages as `model.chat` takes them."""
        messages = self.spec["messages"]
        return [self._turns(turns) for turns in messages] if self.spec["batched"] else self._turns(messages)

    def _turns(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"role": turn["role"], "content": self._content(turn["content"])} for turn in messages]

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return content
        return [self.image(part["path"]) if part["type"] == "image" else part["text"] for part in content]

    def chat_arguments(self) -> dict[str, Any]:
        """Everything `model.chat` is called with, but for decoding."""
        image = self.spec["image_arg"]
        return {
            "image": self.image(image) if image else None,
            "msgs": self.msgs(),
            "max_new_tokens": self.spec["max_new_tokens"],
            **self.spec["chat_kwargs"],
        }


def cases(model: str | None = None) -> list[Case]:
    models = [model] if model else MODELS
    return [Case(name, path.name) for name in models for path in sorted((ROOT / name / "cases").iterdir())]


def checkpoint(model: str) -> Path:
    return ROOT / model / "checkpoint"


def change_config(folder: Path, **changes: Any) -> Path:
    """Write other values into a copied checkpoint's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@cache
def load(model: str) -> tuple[Any, Any, Any]:
    """Model, tokenizer and processor of a tiny checkpoint, loaded once."""
    path = checkpoint(model)
    return (
        AutoModel.from_pretrained(path, dtype=torch.float32),
        AutoTokenizer.from_pretrained(path),
        AutoProcessor.from_pretrained(path),
    )


def write_int4(model: str, folder: Path) -> Any:
    """Write a checkpoint as the published int4 ones are, tower and all; gives the model that was saved."""
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float16,
        llm_int8_skip_modules=["out_proj", "kv_proj", "lm_head"],
    )
    made = AutoModel.from_pretrained(checkpoint(model), dtype=torch.float16, quantization_config=config)
    made.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json"):
        shutil.copy(checkpoint(model) / name, folder / name)
    return made
