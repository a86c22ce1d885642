"""The embedded checkpoint in the official layout: made, started, written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from app.families.minicpm_v_2_6 import MiniCPMV26, MiniCPMV26Config
from app.modeling.resampler import Resampler
from finetune.tiny import tokens
from finetune.tiny.shape import QUERIES, SLICE_SIDE, VISION, start_resampler, start_tower

# Cells of a picture at most.
# Four cells show a page of 300 letters well enough, and a picture costs half of what nine cells cost.
MOST_CELLS = 4
LANGUAGE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "rope_theta": 10000.0,
}


def config_data(tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json, field by field as the published one."""
    return {
        "version": 2.6,
        "architectures": ["MiniCPMV"],
        "auto_map": {
            "AutoConfig": "configuration_minicpm.MiniCPMVConfig",
            "AutoModel": "modeling_minicpmv.MiniCPMV",
            "AutoModelForCausalLM": "modeling_minicpmv.MiniCPMV",
        },
        "attention_dropout": 0.0,
        "bos_token_id": tokens.id_of(tokenizer, "<|endoftext|>"),
        "eos_token_id": tokens.id_of(tokenizer, "<|im_end|>"),
        "hidden_act": "silu",
        **LANGUAGE,
        "initializer_range": 0.02,
        "max_window_layers": LANGUAGE["num_hidden_layers"],
        "rms_norm_eps": 1e-06,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.0",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": tokenizer.get_vocab_size(),
        "batch_vision_input": True,
        "drop_vision_last_layer": False,
        "image_size": SLICE_SIDE,
        "model_type": "minicpmv",
        "patch_size": 14,
        "query_num": QUERIES,
        "slice_config": {"max_slice_nums": MOST_CELLS, "patch_size": 14, "model_type": "minicpmv"},
        "slice_mode": True,
        "vision_config": VISION,
    }


def preprocessor_data() -> dict[str, Any]:
    """preprocessor_config.json: slices of 168 pixels."""
    return {
        "image_processor_type": "MiniCPMVImageProcessor",
        "auto_map": {
            "AutoProcessor": "processing_minicpmv.MiniCPMVProcessor",
            "AutoImageProcessor": "image_processing_minicpmv.MiniCPMVImageProcessor",
        },
        "processor_class": "MiniCPMVProcessor",
        "max_slice_nums": MOST_CELLS,
        "scale_resolution": SLICE_SIDE,
        "patch_size": 14,
        "use_image_id": True,
        "image_feature_size": QUERIES,
        "im_start": "<image>",
        "im_end": "</image>",
        "slice_start": "<slice>",
        "slice_end": "</slice>",
        "unk": "<unk>",
        "im_id_start": "<image_id>",
        "im_id_end": "</image_id>",
        "slice_mode": True,
        "norm_mean": [0.5, 0.5, 0.5],
        "norm_std": [0.5, 0.5, 0.5],
        "version": 2.6,
    }


def new_resampler() -> Resampler:
    """The resampler untrained, float32: one head for every 128 channels, as in all of the family."""
    width, tower_width = int(LANGUAGE["hidden_size"]), int(str(VISION["hidden_size"]))
    resampler = Resampler(QUERIES, width, width // 128, tower_width)
    start_resampler(resampler)
    return resampler


def new_model(tokenizer: Tokenizer) -> MiniCPMV26:
    """The model untrained, float32, its parts started as they learn best."""
    model = MiniCPMV26(MiniCPMV26Config(**config_data(tokenizer) | {"torch_dtype": "float32"})).float()
    start_tower(model.vpm)
    start_resampler(model.resampler)
    with torch.no_grad():
        model.llm.model.embed_tokens.weight.normal_(std=0.5)
        model.llm.lm_head.weight.normal_(std=0.02)
        for layer in model.llm.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
                linear.weight.normal_(std=linear.in_features**-0.5)
            for linear in (attention.o_proj, mlp.down_proj):
                linear.weight.normal_(std=0.3 * linear.in_features**-0.5)
    return model


def write(model: MiniCPMV26, tokenizer: Tokenizer, folder: Path) -> None:
    """All files of the checkpoint, weights in bfloat16."""
    write_files(tokenizer, folder)
    weights = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def write_files(tokenizer: Tokenizer, folder: Path) -> None:
    """All files but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "config.json", config_data(tokenizer))
    _dump(folder / "preprocessor_config.json", preprocessor_data())
    end, bos = tokens.id_of(tokenizer, "<|im_end|>"), tokens.id_of(tokenizer, "<|endoftext|>")
    decoding = {
        "bos_token_id": bos,
        "pad_token_id": bos,
        "do_sample": True,
        "eos_token_id": [end, bos],
        "repetition_penalty": 1.05,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "transformers_version": "4.40.0",
    }
    _dump(folder / "generation_config.json", decoding)
    tokens.write(tokenizer, folder)


def _dump(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
