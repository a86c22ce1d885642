"""What each engine takes and how it wants it: one row per engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.sampling import OPTIONS, RARE
from app.texts import Phrase

# What an option is when nothing is asked of the engine.
NEUTRAL: Mapping[str, Any] = {
    "top_p": 1.0,
    "top_k": 0,
    "repetition_penalty": 1.0,
    "seed": None,
    "max_slice_nums": 9,
    "enable_thinking": False,
    "downsample_mode": "16x",
    "min_p": 0.0,
    "stop": (),
    "min_new_tokens": 0,
    "use_image_id": None,
}
OURS = frozenset({"do_sample", "num_beams", "system_prompt", "max_frames"})  # never left to an engine by their names
STANDARD: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_new_tokens": "max_tokens",
    "seed": "seed",
    "stop": "stop",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """How one engine speaks the protocol.

    Attributes:
        name: as `--engine` takes it; empty for an engine that nothing is known of.
        title: as it is shown.
        owner: what its /v1/models says under `owned_by`; empty if that tells nothing.
        fields: what it calls the options it takes; "a.b" is the field b of the object a.
        beam_fields: the same for beam search; empty if it has none.
        beam_constants: what turns its beam search on.
        beams_stream: a searched answer may be asked for as a stream.
        constants: sent with every request, so that no default of the server's has a say.
        off: what switches an option off, where it is not the value that does so here.
        as_text: objects that it wants as JSON text.
        usage_on_request: it tells the usage of a stream only if `stream_options` asks.
        separator: text to put between two parts of a message; empty where the engine does so itself.
        video: whether a clip goes as a video of its chosen frames, or as so many images.
        max_frames: frames of a video that it looks at, 0 for all.
        ours: our own endpoint, which tells what its model takes and lets those take turns whom `user` names.
        logprobs: it tells log probabilities.
        hints: what to do instead, by the option that it does not take.
    """

    name: str
    title: str
    owner: str = ""
    fields: Mapping[str, str] = field(default_factory=lambda: STANDARD)
    beam_fields: Mapping[str, str] = field(default_factory=dict)
    beam_constants: Mapping[str, Any] = field(default_factory=dict)
    beams_stream: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] = field(default_factory=dict)
    as_text: frozenset[str] = frozenset()
    usage_on_request: bool = True
    separator: str = ""
    video: Literal["frames", "video_url"] = "frames"
    max_frames: int = 0
    ours: bool = False
    logprobs: bool = False
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def hidden_options(self) -> frozenset[str]:
        """Options without effect, as `Capabilities.hidden_options` has them."""
        hidden = {option.name for option in OPTIONS} - OURS - set(self.fields)
        searched = {option.name for option in OPTIONS if "beam" in option.modes} - OURS - set(self.beam_fields)
        return frozenset(hidden | RARE | ({f"beam.{name}" for name in searched} if self.beam_fields else set()))

    @property
    def defaults(self) -> dict[str, Any]:
        """Defaults that ask nothing of the engine by an option that it does not take."""
        names = [option.name for option in OPTIONS if option.name in NEUTRAL]
        plain = {name: NEUTRAL[name] for name in names if name not in self.fields}
        searched = self.beam_fields or self.fields
        plain |= {f"beam.{name}": NEUTRAL[name] for name in names if name not in searched}
        return plain | ({"max_frames": self.max_frames} if self.max_frames else {})


_SAMPLING = dict(STANDARD) | {"top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"}
_OWN = {
    "min_new_tokens": "min_tokens",
    "max_slice_nums": "mm_processor_kwargs.max_slice_nums",
    "max_frames": "mm_processor_kwargs.max_frames",
    "use_image_id": "mm_processor_kwargs.use_image_id",
    "downsample_mode": "mm_processor_kwargs.downsample_mode",
    "enable_thinking": "chat_template_kwargs.enable_thinking",
}
# The tags of places in pictures are special tokens, which these engines leave out by default.
_WHOLE_TEXT = {"skip_special_tokens": False}
_SLICES = {"max_slice_nums": Phrase("do_slices_server")}

UNKNOWN = Profile("", Phrase("other_engine"), hints=_SLICES)
PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "vllm",
            "vLLM",
            owner="vllm",
            fields=_SAMPLING | {"min_new_tokens": "min_tokens"},
            beam_fields={"num_beams": "n", "max_new_tokens": "max_tokens"},
            constants=_WHOLE_TEXT,
            beam_constants={"use_beam_search": True, "temperature": 0} | _WHOLE_TEXT,
            video="video_url",
            max_frames=32,
            logprobs=True,
            # A number other than the server's own ends the whole engine, so it is never sent.
            hints={
                "max_slice_nums": Phrase("do_slices_vllm"),
            },
        ),
        Profile(
            "sglang",
            "SGLang",
            owner="sglang",
            # Its seed has an effect only on a server started for determinism, which it does not tell.
            fields={name: to for name, to in _SAMPLING.items() if name != "seed"} | {"min_new_tokens": "min_tokens"},
            constants=_WHOLE_TEXT,
            off={"top_k": -1},
            logprobs=True,
            hints=_SLICES,
        ),
        Profile(
            "llama-server",
            "llama-server",
            owner="llamacpp",
            fields=_SAMPLING | {"repetition_penalty": "repeat_penalty"},
            # Its penalty counts the last 64 tokens only unless told otherwise. -1, once the whole context, is refused,
            # and it keeps a buffer of this size.
            constants={"repeat_last_n": 32768},
            separator="\n",
            logprobs=True,
            hints=_SLICES,
        ),
        Profile("ollama", "Ollama", owner="library", hints=_SLICES),
        Profile(
            "transformers",
            "transformers serve",
            fields={
                "temperature": "temperature",
                "top_p": "top_p",
                "max_new_tokens": "max_tokens",
                "seed": "seed",
                "stop": "stop",
                "top_k": "generation_config.top_k",
                "min_p": "generation_config.min_p",
                "repetition_penalty": "generation_config.repetition_penalty",
                "do_sample": "generation_config.do_sample",
            },
            as_text=frozenset({"generation_config"}),
            usage_on_request=False,
            hints=_SLICES,
        ),
        Profile(
            "lmdeploy",
            "LMDeploy",
            owner="lmdeploy",
            fields=_SAMPLING | {"min_new_tokens": "min_new_tokens"},
            constants=_WHOLE_TEXT,
            hints=_SLICES,
        ),
        Profile(
            "minicpm",
            "MiniCPM-V Web Demo",
            owner="minicpm-v-web-demo",
            fields=_SAMPLING | _OWN,
            beam_fields=_OWN
            | {name: name for name in ("num_beams", "repetition_penalty", "stop")}
            | {"max_new_tokens": "max_tokens"},
            beams_stream=True,
            video="video_url",
            ours=True,
            logprobs=True,
        ),
    )
}
