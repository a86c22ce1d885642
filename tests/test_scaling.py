"""Every command and flag of docs/scaling.md is there, and its arithmetic is right."""

from __future__ import annotations

import math
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.cli import parse_settings
from app.replicas.flags import parse_plan, plan_of
from benchmarks.__main__ import NAMES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "scaling.md").read_text("utf-8")
BLOCKS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.strip().splitlines()]
COMMANDS = BLOCKS + re.findall(r"`((?:python|serve run|vllm serve) [^`]+)`", TEXT)
# Those that were run, or read in the engine's source.
VLLM = {"--trust-remote-code", "--interleave-mm-strings", "--generation-config", "--data-parallel-size"}
OTHERS = """--tensor-parallel-size --pipeline-parallel-size --data-parallel-size --data-parallel-size-local
    --data-parallel-address --data-parallel-backend --nnodes --node-rank --distributed-executor-backend
    --dist-init-addr --tp --dp --proxy-url""".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str) -> None:
    words = shlex.split(command)
    if words[:3] == ["python", "-m", "app.replicas"]:
        parse_plan(words[3:])
    elif words[:3] == ["python", "-m", "benchmarks"]:
        assert words[3] in NAMES
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file()
        parse_settings("openbmb/MiniCPM-V-2_6", 8885, words[2:])
    elif words[:2] == ["serve", "run"]:
        module, _, builder = words[2].partition(":")
        assert callable(getattr(import_module(module), builder))
        plan_of(dict(word.split("=", 1) for word in words[3:]))
    elif words[0] == "vllm":
        assert {word for word in words if word.startswith("--")} == VLLM
    else:
        assert words[:3] == ["pip", "install", "-r"] and (ROOT / words[3]).is_file()


def test_the_page_asks_where_the_replicas_listen() -> None:
    (replicas,) = [command for command in COMMANDS if "app.replicas" in command and "--replicas 8" in command]
    (page,) = [command for command in COMMANDS if "--engine minicpm" in command]
    settings = parse_plan(shlex.split(replicas)[3:]).settings
    assert f"http://{settings.host}:{settings.port}" in shlex.split(page)


def test_flags_that_are_named_alone_exist() -> None:
    ours = set()
    for module in ("app.replicas.flags", "app.cli"):
        found = import_module(module)
        parser = found.build_parser() if module.endswith("flags") else found.build_parser("m", 1)
        ours |= {flag for action in parser._actions for flag in action.option_strings}
    named = {flag for code in re.findall(r"`([^`]+)`", TEXT) for flag in re.findall(r"(?<!\S)--[a-z-]+", code)}
    assert named - ours - VLLM - {*OTHERS} - {"--api-only", "--json"} == set()
    assert len(named & ours) > 10


def test_what_was_measured_is_what_the_tables_of_performance_say() -> None:
    tables = (ROOT / "docs" / "performance.md").read_text("utf-8")

    def cells(case: str) -> list[str]:
        (row,) = re.findall(rf"^\| `{re.escape(case)}` \|(.*)\|$", tables, re.MULTILINE)
        return [cell.strip() for cell in row.split("|")]

    (pictures, text) = re.findall(r"([\d.]+) times (?:the tokens of one after another|with text)", TEXT)
    assert [pictures, text] == [cells("users8")[2], cells("users8_text")[2]]
    image, video = re.findall(r"([\d.]+) (?:of the first question's time )?\(1/(\d+)\)", TEXT)
    assert [image[0], video[0]] == [cells("image10.turn2")[2], cells("video64.turn2")[2]]
    assert all(round(1 / float(share)) == int(part) for share, part in (image, video))
    (growth,) = re.findall(r"16 users get ([\d.]+) times the tokens of one", TEXT)
    assert f"16 users together get {growth} times the tokens" in tables
    for day in set(re.findall(r"on (\d+ November \d+)", TEXT)):
        assert day in tables, "performance.md says which run is of which day"


def test_the_times_of_draining_are_those_of_the_file() -> None:
    told = dict(re.findall(r"`(drain-timeout|\w+Seconds|RAY_\w+)` \((\d+)", TEXT))
    file = (ROOT / "deploy" / "kuberay" / "rayservice.yaml").read_text("utf-8")
    assert len(told) == 4
    for name, seconds in told.items():
        assert set(re.findall(rf'{name}(?::|\n +value:) "?(\d+)', file)) == {seconds}, name


def test_links_lead_somewhere() -> None:
    for path in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / path).exists(), path
    assert find_spec("app.replicas.application")


def test_the_cost_table_is_its_formula() -> None:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| ([\d,]*) \| ([\d,]*)", TEXT, re.MULTILINE)
    assert len(rows) >= 4
    for row in rows:
        users, gpus, cost, per_thousand, ours, cost_of_ours = (float(cell.replace(",", "") or 0) for cell in row)
        assert gpus == math.ceil(round(users / 60 * 0.13 / 0.6, 3)) and cost == 2 * gpus
        assert per_thousand == pytest.approx(cost / (users * 60) * 1000, abs=0.006)
        if ours:
            assert ours == math.ceil(round(users / 60 * 0.31 / 0.6, 3)) and cost_of_ours == 2 * ours
