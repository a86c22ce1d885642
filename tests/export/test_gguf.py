"""What is written as GGUF, read back with the library's own reader, against the checkpoint and our own modules."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gguf
import jinja2
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import app.modeling  # noqa: F401  (registers the models)
from app.export.__main__ import main
from app.export.language import interleave
from app.export.members import MEMBERS
from app.export.vision import TABLE, stretch
from app.export.weights import Weights
from app.modeling.positions import position_buckets

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CHECKPOINTS = {
    "2.6": GOLDEN / "minicpm-v-2_6" / "checkpoint",
    "2.5": GOLDEN / "minicpm-llama3-v-2_5" / "checkpoint",
    "2.0": GOLDEN / "minicpm-v-2" / "checkpoint",
    "tiny": ROOT / "assets" / "tiny-minicpm-v",
}
ALL = pytest.mark.parametrize("name", CHECKPOINTS)


class File:
    """A written file."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self.fields = {name: field.contents() for name, field in reader.fields.items()}
        self.types = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        return gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    @property
    def names(self) -> set[str]:
        return set(self._tensors)


@cache
def written(name: str, precision: str = "f32") -> tuple[File, File, str]:
    """Language model, tower and Modelfile."""
    out = Path(mkdtemp())
    arguments = ["gguf", "--model", str(CHECKPOINTS[name]), "--out", str(out), "--type", precision]
    assert main(arguments) == 0
    tower = "f32" if precision == "f32" else "f16"
    files = File(out / f"model-{precision}.gguf"), File(out / f"mmproj-{tower}.gguf"), (out / "Modelfile").read_text()
    shutil.rmtree(out)
    return files


def config_of(name: str) -> dict[str, Any]:
    return json.loads((CHECKPOINTS[name] / "config.json").read_text())


@ALL
def test_every_tensor_of_the_language_model_is_the_checkpoints(name: str) -> None:
    model, _, _ = written(name)
    weights, config = Weights(CHECKPOINTS[name]), config_of(name)
    stored = [each for each in weights if each.startswith("llm.")]
    assert len(model.names) == len(stored)
    layers = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
              "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
              "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
              "ffn_norm": "post_attention_layernorm"}  # fmt: skip
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    for target in model.names:
        base, _, suffix = target.rpartition(".")
        layer = re.match(r"blk\.(\d+)\.(\w+)", base)
        source = f"model.layers.{layer[1]}.{layers[layer[2]]}" if layer else whole[base]
        values = weights.read(f"llm.{source}.{suffix}")
        if name in ("2.5", "2.0") and source.endswith(("q_proj", "k_proj")):
            heads = config["num_attention_heads" if "q_proj" in source else "num_key_value_heads"]
            width = len(values) // heads
            # Row 2i of a head is its i-th, row 2i + 1 that one's partner half a head on.
            order = [head * width + at // 2 + (at % 2) * width // 2 for head in range(heads) for at in range(width)]
            values = values[order]
        np.testing.assert_array_equal(model[target], values, err_msg=target)


@ALL
def test_sizes_and_scales_are_told(name: str) -> None:
    model, _, _ = written(name)
    config, fields = config_of(name), model.fields
    kind = fields["general.architecture"]
    assert kind == {"2.6": "qwen2", "tiny": "qwen2", "2.5": "llama", "2.0": "minicpm"}[name]
    assert fields[f"{kind}.block_count"] == config["num_hidden_layers"]
    assert fields[f"{kind}.embedding_length"] == config["hidden_size"]
    assert fields[f"{kind}.feed_forward_length"] == config["intermediate_size"]
    assert fields[f"{kind}.attention.head_count"] == config["num_attention_heads"]
    assert fields[f"{kind}.attention.head_count_kv"] == config["num_key_value_heads"]
    assert fields[f"{kind}.context_length"] == config["max_position_embeddings"]
    assert fields[f"{kind}.rope.freq_base"] == config["rope_theta"]
    assert fields[f"{kind}.attention.layer_norm_rms_epsilon"] == pytest.approx(config["rms_norm_eps"])
    if name == "2.0":
        assert fields["minicpm.embedding_scale"] == 12
        assert fields["minicpm.residual_scale"] == pytest.approx(1.4 / 2**0.5)
        assert fields["minicpm.logit_scale"] == pytest.approx(256 / 64)


@ALL
def test_tokens_and_special_ids_are_the_tokenizers(name: str) -> None:
    model, _, _ = written(name)
    fields, config = model.fields, config_of(name)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINTS[name])
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == config["vocab_size"]
    for token, number in tokenizer.get_vocab().items():
        assert tokens[number] == token
    assert fields["tokenizer.ggml.bos_token_id"] == config["bos_token_id"]
    ends = {"2.6": "<|im_end|>", "tiny": "<|im_end|>", "2.5": "<|eot_id|>", "2.0": "</s>"}
    assert tokens[fields["tokenizer.ggml.eos_token_id"]] == ends[name]
    assert fields["tokenizer.ggml.add_bos_token"] == (name in ("2.5", "2.0"))
    control, shown = gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED
    assert kinds[tokens.index("<image>")] == kinds[tokens.index(ends[name])] == control
    assert kinds[tokens.index("<box>")] == kinds[tokens.index("</ref>")] == shown


