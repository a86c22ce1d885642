"""Checkpoints as the engines take them: `python -m tests.engines.checkpoint DIR OUT` writes one for vLLM."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

MODULE = "minicpmv_files"
CLASSES = {
    "config.json": {"AutoConfig": "MiniCPMVConfig"},
    "tokenizer_config.json": {"AutoTokenizer": (None, "MiniCPMVTokenizerFast")},
    "preprocessor_config.json": {"AutoProcessor": "MiniCPMVProcessor", "AutoImageProcessor": "MiniCPMVImageProcessor"},
}


def for_vllm(source: Path, out: Path) -> Path:
    """A copy of a checkpoint of MiniCPM-V 2.6 with the code that vLLM wants beside it; returns its folder."""
    shutil.copytree(source, out, dirs_exist_ok=True)
    shutil.copy(Path(__file__).with_name("remote_code.py"), out / f"{MODULE}.py")
    for name, classes in CLASSES.items():
        fields = json.loads((out / name).read_text())
        fields["auto_map"] = {
            auto: [each and f"{MODULE}.{each}" for each in made] if isinstance(made, tuple) else f"{MODULE}.{made}"
            for auto, made in classes.items()
        }
        (out / name).write_text(json.dumps(fields, indent=1))
    return out


if __name__ == "__main__":
    print(for_vllm(Path(sys.argv[1]), Path(sys.argv[2])))
