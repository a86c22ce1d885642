from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.errors import SettingsError
from app.replicas.flags import parse_plan, plan_of

ROOT = Path(__file__).parents[2]


def test_defaults() -> None:
    plan = parse_plan([])
    assert (plan.replicas, plan.min_replicas, plan.gpus_per_replica, plan.cpus_per_replica, plan.routing) == (
        1,
        None,
        1,
        1,
        "conversation",
    )
    assert plan.settings.model == "openbmb/MiniCPM-V-2_6" and plan.settings.api_only
    assert plan.settings.host == "127.0.0.1" and plan.settings.port == 8000


@pytest.mark.parametrize(("words", "gpus"), [("--device cpu", 0), ("--backend echo", 0), ("--device cuda", 1),
                                             ("--device cpu --gpus-per-replica 2", 2),
                                             ("--gpus-per-replica 0.5", 0.5)])  # fmt: skip
def test_gpus_of_a_replica(words: str, gpus: float) -> None:
    assert parse_plan(words.split()).gpus_per_replica == gpus


def test_a_number_that_follows_the_load() -> None:
    plan = parse_plan("--min-replicas 2 --max-replicas 8 --target-ongoing-requests 4".split())
    assert (plan.min_replicas, plan.max_replicas, plan.target_ongoing_requests, plan.most_replicas) == (2, 8, 4, 8)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--replicas 0", "--replicas: got 0, allowed is 1 or more"),
        ("--replicas 2 --min-replicas 1 --max-replicas 2", "does not go with"),
        ("--min-replicas 1", "go together"),
        ("--min-replicas 3 --max-replicas 2", "--max-replicas: got 2"),
        ("--gpus-per-replica -1", "--gpus-per-replica"),
        ("--gpus-per-replica 1.5", "whole GPUs"),
        ("--cpus-per-replica 0", "--cpus-per-replica"),
        ("--routing nearest", "conversation or random"),
        ("--drain-timeout -1", "--drain-timeout"),
        ("--target-ongoing-requests 0", "--target-ongoing-requests"),
        ("--backend openai --base-url http://127.0.0.1:1", "replicas hold a model"),
        ("--api-key-env sk-123", "--api-key-env"),
        ("--no-such-flag", "--no-such-flag"),
    ],
)
def test_what_cannot_be_is_refused_in_words(words: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_plan(words.split())
    assert said in str(caught.value)


def test_the_arguments_of_serve_run_are_the_same_flags() -> None:
    words = "--model m --device cpu --replicas 3 --multi-gpus --adapter a=x --adapter b=y".split()
    given = {"model": "m", "device": "cpu", "replicas": 3, "multi_gpus": True, "cpu-offload": False,
             "adapter": ["a=x", "b=y"]}  # fmt: skip
    assert plan_of(given) == parse_plan(words)
    # `serve run KEY=VALUE` gives texts.
    assert plan_of({"model": "m", "device": "cpu", "replicas": "3", "multi-gpus": "true"}).replicas == 3


@pytest.mark.parametrize("value", [False, "false", "False"])
def test_a_switch_of_decoding_can_be_off(value: Any) -> None:
    plan = plan_of({"model": "m", "device": "cpu", "do_sample": value, "enable-thinking": value})
    options = plan.settings.option_defaults
    assert options["do_sample"] is False and options["enable_thinking"] is False


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from app.replicas.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'ray', 'torch', 'fastapi', 'gradio', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--target-ongoing-requests" in done.stdout


def test_without_ray_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from app.replicas.__main__ import main\n"
        "sys.exit(main(['--backend', 'echo']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install -r requirements-replicas.txt" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_flag_is_one_line_and_code_2() -> None:
    command = [sys.executable, "-m", "app.replicas", "--replicas", "none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
