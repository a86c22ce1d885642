"""What is here, what each model needs, what fits, and what is wrong: `python -m app.doctor`."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from app.errors import SettingsError
from app.flags import add_language_flag
from app.flags import report as say_error
from app.parsing import Parser, columns
from app.texts import Phrase, listed, translated
from app.texts.languages import Locale, command_locale

GIB = 1024**3
DTYPES = ("bf16", "fp16", "fp32", "int8", "int4")
PACKAGES = ("torch", "transformers", "gradio", "modelscope_studio", "accelerate", "bitsandbytes", "av", "pillow")
CONVERSATION = 4000  # tokens for which "fits" is meant: a long talk, or 64 frames


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; returns 1 if something is wrong, 2 if a flag is."""
    words = sys.argv[1:] if argv is None else argv
    locale = command_locale(words, os.environ)
    parser = Parser(Phrase("about.doctor"), locale, prog="python -m app.doctor")
    parser.add_argument("--json", action="store_true", help=Phrase("help.json"))
    add_language_flag(parser)
    try:
        flags = parser.parse_args(words)
    except SettingsError as error:
        return say_error(error, 2, locale)
    report = examine()
    print(json.dumps(report, indent=2) if flags.json else render(report, locale))
    return 1 if report["problems"] else 0


def examine() -> dict[str, Any]:
    """The whole report; sizes in bytes."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    devices = find_devices()
    models = list_models()
    return {
        "versions": versions,
        "devices": devices,
        "caches": {device["name"]: divide_cache(device["free"]) for device in devices},
        "models": models,
        "fits": {device["name"]: what_fits(models, device) for device in devices},
        "fits_batched": {device["name"]: what_fits(models, device, "batched") for device in devices},
        "problems": find_problems(versions, devices),
    }


def find_devices() -> list[dict[str, Any]]:
    """Every device with its total and free memory and the precision `--dtype auto` takes there."""
    import psutil
    import torch

    from app.engine.device import choose_dtype

    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        found.append(
            {"name": f"cuda:{index}", "model": torch.cuda.get_device_name(index), "free": free, "total": total}
        )
    memory = psutil.virtual_memory()
    main = {"free": memory.available, "total": memory.total}
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "model": Phrase("doctor.apple")} | main)
    found.append({"name": "cpu", "model": Phrase("doctor.cores", count=os.cpu_count())} | main)
    for device in found:
        choice = choose_dtype("auto", torch.device(device["name"]), False)
        device["dtype"] = str(choice.torch_dtype).removeprefix("torch.")
    return found


def list_models() -> list[dict[str, Any]]:
    """What each published model needs, by precision: in "total" for one conversation, "batched" for many or None."""
    from app.engine.loader import runner_class
    from app.engine.memory import empty_model, estimate
    from app.engine.scheduler import PAGE, least_blocks
    from app.families import all_families
    from app.modeling.runner import Runner

    models = []
    for family in all_families():
        if not family.published:
            continue
        config = family.config_class(**family.published)
        empty = empty_model(config, family.model_class)
        context = config.get_text_config().max_position_embeddings
        batches = runner_class(family).batched_model is not Runner.batched_model
        needs = {}
        for dtype in DTYPES:
            found = estimate(empty, config, dtype)
            # The batched engine takes the keys and values of a whole context at once, whatever --cache-size says.
            batched = found.total(PAGE * least_blocks(context)) if batches else None
            needs[dtype] = asdict(found) | {"total": found.total(min(CONVERSATION, context)), "batched": batched}
        models.append({"name": family.name, "hub_id": family.hub_id, "needs": needs})
    return models


def what_fits(
    models: Sequence[dict[str, Any]], device: dict[str, Any], need: Literal["total", "batched"] = "total"
) -> dict[str, list[str]]:
    """For each model the precisions that fit into what is free on a device; left out are models without the need."""
    on_mps = device["name"] == "mps"
    allowed = [dtype for dtype in DTYPES if not (on_mps and dtype in ("bf16", "int8", "int4"))]
    return {
        model["name"]: [dtype for dtype in allowed if model["needs"][dtype][need] <= device["free"]]
        for model in models
        if not (need == "batched" and (on_mps or model["needs"][DTYPES[0]][need] is None))
    }


def divide_cache(free: int) -> dict[str, dict[str, int]]:
    """How `--cache-size auto` is divided where so many bytes are free, by engine."""
    from app.engine.caches import Shares, share_of

    engines = {"batched": True, "plain": False}
    return {name: asdict(Shares.of(share_of(free), batched=batched)) for name, batched in engines.items()}


def find_problems(versions: dict[str, str | None], devices: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong, in one sentence each."""
    problems: list[str] = [
        Phrase("doctor.not_installed", name=name) for name, found in versions.items() if found is None
    ]
    problems += [
        Phrase("doctor.other_version", name=name, found=found, wanted=wanted)
        for name, wanted in _pinned().items()
        if (found := versions.get(name)) and found.split("+")[0] != wanted
    ]
    if len(devices) == 1 and shutil.which("nvidia-smi"):
        problems.append(Phrase("doctor.no_cuda"))
    free = shutil.disk_usage(Path.home()).free
    if free < 20 * GIB:
        problems.append(Phrase("doctor.disk", free=free / GIB))
    return problems


