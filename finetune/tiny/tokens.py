"""The embedded model's tokenizer: byte-level BPE with the special tokens and template of MiniCPM-V 2.6.

Ids follow the order of the published one: the 256 bytes from "!" on, merges, `<unk>` among them, special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKUP = (
    "<image>", "</image>", "<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<point>", "</point>",
    "<slice>", "</slice>", "<image_id>", "</image_id>", *(f"<|reserved_special_token_{n}|>" for n in range(6)),
)  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of about `size` entries, special tokens included, from texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    base = size - len(CONTROL) - len(MARKUP)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=base - 1, min_frequency=20, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _with_specials(tokenizer)


def with_words(tokenizer: Tokenizer, words: Iterable[str]) -> Tokenizer:
    """The same tokenizer with merges behind its own, so that each of these words is a single token.

    Args:
        words: none that the tokenizer splits before it merges.

    Raises:
        ValueError: it splits one.
    """
    plain = _without_specials(tokenizer)
    for word in words:
        while len(parts := plain.encode(word).tokens) > 1:
            if len(plain.pre_tokenizer.pre_tokenize_str(word)) > 1:
                raise ValueError(f"{word!r} is split before anything is merged.")
            data = json.loads(plain.to_str())
            vocab, merges, left = data["model"]["vocab"], data["model"]["merges"], parts[0]
            for right in parts[1:]:
                merges.append([left, right])
                left += right
                vocab.setdefault(left, len(vocab))
            plain = Tokenizer.from_str(json.dumps(data))
    return _with_specials(plain)


def _without_specials(tokenizer: Tokenizer) -> Tokenizer:
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = []
    vocab: dict[str, int] = data["model"]["vocab"]
    kept = sorted((token for token in vocab if token != "<unk>"), key=vocab.__getitem__)
    data["model"]["vocab"] = {token: index for index, token in enumerate(kept)}
    return Tokenizer.from_str(json.dumps(data))


def _with_specials(tokenizer: Tokenizer) -> Tokenizer:
    """`<unk>` takes an id among the merges, as in the published vocabulary; the rest of the special ones follow."""
    data = json.loads(tokenizer.to_str())
    vocab: dict[str, int] = data["model"]["vocab"]
    place = len(vocab) * 5 // 6
    moved = {token: index + (index >= place) for token, index in vocab.items()}
    moved["<unk>"] = place
    data["model"]["vocab"] = dict(sorted(moved.items(), key=lambda item: item[1]))
    made = Tokenizer.from_str(json.dumps(data))
    made.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in ("<unk>", *CONTROL, *MARKUP)]
    )
    return made


def id_of(tokenizer: Tokenizer, token: str) -> int:
    """Id of a token that the tokenizer has.

    Raises:
        KeyError: it has not.
    """
    found = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(f"The tokenizer has no token {token}.")
    return found


def write(tokenizer: Tokenizer, folder: Path) -> None:
    """All tokenizer files of a published checkpoint."""
    tokenizer.save(str(folder / "tokenizer.json"))
    data = json.loads(tokenizer.to_str())
    _dump(folder / "vocab.json", data["model"]["vocab"])
    merges = [" ".join(merge) for merge in data["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    added = {token: tokenizer.token_to_id(token) for token in (*CONTROL, *MARKUP)}
    _dump(folder / "added_tokens.json", added)
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    decoder = {
        str(index): {"content": token, **flags, "special": True}
        for token, index in {"<unk>": tokenizer.token_to_id("<unk>"), **added}.items()
    }
    named = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"}
    settings: dict[str, Any] = {
        "add_prefix_space": False,
        "added_tokens_decoder": decoder,
        "additional_special_tokens": list(MARKUP),
        "auto_map": {"AutoTokenizer": ["tokenization_minicpmv_fast.MiniCPMVTokenizerFast", None]},
        **named,
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "model_max_length": 1000000000000000019884624838656,
        "split_special_tokens": False,
        "tokenizer_class": "MiniCPMVTokenizerFast",
    }
    _dump(folder / "tokenizer_config.json", settings)
    special = {name: {"content": token, **flags} for name, token in named.items()}
    extra = [{"content": token, **flags} for token in MARKUP]
    _dump(folder / "special_tokens_map.json", {"additional_special_tokens": extra, **special})


def _dump(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
