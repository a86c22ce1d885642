from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from transformers import TrainingArguments

from app.errors import SettingsError
from finetune.arguments import COMMON, DEFAULTS
from finetune.help import help_text
from finetune.parsing import GONE, Arguments, build_parser, parse_arguments

# The flags of the official finetune_lora.sh and finetune_ds.sh, for a machine without GPUs.
SHARED = r"""
    --remove_unused_columns false --label_names "labels" --prediction_loss_only false
    --bf16_full_eval false --fp16 false --fp16_full_eval false --do_train --do_eval --model_max_length 2048
    --max_slice_nums 9 --max_steps 10000 --eval_steps 1000 --logging_dir output/logs --logging_strategy "steps"
    --per_device_train_batch_size 2 --per_device_eval_batch_size 1 --gradient_accumulation_steps 1
    --evaluation_strategy "steps" --save_strategy "steps" --save_steps 1000 --save_total_limit 10
    --learning_rate 1e-6 --weight_decay 0.1 --adam_beta2 0.95 --warmup_ratio 0.01 --lr_scheduler_type "cosine"
    --logging_steps 1 --gradient_checkpointing true --deepspeed ds_config_zero2.json --report_to "tensorboard"
    --model_name_or_path openbmb/MiniCPM-V-2_6 --llm_type qwen --data_path train.json --eval_data_path test.json
    --output_dir output/run --use_cpu true
"""
LORA = r"""
    --bf16 false --tune_vision true --tune_llm false --use_lora true
    --lora_target_modules "llm\..*layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj|o_proj)"
"""
FULL = "--bf16 true --tune_vision true --tune_llm true"


def parse(line: str) -> Arguments:
    return parse_arguments(["--data_path", "x.json", "--use_cpu", "true", *shlex.split(line)])


def fails(line: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(line)
    return str(caught.value)


def test_the_official_lora_command_line() -> None:
    got = parse_arguments(shlex.split(SHARED + LORA))
    assert (got.model.tune_vision, got.model.tune_llm, got.lora.use_lora) == (True, False, True)
    assert got.lora.lora_target_modules == r"llm\..*layers\.\d+\.self_attn\.(q_proj|k_proj|v_proj|o_proj)"
    training = got.training
    assert (training.eval_strategy, training.eval_steps, training.warmup_steps) == ("steps", 1000, 0.01)
    assert (training.adam_beta2, training.lr_scheduler_type, training.output_dir) == (0.95, "cosine", "output/run")
    assert training.gradient_checkpointing is True and training.learning_rate == 1e-6
    assert (got.data.data_path, got.data.eval_data_path, got.data.max_slice_nums) == ("train.json", "test.json", 9)


def test_what_is_not_used_is_said() -> None:
    notes = " ".join(parse_arguments(shlex.split(SHARED + LORA)).notes)
    for name in ("llm_type", "logging_dir"):
        assert f"--{name} is accepted and not used" in notes


def test_the_official_full_command_line() -> None:
    got = parse_arguments(shlex.split(SHARED + FULL))
    assert (got.model.tune_vision, got.model.tune_llm, got.lora.use_lora) == (True, True, False)
    assert got.training.bf16 is True


@pytest.mark.parametrize(
    ("line", "vision", "llm"),
    [("", True, True), ("--use_lora", False, False), ("--q_lora true", False, False),
     ("--use_lora true --tune_vision true", True, False), ("--tune_vision false", False, True)],
)  # fmt: skip
def test_what_learns_where_nothing_is_said(line: str, vision: bool, llm: bool) -> None:
    got = parse(line)
    assert (got.model.tune_vision, got.model.tune_llm) == (vision, llm)
    assert got.lora.use_lora == ("lora" in line)


def test_every_field_of_the_library_is_a_flag() -> None:
    flags = set(build_parser()._option_string_actions)
    assert {f"--{one.name}" for one in fields(TrainingArguments) if one.init} <= flags
    assert set(COMMON) | set(DEFAULTS) <= {one.name for one in fields(TrainingArguments)}


def test_other_spellings() -> None:
    got = parse("--use-lora --max-length 77 --media-root pictures --lora_layers_to_transform 0 1 --no_cuda")
    assert (got.data.model_max_length, got.data.media_root) == (77, "pictures")
    assert got.lora.lora_layers_to_transform == [0, 1] and got.training.use_cpu is True
    assert parse('--use_lora true --lora_target_modules ""').lora.lora_target_modules is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--lora_rr 8", ["--lora_rr is no flag", "Is --lora_r meant"]),
        ("--learning_rat=3", ["--learning_rat is no flag", "--learning_rate meant"]),
        ("stray", ["'stray' belongs to no flag"]),
        ("--lora_r three", ["--lora_r", "invalid int value: 'three'"]),
        ("--lora_r 0", ["--lora_r: got 0", "1 or more"]),
        ("--lora_bias some", ["got 'some', allowed is none"]),
        ("--lora_bias lora_only", ["got 'lora_only', allowed is none", "the page takes no adapter"]),
        ("--group_by_length", ["--group_by_length is gone", "older versions of transformers", "Leave it out"]),
        ("--push-to-hub-token=x", ["--push-to-hub-token is gone"]),
        ("--length_of_all_samples 3", ["is no flag here", "--help-all"]),
        ("--use_lora true --tune_llm true", ["exclude each other"]),
        ("--fp16 true", ["needs a GPU", "--bf16"]),
        ("--eval_strategy steps", ["samples to measure on", "--eval_data_path"]),
        ("--eval_strategy never", ["invalid choice: 'never'"]),
        ("--deepspeed nowhere.json", ["no file nowhere.json", "ds_config_zero2.json"]),
    ],
)
def test_errors_say_what_to_do(line: str, words: list[str]) -> None:
    message = fails(line)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_data_must_be_named() -> None:
    with pytest.raises(SettingsError, match="--data_path is missing"):
        parse_arguments(["--use_cpu", "true"])


