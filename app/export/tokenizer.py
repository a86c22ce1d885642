"""The tokenizer: tokens, merges or scores, special tokens and the prompt's template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from app.errors import CheckpointError
from app.export.members import Member
from app.modeling.prompt import GROUNDING
from app.texts import Phrase


def describe(writer: GGUFWriter, folder: Path, config: Mapping[str, Any], member: Member) -> None:
    """Add a checkpoint's tokenizer.

    Raises:
        CheckpointError: a file is missing, or has more tokens than the model.
    """
    if member.vocabulary == "sentencepiece":
        tokens = _add_pieces(writer, folder, config["vocab_size"])
    else:
        tokens = _add_byte_pairs(writer, folder, config["vocab_size"], member)
    ids = {token: number for number, token in enumerate(tokens)}
    end, *others = (ids[token] for token in member.stops)
    writer.add_eos_token_id(end)
    for other in others:
        writer.add_eot_token_id(other)
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_add_bos_token(member.begins)
    writer.add_pad_token_id(ids["<unk>"] if member.vocabulary == "sentencepiece" else others[0])
    writer.add_chat_template(member.template)


def _add_byte_pairs(writer: GGUFWriter, folder: Path, size: int, member: Member) -> list[str]:
    """A byte-level BPE; returns the tokens by id."""
    stored = _read_json(folder / "tokenizer.json")
    tokens, kinds = _padding(size)
    for token, number in stored["model"]["vocab"].items():
        _set(tokens, kinds, number, token, TokenType.NORMAL)
    for added in stored["added_tokens"]:
        _set(tokens, kinds, added["id"], added["content"], _kind(added["content"], added["special"]))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(member.splitter)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    # Older files write a merge as one text.
    merges = stored["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    return tokens


def _add_pieces(writer: GGUFWriter, folder: Path, size: int) -> list[str]:
    """A SentencePiece model; returns the tokens by id."""
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    path = folder / "tokenizer.model"
    if not path.is_file():
        raise CheckpointError(Phrase("tokenizer_missing"), Phrase("do_take_published"))
    model = model_pb2.ModelProto.FromString(path.read_bytes())
    tokens, kinds = _padding(size)
    scores = [-10000.0] * size
    for number, piece in enumerate(model.pieces):
        # Both number their kinds alike.
        _set(tokens, kinds, number, piece.piece, TokenType(piece.type))
        scores[number] = piece.score
    settings = _read_json(folder / "tokenizer_config.json")
    for text, added in settings.get("added_tokens_decoder", {}).items():
        if kinds[int(text)] != TokenType.UNKNOWN:
            _set(tokens, kinds, int(text), added["content"], _kind(added["content"], added["special"]))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
    writer.add_remove_extra_whitespaces(model.normalizer_spec.remove_extra_whitespaces)
    writer.add_unk_token_id(model.trainer_spec.unk_id)
    return tokens


def _kind(token: str, special: bool) -> TokenType:
    """Names and places of objects are part of an answer; other special tokens are not shown."""
    return TokenType.CONTROL if special and token not in GROUNDING else TokenType.USER_DEFINED


def _padding(size: int) -> tuple[list[str], list[TokenType]]:
    """Tokens that stand for nothing, as many as the model has rows."""
    return [f"[PAD{number}]" for number in range(size)], [TokenType.UNUSED] * size


def _set(tokens: list[str], kinds: list[TokenType], number: int, token: str, kind: TokenType) -> None:
    if number >= len(tokens):
        raise CheckpointError(Phrase("tokenizer_token_over", number=number, count=len(tokens)))
    tokens[number], kinds[number] = token, kind


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise CheckpointError(Phrase("file_unread", name=path.name), Phrase("do_take_published")) from cause
