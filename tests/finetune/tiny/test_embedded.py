"""The checkpoint's files: read by the application, strictly, and of the weights that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel, AutoProcessor, AutoTokenizer

import app.modeling  # noqa: F401  registers the family
from finetune.tiny import embedded
from tests.modeling.golden import ROOT

PUBLISHED = ROOT / "minicpm-v-2_6" / "checkpoint"


@pytest.fixture
def written(small: None, tokenizer: Tokenizer, tmp_path: Path) -> tuple[Any, Path]:
    """A small model and its folder."""
    torch.manual_seed(0)
    model = embedded.new_model(tokenizer)
    embedded.write(model, tokenizer, tmp_path / "checkpoint")
    return model, tmp_path / "checkpoint"


def test_the_folder_answers_questions(written: tuple[Any, Path]) -> None:
    _, folder = written
    model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    question = [{"role": "user", "content": [Image.new("RGB", (300, 200), "red"), "What is this?"]}]
    answer = model.chat(msgs=question, tokenizer=tokenizer, sampling=False, num_beams=1, max_new_tokens=3)
    assert isinstance(answer, str)


def test_weights_are_written_in_bfloat16_and_come_back(written: tuple[Any, Path]) -> None:
    model, folder = written
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    loaded = AutoModel.from_pretrained(folder, dtype=torch.bfloat16).state_dict()
    assert set(stored) == set(loaded) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded[name], value.to(torch.bfloat16)), name


def test_configs_have_the_fields_of_the_published_ones(written: tuple[Any, Path]) -> None:
    _, folder = written
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        ours, theirs = (json.loads((at / name).read_text("utf-8")) for at in (folder, PUBLISHED))
        assert set(ours) >= set(theirs) - {"_name_or_path", "image_size", "drop_vision_last_layer", "eos_token_id",
                                           "bos_token_id", "additional_special_tokens", "bos_token"}, name  # fmt: skip


def test_both_configs_agree_on_slices(written: tuple[Any, Path]) -> None:
    model, folder = written
    processor = AutoProcessor.from_pretrained(folder)
    model._check_agreement(processor)
    assert processor.image_processor.scale_resolution == embedded.SLICE_SIDE
    assert processor.image_processor.plan((500, 500)).num_slices == 1 + embedded.MOST_CELLS


def test_generation_stops_at_the_end_tokens(written: tuple[Any, Path], tokenizer: Tokenizer) -> None:
    decoding = json.loads((written[1] / "generation_config.json").read_text())
    assert decoding["eos_token_id"] == [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]


def test_parts_start_at_useful_scales(small: None, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    model = embedded.new_model(tokenizer)
    assert next(model.parameters()).dtype == torch.float32
    assert model.llm.lm_head.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.llm.model.embed_tokens.weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_the_real_model_is_small(tokenizer: Tokenizer) -> None:
    """It is shipped in the repository."""
    with torch.device("meta"):
        model = embedded.MiniCPMV26(embedded.MiniCPMV26Config(**embedded.config_data(tokenizer)))
    assert 5e6 < sum(value.numel() for value in model.parameters()) < 9e6
