"""The configs that ship for several GPUs are what accelerate and DeepSpeed read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.deepspeed import HfDeepSpeedConfig

from finetune.deepspeed import SHIPPED

ROOT = Path(__file__).parents[2]
LAUNCH = sorted(SHIPPED.glob("*.yaml"))
KINDS = {"fsdp": "FSDP", "multi_gpu": "MULTI_GPU", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


def test_there_is_one_for_each_way() -> None:
    assert [path.stem for path in LAUNCH] == sorted(KINDS)


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.stem)
def test_accelerate_reads_it(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == DistributedType[KINDS[path.stem]]
    assert config.num_processes > 1
    command = path.read_text("utf-8").splitlines()[0]
    assert str(path.relative_to(ROOT)) in command and "-m finetune" in command
    if config.deepspeed_config:
        assert (ROOT / config.deepspeed_config["deepspeed_config_file"]).is_file()


def test_fsdp_wraps_the_layers_the_models_name(monkeypatch: pytest.MonkeyPatch) -> None:
    config = yaml.safe_load((SHIPPED / "fsdp.yaml").read_text("utf-8"))
    for name, value in config["fsdp_config"].items():
        monkeypatch.setenv(name.upper(), str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and "FULL" in str(plugin.state_dict_type)
    # The result is one checkpoint; which layers are wrapped is said by each model.
    assert "fsdp_transformer_layer_cls_to_wrap" not in config["fsdp_config"]


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_configs(stage: int) -> None:
    path = SHIPPED / f"ds_config_zero{stage}.json"
    config = json.loads(path.read_text("utf-8"))
    assert config["zero_optimization"]["stage"] == stage
    # The library fills in what is "auto" from the flags; whatever it cannot fill in would stay a word.
    automatic = {key for key, value in config.items() if value == "auto"}
    assert automatic == {
        "gradient_accumulation_steps", "gradient_clipping", "train_batch_size", "train_micro_batch_size_per_gpu"
    }  # fmt: skip
    read = HfDeepSpeedConfig(str(path))
    assert read.is_zero3() == (stage == 3) and not read.is_offload()
    if stage == 3:
        assert config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
