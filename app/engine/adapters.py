"""The adapters of a loaded model: put in once, then switched from request to request.

Low-rank weights are PEFT's layers around the model's own, which are not touched: switched off, the model computes
what it computed before. Parts that were trained as a whole (`modules_to_save`) take the place of the model's own
tensors while their adapter is in effect. PEFT has wrappers for those too, but two adapters, one with low-rank weights
inside a part that the other has as a whole, cannot share a model with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from app.errors import AdapterError, OptionError
from app.modeling.adapters import APPLIED, AdapterWeights, read_adapter
from app.sampling import BASE
from app.texts import Phrase

SHOWN = 3  # names in a message


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A parameter of the model and the one that takes its place."""

    module: nn.Module
    name: str
    own: nn.Parameter
    instead: nn.Parameter

    def show(self, instead: bool) -> None:
        """Put one of the two into the module."""
        setattr(self.module, self.name, self.instead if instead else self.own)


class Adapters:
    """The adapters of one model, none in effect at first; whoever runs the model switches them.

    Args:
        model: a loaded model, on whichever devices.
        folders: of the adapters, by name.

    Raises:
        AdapterError: a folder holds no adapter that can be used, or it does not fit the model.
    """

    def __init__(self, model: nn.Module, folders: Mapping[str, str]) -> None:
        found = {name: read_adapter(Path(folder)) for name, folder in folders.items()}
        # PEFT's names become keys of module dicts, where not every name is allowed.
        self._keys = {name: f"adapter{number}" for number, name in enumerate(found)}
        # All before the first layer is put in: from then on, names in the model are others.
        self._parts = {name: _whole_parts(model, name, weights) for name, weights in found.items()}
        for name, weights in found.items():
            _check_targets(model, name, weights)
        for name, weights in found.items():
            if weights.lora:
                _put_in(model, name, self._keys[name], weights)
        self._layers = list(_layers(model)) if found else []
        self._active = ""
        self._switch("")

    @property
    def names(self) -> tuple[str, ...]:
        """What `use` takes, in the order in which they were given."""
        return tuple(self._keys)

    def use(self, name: str) -> None:
        """Let an adapter answer from now on, or with an empty name the model alone.

        Keys and values computed with another adapter, and image features where it changes tower or resampler, do not
        belong to this one: whatever is kept between answers must be kept for each adapter by itself.

        Raises:
            OptionError: there is no such adapter.
        """
        if name and name not in self._keys:
            raise OptionError(Phrase("adapter_option", name=name, known=", ".join((BASE, *self._keys))))
        if name != self._active:
            self._switch(name)

    def _switch(self, name: str) -> None:
        for part in self._parts.get(self._active, ()):
            part.show(instead=False)
        for layer in self._layers:
            layer.enable_adapters(bool(name))
            if name:
                layer.set_adapter(self._keys[name], inference_mode=True)
        for part in self._parts.get(name, ()):
            part.show(instead=True)
        self._active = name


def no_adapters() -> Adapters:
    """What a model without adapters has."""
    return Adapters(nn.Module(), {})


def _layers(model: nn.Module) -> Iterable[Any]:
    """PEFT's layers in a model."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return (module for module in model.modules() if isinstance(module, BaseTunerLayer))


def _whole_parts(model: nn.Module, name: str, weights: AdapterWeights) -> list[_Part]:
    """The parameters that an adapter replaces; those that equal the model's own are left out."""
    own = dict(model.named_parameters(remove_duplicate=False))
    _require_fit(name, weights, [key for key in weights.whole if key not in own], "unfit_no_place")
    for key in weights.whole:
        if own[key].is_meta or not own[key].is_floating_point():
            state = Phrase("lies_in_memory") if own[key].is_meta else Phrase("is_quantised")
            raise AdapterError(
                Phrase("adapter_replaces", name=name, key=key, state=state),
                Phrase("do_load_plain"),
            )
    _require_same_shapes(name, weights, weights.whole, own)
    parts = [_part(model, key, weight) for key, weight in weights.whole.items()]
    return [part for part in parts if not torch.equal(part.own, part.instead)]


def _part(model: nn.Module, key: str, weight: Tensor) -> _Part:
    path, _, attribute = key.rpartition(".")
    module = model.get_submodule(path)
    own = getattr(module, attribute)
    instead = nn.Parameter(weight.to(own.device, own.dtype), requires_grad=False)
    return _Part(module, attribute, own, instead)


def _check_targets(model: nn.Module, name: str, weights: AdapterWeights) -> None:
    modules = {path for path, _ in model.named_modules()}
    _require_fit(name, weights, [path for path in weights.targets if path not in modules], "unfit_none")


def _put_in(model: nn.Module, name: str, key: str, weights: AdapterWeights) -> None:
    """Put the low-rank layers of an adapter into the model and fill them."""
    from peft import LoraConfig
    from peft.functional import get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict

    # The targets come from the weights: what the config says of them may be a pattern that only its writer can read.
    applied = {field: weights.config[field] for field in APPLIED if weights.config.get(field) is not None}
    config = LoraConfig(**applied, target_modules=weights.targets, inference_mode=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are several adapters, which is meant
        try:
            inject_adapter_in_model(config, model, key, state_dict=dict(weights.lora))
        except (ValueError, TypeError, RuntimeError) as error:
            raise AdapterError(Phrase("adapter_not_put", name=name, error=str(error))) from error
        _place_beside_offloaded(model, key)
        places = get_peft_model_state_dict(model, adapter_name=key, save_embedding_layers=False)
        _require_fit(name, weights, [path for path in weights.lora if path not in places], "unfit_no_place")
        _require_fit(name, weights, [path for path in places if path not in weights.lora], "unfit_lacks")
        _require_same_shapes(name, weights, weights.lora, places)
        set_peft_model_state_dict(model, dict(weights.lora), adapter_name=key)


def _place_beside_offloaded(model: nn.Module, key: str) -> None:
    """Give layers whose own weights come from main memory for each step their low-rank weights where they compute."""
    for layer in _layers(model):
        hook = getattr(layer.get_base_layer(), "_hf_hook", None)
        for names in (layer.adapter_layer_names, layer.other_param_names):
            for parts in (getattr(layer, name, None) for name in names):
                if isinstance(parts, (nn.ModuleDict, nn.ParameterDict)) and key in parts and hook is not None:
                    part = parts[key]
                    if isinstance(part, nn.Module) and any(weight.is_meta for weight in part.parameters()):
                        part.to_empty(device=hook.execution_device)


def _require_same_shapes(
    name: str, weights: AdapterWeights, got: Mapping[str, Tensor], allowed: Mapping[str, Tensor]
) -> None:
    wrong = [key for key, weight in got.items() if weight.shape != allowed[key].shape]
    if wrong:
        first = wrong[0]
        shapes = Phrase("shape_differs", name=first, got=list(got[first].shape), allowed=list(allowed[first].shape))
        raise AdapterError(Phrase("adapter_shapes", name=name, shapes=shapes), _advice(weights))


def _require_fit(name: str, weights: AdapterWeights, wrong: list[str], why: str) -> None:
    if wrong:
        names = ", ".join(wrong[:SHOWN])
        if len(wrong) > SHOWN:
            names = Phrase("names_more", names=names, count=len(wrong) - SHOWN)
        raise AdapterError(Phrase("adapter_unfit", name=name, why=Phrase(why, names=names)), _advice(weights))


def _advice(weights: AdapterWeights) -> str:
    return Phrase("do_load_base_named", base=weights.base) if weights.base else Phrase("do_load_base")
