from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

import app.modeling  # noqa: F401  (registers the models)
from finetune.merge import merge
from tests.checkpoints import folder
from tests.families.tiny_native import NAMES, build
from tests.finetune.conftest import MUST
from tests.finetune.runs import COLOURS, QUESTION, data, losses, run, state_of
from tests.variants import briefly

__all__ = ["data"]
ROOT = Path(__file__).parents[2]


def checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """All weights of a folder, by name."""
    return {name: one for file in sorted(path.glob("*.safetensors")) for name, one in load_file(file).items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("name", MUST)
def test_lora_trains_the_adapter_and_the_resampler_alone(name: str, data: Path, tmp_path: Path) -> None:
    rows = run(name, data, tmp_path / "out", use_lora="true", lora_r=4, eval_data_path=data, max_steps=8)
    assert sum(losses(rows)[-2:]) < sum(losses(rows)[:2]) / 2
    assert "eval_loss" in rows[-1]
    weights = load_file(tmp_path / "out" / "adapter_model.safetensors")
    parts = {key.split(".")[2] for key in weights}
    assert parts == {"llm", "resampler"}
    assert {key.rsplit(".", 2)[-2] for key in weights if ".llm." in key} == {"lora_A", "lora_B"}
    moved = [key for key in weights if "lora_B" in key and weights[key].any()]
    layers = json.loads((folder(name) / "config.json").read_text())["num_hidden_layers"]
    assert len(moved) == 7 * layers
    for file in ("log.jsonl", "loss.png", "samples.html", "tokenizer_config.json"):
        assert (tmp_path / "out" / file).stat().st_size > 0, file
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.parametrize("name", MUST)
def test_full_training_changes_what_is_asked_and_keeps_the_official_layout(
    name: str, data: Path, tmp_path: Path
) -> None:
    source, out = folder(name), tmp_path / "out"
    rows = run(name, data, out, tune_vision="false", max_steps=8, gradient_checkpointing="true", learning_rate="1e-3")
    assert sum(losses(rows)[-2:]) < sum(losses(rows)[:2]) * 0.8
    before, after = checkpoint(source), checkpoint(out)
    moved = changed(before, after)
    assert {key.split(".")[0] for key in moved} == {"llm", "resampler"}
    assert "llm.lm_head.weight" in moved and "resampler.query" in moved
    assert "resampler.pos_embed" not in moved
    assert all(before[key].dtype == after[key].dtype for key in before)
    config = json.loads((source / "config.json").read_text())
    assert json.loads((out / "config.json").read_text()) == config and "auto_map" in config
    for file in source.glob("*token*"):
        assert (out / file.name).read_bytes() == file.read_bytes()
    again = AutoModel.from_pretrained(out)
    assert not changed(after, state_of(again))


@pytest.mark.parametrize("name", briefly(NAMES[-1:], NAMES))
def test_models_of_the_librarys_own(name: str, data: Path, tmp_path: Path) -> None:
    base = build(tmp_path / "base", name)
    rows = run(base, data, tmp_path / "lora", use_lora="true", lora_r=4, eval_data_path=data)
    assert losses(rows)[-1] < losses(rows)[0]
    merge(tmp_path / "lora", tmp_path / "merged")
    assert {key.split(".")[1] for key in changed(checkpoint(base), checkpoint(tmp_path / "merged"))} == {
        "language_model", "merger"
    }  # fmt: skip
    rows = run(base, data, tmp_path / "full", tune_llm="false", tune_vision="false", max_steps=3)
    moved = changed(checkpoint(base), checkpoint(tmp_path / "full"))
    assert moved and all(key.startswith("model.merger.") for key in moved)


def test_the_parts_can_be_chosen(data: Path, tmp_path: Path) -> None:
    source = folder("minicpm-v-2_6")
    run("minicpm-v-2_6", data, tmp_path / "vision", tune_llm="false", tune_resampler="false", max_steps=2)
    moved = changed(checkpoint(source), checkpoint(tmp_path / "vision"))
    assert {key.split(".")[0] for key in moved} == {"vpm"}
    run("minicpm-v-2_6", data, tmp_path / "lora", use_lora="true", tune_resampler="false", max_steps=1)
    assert all("lora_" in key for key in load_file(tmp_path / "lora" / "adapter_model.safetensors"))
    run("minicpm-v-2_6", data, tmp_path / "both", use_lora="true", tune_vision="true", max_steps=1,
        lora_modules_to_save="embed_tokens")  # fmt: skip
    saved = {key.split(".")[2] for key in load_file(tmp_path / "both" / "adapter_model.safetensors")}
    config = json.loads((tmp_path / "both" / "adapter_config.json").read_text())
    assert saved == {"llm", "vpm", "resampler"}
    assert set(config["modules_to_save"]) == {"vpm", "resampler", "embed_tokens"}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        pytest.param("minicpm-v-2_6", {"use_lora": "true"}, id="minicpm-v-2_6-lora"),
        pytest.param("minicpm-v-2", {}, id="minicpm-v-2-full"),
        pytest.param("minicpm-v-2_6", {}, id="minicpm-v-2_6-full", marks=pytest.mark.thorough),
        pytest.param("minicpm-v-2", {"use_lora": "true"}, id="minicpm-v-2-lora", marks=pytest.mark.thorough),
    ],
)
def test_a_resumed_run_has_the_losses_of_one_that_never_stopped(
    name: str, flags: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    flags = flags | {"save_strategy": "steps", "save_steps": 3, "lr_scheduler_type": "cosine", "max_steps": 5}
    whole = losses(run(name, data, tmp_path / "out", **flags))
    (tmp_path / "out" / "log.jsonl").open("a").write('{"step": 99}\n{"st')
    resumed = run(name, data, tmp_path / "out", **flags, resume_from_checkpoint=tmp_path / "out" / "checkpoint-3")
    assert losses(resumed) == pytest.approx(whole, abs=1e-6)
    assert [row["step"] for row in resumed] == [1, 2, 3, 4, 5]
    assert len(set(whole)) == 5


def test_bf16_and_int4_train(data: Path, tmp_path: Path) -> None:
    rows = run("minicpm-v-2_6", data, tmp_path / "bf16", use_lora="true", bf16="true", eval_data_path=data)
    assert losses(rows)[-1] < losses(rows)[0]
    rows = run("minicpm-v-2_6", data, tmp_path / "int4", q_lora="true")
    assert losses(rows)[-1] < losses(rows)[0]
    weights = load_file(tmp_path / "int4" / "adapter_model.safetensors")
    assert {one.dtype for one in weights.values()} == {torch.float32}
    # The adapter fits the model in full precision.
    base = AutoModel.from_pretrained(folder("minicpm-v-2_6"))
    PeftModel.from_pretrained(base, tmp_path / "int4")


def test_bf16_full_training_saves_the_precision_of_the_checkpoint(data: Path, tmp_path: Path) -> None:
    base = AutoModel.from_pretrained(folder("minicpm-v-2_6"), dtype=torch.bfloat16)
    from finetune.checkpoint import save_model

    save_model(base, folder("minicpm-v-2_6"), tmp_path / "base", torch.bfloat16)
    assert json.loads((tmp_path / "base" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    flags = {"bf16": "true", "max_steps": 2, "save_strategy": "steps", "save_steps": 2}
    run(tmp_path / "base", data, tmp_path / "out", **flags)
    assert {one.dtype for one in checkpoint(tmp_path / "out").values()} == {torch.bfloat16}
    assert {one.dtype for one in checkpoint(tmp_path / "out" / "checkpoint-2").values()} == {torch.float32}


def test_an_adapter_can_be_trained_further(data: Path, tmp_path: Path) -> None:
    first = run("minicpm-v-2_6", data, tmp_path / "one", use_lora="true", lora_r=4)
    second = run("minicpm-v-2_6", data, tmp_path / "two", use_lora="true", lora_weight_path=tmp_path / "one")
    assert losses(second)[0] < losses(first)[0] / 2
    assert json.loads((tmp_path / "two" / "adapter_config.json").read_text())["r"] == 4


def test_text_and_pictures_of_several_sizes_in_one_batch(data: Path, tmp_path: Path) -> None:
    entries = json.loads(data.read_text())
    text = {
        "id": "text",
        "conversations": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}],
    }
    several = json.loads(json.dumps(entries[0]))
    several["image"] = {"<image_00>": "red.png", "<image_01>": "blue.png"}
    several["conversations"][0]["content"] = "<image_00>\n<image_01>\nWhich?"
    data.write_text(json.dumps([text, entries[0], several, text]))
    rows = run("minicpm-v-2_6", data, tmp_path / "out", use_lora="true", per_device_train_batch_size=4, max_steps=4)
    assert losses(rows)[-1] < losses(rows)[0]


def test_a_bad_sample_is_skipped_and_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(data.read_text())
    entries[1]["image"] = "missing.png"
    data.write_text("\n".join(map(json.dumps, entries)))
    run("minicpm-v-2_6", data.rename(data.with_suffix(".jsonl")), tmp_path / "out", use_lora="true", max_steps=3)
    said = capsys.readouterr().err
    assert "Skipped: line 2:" in said and "1 samples were skipped" in said


def test_turns_that_do_not_fit_are_said(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = json.loads(data.read_text())
    turns = entries[1]["conversations"]
    turns += [{"role": "user", "content": "And now?"}, {"role": "assistant", "content": "so " * 300}]
    data.write_text("\n".join(map(json.dumps, entries)))
    run("minicpm-v-2_6", data.rename(data.with_suffix(".jsonl")), tmp_path / "out", use_lora="true", max_steps=2,
        model_max_length=300)  # fmt: skip
    said = capsys.readouterr().err
    assert "Shortened: line 2: the last 2 messages do not fit." in said
    assert "1 samples were shortened by 2 messages" in said and "skipped" not in said


@pytest.mark.slow
@pytest.mark.thorough
def test_two_processes_say_every_bad_sample_and_count_them_all(data: Path, tmp_path: Path) -> None:
    """Each picture is met by one of them; what is of no form is met by both, and said once."""
    good, *_ = entries = json.loads(data.read_text())
    entries = [good if number % 2 else good | {"image": f"missing_{number}.png"} for number in range(12)]
    entries.append(good | {"conversations": []})
    data.write_text("\n".join(map(json.dumps, entries)))
    flags = {
        "model_name_or_path": folder("minicpm-v-2_6"),
        "data_path": data.rename(data.with_suffix(".jsonl")),
        "output_dir": tmp_path / "out",
        "use_lora": "true",
        "lora_r": 2,
        "num_train_epochs": 1,
        "save_strategy": "no",
        "use_cpu": "true",
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    launcher = [sys.executable, *"-m torch.distributed.run --standalone --nproc-per-node 2 -m finetune".split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    skipped = sorted(int(line) for line in re.findall(r"Skipped: line (\d+):", done.stderr))
    assert skipped == [1, 3, 5, 7, 9, 11, 13], done.stderr
    assert "7 samples were skipped" in done.stderr
    assert done.stderr.count("weights learn, from") == 1


def test_lora_teaches_a_new_word(data: Path, tmp_path: Path) -> None:
    """The answer changes with the adapter, is right, and is the old one again without it."""
    from PIL import Image

    from tests.modeling.golden import load

    _, tokenizer, _ = load("minicpm-v-2_6")
    base = AutoModel.from_pretrained(folder("minicpm-v-2_6"))

    def ask(some: Any, colour: str) -> str:
        msgs = [{"role": "user", "content": [Image.open(tmp_path / f"{colour}.png").convert("RGB"),
                                             QUESTION.removeprefix("<image>\n")]}]  # fmt: skip
        return str(some.chat(image=None, msgs=msgs, tokenizer=tokenizer, sampling=False, num_beams=1,
                             repetition_penalty=1.0, max_new_tokens=8))  # fmt: skip

    before = {colour: ask(base, colour) for colour in COLOURS}
    rows = run("minicpm-v-2_6", data, tmp_path / "out", use_lora="true", lora_r=8, max_steps=20,
               per_device_train_batch_size=4)  # fmt: skip
    assert losses(rows)[-1] < 0.1 < losses(rows)[0]
    tuned = PeftModel.from_pretrained(base, tmp_path / "out").eval()
    after = {colour: ask(base, colour) for colour in COLOURS}
    assert after == COLOURS and all(before[colour] != word for colour, word in COLOURS.items())
    with tuned.disable_adapter():
        assert {colour: ask(base, colour) for colour in COLOURS} == before