def test_without_deepspeed_one_process_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("finetune.deepspeed.find_spec", lambda name: None)
    got = parse("--deepspeed ds_config_zero2.json")
    assert got.training.deepspeed is None
    assert any(note.startswith("--deepspeed is not used") for note in got.notes)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "pip install deepspeed" in fails("--deepspeed ds_config_zero2.json")
    monkeypatch.delenv("WORLD_SIZE")
    offload = tmp_path / "offload.json"
    offload.write_text(json.dumps({"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}))
    assert "not installed" in fails(f"--deepspeed {offload}")
    offload.write_text("[]")
    assert "no JSON object" in fails(f"--deepspeed {offload}")


def test_a_missing_tracker_is_no_reason_not_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.parsing.get_available_reporting_integrations", lambda: [])
    got = parse("--report_to tensorboard")
    assert not got.training.report_to or got.training.report_to == ["none"]
    assert any("tensorboard" in note for note in got.notes)


def test_help_names_the_flags_that_matter() -> None:
    text = help_text()
    for name in ("--data_path", "--use_lora", "--lora_target_modules", "--learning_rate", "--resume_from_checkpoint",
                 "--help-all", "merge"):  # fmt: skip
        assert name in text
    assert max(map(len, text.splitlines())) < 120


def test_flags_that_are_gone_are_none_of_todays() -> None:
    assert not {f"--{name}" for name in GONE} & set(build_parser()._option_string_actions)


@pytest.mark.parametrize("switch", [[], ["--use_lora", "false"], ["--use_lora", "true"], ["--q_lora", "true"]])
def test_an_adapter_to_go_on_with_means_lora(switch: list[str]) -> None:
    got = parse_arguments(["--data_path", "x", "--use_cpu", "true", "--lora_weight_path", "out", *switch])
    assert got.lora.use_lora and (got.model.tune_vision, got.model.tune_llm) == (False, False)
    said = any("--lora_weight_path means --use_lora true" in note for note in got.notes)
    assert said == ("true" not in switch)
    assert not parse('--lora_weight_path ""').lora.use_lora


def test_flags_of_a_new_adapter_are_named_where_one_goes_on() -> None:
    base = ["--data_path", "x", "--use_cpu", "true", "--use_lora", "true", "--lora_weight_path", "out"]
    notes = parse_arguments([*base, "--lora_r", "8", "--tune_vision", "true", "--lora_modules_to_save", ""]).notes
    idle = [note.split()[0] for note in notes if "has its own" in note]
    assert idle == ["--lora_r", "--tune_vision"]
    assert not any("has its own" in note for note in parse_arguments(base).notes)
