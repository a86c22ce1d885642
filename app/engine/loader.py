"""From a model's name to a model on its device."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

import app.modeling  # noqa: F401  (registers the models)
from app.engine.adapters import Adapters, no_adapters
from app.engine.compiling import require_compiler
from app.engine.device import PYTORCHS, DtypeChoice, choose_attention, choose_device, choose_dtype
from app.engine.download import resolve_model
from app.engine.memory import empty_model
from app.engine.spread import GIB, measure_budgets, spread
from app.errors import AppError, DeviceError, ModelError, OutOfMemoryError
from app.families import all_families
from app.families.base import Family
from app.modeling.auto import find_member
from app.modeling.minicpmv_runner import MiniCPMVRunner
from app.modeling.runner import Runner
from app.texts import Phrase

if TYPE_CHECKING:
    from app.settings import Settings

log = logging.getLogger(__name__)

BITSANDBYTES = "bitsandbytes"
INT4_BLOCK = 64  # weights of an int4 layer with one scale
OnStatus = Callable[[float | None, str], None]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to answer.

    Attributes:
        notes: what was decided otherwise than asked, for the user.
        context: tokens of prompt and answer together.
        adapters: those put into the model, none of them in effect.
        runner: the model as the engine uses it.
    """

    model: Any
    processor: Any
    family: Family
    device: torch.device
    notes: tuple[str, ...]
    context: int
    adapters: Adapters = field(default_factory=no_adapters)
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        runner = runner_class(self.family)(self.model, self.processor, self.family)
        object.__setattr__(self, "runner", runner)


def runner_class(family: Family) -> type[Runner]:
    """What loads models of a family and answers with them."""
    return family.runner or MiniCPMVRunner


def load_model(settings: Settings, on_status: OnStatus) -> LoadedModel:
    """Fetch what is missing and load the model the settings name.

    Args:
        on_status: told a fraction from 0 to 1, or None, and what is being done.

    Raises:
        AppError: the model, an adapter, the device or the dtype cannot be used.
    """
    folder = resolve_model(settings.model, settings.source, on_status)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    family: Family = find_member(all_families(), config)
    device, choice = place(settings, config)
    if device.type == "cpu" and not choice.quantization and not settings.lent_gpu:
        choice = fitting(choice, count_weights(folder, family), settings.dtype)
    on_status(0.0, Phrase("loading_model", name=family.name, how=describe(choice, device)))
    with _weight_progress(on_status), readable_errors():
        arguments = _placement(settings, folder, device, choice, family, published=bool(quantization_of(config)))
        model, processor = runner_class(family).load(folder, family.model_class, **arguments)
        if choice.quantization == "int4":
            settle_int4(model, choice.torch_dtype)
        if settings.lent_gpu:
            model.to(device)
        adapters = Adapters(model, settings.adapters)
    text_config = getattr(model.config, "text_config", None) or model.config
    return LoadedModel(model, processor, family, device, choice.notes, text_config.max_position_embeddings, adapters)


def context_of(config: Mapping[str, Any]) -> int:
    """Tokens that the model of this config.json can take, prompt and answer together; 0 if it does not say."""
    return config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings", 0)


def configured_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Decoding defaults that this config.json sets itself: how many slices the model was trained with."""
    slices = config.get("slice_config", config).get("max_slice_nums")
    return {"max_slice_nums": slices} if slices else {}


def place(settings: Settings, config: Mapping[str, Any]) -> tuple[torch.device, DtypeChoice]:
    """Where the model of this config.json will run, and in which precision; quick, so it can be asked first.

    Raises:
        DeviceError: the settings ask for what this machine cannot do.
        ModelError: the weights are quantised in a way that is not run here.
        SettingsError: they ask to compile, which it cannot.
    """
    device = choose_device(settings.device)
    if settings.compile:
        require_compiler(device)
    method = quantization_of(config)
    if method not in ("", BITSANDBYTES):
        raise ModelError(Phrase("quantization_unknown", method=method), Phrase("do_full_or_engine"))
    choice = choose_dtype(settings.dtype, device, bool(method))
    if settings.lent_gpu and choice.quantization:
        raise DeviceError(Phrase("lent_quantized", kind=choice.quantization), Phrase("do_name_full"))
    return device, choice


def count_weights(folder: Path, family: Family) -> int:
    """Numbers in the model of a folder; they are not read."""
    empty = empty_model(AutoConfig.from_pretrained(folder), family.model_class)
    return sum(parameter.numel() for parameter in empty.parameters())


def fitting(choice: DtypeChoice, count: int, asked: str) -> DtypeChoice:
    """The precision in which so many weights fit into main memory; the system would end the process otherwise.

    Args:
        choice: what is best for this processor. asked: the name of the precision in the settings.

    Raises:
        OutOfMemoryError: they fit in none that was not ruled out.
    """
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    if count * choice.torch_dtype.itemsize <= free:
        return choice
    if asked == "auto" and choice.torch_dtype is torch.float32 and count * torch.bfloat16.itemsize <= free:
        note = Phrase("note_bf16_for_memory", needed=count * torch.float32.itemsize / GIB, free=free / GIB)
        return replace(choice, torch_dtype=torch.bfloat16, notes=(*choice.notes, note))
    needed = count * choice.torch_dtype.itemsize
    raise OutOfMemoryError(
        Phrase("memory_too_small", needed=needed / GIB, free=free / GIB), Phrase("do_smaller_weights")
    )


def quantization_of(config: Mapping[str, Any]) -> str:
    """How the weights beside this config.json are quantised already: a method's name, empty if they are not."""
    quantized = config.get("quantization_config")
    return str(quantized.get("quant_method", BITSANDBYTES)) if isinstance(quantized, Mapping) else ""


