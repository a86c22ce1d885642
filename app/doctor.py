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
from typing import Any

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
        "models": models,
        "fits": {device["name"]: what_fits(models, device) for device in devices},
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
    """What each published model needs, by precision."""
    from app.engine.memory import empty_model, estimate
    from app.families import all_families

    models = []
    for family in all_families():
        if not family.published:
            continue
        config = family.config_class(**family.published)
        empty = empty_model(config, family.model_class)
        needs = {}
        for dtype in DTYPES:
            needs[dtype] = asdict(found := estimate(empty, config, dtype)) | {"total": found.total(CONVERSATION)}
        models.append({"name": family.name, "hub_id": family.hub_id, "needs": needs})
    return models


def what_fits(models: Sequence[dict[str, Any]], device: dict[str, Any]) -> dict[str, list[str]]:
    """For each model the precisions that fit into what is free on a device."""
    allowed = [dtype for dtype in DTYPES if not (device["name"] == "mps" and dtype in ("bf16", "int8", "int4"))]
    return {
        model["name"]: [dtype for dtype in allowed if model["needs"][dtype]["total"] <= device["free"]]
        for model in models
    }


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
    lines += [_device_line(device).to(locale) for device in report["devices"]]
    lines += ["", *_table(report["models"], locale), ""]
    for device, fitting in report["fits"].items():
        lines += [_fits_line(model, device, dtypes).to(locale) for model, dtypes in fitting.items()]
    problems = [translated(problem, locale) for problem in report["problems"]]
    return "\n".join([*lines, "", *(problems or [Phrase("doctor.fine").to(locale)])])


def _device_line(device: dict[str, Any]) -> Phrase:
    from app.engine.caches import share_of

    sizes = {name: device[name] / GIB for name in ("free", "total")}
    return Phrase("doctor.device_line", **device | sizes, cache=share_of(device["free"]) / GIB)


def _fits_line(model: str, device: str, dtypes: Sequence[str]) -> Phrase:
    if not dtypes:
        return Phrase("doctor.fits_not", model=model, device=device)
    return Phrase("doctor.fits", model=model, device=device, dtypes=listed(dtypes, "list_comma"))


def _table(models: Sequence[dict[str, Any]], locale: Locale) -> list[str]:
    widths = {"weights": 9, "kv": 9, "image": 8, "frames": 11, "all": 9}
    names = {name: Phrase(f"doctor.head_{name}").to(locale) for name in widths}
    head = "".join(" " * (width - columns(names[name])) + names[name] for name, width in widths.items())
    lines = [f"{'GiB':<24}{'dtype':<7}{head}"]
    for model in models:
        for dtype, needs in model["needs"].items():
            numbers = [needs[key] / GIB for key in ("weights", "kv_per_1000", "image", "frames", "total")]
            row = "".join(f"{number:>{width}.2f}" for number, width in zip(numbers, widths.values(), strict=True))
            lines.append(f"{model['name']:<24}{dtype:<7}{row}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
