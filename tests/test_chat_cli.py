"""`python chat.py`: one question from the terminal, over the same path as the page's."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.ask import main, parse_question
from app.backends.base import Capabilities
from app.backends.echo import EchoBackend
from app.backends.local import LocalBackend
from app.messages import Image, Message, Text, Video
from app.sampling import OPTIONS, SamplingParams
from app.settings import Settings
from tests.adapters import make
from tests.checkpoints import CHECKPOINTS, family_of, folder, untrained
from tests.remote.fake_engine import FakeEngine, serve

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "assets" / "examples"
PICTURE, OTHER, CLIP = (str(EXAMPLES / name) for name in ("pair_1.png", "pair_2.png", "ball.mp4"))
SHORT = ["--no-do-sample", "--num-beams", "1", "--max-new-tokens", "8", "--max-slice-nums", "1"]

Capture = pytest.CaptureFixture[str]


def python(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=ROOT, timeout=250, **options)


def echoed(*parts: Any, **params: Any) -> str:
    """What the echo says to these parts."""
    stream = EchoBackend(delay=0).stream([Message.of("user", *parts)], SamplingParams(**params))
    return "".join(chunk.text for chunk in stream)


def ask(*argv: str) -> int:
    return main(["--backend", "echo", *argv])


# --- the command line


@pytest.mark.parametrize(
    ("flags", "adapter"),
    [
        ("", ""),
        ("--adapter out/a", "a"),
        ("--adapter a=x --adapter b=y", "a"),
        ("--adapter a=x --adapter b=y --use-adapter b", "b"),
        ("--adapter a=x --use-adapter base", ""),
    ],
)
def test_which_adapter_answers(flags: str, adapter: str) -> None:
    assert parse_question([*flags.split(), "Why?"]).adapter == adapter


def test_the_adapter_reaches_the_backend(capsys: Capture) -> None:
    assert ask("--adapter", "menu=x", "Why?") == 0
    assert "adapter='menu'" in capsys.readouterr().out


def test_help_has_every_option_and_is_light() -> None:
    code = (
        "import sys; from chat import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'gradio', 'PIL', 'numpy', 'av', 'modelscope_studio', 'huggingface_hub'}\n"
        "print('heavy:', *heavy & set(sys.modules))"
    )
    done = python("-c", code, env=os.environ | {"COLUMNS": "100"})
    text = re.sub(r"\s+", " ", done.stdout)
    assert done.stdout.splitlines()[-1] == "heavy:"
    for option in OPTIONS:
        assert f"--{option.name.replace('_', '-')}" in text and option.help in text
    assert "--image FILE" in text and "--video FILE" in text and "(default: openbmb/MiniCPM-V-2_6)" in text


def test_what_is_given_arrives() -> None:
    question = parse_question(
        "--model m --device cpu --dtype int4 --multi-gpus --source modelscope --video-reader decord "
        "--temperature 0.2 --no-do-sample Why?".split()
    )
    assert question.parts == (Text("Why?"),)
    assert question.options == {"temperature": 0.2, "do_sample": False}
    assert question.settings == Settings(
        model="m", device="cpu", dtype="int4", multi_gpus=True, source="modelscope", video_reader="decord",
        option_defaults={"temperature": 0.2, "do_sample": False, "beam.temperature": 0.2, "beam.do_sample": False},
    )  # fmt: skip


def test_files_come_first_in_their_order_or_where_the_text_puts_them() -> None:
    files = ["--image", PICTURE, "--video", CLIP, "--image", OTHER]
    first, second, clip = Image(Path(PICTURE)), Image(Path(OTHER)), Video(Path(CLIP))
    assert parse_question([*files, "Compare."]).parts == (first, clip, second, Text("Compare."))
    placed = parse_question([*files, "What changed between [image 2] and [image 1]?"]).parts
    assert placed == (clip, Text("What changed between"), second, Text("and"), first, Text("?"))


def test_a_file_may_be_the_whole_question() -> None:
    assert parse_question(["--image", PICTURE, ""]).parts == (Image(Path(PICTURE)),)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["QUESTION", "--help"]),
        (["--nonsense", "hi"], ["--nonsense"]),
        (["--imag", PICTURE, "hi"], ["--imag"]),
        (["--device", "tpu", "hi"], ["--device", "tpu"]),
        (["--temperature", "9", "hi"], ["--temperature", "0.01 to 2.0"]),
        (["--image", "missing.png", "hi"], ["--image 1", "No such file"]),
        (["--image", PICTURE, "--image", CLIP, "hi"], ["--image 2", "MP4", "--video"]),
        (["--video", PICTURE, "hi"], ["--video 1", "PNG", "--image"]),
        (["--image", __file__, "hi"], ["--image 1", "text"]),
        (["--image", str(ROOT), "hi"], ["--image 1", "directory"]),
        (["  "], ["empty"]),
        (["--adapter", "a=x", "--use-adapter", "b", "hi"], ["--use-adapter", "'b'", "base, a", "--adapter"]),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(argv: list[str], words: list[str], capsys: Capture) -> None:
    assert ask(*argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and all(word in err for word in words)


def test_a_moving_gif_is_a_picture_or_a_video(tmp_path: Path) -> None:
    gif = tmp_path / "moving.gif"
    gif.write_bytes(b"GIF89a")
    assert parse_question(["--image", str(gif), ""]).parts == (Image(gif),)
    assert parse_question(["--video", str(gif), ""]).parts == (Video(gif),)


# --- the answer


def test_the_answer_is_all_there_is_on_stdout(capsys: Capture) -> None:
    assert ask("--image", PICTURE, "What is in the image?") == 0
    out, err = capsys.readouterr()
    assert out == echoed(Image(Path(PICTURE)), "What is in the image?") + "\n"
    assert err == ""


def test_options_reach_the_model(capsys: Capture) -> None:
    assert ask("--temperature", "0.2", "--system-prompt", "Be brief.", "hi") == 0
    assert capsys.readouterr().out == echoed("hi", temperature=0.2, system_prompt="Be brief.") + "\n"


def test_what_libraries_print_goes_to_stderr(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoBackend, "start", lambda self: print("chatter"))
    assert ask("hi") == 0
    out, err = capsys.readouterr()
    assert out == echoed("hi") + "\n" and err == "chatter\n"


def test_an_answer_cut_off_says_so(capsys: Capture) -> None:
    assert ask("--max-new-tokens", "3", "one two three four") == 0
    out, err = capsys.readouterr()
    assert len(out.split()) == 3 and "--max-new-tokens 3" in err


def test_a_failure_in_the_middle_keeps_what_was_said(capsys: Capture) -> None:
    assert ask("/fail one two three") == 1
    out, err = capsys.readouterr()
    assert out == echoed_until_failure() + "\n"
    assert err == "error: The echo failed because the message asked for it. Send one that starts otherwise.\n"


def echoed_until_failure() -> str:
    text = ""
    with pytest.raises(Exception, match="asked for it"):
        for chunk in EchoBackend(delay=0).stream([Message.of("user", "/fail one two three")], SamplingParams()):
            text += chunk.text
    assert text
    return text


def test_what_the_model_cannot_take_is_said_before_it_loads(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoBackend, "capabilities", Capabilities(model="One", max_images=1, video=False))
    monkeypatch.setattr(EchoBackend, "start", lambda self: pytest.fail("loading began"))
    assert ask("--image", PICTURE, "--image", OTHER, "hi") == 1
    assert ask("--video", CLIP, "hi") == 1
    out, err = capsys.readouterr()
    assert out == "" and [line for line in err.splitlines() if "One takes" in line] == err.splitlines()


def test_a_question_comes_from_stdin() -> None:
    done = python("chat.py", "--backend", "echo", "-", input="Was ist größer?\nA oder B?\n", encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == echoed("Was ist größer?\nA oder B?") + "\n"


def test_stdin_that_is_no_text_is_said() -> None:
    command = [sys.executable, "chat.py", "--backend", "echo", "-"]
    done = subprocess.run(command, input=b"\xff\xfe", capture_output=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2 and b"UTF-8" in done.stderr and len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_the_answer_cleanly() -> None:
    command = [sys.executable, "chat.py", "--backend", "echo", "/slow one two three four five six seven eight"]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        assert asking.stdout is not None
        first = asking.stdout.read(1)
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate(timeout=60)
    finally:
        asking.kill()
    assert asking.returncode == 130 and err == b"Stopped.\n"
    assert (first + out).endswith(b"\n") and b"eight" not in out


def test_a_reader_that_goes_away_ends_the_answer() -> None:
    command = [sys.executable, "chat.py", "--backend", "echo", "/long"]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        assert asking.stdout is not None and asking.stderr is not None
        asking.stdout.read(1)
        asking.stdout.close()
        assert asking.wait(timeout=60) == 1
        assert asking.stderr.read() == b""
    finally:
        asking.kill()
        asking.stderr.close()


# --- with a model


@pytest.mark.parametrize("model", CHECKPOINTS)
def test_the_answer_is_the_backends(model: str, capsys: Capture) -> None:
    where = ["--model", str(folder(model)), "--device", "cpu", "--dtype", "fp32"]
    assert main([*where, *SHORT, "--image", PICTURE, "What is in the image?"]) == 0
    backend = LocalBackend(Settings(model=str(folder(model)), device="cpu", dtype="fp32"))
    backend.start()
    message = Message.of("user", Image(Path(PICTURE)), "What is in the image?")
    given = {"do_sample": False, "num_beams": 1, "max_new_tokens": 8, "max_slice_nums": 1}
    params = SamplingParams.of(given, backend.capabilities.defaults)
    expected = "".join(chunk.text for chunk in backend.stream([message], params))
    backend.close()
    assert capsys.readouterr().out == expected + "\n"


@pytest.mark.parametrize("model", [model for model in CHECKPOINTS if family_of(model).video])
def test_a_question_about_a_video(model: str, capsys: Capture) -> None:
    where = ["--model", str(folder(model)), "--device", "cpu", "--dtype", "fp32"]
    assert main([*where, *SHORT, "--max-frames", "2", "--video", CLIP, "What happens?"]) == 0
    assert capsys.readouterr().out.strip()


def test_a_model_that_cannot_be_loaded_is_one_error(tmp_path: Path, capsys: Capture) -> None:
    broken = Path(shutil.copytree(folder(CHECKPOINTS[0]), tmp_path / "model"))
    for weights in broken.glob("*.safetensors"):
        weights.write_bytes(b"")
    assert main(["--model", str(broken), "--device", "cpu", "hi"]) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if "cannot be loaded" in line]
    assert out == "" and len(lines) == 1 and lines[0].startswith("error: ")


def test_the_documented_command() -> None:
    """The README's, about a picture that the embedded model knows."""
    readme = (ROOT / "README.md").read_text("utf-8")
    command = shlex.split(next(line for line in readme.splitlines() if line.startswith("python chat.py")))
    done = python(*command[1:])
    assert (done.returncode, done.stdout) == (0, "blue\n")
    assert "random" not in done.stderr and "Traceback" not in done.stderr


