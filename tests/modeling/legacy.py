"""The golden files of the models that take one image per conversation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

from tests.modeling.golden import ROOT, load

LEGACY = ("minicpm-v-2", "minicpm-v-1", "omnilmm-12b")
WITH_CONTEXT = LEGACY[:2]


@dataclass(frozen=True)
class LegacyCase:
    """One conversation and its expected numbers."""

    model: str
    name: str

    def __str__(self) -> str:
        return f"{self.model}-{self.name}"

    @property
    def expected(self) -> dict[str, Any]:
        return json.loads(self._text("expected.json"))

    @property
    def spec(self) -> dict[str, Any]:
        return json.loads(self._text("messages.json"))

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        return load_file(ROOT / self.model / "cases" / self.name / "expected.safetensors")

    @property
    def image(self) -> Image.Image | None:
        path = ROOT / self.model / "cases" / self.name / "image.png"
        return Image.open(path).convert("RGB") if path.exists() else None

    def msgs(self) -> list[dict[str, Any]]:
        """The messages as `model.chat` takes them: texts alone."""
        return [
            {"role": turn["role"], "content": "\n".join(p["text"] for p in turn["content"] if p["type"] == "text")}
            for turn in self.spec["messages"]
        ]

    def conversation(self) -> list[dict[str, Any]]:
        """The messages as the processor takes them: lists, the image in front."""
        turns = [{"role": turn["role"], "content": [turn["content"]]} for turn in self.msgs()]
        if self.image is not None:
            turns[0]["content"].insert(0, self.image)
        return turns

    def inputs(self) -> Any:
        """The processed batch."""
        return load(self.model)[2].chat_inputs([self.conversation()])

    def _text(self, name: str) -> str:
        return (ROOT / self.model / "cases" / self.name / name).read_text("utf-8")


def legacy_cases(*models: str) -> list[LegacyCase]:
    names = models or LEGACY
    return [LegacyCase(model, path.name) for model in names for path in sorted((ROOT / model / "cases").iterdir())]


def case_and_decoding(*models: str) -> list[tuple[LegacyCase, str]]:
    return [(case, decoding) for case in legacy_cases(*models) for decoding in case.spec["chat_kwargs"]]


def answer_of(result: Any) -> str:
    """The text that `model.chat` returned, with or without its context."""
    return result[0] if isinstance(result, tuple) else result
