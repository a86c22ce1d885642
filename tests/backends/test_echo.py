from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from PIL import Image as Pictures

from app.backends.echo import EchoBackend
from app.errors import GenerationError, ImageError, OutOfMemoryError, VideoError
from app.messages import Chunk, Image, Message, Part, Progress, Video
from app.sampling import SamplingParams

SAMPLING, BEAM = SamplingParams(), SamplingParams.of({"do_sample": False})


def chunks_of(*parts: Part | str, params: SamplingParams = SAMPLING, delay: float = 0.0) -> list[Chunk]:
    return list(EchoBackend(delay).stream([Message.of("user", *parts)], params))


def answer_to(*parts: Part | str, params: SamplingParams = SAMPLING) -> str:
    return "".join(chunk.text for chunk in chunks_of(*parts, params=params))


def picture(width: int = 4, height: int = 3) -> Image:
    return Image(Pictures.new("RGB", (width, height)))


def test_it_quotes_the_text_and_names_every_part_in_order():
    answer = answer_to("see", picture(4, 3), "and", picture(7, 5))
    assert answer == (
        'Message 1: text "see", image 1 of 4x3 px, text "and", image 2 of 7x5 px. Options: all at their defaults.'
    )


def test_it_reads_image_files(tmp_path: Path):
    Pictures.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert "image 1 of 30x20 px" in answer_to(Image(tmp_path / "a.png"))


def test_a_broken_image_file_is_a_typed_error(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"nonsense")
    with pytest.raises(ImageError):
        chunks_of(Image(tmp_path / "a.png"))


def test_it_counts_the_frames_of_a_video(tmp_path: Path):
    answer = answer_to(Video(make_clip(tmp_path / "a.mp4", seconds=3)), "what?")
    assert answer.startswith('Message 1: video 1 of 3 frames, text "what?".')


def test_max_frames_caps_a_video(tmp_path: Path):
    clip = make_clip(tmp_path / "a.mp4", seconds=4)
    assert "video 1 of 2 frames" in answer_to(Video(clip), params=SamplingParams(max_frames=2))
    assert "video 1 of 1 frame," in answer_to(Video(clip, max_frames=1), "x", params=SamplingParams(max_frames=2))


def make_clip(path: Path, seconds: int) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for index in range(10 * seconds):
            frame = av.VideoFrame.from_image(Pictures.new("RGB", (32, 32), (index, 0, 0)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_it_names_only_the_options_that_differ():
    params = SamplingParams(temperature=0.5, seed=7)
    assert answer_to("x", params=params).endswith("Options: temperature=0.5, seed=7.")


def test_beam_search_has_its_own_defaults():
    assert answer_to("x", params=BEAM).endswith("Options: do_sample=False.")


def test_it_tells_the_message_number():
    history = [Message.of("user", "a"), Message.of("assistant", "b"), Message.of("user", "c")]
    assert "".join(c.text for c in EchoBackend(0).stream(history, SAMPLING)).startswith('Message 2: text "c"')


def test_it_streams_word_by_word():
    texts = [chunk.text for chunk in chunks_of("one two three") if chunk.text]
    assert texts == ["Message", " 1:", " text", ' "one', " two", ' three".', " Options:", " all", " at", " their",
                     " defaults."]  # fmt: skip


def test_the_last_chunk_has_the_usage():
    *others, last = chunks_of(picture(), "one two")
    assert last.finish_reason == "stop" and last.usage is not None
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in others)
    assert (last.usage.prompt_tokens, last.usage.vision_tokens) == (3, 1)
    assert last.usage.new_tokens == sum(bool(chunk.text) for chunk in others)


def test_times_are_measured():
    started = monotonic()
    usage = chunks_of("one two", delay=0.001)[-1].usage
    elapsed = monotonic() - started
    assert usage is not None and usage.ttft is not None and usage.tokens_per_second is not None
    assert 0.001 <= usage.ttft < elapsed
    assert (usage.new_tokens - 1) / usage.tokens_per_second < elapsed


def test_max_new_tokens_ends_the_answer():
    *others, last = chunks_of("one two three", params=SamplingParams(max_new_tokens=3))
    assert "".join(chunk.text for chunk in others) == "Message 1: text" and last.finish_reason == "length"


def test_beam_search_shows_progress_then_all_at_once():
    chunks = chunks_of("one two", params=BEAM)
    progress = [chunk.progress for chunk in chunks if chunk.progress]
    total = progress[0].total
    assert progress == [Progress("search", done, total) for done in range(total + 1)]
    assert [chunk.text for chunk in chunks if chunk.text] == ['Message 1: text "one two". Options: do_sample=False.']
    assert total == len(chunks[-2].text.split())


@pytest.mark.parametrize(("word", "error"), [("/fail", GenerationError), ("/oom", OutOfMemoryError)])
@pytest.mark.parametrize("params", [SAMPLING, BEAM])
def test_faults_come_in_the_middle_of_the_answer(word: str, error: type[Exception], params: SamplingParams):
    got: list[Chunk] = []
    with pytest.raises(error) as caught:
        for chunk in EchoBackend(0).stream([Message.of("user", f"{word} now")], params):
            got.append(chunk)
    assert caught.type is error and got
    assert bool("".join(chunk.text for chunk in got)) == params.do_sample


def test_it_serves_on_after_a_fault():
    backend = EchoBackend(0)
    with pytest.raises(GenerationError):
        list(backend.stream([Message.of("user", "/fail")], SAMPLING))
    assert list(backend.stream([Message.of("user", "x")], SAMPLING))[-1].finish_reason == "stop"


def test_long_is_cut_by_max_new_tokens_only():
    assert chunks_of("/long")[-1].finish_reason == "length"
    assert answer_to("/long", params=SamplingParams(max_new_tokens=8192)).endswith(" word 1499 word 1500")


def test_slow_is_slow_but_never_silent():
    stream = EchoBackend(0.01).stream([Message.of("user", "/slow")], SAMPLING)
    assert [next(stream).text for _ in range(4)] == ["", "", "", ""]
    stream.close()
    assert list(stream) == []


def test_reading_media_shows_progress():
    progress = [chunk.progress for chunk in chunks_of(picture(), picture()) if chunk.progress]
    assert progress == [Progress("encode_images", 0, 2), Progress("encode_images", 1, 2)]


def test_decoding_a_video_shows_progress_and_can_be_stopped(tmp_path: Path):
    stream = EchoBackend(0).stream([Message.of("user", Video(make_clip(tmp_path / "a.mp4", 3)))], SAMPLING)
    first = next(stream).progress
    assert first is not None and first.stage == "decode_video"
    stream.close()
    assert list(stream) == []


def test_a_broken_video_file_is_a_typed_error(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"nonsense")
    with pytest.raises(VideoError):
        chunks_of(Video(tmp_path / "a.mp4"))


def test_it_is_ready_and_takes_everything():
    backend = EchoBackend()
    backend.start()
    assert backend.status().state == "ready"
    assert backend.capabilities.video and backend.capabilities.few_shot and backend.capabilities.max_images is None


def test_importing_it_is_light():
    code = "import app.backends.echo, sys; print(*{'torch', 'gradio', 'PIL', 'av'} & set(sys.modules))"
    root = Path(__file__).parents[2]
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root).strip() == ""


def test_it_ends_before_a_stop_text():
    chunks = list(EchoBackend(delay=0).stream([Message.of("user", "one two three")], SamplingParams(stop=("two",))))
    assert "".join(chunk.text for chunk in chunks).endswith('"one ')
    assert chunks[-1].finish_reason == "stop"
