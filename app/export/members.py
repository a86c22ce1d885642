"""What llama.cpp needs to be told of each family that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.errors import UnsupportedModelError
from app.families import all_families
from app.modeling.auto import find_member
from app.texts import Phrase

# llama-server gives a template one text per message, a mark such as <__media_abc__> where an image is. Images and texts
# stand on lines of their own: the page sends the line ends itself, others may not. Images are numbered through the
# conversation where the model was trained so; llama.cpp itself does not.
_PARTS = (
    "{%- set pieces = message['content'].split('<__media_') -%}{{ pieces[0] }}{%- set ns.before = pieces[0] -%}"
    "{%- for piece in pieces[1:] -%}"
    "{%- if ns.before and not ns.before.endswith('\n') -%}{{ '\n' }}{%- endif -%}"
    "%s{%- set ns.before = piece.split('__>')[1:] | join('__>') -%}{{ '<__media_' + piece.split('__>')[0] + '__>' }}"
    "{%- if ns.before and not ns.before.startswith('\n') -%}{{ '\n' }}{%- endif -%}{{ ns.before }}"
    "{%- set ns.before = ns.before or '>' -%}{%- endfor -%}"
)
_PLAIN_PARTS = _PARTS.replace("%s", "")
_NUMBERED_PARTS = _PARTS.replace(
    "%s", "{{ '<image_id>' ~ ns.image ~ '</image_id>' }}{%- set ns.image = ns.image + 1 -%}"
)
SYSTEM = "You are a helpful assistant."
CHATML = (
    "{%- set ns = namespace(image=0, before='') -%}{%- for message in messages -%}"
    "{%- if loop.first and message['role'] != 'system' -%}"
    "{{ '<|im_start|>system\n" + SYSTEM + "<|im_end|>\n' }}{%- endif -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}" + _NUMBERED_PARTS + "{{ '<|im_end|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
LLAMA3 = (
    "{%- set ns = namespace(before='') -%}{{ '<|begin_of_text|>' }}{%- for message in messages -%}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}" + _PLAIN_PARTS + "{{ '<|eot_id|>' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif -%}"
)
USER_AI = (
    "{%- set ns = namespace(before='') -%}{%- for message in messages -%}"
    "{{ '<用户>' if message['role'] == 'user' else '<AI>' }}" + _PLAIN_PARTS + "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<AI>' }}{%- endif -%}"
)
OLLAMA_CHATML = """\
{{- if not .System }}<|im_start|>system
%s<|im_end|>
{{ else }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{- range .Messages }}{{- if ne .Role "system" }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}{{- end }}<|im_start|>assistant
""".replace("%s", SYSTEM)
OLLAMA_LLAMA3 = """\
{{- if .System }}<|start_header_id|>system<|end_header_id|>

{{ .System }}<|eot_id|>{{ end }}{{- range .Messages }}{{- if ne .Role "system" }}\
<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}{{- end }}<|start_header_id|>assistant<|end_header_id|>

"""
OLLAMA_USER_AI = (
    '{{- range .Messages }}{{- if eq .Role "user" }}<用户>{{ .Content }}{{ else if eq .Role "assistant" }}<AI>'
    "{{ .Content }}{{ end }}{{- end }}<AI>"
)


@dataclass(frozen=True, slots=True)
class Member:
    """One family.

    Attributes:
        name: as the family has it.
        architecture: of the language model.
        layout: what llama.cpp calls `minicpmv_version`: which tokens stand around the slices.
        vocabulary: a byte-level BPE with a way to split words, or SentencePiece.
        splitter: that way; empty for SentencePiece.
        begins: a token stands in front of every prompt.
        interleaved_rope: llama.cpp turns neighbouring values of a head, not its halves.
        scaled: its config.json has MiniCPM's three scales; llama.cpp scales the features of images like words.
        timm: the tower's weights have timm's names.
        template, ollama: the prompt, as Jinja and as Ollama writes templates.
        stops: tokens that end an answer.
    """

    name: str
    architecture: str
    layout: int
    template: str
    ollama: str
    stops: tuple[str, ...]
    vocabulary: Literal["bpe", "sentencepiece"] = "bpe"
    splitter: str = ""
    begins: bool = False
    interleaved_rope: bool = False
    scaled: bool = False
    timm: bool = False


MEMBERS = (
    Member(
        "MiniCPM-V 2.6", "qwen2", 3, CHATML, OLLAMA_CHATML, ("<|im_end|>", "<|endoftext|>"), splitter="qwen2"
    ),
    Member(
        "MiniCPM-Llama3-V 2.5", "llama", 2, LLAMA3, OLLAMA_LLAMA3, ("<|eot_id|>", "<|end_of_text|>"),
        splitter="llama-bpe", begins=True, interleaved_rope=True,
    ),
    # The tokens around its slices are those of 2.5; llama-server refuses the number that once was 2.0's own.
    Member(
        "MiniCPM-V 2.0", "minicpm", 2, USER_AI, OLLAMA_USER_AI, ("</s>",), vocabulary="sentencepiece", begins=True,
        interleaved_rope=True, scaled=True, timm=True,
    ),
)  # fmt: skip


def member_of(config: Mapping[str, Any]) -> tuple[Any, Member]:
    """The family and the member of a config.json.

    Raises:
        UnsupportedModelError: llama.cpp runs no such model, or its weights are quantised.
    """
    family = find_member(all_families(), config)
    found = next((member for member in MEMBERS if member.name == family.name), None)
    if found is None:
        names = ", ".join(member.name for member in MEMBERS)
        hint = Phrase("do_convert_script" if family.in_library else "do_exported", names=names)
        raise UnsupportedModelError(Phrase("not_exported", name=family.name), hint)
    if "quantization_config" in config:
        raise UnsupportedModelError(Phrase("weights_quantised"), Phrase("do_full_checkpoint"))
    return family, found
