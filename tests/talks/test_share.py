"""Files to share, the .zip back and forth, and code that runs."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.backends.base import Capabilities
from app.backends.echo import EchoBackend
from app.errors import AppError, MediaError, RequestError
from app.families import all_families
from app.media.kind import sniff_kind
from app.messages import FrameChoice, Image, Message, Text, Video
from app.sampling import SamplingParams
from app.session import Session
from app.talks.archive import read_archive, write_archive
from app.talks.form import to_json
from app.talks.share import file_name, to_html, to_markdown
from app.talks.snippet import chat_code, openai_code
from app.tree import Tree
from app.turn import Turn
from tests.browser.conftest import DEMO, serving

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "assets" / "examples"
TINY = ROOT / "assets" / "tiny-minicpm-v"
CLIP = Video(EXAMPLES / "ball.mp4", choice=FrameChoice(2.0, 8.0, count=3, dropped=frozenset({60})))
EVIL = '<script>alert(1)</script><img src="http://elsewhere/x.png">'


def conversation(**params: Any) -> Tree:
    options = SamplingParams(**params)
    first = Turn(Message.of("user", Image(EXAMPLES / "pair_1.png"), "Look"), EVIL, "done", params=options)
    second = Turn(Message.of("user", CLIP, "And?"), "two", "done", params=options)
    other = Turn(Message.of("user", "Or?"), "three", "done", params=options)
    return Tree.of([first, second]).branched(second.key, other).showing(second.key)


def name_of(path: Path) -> str:
    return path.stem


class Folder:
    """Media as they are stored."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, data: bytes) -> Image | Video:
        file = self.path / f"{len(data)}"
        file.write_bytes(data)
        return Video(file) if sniff_kind(file) == "video" else Image(file)


def zipped(path: Path, content: Any, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("messages.json", content if isinstance(content, str) else json.dumps(content))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_zip_comes_back_with_all_versions_and_media(tmp_path: Path) -> None:
    tree = conversation(seed=3)
    with (tmp_path / "a.zip").open("wb") as file:
        write_archive(tree, "Look", name_of, file)
    title, back = read_archive(tmp_path / "a.zip", Folder(tmp_path), 10**8)
    assert title == "Look"
    sizes = lambda tree: to_json(tree, lambda path: str(path.stat().st_size))  # noqa: E731
    assert sizes(back) == sizes(tree)
    assert back.path()[1].user.content[0].choice == CLIP.choice
    content = json.loads(zipfile.ZipFile(tmp_path / "a.zip").read("messages.json"))
    assert content["messages"][0]["content"][0] == {"type": "image_url", "image_url": {"url": "media/image_1.png"}}
    assert [message["role"] for message in content["messages"]] == ["user", "assistant"] * 2


def test_messages_alone_are_a_conversation(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "cat"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [picture, {"type": "text", "text": "q"}]},
        {"role": "assistant", "content": "a"},
    ]
    file = zipped(tmp_path / "a.zip", {"messages": messages}, cat=(EXAMPLES / "pair_1.png").read_bytes())
    (turn,) = read_archive(file, Folder(tmp_path), 10**8)[1].path()
    assert isinstance(turn.user.content[0], Image) and turn.user.content[1] == Text("q")
    assert (turn.answer, turn.state) == ("a", "done")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        {},
        {"messages": []},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        {"messages": [1]},
        {"conversation": {"format": 1, "turns": [{}]}},
        {"title": ["a"], "messages": [{"role": "user", "content": "x"}]},
    ],
)
def test_a_zip_of_another_form_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(RequestError):
        read_archive(zipped(tmp_path / "a.zip", content), Folder(tmp_path), 10**8)


