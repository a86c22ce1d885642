"""Tiny random checkpoints of the models that the library itself knows, in the form in which they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import (
    AutoTokenizer,
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_7Config,
    MiniCPMV4_7ForConditionalGeneration,
)

import app.modeling  # noqa: F401  (the golden tokenizer is one of ours)

GOLDEN = Path(__file__).parents[1] / "golden" / "minicpm-v-2_6" / "checkpoint"
NAMES = ("4.6", "4.7")
CLASSES: dict[str, tuple[Any, Any]] = {
    "4.6": (MiniCPMV4_6Config, MiniCPMV4_6ForConditionalGeneration),
    "4.7": (MiniCPMV4_7Config, MiniCPMV4_7ForConditionalGeneration),
}
NAMED_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
# In the manner of Qwen3.5: thinking is left out of earlier answers, and opened or closed for the next one.
TEMPLATE = """{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{% if part.type == 'image' %}<|image_pad|>{% elif part.type == 'video' %}<|video_pad|>{% else -%}
{% if message.role == 'assistant' %}{{ part.text.split('</think>')[-1].lstrip('\\n') }}{% else -%}
{{ part.text }}{% endif %}{% endif %}{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking %}<think>
{% else %}<think>

</think>

{% endif %}{% endif %}"""


def build(folder: Path, name: str, seed: int = 0) -> Path:
    """Write a checkpoint of 4.6 or 4.7 and return its folder."""
    tokenizer = _tokenizer(folder)
    config_class, model_class = CLASSES[name]
    ids = {key: tokenizer.convert_tokens_to_ids(token) for key, token in NAMED_TOKENS.items()}
    special: dict[str, Any] = {"image_token_id": ids["image_token"], "video_token_id": ids["video_token"]}
    if name == "4.7":
        special |= {
            f"{key}_id": ids[f"{key}_token"] for key in ("image_start", "image_end", "slice_start", "slice_end")
        }
        (special["newline_id"],) = tokenizer("\n").input_ids
    config = config_class(text_config=_text(tokenizer), vision_config=_vision(), insert_layer_id=0, **special)
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():  # random weights of the usual size answer the same whatever they are asked
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(_processor(name)))
    return folder


def _tokenizer(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(GOLDEN)
    present = tokenizer.get_vocab()
    tokenizer.add_tokens([AddedToken(token, special=True) for token in NAMED_TOKENS.values() if token not in present])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in ("<think>", "</think>")])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    fields = json.loads(path.read_text()) | {
        "tokenizer_class": "TokenizersBackend",
        "model_specific_special_tokens": NAMED_TOKENS,
    }
    fields.pop("auto_map", None)
    path.write_text(json.dumps(fields))
    return AutoTokenizer.from_pretrained(folder)


def _text(tokenizer: Any) -> dict[str, Any]:
    return {
        "model_type": "qwen3_5_text",
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "head_dim": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000, "mrope_section": [2, 1, 1],
                            "partial_rotary_factor": 0.25, "mrope_interleaved": True},
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "layer_types": ["linear_attention", "full_attention"],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "linear_num_key_heads": 4,
        "linear_num_value_heads": 8,
    }  # fmt: skip


def _vision() -> dict[str, Any]:
    return {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "image_size": 448,
        "patch_size": 14,
    }


def _processor(name: str) -> dict[str, Any]:
    fields = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "downsample_mode": "16x",
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_slice_nums": 9,
        "patch_size": 14,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "scale_resolution": 448,
        "slice_mode": True,
        "use_image_id": True,
    }
    return {
        "image_processor": fields | {"image_processor_type": "MiniCPMV4_6ImageProcessor"},
        "processor_class": f"MiniCPMV{name.replace('.', '_')}Processor",
        "video_processor": fields
        | {"max_num_frames": 128, "stack_frames": 1, "video_processor_type": "MiniCPMV4_6VideoProcessor"},
    }