def test_answers_of_random_weights_are_announced(tmp_path: Path, capsys: Capture) -> None:
    assert main(["--model", str(untrained(tmp_path)), "--device", "cpu", *SHORT, "hi"]) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n") and "random" in err


def test_an_adapter_changes_the_answer(tmp_path: Path, capsys: Capture) -> None:
    flags = ["--model", str(folder("minicpm-v-2_6")), "--device", "cpu", "--dtype", "fp32", *SHORT]
    flags += ["--adapter", f"mine={make('minicpm-v-2_6', 'official', tmp_path)}", "--image", PICTURE, "Why?"]
    answers = []
    for chosen in ([], ["--use-adapter", "base"], ["--use-adapter", "mine"]):
        assert main([*flags, *chosen]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[2] != answers[1]


def test_a_folder_without_an_adapter_is_said_before_the_model_loads(tmp_path: Path, capsys: Capture) -> None:
    assert main(["--model", str(folder("minicpm-v-2_6")), "--adapter", str(tmp_path), "Why?"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "adapter_config.json is missing" in error


def test_another_engine_is_looked_at_before_its_options_are_taken(capsys: Capture) -> None:
    """By name and by itself it gets the same request."""
    with serve(FakeEngine("vllm")) as server:
        for engine in ("vllm", "auto"):
            assert main(["--backend", "openai", "--base-url", server.url, "--engine", engine, "--seed", "1", "hi"]) == 0
        named, found = server.requests
    assert found == named and found["top_k"] == 100
    assert capsys.readouterr().out == "one two three four\n" * 2
