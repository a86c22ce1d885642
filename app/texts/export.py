"""What cannot be written as GGUF."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "gguf_missing": ("The package gguf is not installed.", "尚未安装软件包 gguf。"),
    "do_install_export": ("pip install -r requirements-export.txt", "pip install -r requirements-export.txt"),
    "out_not_written": ("--out: {out} cannot be written to ({strerror}).", "--out：无法写入 {out}（{strerror}）。"),
    "do_other_folder": ("Name another folder.", "请指定另一个文件夹。"),
    "folder_config_unread": ("{folder} has no config.json that can be read.", "{folder} 中没有可读取的 config.json。"),
    "weight_unknown": (
        "The weights have {name}, which no model of this kind has.",
        "权重中有 {name}，此类模型没有这一项。",
    ),
    "not_exported": ("{name} cannot be exported as GGUF.", "{name} 无法导出为 GGUF。"),
    "weights_quantised": (
        "The checkpoint's weights are quantised; GGUF is made from full ones.",
        "此权重已量化；GGUF 须由完整权重生成。",
    ),
    "do_full_checkpoint": ("Name the full checkpoint.", "请指定完整权重。"),
    "tokenizer_missing": ("The tokenizer.model is missing.", "缺少 tokenizer.model。"),
    "do_take_published": ("Take it from the published repository.", "请从发布的仓库获取。"),
    "tokenizer_token_over": (
        "The tokenizer has a token {number}, the model only {count} tokens.",
        "分词器有 token {number}，而模型只有 {count} 个 token。",
    ),
    "file_unread": ("{name} cannot be read.", "无法读取 {name}。"),
    "hidden_size_odd": (
        "hidden_size is {hidden_size}; llama.cpp takes only multiples of {multiple}.",
        "hidden_size 为 {hidden_size}；llama.cpp 只接受 {multiple} 的倍数。",
    ),
    "do_serve_otherwise": ("Serve this checkpoint with --api or vLLM.", "请用 --api 或 vLLM 提供此模型的服务。"),
    "tower_blocks": (
        "The tower has {count} blocks; config.json says {known}.",
        "视觉塔有 {count} 层；config.json 说是 {known}。",
    ),
    "tower_weight_unknown": (
        "The weights have {name}, which no tower of this kind has.",
        "权重中有 {name}，此类视觉塔没有这一项。",
    ),
    "file_broken": ("{name} is broken ({type}).", "{name} 已损坏（{type}）。"),
    "do_fetch_anew": ("Fetch it anew.", "请重新获取。"),
    "folder_no_weights": ("{folder} has no weights.", "{folder} 中没有权重。"),
    "do_name_safetensors": ("Name a folder with safetensors.", "请指定含有 safetensors 的文件夹。"),
    "weight_missing": ("The weights have no {name}.", "权重中没有 {name}。"),
    "do_take_all": ("Take all files from the published repository.", "请从发布的仓库获取全部文件。"),
    "do_exported": ("Exported here are {names}.", "这里可导出的有 {names}。"),
    "do_convert_script": (
        "Exported here are {names}. For this one use convert_hf_to_gguf.py of llama.cpp.",
        "这里可导出的有 {names}。此模型请用 llama.cpp 的 convert_hf_to_gguf.py。",
    ),
}
