"""The seams of docs/design: who may import whom, and what stays where it belongs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded import QUERIES

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
SOURCES = sorted(APP.rglob("*.py"))
FINETUNE = ROOT / "finetune"

# From top to bottom; a package may import those below it, and the leaves.
LAYERS = ("ui", "replicas", "api", "talks", "session", "backends", "remote", "engine", "families", "modeling", "media")
LEAVES = set("errors texts messages sampling turn placement seen meter pace presets feedback".split())
# The door that registers all families, and the small table that names the backends.
DOORS = {("modeling", "families"): APP / "modeling" / "__init__.py"}


def imported(path: Path) -> Iterator[str]:
    """Modules imported anywhere in a file, but for those that only type checkers see."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(module: str) -> str | None:
    """The layer or leaf of a module of this application."""
    parts = module.split(".")
    return parts[1] if parts[0] == "app" and len(parts) > 1 else None


def layer_of_file(path: Path) -> str:
    return path.relative_to(APP).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_what_is_above_it(path: Path) -> None:
    layer = layer_of_file(path)
    if layer not in LAYERS:
        return
    above = set(LAYERS[: LAYERS.index(layer)])
    found = {name for module in imported(path) if (name := layer_of(module)) in above}
    allowed = {upper for (lower, upper), door in DOORS.items() if lower == layer and door == path}
    # The session knows a backend by its interface alone, and a backend knows nothing of sessions.
    assert found <= allowed, f"{path.relative_to(ROOT)} imports {sorted(found - allowed)}, which lie above it"


def test_the_application_needs_no_training_code() -> None:
    for path in [*SOURCES, *ROOT.glob("*.py")]:
        assert not any(module.split(".")[0] == "finetune" for module in imported(path)), path.relative_to(ROOT)
    for path in FINETUNE.glob("*.py"):
        # The embedded model's generator is one user of the application's parts, and not part of fine-tuning.
        assert not any(module.startswith("finetune.tiny") for module in imported(path)), path.relative_to(ROOT)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_layer(path: Path) -> None:
    allowed = {
        "gradio": {"ui"},
        "fastapi": {"api", "replicas"},
        "uvicorn": {"api"},
        "prometheus_client": {"api", "replicas"},
        "ray": {"replicas"},
        "modelscope_studio": {"ui"},
        "torch": {"engine", "export", "families", "modeling", "doctor"},
        "transformers": {"engine", "families", "modeling"},
        "peft": {"engine", "modeling"},
        "openai": {"remote"},
    }
    layer = layer_of_file(path)
    for module in imported(path):
        top = module.split(".")[0]
        assert top not in allowed or layer in allowed[top], f"{path.relative_to(ROOT)} imports {top}"


def test_no_family_is_named_above_the_families() -> None:
    names = re.compile(r"minicpm[-_]?(llama3|v[-_ .]?\d)|omnilmm|qwen|siglip|idefics|zephyr", re.IGNORECASE)
    for folder in ("engine", "backends"):
        for path in (APP / folder).rglob("*.py"):
            code = "\n".join(line for line in path.read_text("utf-8").splitlines() if "such as" not in line)
            assert not names.search(code), f"{path.relative_to(ROOT)} names a family: {names.search(code)}"


def test_no_remote_code_and_no_unsafe_loading() -> None:
    unsafe = re.compile(r"trust_remote_code\s*=\s*True|weights_only\s*=\s*False|pickle\.load|shell\s*=\s*True")
    for path in [*SOURCES, *ROOT.glob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *FINETUNE.rglob("*.py")]:
        assert not unsafe.search(path.read_text("utf-8")), path.relative_to(ROOT)


def test_no_test_waits_for_an_async_function_by_what_does_not_await_it() -> None:
    """Playwright takes the promise for the answer and goes on at once; `ChatPage.until` awaits it."""
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text("utf-8")
        named = re.findall(r"^(\w+) = \(?\s*f?[\"']+\s*async\b", text, re.MULTILINE)
        first = "|".join([r"f?[\"']+\s*async\b", *(rf"{name}\b" for name in named)])
        found = re.search(rf"wait_for_function\(\s*(?:{first})", text)
        assert not found, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"


def test_nothing_is_fetched_by_the_page() -> None:
    for path in [*(APP / "ui").rglob("*.css"), *(APP / "ui").rglob("*.js"), *(APP / "ui").rglob("*.py")]:
        for url in re.findall(r"https?://[^\s\"')]+", path.read_text("utf-8")):
            assert re.match(r"https?://(127\.0\.0\.1|localhost|www\.w3\.org)", url), f"{path.name}: {url}"


@pytest.mark.parametrize("module", ["app", "app.errors", "app.messages", "app.sampling", "app.session", "app.cli"])
def test_the_light_modules_are_light(module: str) -> None:
    heavy = "torch,transformers,gradio,fastapi,PIL,numpy,av,modelscope_studio"
    code = f"import sys, {module}; print([name for name in '{heavy}'.split(',') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["app.families.minicpm_v_2_6", "app.families.omnilmm_12b", "app.modeling.chat"])
def test_families_and_modeling_may_be_imported_in_any_order(module: str) -> None:
    code = f"import {module}; from transformers import AutoConfig; print(AutoConfig.from_pretrained('{{}}').query_num)"
    code = code.format(ROOT / "assets" / "tiny-minicpm-v")
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == str(QUERIES)
