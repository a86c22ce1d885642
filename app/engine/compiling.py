"""`--compile`: faster steps for a longer start.

On a CPU the parts of the decoder's layers around the attention are compiled; attention itself stays as it is, for its
keys and values grow with every step. On a GPU the batched engine records its steps instead (see `scheduler`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from app.errors import SettingsError
from app.modeling.runner import Runner
from app.texts import Phrase

# Prompts and steps differ in this alone; one position is compiled apart from several.
LENGTHS = (2, 1)


def require_compiler(device: torch.device) -> None:
    """Raise a SettingsError if nothing can be compiled for this device on this machine; says what is missing."""
    if device.type == "mps":
        raise SettingsError(Phrase("not_compiled", reason=Phrase("uncompiled_mps")), Phrase("do_not_compile"))
    if device.type == "cpu" and not _finds_compiler():
        raise SettingsError(Phrase("not_compiled", reason=Phrase("no_compiler")), Phrase("do_install_compiler"))


def compile_layers(runner: Runner) -> None:
    """Compile the decoder's layers for a CPU, and run them once in every way in which they will be run.

    Raises:
        SettingsError: the compiler fails.
    """
    parts = list(_parts(runner.language_model))
    for part in parts:
        part.compile(dynamic=True)
    try:
        for mode in (torch.inference_mode(), torch.no_grad()):
            _run(runner.language_model, mode)
    except Exception as error:
        undo(runner)
        reason = Phrase("compiler_failed", type=type(error).__name__)
        raise SettingsError(Phrase("not_compiled", reason=reason), Phrase("do_install_headers")) from error


def undo(runner: Runner) -> None:
    """Run the layers as they are again."""
    for part in _parts(runner.language_model):
        part._compiled_call_impl = None  # as `nn.Module.compile` sets it, for which there is no way back


def _parts(decoder: Any) -> Iterator[nn.Module]:
    """What lies around the attentions: norms and feed-forward nets. What knows its layer reads or writes the cache."""
    for layer in decoder.layers:
        yield from (child for child in layer.children() if not hasattr(child, "layer_idx"))


def _run(decoder: Any, mode: AbstractContextManager[Any]) -> None:
    weight = decoder.layers[0].input_layernorm.weight
    with mode:
        for length in LENGTHS:
            decoder(inputs_embeds=weight.new_zeros(1, length, decoder.config.hidden_size), use_cache=False)


def _finds_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False