def _pinned() -> dict[str, str]:
    """The versions in requirements.txt, where that file is there."""
    path = Path(__file__).resolve().parents[1] / "requirements.txt"
    if not path.is_file():
        return {}
    lines = [line.split("#")[0].split(";")[0].strip() for line in path.read_text("utf-8").splitlines()]
    pins = dict(line.split("==") for line in lines if "==" in line)
    return {name: pins[name] for name in PACKAGES if name in pins}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def render(report: dict[str, Any], locale: Locale = "en") -> str:
    """The report as text in a language."""
    missing = Phrase("doctor.missing").to(locale)
    versions = [f"{name} {found or missing}" for name, found in report["versions"].items()]
    lines = [Phrase("doctor.versions", versions=", ".join(versions)).to(locale), ""]
    for device in report["devices"]:
        lines += [_device_line(device).to(locale), *(line.to(locale) for line in _cache_lines(report, device["name"]))]
    lines += ["", *_table(report["models"], locale), ""]
    for device, fitting in report["fits"].items():
        batched = report["fits_batched"][device]
        for model, dtypes in fitting.items():
            lines.append(_fits_line(model, device, dtypes).to(locale))
            if dtypes and batched.get(model, dtypes) != dtypes:
                lines.append(_batched_line(model, device, batched[model]).to(locale))
    problems = [translated(problem, locale) for problem in report["problems"]]
    return "\n".join([*lines, "", *(problems or [Phrase("doctor.fine").to(locale)])])


def _device_line(device: dict[str, Any]) -> Phrase:
    from app.engine.caches import share_of

    sizes = {name: device[name] / GIB for name in ("free", "total")}
    return Phrase("doctor.device_line", **device | sizes, cache=share_of(device["free"]) / GIB)


def _cache_lines(report: dict[str, Any], device: str) -> list[Phrase]:
    shares = report["caches"][device]
    texts = {"batched": "doctor.cache_batched", "plain": "doctor.cache_plain"}
    return [Phrase(texts[name], **{part: size / GIB for part, size in shares[name].items()}) for name in texts]


def _batched_line(model: str, device: str, dtypes: Sequence[str]) -> Phrase:
    if not dtypes:
        return Phrase("doctor.batches_not", model=model, device=device)
    return Phrase("doctor.batches", model=model, device=device, dtypes=listed(dtypes, "list_comma"))


def _fits_line(model: str, device: str, dtypes: Sequence[str]) -> Phrase:
    if not dtypes:
        return Phrase("doctor.fits_not", model=model, device=device)
    return Phrase("doctor.fits", model=model, device=device, dtypes=listed(dtypes, "list_comma"))


def _table(models: Sequence[dict[str, Any]], locale: Locale) -> list[str]:
    widths = {"weights": 9, "kv": 9, "image": 8, "frames": 11, "all": 9, "batched": 9}
    names = {name: Phrase(f"doctor.head_{name}").to(locale) for name in widths}
    head = "".join(" " * (width - columns(names[name])) + names[name] for name, width in widths.items())
    lines = [f"{'GiB':<24}{'dtype':<7}{head}"]
    for model in models:
        for dtype, needs in model["needs"].items():
            sizes = [needs[key] for key in ("weights", "kv_per_1000", "image", "frames", "total", "batched")]
            numbers = ["-" if size is None else f"{size / GIB:.2f}" for size in sizes]
            row = "".join(f"{number:>{width}}" for number, width in zip(numbers, widths.values(), strict=True))
            lines.append(f"{model['name']:<24}{dtype:<7}{row}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