@pytest.mark.parametrize(("name", "splitter"), [("2.6", "qwen2"), ("tiny", "qwen2"), ("2.5", "llama-bpe")])
def test_merges_are_the_tokenizers(name: str, splitter: str) -> None:
    fields = written(name)[0].fields
    stored = json.loads((CHECKPOINTS[name] / "tokenizer.json").read_text())["model"]["merges"]
    assert fields["tokenizer.ggml.merges"] == [each if isinstance(each, str) else " ".join(each) for each in stored]
    assert (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) == ("gpt2", splitter)


def test_scores_and_kinds_are_those_of_sentencepiece() -> None:
    fields = written("2.0")[0].fields
    pieces = AutoTokenizer.from_pretrained(CHECKPOINTS["2.0"]).sp_model
    scores = [pieces.get_score(number) for number in range(len(pieces))]
    assert fields["tokenizer.ggml.scores"] == pytest.approx(scores)
    assert fields["tokenizer.ggml.model"] == "llama" and not fields["tokenizer.ggml.add_space_prefix"]
    kinds = fields["tokenizer.ggml.token_type"]
    assert kinds[0] == gguf.TokenType.UNKNOWN and kinds[1] == gguf.TokenType.CONTROL
    newline = fields["tokenizer.ggml.tokens"].index("\n")
    assert kinds[newline] == gguf.TokenType.USER_DEFINED and kinds[113] == gguf.TokenType.BYTE


@pytest.mark.parametrize("name", ["2.6", "2.5", "tiny"])
def test_every_tensor_of_the_tower_is_the_checkpoints(name: str) -> None:
    _, tower, _ = written(name)
    weights = Weights(CHECKPOINTS[name])
    parts = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_out": "self_attn.out_proj", "ln1": "layer_norm1", "ln2": "layer_norm2", "ffn_up": "mlp.fc1",
             "ffn_down": "mlp.fc2"}  # fmt: skip
    whole = {"patch_embd": "embeddings.patch_embedding", "post_ln": "post_layernorm"}
    compared = 0
    for target in tower.names:
        found = re.fullmatch(r"v\.(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)", target)
        if not found or found[2] == "position_embd":
            continue
        block, part, suffix = found.groups()
        source = f"vpm.encoder.layers.{block}.{parts[part]}" if block else f"vpm.{whole[part]}"
        np.testing.assert_array_equal(tower[target], weights.read(f"{source}.{suffix}"), err_msg=target)
        compared += 1
    assert compared == sum(each.startswith("vpm.") for each in weights) - 1


def test_the_tower_of_2_0_is_the_checkpoints() -> None:
    _, tower, _ = written("2.0")
    weights = Weights(CHECKPOINTS["2.0"])
    for at, part in enumerate("qkv"):
        packed = weights.read("vpm.blocks.1.attn.qkv.weight")
        np.testing.assert_array_equal(tower[f"v.blk.1.attn_{part}.weight"], np.split(packed, 3)[at])
    np.testing.assert_array_equal(tower["v.blk.0.ffn_up.weight"], weights.read("vpm.blocks.0.mlp.fc1.weight"))
    np.testing.assert_array_equal(tower["v.post_ln.bias"], weights.read("vpm.norm.bias"))


@ALL
def test_the_tower_is_described(name: str) -> None:
    _, tower, _ = written(name)
    fields, config = tower.fields, config_of(name)
    assert fields["general.architecture"] == "clip" and fields["clip.projector_type"] == "resampler"
    assert fields["clip.minicpmv_version"] == {"2.6": 3, "tiny": 3, "2.5": 2, "2.0": 2}[name]
    assert fields["clip.minicpmv_query_num"] == config["query_num"]
    assert fields["clip.vision.image_size"] == (168 if name == "tiny" else 448)
    assert fields["clip.vision.patch_size"] == 14 and fields["clip.use_gelu"]
    blocks = {int(found[1]) for each in tower.names if (found := re.match(r"v\.blk\.(\d+)\.", each))}
    assert blocks == set(range(fields["clip.vision.block_count"]))
    assert fields["clip.vision.image_mean"] == [0.5, 0.5, 0.5]