def describe(choice: DtypeChoice, device: torch.device) -> str:
    """Where and how the weights are held, e.g. "int4 on cuda:0"."""
    dtype = choice.quantization or str(choice.torch_dtype).removeprefix("torch.")
    return Phrase("loading_on", dtype=dtype, device=str(device))


def settle_int4(model: Any, dtype: torch.dtype) -> None:
    """Have a loaded model with int4 layers compute in `dtype`, and by kernels that take the layers' shapes.

    Of a checkpoint that is quantised already the library keeps the precision it was published in. The kernels for CPUs
    with AVX512-BF16 want outputs in 32s and inputs in whole blocks, which the published int4 towers do not have.
    """
    import bitsandbytes

    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    for layer in model.modules():
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            layer.compute_dtype, layer.compute_type_is_set = dtype, True
            block = getattr(getattr(layer.weight, "quant_state", None), "blocksize", None) or INT4_BLOCK
            if layer.out_features % 32 or layer.in_features % block:
                layer.support_avx512bf16_for_cpu = False


def _placement(
    settings: Settings, folder: Path, device: torch.device, choice: DtypeChoice, family: Family, *, published: bool
) -> dict[str, Any]:
    """Arguments of `from_pretrained`: dtype, place and quantisation.

    Args:
        published: the weights are quantised already, and their config.json says how.
    """
    several = device.type == "cuda" and (settings.multi_gpus or settings.cpu_offload or settings.max_memory)
    # A GPU that is lent is not there yet; only this thread can pretend it is, and the library loads in several.
    whole = torch.device("cpu") if settings.lent_gpu else device
    device_map = _device_map(settings, folder, device, choice, family) if several else {"": whole}
    arguments: dict[str, Any] = {"dtype": choice.torch_dtype, "device_map": device_map}
    attention = choose_attention(device, choice.torch_dtype)
    if attention != PYTORCHS:
        arguments["attn_implementation"] = attention
    if choice.quantization and not published:
        arguments["quantization_config"] = quantization_config(choice, family)
    return arguments


def _device_map(
    settings: Settings, folder: Path, device: torch.device, choice: DtypeChoice, family: Family
) -> dict[str, int | str]:
    """Where each part goes when one GPU is not all there is."""
    home = device.index or 0
    budgets = dict(settings.max_memory) or measure_budgets(settings.cpu_offload, home)
    # The library quantises on GPUs alone.
    spills = settings.cpu_offload and not choice.quantization
    others = [one for one in budgets if isinstance(one, int) and one != home] if settings.multi_gpus else []
    order = [home, *others, *(["cpu"] if spills else [])]
    if home not in budgets:
        raise DeviceError(Phrase("no_memory_for_first", number=home), Phrase("do_name_first", number=home))
    budgets = {one: budgets[one] for one in order if one in budgets}
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        empty = family.model_class._from_config(config, dtype=choice.torch_dtype)
    if settings.cpu_offload and not spills:
        log.warning(Phrase("note_not_offloaded", kind=choice.quantization))
    return spread(empty, empty.get_decoder(), budgets, choice.torch_dtype, choice.quantization)


def quantization_config(choice: DtypeChoice, family: Family) -> BitsAndBytesConfig:
    """How to quantise a full checkpoint while it loads."""
    skip = list(family.int4_skip_modules)
    if choice.quantization == "int8":
        # It says on every call that it casts to fp16, which is how int8 works.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=choice.torch_dtype,
        llm_int8_skip_modules=skip,
    )


class _ReportingBar:
    """A progress bar over an iterable that also reports how far it is."""

    def __init__(self, bar: Any, items: Sized, on_status: OnStatus) -> None:
        self._bar = bar
        self._total = len(items)
        self._on_status = on_status

    def __iter__(self) -> Iterator[Any]:
        for done, item in enumerate(self._bar, 1):
            yield item
            self._on_status(done / self._total, Phrase("loading_weights"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)


@contextmanager
def _weight_progress(on_status: OnStatus) -> Iterator[None]:
    """Report the library's bars over a known number of weights as fractions."""

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bar = factory(*args, **kwargs)
        return _ReportingBar(bar, args[0], on_status) if args and isinstance(args[0], Sized) else bar

    previous = transformers_logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)


@contextmanager
def readable_errors() -> Iterator[None]:
    """What the library raises, as errors a user can read."""
    try:
        yield
    except AppError:
        raise
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(Phrase("gpu_too_small"), Phrase("do_smaller_model")) from error
    except ImportError as error:
        raise DeviceError(
            Phrase("package_missing", name=error.name or str(error)), Phrase("do_pip_requirements")
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(
            Phrase("files_not_loaded", type=type(error).__name__, error=str(error)),
            Phrase("do_check_download"),
        ) from error