def test_no_file_outside_the_zip_is_read_and_none_written_by_its_name(tmp_path: Path) -> None:
    urls = ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "http://elsewhere/x.png", None, {}]
    items = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    file = zipped(tmp_path / "a.zip", {"messages": [{"role": "user", "content": items}]}, **{"../evil.png": b"x"})
    (turn,) = read_archive(file, Folder(tmp_path), 10**8)[1].path()
    assert all(isinstance(part, Text) for part in turn.user.content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        content = [{"type": "image_url", "image_url": {"url": "big"}}, {"type": "text", "text": "q"}]
        archive.writestr("messages.json", json.dumps({"messages": [{"role": "user", "content": content}]}))
        archive.writestr("big", b"\x89PNG\r\n\x1a\n" + bytes(20_000_000))
    (turn,) = read_archive(path, Folder(tmp_path), 1_000_000)[1].path()
    assert isinstance(turn.user.content[0], Text) and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 9])
def test_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with pytest.raises(AppError, match=r"no \.zip"):
        read_archive(path, lambda data: Image(path), 10)


@pytest.mark.parametrize(
    ("method", "damage"), [(zipfile.ZIP_DEFLATED, 0), (zipfile.ZIP_LZMA, 9), (zipfile.ZIP_BZIP2, 0)]
)
def test_a_damaged_zip_is_refused(tmp_path: Path, method: int, damage: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("messages.json", json.dumps({"messages": [{"role": "user", "content": "q" * 999}]}))
        start = archive.infolist()[0].header_offset + 30 + len("messages.json") + damage
    data = bytearray(path.read_bytes())
    data[start : start + 20] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(RequestError, match=r"no \.zip"):
        read_archive(path, Folder(tmp_path), 10**8)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the entries that are unpacked from now on."""
    opened: list[str] = []
    real = zipfile.ZipFile.open

    def open_(archive: zipfile.ZipFile, name: Any, *args: Any, **more: Any) -> Any:
        opened.append(name)
        return real(archive, name, *args, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", open_)
    return opened


def with_media(names: list[str]) -> dict[str, Any]:
    """What a .zip says that asks for media of these names, each by an id of its own."""
    content = [{"type": "image", "media": str(number)} for number in range(len(names))]
    turns = [
        {"key": f"{start:032x}", "parent": "", "state": "done", "content": content[start : start + 200]}
        for start in range(0, len(content), 200)
    ]
    media = {str(number): name for number, name in enumerate(names)}
    return {"conversation": {"format": 1, "turns": turns}, "media": media}


def test_a_medium_of_no_use_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = zipped(tmp_path / "a.zip", with_media(["big"] * 50 + ["text"] * 50), big=bytes(2000), text=b"no picture")
    opened = counted(monkeypatch)
    assert len(read_archive(file, Folder(tmp_path), 1000)[1].turns) == 1
    assert opened == ["messages.json", "big", "text"]


def test_what_is_unpacked_in_vain_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.talks.archive.MAX_TOTAL", 1500)
    names = [f"big{number}" for number in range(3)]
    picture = (EXAMPLES / "pair_1.png").read_bytes()[:600]
    file = zipped(tmp_path / "a.zip", with_media([*names, "small"]), **dict.fromkeys(names, bytes(2000)), small=picture)
    (turn,) = read_archive(file, Folder(tmp_path), 1000)[1].path()
    assert turn.user.content == (Text("[missing image]"),) * 4


def test_more_media_than_a_zip_may_have_are_refused(tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", with_media(["cat"] * 2200), cat=b"")
    with pytest.raises(RequestError, match="more than 2100 files"):
        read_archive(file, Folder(tmp_path), 1000)


def test_a_broken_medium_is_missing(tmp_path: Path) -> None:
    def refuse(data: bytes) -> Image:
        raise MediaError("Broken.")

    stream = io.BytesIO()
    write_archive(conversation(), "", name_of, stream)
    path = tmp_path / "a.zip"
    path.write_bytes(stream.getvalue())
    assert read_archive(path, refuse, 10**8)[1].path()[0].user.content[0] == Text("[missing image]")


def test_the_page_to_share_runs_and_loads_nothing() -> None:
    page = to_html(conversation().path(), EVIL, "You", "Model", "en", str)
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert 'src="http' not in page and page.count("data:image/png;base64,") == 1 and "data:video/mp4" in page
    assert "default-src 'none'" in page


def test_answers_are_read_as_markdown_in_the_page_to_share_and_questions_are_not() -> None:
    answer = "**A** <ref>star</ref><box>1 2 3 4</box> and <box>5 6 7 8</box>"
    turns = [Turn(Message.of("user", "**Q**"), answer, "done")]
    page = to_html(turns, "", "You", "Model", "en", "place {}".format)
    assert "<p><strong>A</strong> star and place 1</p>" in page and "**Q**" in page


def test_markdown() -> None:
    text = to_markdown(conversation().path(), "A\ntitle", "You", "Model")
    assert text.startswith("# A title\n\n## You\n\n![image_1.png](media/image_1.png)\n\nLook\n\n## Model")
    assert "[video_1.mp4](media/video_1.mp4)" in text


def test_files_are_called_in_the_zip_as_in_markdown_and_in_code(tmp_path: Path) -> None:
    old, shown = (Turn(Message.of("user", Image(EXAMPLES / f"pair_{n}.png"), "q"), "a", "done") for n in (1, 2))
    tree = Tree.of([old]).branched(old.key, shown)
    stream = io.BytesIO()
    write_archive(tree, "", name_of, stream)
    archive = zipfile.ZipFile(stream)
    assert archive.read("media/image_1.png") == (EXAMPLES / "pair_2.png").read_bytes()
    assert archive.read("media/image_2.png") == (EXAMPLES / "pair_1.png").read_bytes()
    assert "media/image_1.png" in to_markdown(tree.path(), "", "You", "Model")
    assert "media/image_1.png" in openai_code(tree.path(), EchoBackend().capabilities, "")


def test_names_of_files() -> None:
    assert file_name("What is <this>/..?", "zip") == "What-is-this.zip"
    assert file_name("", "md") == "conversation.md" and file_name("这是什么？", "md") == "这是什么.md"


# --- code that asks a turn again


def run(code: str, folder: Path, turns: list[Turn]) -> str:
    """What the code prints that is run as it says: where the project is and the exported .zip was unpacked."""
    project = folder / "project"
    if not project.exists():
        project.mkdir()
        for part in ("app", "assets"):
            (project / part).symlink_to(ROOT / part)
    stream = io.BytesIO()
    write_archive(Tree.of(turns), "", name_of, stream)
    zipfile.ZipFile(stream).extractall(project)
    (project / "ask.py").write_text(code, "utf-8")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "ask.py"], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_pictures_are_read_as_the_page_reads_them(tmp_path: Path) -> None:
    code = chat_code(conversation().path(), EchoBackend().capabilities, "somewhere")
    assert "read_image(Path('media/image_1.png'))" in code and "PIL" not in code
    compile(code, "ask.py", "exec")
    alone = chat_code([Turn(Message.of("user", "q"), "a", "done")], EchoBackend().capabilities, "somewhere")
    assert "Path" not in alone and "read_" not in alone


def test_the_options_that_few_models_have_are_asked_of_the_api() -> None:
    turns = conversation(enable_thinking=True, downsample_mode="4x", max_frames=32).path()
    code = openai_code(turns, Capabilities("x", hidden_options=frozenset()), "")
    assert "'downsample_mode': '4x'" in code and "'chat_template_kwargs': {'enable_thinking': True}" in code
    code = openai_code(turns, Capabilities("x"), "")
    assert "downsample_mode" not in code and "chat_template_kwargs" not in code


def test_frames_that_the_api_cannot_choose_become_a_clip() -> None:
    def code(*clips: Video) -> str:
        turn = Turn(Message.of("user", *clips, "q"), "a", "done", params=SamplingParams(max_frames=32))
        return openai_code([turn], Capabilities("x"), "")

    assert "cut(" in code(CLIP) and "cut(" not in code(Video(CLIP.source))
    assert "'max_frames': 32" in code(Video(CLIP.source)) and "'max_frames': 8" in code(Video(CLIP.source, 8))
    both = code(Video(CLIP.source, 8), Video(CLIP.source))
    assert "'max_frames': 32" in both and both.count(" cut(Path(") == 1 and "Path('media/video_1.mp4'), 8," in both


def test_code_says_where_it_runs() -> None:
    turns = conversation().path()
    where = "# Export the conversation as .zip, unpack it in the project's folder, and run this there.\n"
    assert chat_code(turns, Capabilities("x"), "x").startswith(where)
    assert openai_code(turns, Capabilities("x"), "").startswith(where)
    alone = [Turn(Message.of("user", "q"), "a", "done")]
    assert chat_code(alone, Capabilities("x"), "x").startswith("# Run this in the project's folder.\n")
    assert openai_code(alone, Capabilities("x"), "").startswith("from openai")


@pytest.mark.parametrize("model", [str(TINY), "assets/tiny-minicpm-v"])
def test_a_model_of_the_project_is_named_from_its_folder(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = chat_code([Turn(Message.of("user", "q"), "a", "done")], Capabilities("x"), model)
    assert code.count("from_pretrained('assets/tiny-minicpm-v'") == 2


def test_frames_have_as_many_slices_as_on_the_page_and_the_prompt_as_much_room() -> None:
    clips = [Video(CLIP.source, 8), Image(EXAMPLES / "pair_1.png"), Video(CLIP.source), Video(CLIP.source, 8)]
    turn = Turn(Message.of("user", *clips, "q"), "a", "done", params=SamplingParams(max_slice_nums=6))
    code = chat_code([turn], Capabilities("x", context=8192), "x")
    first, second = ("*[min(6, per_frame)] * len(clip_1)", "*[min(6, per_frame)] * len(clip_2)")
    assert f"max_slice_nums=[{first}, 6, {second}, {first}]," in code and "max_inp_length=6144," in code
    assert "frames = len(clip_1) + len(clip_2) + len(clip_1)\n" in code and code.count("read_frames(Path(") == 2
    rule = re.search("per_frame = ([^#]+)", code)
    assert rule
    for family in all_families():
        assert all(eval(rule[1], {"frames": count}) == family.frame_slices(count) for count in (1, 16, 17, 64))


def test_a_turn_left_out_is_not_asked_again() -> None:
    turns = conversation().path()
    turns[0].left_out = True
    code = chat_code(turns, Capabilities("x", max_images=1), "x")
    assert "image=None" in code and "read_image" not in code
    assert "image_1" not in openai_code(turns, Capabilities("x"), "")


def test_the_openai_call_repeats_the_answer(tmp_path: Path) -> None:
    session, backend = Session(), EchoBackend(delay=0)
    params = SamplingParams(seed=7, system_prompt='Say "it\'s"', max_slice_nums=4, temperature=0.5)
    parts = [Image(EXAMPLES / "pair_1.png"), CLIP, Video(CLIP.source, 4), Text('What\'s "this"?\n{x}')]
    list(session.send(parts, params, backend))
    list(session.send([Video(CLIP.source), Text("again")], params, backend))
    with serving([*DEMO, "--backend", "echo", "--api"], tmp_path / "log") as url:
        assert "video 1 of 3 frames, video 2 of 4 frames" in session.turns[0].answer
        for turns in (session.turns[:1], session.turns):
            code = openai_code(turns, backend.capabilities, f"{url}/v1")
            assert run(code, tmp_path, turns) == turns[-1].answer


def test_the_chat_call_repeats_the_answer(tmp_path: Path) -> None:
    from app.backends.table import make_backend
    from app.settings import Settings

    backend = make_backend(Settings(model=str(TINY), device="cpu", dtype="fp32"))
    backend.start()
    session = Session()
    params = SamplingParams(seed=7, top_k=1, max_new_tokens=8, repetition_penalty=1.0, max_slice_nums=4)
    try:
        list(session.send([Image(EXAMPLES / "shot_2.png"), CLIP, Text("What colour is the star?")], params, backend))
    finally:
        backend.close()
    assert session.turns[0].answer
    assert run(chat_code(session.turns, backend.capabilities, str(TINY)), tmp_path, session.turns) == (
        session.turns[0].answer.strip()
    )
