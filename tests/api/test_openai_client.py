"""The official client against a real server, on the echo and on the embedded model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from app.backends.local import LocalBackend
from app.messages import Image, Message
from app.sampling import SamplingParams
from app.settings import Settings
from tests.api.conftest import ROOT, Server, asked, clip, data_url, image_part, picture, served, video_part

TINY = ROOT / "assets" / "tiny-minicpm-v"
SHAPE = ROOT / "assets" / "examples" / "shot_2.png"


@pytest.fixture(scope="module")
def tiny() -> Iterator[tuple[LocalBackend, Server]]:
    settings = Settings(model=str(TINY), device="cpu", dtype="fp32", engine="plain", cache_size=64 * 1024**2, api=True)
    backend = LocalBackend(settings)
    backend.start()
    with served(backend, model=str(TINY), backend="local") as server:
        server.wait_for(lambda: backend.status().state == "ready")
        yield backend, server
    backend.close()


def text_of(reply: Any) -> str:
    return reply.choices[0].message.content


def streamed(client: openai.OpenAI, **fields: Any) -> tuple[dict[int, str], dict[int, str], Any]:
    """Texts and ends by choice, and the usage."""
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    usage = None
    for event in client.chat.completions.create(stream=True, **fields):
        usage = event.usage or usage
        for choice in event.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    return texts, ends, usage


# --- the same answer either way


def test_streaming_gives_what_not_streaming_gives(echo: Server) -> None:
    request = asked("What is this?", image_part(data_url(picture())), max_tokens=50)
    whole = echo.client().chat.completions.create(**request)
    texts, ends, usage = streamed(echo.client(), **request, stream_options={"include_usage": True})
    assert texts == {0: text_of(whole)} and "image 1 of 4x3 px" in texts[0]
    assert ends == {0: whole.choices[0].finish_reason} == {0: "stop"}
    assert usage == whole.usage and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0


def test_the_model_says_over_the_api_what_its_backend_says(tiny: tuple[LocalBackend, Server]) -> None:
    backend, server = tiny
    question = "What colour is the star?"
    params = SamplingParams.of({}, backend.capabilities.defaults)
    greedy = SamplingParams(
        do_sample=False, num_beams=1, repetition_penalty=params.repetition_penalty, max_new_tokens=24,
        max_slice_nums=params.max_slice_nums, max_frames=params.max_frames,
    )  # fmt: skip
    direct = list(backend.stream([Message.of("user", Image(SHAPE), question)], greedy))
    expected = "".join(chunk.text for chunk in direct)
    request = asked(
        image_part(data_url(SHAPE.read_bytes())), question, model="tiny-minicpm-v", temperature=0, max_tokens=24
    )
    whole = server.client().chat.completions.create(**request)
    texts, _, usage = streamed(server.client(), **request, stream_options={"include_usage": True})
    assert expected and text_of(whole) == texts[0] == expected
    told, first = whole.usage, direct[-1].usage
    assert told is not None and first is not None
    assert (told.prompt_tokens, told.completion_tokens) == (first.prompt_tokens, first.new_tokens)
    # The picture and the question were read before.
    assert usage.prompt_tokens_details.cached_tokens > 0
    assert usage.prompt_tokens_details.image_tokens == first.vision_tokens > 0


def test_the_model_sees_videos(tiny: tuple[LocalBackend, Server]) -> None:
    request = asked(video_part(data_url(clip(), "video/mp4")), "What happens?", model="tiny-minicpm-v", max_tokens=4)
    counts = [
        tiny[1].client().chat.completions.create(**request, extra_body={"mm_processor_kwargs": kwargs}).usage
        for kwargs in ({"max_frames": 2}, {"max_frames": 4})
    ]
    few, more = (usage.prompt_tokens_details.image_tokens for usage in counts)  # type: ignore[union-attr]
    assert more == 2 * few > 0


def test_a_seed_repeats_an_answer(tiny: tuple[LocalBackend, Server]) -> None:
    # There is no text: of small talk a trained model may be so sure that two seeds give the same.
    request = asked("Read the text.", model="tiny-minicpm-v", temperature=2, top_p=1, max_tokens=16)
    first, again, other = (
        text_of(tiny[1].client().chat.completions.create(**request, seed=seed, extra_body={"top_k": -1}))
        for seed in (7, 7, 8)
    )
    assert first == again != other


def test_several_answers_are_each_other_s_neighbours(tiny: tuple[LocalBackend, Server]) -> None:
    request = asked("Tell me something.", model="tiny-minicpm-v", temperature=2, top_p=1, max_tokens=16, seed=3)
    alone = [text_of(tiny[1].client().chat.completions.create(**request | {"seed": seed})) for seed in (3, 4)]
    both = tiny[1].client().chat.completions.create(**request, n=2)
    assert [choice.message.content for choice in both.choices] == alone
    texts, ends, _ = streamed(tiny[1].client(), **request, n=2)
    assert [texts[0], texts[1]] == alone and set(ends) == {0, 1}
    assert both.usage is not None and both.usage.completion_tokens <= 32


def test_slices_and_numbers_of_images_are_a_request_s_choice(tiny: tuple[LocalBackend, Server]) -> None:
    request = asked(image_part(data_url(picture(900, 900))), "What?", model="tiny-minicpm-v", max_tokens=1)
    one, usual, bare = (
        tiny[1].client().chat.completions.create(**request, extra_body={"mm_processor_kwargs": kwargs}).usage
        for kwargs in ({"max_slice_nums": 1}, {"max_slice_nums": 9}, {"max_slice_nums": 1, "use_image_id": False})
    )
    assert one and usual and bare
    assert one.prompt_tokens < usual.prompt_tokens and bare.prompt_tokens < one.prompt_tokens


# --- what is asked arrives


def test_parts_arrive_in_their_order(echo: Server) -> None:
    image, video = image_part(data_url(picture(8, 6))), video_part(data_url(clip(), "video/mp4"))
    text = text_of(echo.client().chat.completions.create(**asked("one", image, "two", video, "three", image)))
    order = ['"one"', "image 1 of 8x6", '"two"', "video 1 of", '"three"', "image 2 of 8x6"]
    assert [text.index(word) for word in order] == sorted(text.index(word) for word in order)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"temperature": 0}, "do_sample=False, num_beams=1, repetition_penalty=1.05"),
        ({"temperature": 0.004}, "temperature=0.01"),
        ({"temperature": 1.5, "top_p": 0.5}, "temperature=1.5, top_p=0.5"),
        ({"max_completion_tokens": 60}, "max_new_tokens=60"),
        ({"max_tokens": 60}, "max_new_tokens=60"),
        ({"seed": -1}, "seed=2147483647"),
        ({"extra_body": {"top_k": 0, "min_p": 0.1, "repetition_penalty": 1.5}},
         "top_k=0, repetition_penalty=1.5, min_p=0.1"),
        ({"extra_body": {"top_k": -1}}, "top_k=0"),
        ({"extra_body": {"num_beams": 4}}, "do_sample=False, num_beams=4"),
        ({"extra_body": {"min_tokens": 2}}, "min_new_tokens=2"),
        ({"max_tokens": 70, "extra_body": {"ignore_eos": True}}, "min_new_tokens=70"),
        ({"extra_body": {"mm_processor_kwargs": {"max_slice_nums": 2, "use_image_id": False, "max_frames": 3}}},
         "max_slice_nums=2, max_frames=3, use_image_id=False"),
        ({"model": "menu"}, "adapter='menu'"),
    ],
)  # fmt: skip
def test_options_arrive(echo: Server, fields: dict[str, Any], told: str) -> None:
    assert told in text_of(echo.client().chat.completions.create(**asked("x") | fields))


def test_the_server_s_own_defaults_hold_where_nothing_is_asked(serve: Any) -> None:
    server = serve(option_defaults={"temperature": 0.3, "beam.temperature": 0.3, "do_sample": False})
    assert "do_sample=False" in text_of(server.client().chat.completions.create(**asked("x")))
    assert "temperature=0.5" in text_of(server.client().chat.completions.create(**asked("x", temperature=0.5)))


def test_an_answer_ends_before_a_stop_text(echo: Server) -> None:
    request = asked("one two three", stop=["three", "two"])
    whole = echo.client().chat.completions.create(**request)
    assert text_of(whole).endswith('"one ') and whole.choices[0].finish_reason == "stop"
    assert streamed(echo.client(), **request)[0][0] == text_of(whole)


def test_the_end_by_length_is_told(echo: Server) -> None:
    reply = echo.client().chat.completions.create(**asked("one two three", max_tokens=2))
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None and reply.usage.completion_tokens == 2


def test_the_conversation_and_the_system_prompt_arrive(echo: Server) -> None:
    messages: Any = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": "second"},
        {"role": "user", "content": [{"type": "text", "text": "third"}]},
    ]
    text = text_of(echo.client().chat.completions.create(model="Echo", messages=messages))
    assert text.startswith('Message 2: text "second", text "third"')
    assert r"system_prompt='Be kind.\nBe short.'" in text


def test_fields_without_effect_are_taken(echo: Server) -> None:
    echo.client().chat.completions.create(
        **asked("x"), user="u", store=False, metadata={"a": "b"}, logprobs=False, tool_choice="none", tools=[],
        response_format={"type": "text"}, frequency_penalty=0, presence_penalty=0.0, parallel_tool_calls=False,
    )  # fmt: skip


# --- models


def test_the_model_and_its_adapters_are_listed(echo: Server) -> None:
    models = {model.id: model for model in echo.client().models.list()}
    assert list(models) == ["Echo", "menu"]
    assert models["menu"].parent == "Echo" and models["Echo"].owned_by == "minicpm-v-web-demo"  # type: ignore[attr-defined]
    assert echo.client().models.retrieve("menu").id == "menu"
    with pytest.raises(openai.NotFoundError):
        echo.client().models.retrieve("other")


def test_a_folder_s_path_is_not_told(tiny: tuple[LocalBackend, Server]) -> None:
    (model,) = tiny[1].client().models.list()
    assert model.id == "tiny-minicpm-v"
    assert model.max_model_len == tiny[0].capabilities.context  # type: ignore[attr-defined]


def test_the_environment_s_hub_name_is_the_model_s_own(serve: Any) -> None:
    server = serve(backend="local", model="openbmb/MiniCPM-V-2_6")
    assert [model.id for model in server.client().models.list()] == ["openbmb/MiniCPM-V-2_6"]
    assert server.client().models.retrieve("openbmb/MiniCPM-V-2_6").id == "openbmb/MiniCPM-V-2_6"