@ALL
def test_the_resampler_answers_as_ours_does(name: str) -> None:
    _, tower, _ = written(name)
    model = AutoModel.from_pretrained(CHECKPOINTS[name], dtype=torch.float32)
    ours = model.resampler
    hidden = torch.randn(1, 12, ours.kv_proj.weight.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = ours(hidden, (3, 4))
        told = _resampled({each: torch.from_numpy(tower[each]) for each in tower.names}, hidden, (3, 4))
    scale = 12 if name == "2.0" else 1
    torch.testing.assert_close(told * scale, expected, atol=2e-4, rtol=1e-3)


def _resampled(tensors: dict[str, torch.Tensor], hidden: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What llama.cpp computes with the file (its graph of this projector, written out)."""
    from app.modeling.resampler import sincos_2d

    def norm(values: torch.Tensor, which: str) -> torch.Tensor:
        weight, bias = tensors[f"resampler.ln_{which}.weight"], tensors[f"resampler.ln_{which}.bias"]
        return torch.nn.functional.layer_norm(values, values.shape[-1:], weight, bias, 1e-6)

    def linear(values: torch.Tensor, which: str) -> torch.Tensor:
        heads = (values @ tensors[f"resampler.attn.{which}.weight"].T) + tensors[f"resampler.attn.{which}.bias"]
        return heads.unflatten(-1, (-1, 128)).transpose(1, 2)

    value = norm(hidden @ tensors["resampler.kv.weight"].T, "kv")
    places = torch.from_numpy(sincos_2d(*size, value.shape[-1])).flatten(0, 1)
    query = norm(tensors["resampler.query"], "q")[None]
    mixed = torch.nn.functional.scaled_dot_product_attention(
        linear(query, "q"), linear(value + places, "k"), linear(value, "v")
    )
    out = mixed.transpose(1, 2).flatten(2) @ tensors["resampler.attn.out.weight"].T + tensors["resampler.attn.out.bias"]
    return norm(out, "post") @ tensors["resampler.proj.weight"].T


@pytest.mark.parametrize("name", ["2.6", "2.5"])
def test_a_table_of_the_size_that_is_read_stays(name: str) -> None:
    stored = Weights(CHECKPOINTS[name]).read("vpm.embeddings.position_embedding.weight")
    np.testing.assert_array_equal(written(name)[1]["v.position_embd.weight"], stored)


def looked_up(count: int) -> list[int]:
    """Rows that llama.cpp reads for so many patches."""
    return [int(70.0 * place / count) for place in range(count)]


def test_a_smaller_table_is_read_in_the_same_places() -> None:
    table = Weights(CHECKPOINTS["tiny"]).read("vpm.embeddings.position_embedding.weight").reshape(24, 24, -1)
    read = written("tiny")[1]["v.position_embd.weight"].reshape(TABLE, TABLE, -1)
    buckets = position_buckets(12, 24).numpy()  # a square slice has 12 x 12 patches
    np.testing.assert_array_equal(read[looked_up(12)][:, looked_up(12)], table[buckets][:, buckets])
    for count in range(7, 20):  # others are off by one place of 24 at most
        wanted = torch.nn.functional.one_hot(position_buckets(count, 24), 24)
        found = stretch(24, 12, smooth=False)[looked_up(count)]
        assert (wanted.argmax(1) - found.argmax(1)).abs().max() <= 1


def test_the_resampled_table_of_2_0_is_exact_for_square_slices() -> None:
    model = AutoModel.from_pretrained(CHECKPOINTS["2.0"], dtype=torch.float32)
    read = written("2.0")[1]["v.position_embd.weight"].reshape(TABLE, TABLE, -1)
    expected = model.vpm.positions(32, 32).detach().numpy().reshape(32, 32, -1)
    np.testing.assert_allclose(read[looked_up(32)][:, looked_up(32)], expected, atol=1e-5)


def test_interleaving_is_what_the_two_ways_of_turning_differ_by() -> None:
    head = np.arange(8)[:, None]
    assert interleave(head, 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert interleave(np.arange(8)[:, None], 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("precision", ["f16", "bf16", "q8_0", "q4_0"])
def test_precisions(precision: str) -> None:
    model, tower, modelfile = written("tiny", precision)
    exact = written("tiny")[0]
    kind = gguf.GGMLQuantizationType[precision.upper()]
    assert model.types["blk.0.attn_q.weight"] == kind
    assert model.types["blk.0.attn_norm.weight"] == model.types["blk.0.attn_q.bias"] == gguf.GGMLQuantizationType.F32
    assert tower.types["v.blk.0.ffn_up.weight"] == gguf.GGMLQuantizationType.F16
    if precision == "q4_0":
        assert model.types["token_embd.weight"] == gguf.GGMLQuantizationType.Q8_0
    error = np.abs(model["blk.0.ffn_up.weight"] - exact["blk.0.ffn_up.weight"]).mean()
    assert error < (0.2 if precision == "q4_0" else 0.01) * np.abs(exact["blk.0.ffn_up.weight"]).mean()
    assert f"FROM ./model-{precision}.gguf\nFROM ./mmproj-f16.gguf\n" in modelfile


def test_rows_that_are_no_whole_blocks_stay_in_f16() -> None:
    model, tower, _ = written("2.0", "q8_0")
    assert model.types["blk.0.attn_q.weight"] == gguf.GGMLQuantizationType.Q8_0
    assert tower.types["v.blk.0.ffn_down.weight"] == gguf.GGMLQuantizationType.F16


@pytest.mark.parametrize("name", ["2.6", "2.5", "2.0"])
def test_the_prompt_is_the_golden_one(name: str) -> None:
    """With the marks of images as llama-server writes them."""
    template = jinja2.Environment().from_string(written(name)[0].fields["tokenizer.chat_template"])
    mark = "<__media_x1__>"
    text = [{"role": "user", "content": f"{mark}What is it?"}, {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": f"And\n{mark}\nthis?"}]  # fmt: skip
    rendered = template.render(messages=text, add_generation_prompt=True)
    numbers = ["<image_id>0</image_id>", "<image_id>1</image_id>"] if name == "2.6" else ["", ""]
    first, second = f"{numbers[0]}{mark}\nWhat is it?", f"And\n{numbers[1]}{mark}\nthis?"
    expected = {
        "2.6": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n" + first
        + "<|im_end|>\n<|im_start|>assistant\nA cat.<|im_end|>\n<|im_start|>user\n" + second
        + "<|im_end|>\n<|im_start|>assistant\n",
        "2.5": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n" + first
        + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA cat.<|eot_id|>"
        + "<|start_header_id|>user<|end_header_id|>\n\n" + second
        + "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "2.0": f"<用户>{first}<AI>A cat.<用户>{second}<AI>",
    }  # fmt: skip
    assert rendered == expected[name]


def test_two_images_in_a_row_are_on_lines_of_their_own() -> None:
    template = jinja2.Environment().from_string(MEMBERS[0].template)
    rendered = template.render(messages=[{"role": "user", "content": "<__media_a__><__media_a__>"}])
    assert "\n<image_id>0</image_id><__media_a__>\n<image_id>1</image_id><__media_a__><|im_end|>" in rendered


def test_the_modelfile_says_how_to_ask() -> None:
    modelfile = written("2.5")[2]
    assert 'PARAMETER stop "<|eot_id|>"' in modelfile and "PARAMETER temperature 0.7" in modelfile
    assert "PARAMETER repeat_penalty 1.05" in modelfile and "<|start_header_id|>{{ .Role }}" in modelfile


# --- errors


def test_a_family_that_llama_cpp_does_not_run(capsys: Any, tmp_path: Path) -> None:
    checkpoint = GOLDEN / "minicpm-v-1" / "checkpoint"
    assert main(["gguf", "--model", str(checkpoint), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "MiniCPM-V 1.0 cannot be exported" in said and "MiniCPM-V 2.6, MiniCPM-Llama3-V 2.5, MiniCPM-V 2.0" in said


def test_a_quantised_checkpoint(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "int4"
    shutil.copytree(CHECKPOINTS["tiny"], folder)
    (folder / "config.json").write_text(json.dumps(config_of("tiny") | {"quantization_config": {}}))
    assert main(["gguf", "--model", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "quantised" in capsys.readouterr().err


def test_weights_that_are_not_there(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    shutil.copytree(CHECKPOINTS["tiny"], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    assert main(["gguf", "--model", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "no weights" in capsys.readouterr().err


def test_a_broken_file_about_pictures(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(CHECKPOINTS["tiny"], folder)
    (folder / "preprocessor_config.json").write_text('{"scale_resolution": 4')
    assert main(["gguf", "--model", str(folder), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "preprocessor_config.json cannot be read" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("words", [[], ["onnx"], ["gguf", "--model", "m"], ["gguf", "--type", "q3"]])
def test_wrong_flags(words: list[str], capsys: Any) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_folder_that_cannot_be_written(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["gguf", "--model", str(CHECKPOINTS["tiny"]), "--out", str(tmp_path / "file")]) == 2
    assert "--out" in capsys.readouterr().err
