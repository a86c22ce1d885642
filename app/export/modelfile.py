"""An Ollama Modelfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.export.members import Member
from app.sampling import SamplingParams


def write(path: Path, files: tuple[Path, Path], member: Member, family: Any, context: int) -> Path:
    """Write it; returns its path.

    Args:
        files: language model and tower, in the same folder.
        context: tokens of prompt and answer together that the model takes.
    """
    params = SamplingParams.of({}, family.defaults)
    parameters = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "repeat_penalty": params.repetition_penalty,
        "num_ctx": min(context, 8192),
    }
    lines = [
        "# ollama create minicpm-v -f Modelfile",
        *(f"FROM ./{file.name}" for file in files),
        f'TEMPLATE """{member.ollama}"""',
        *(f"PARAMETER {name} {value}" for name, value in parameters.items()),
        *(f'PARAMETER stop "{stop}"' for stop in member.stops),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
