"""Write the model card beside the weights, from what was measured and how it was trained.

    python -m finetune.tiny.card --model assets/tiny-minicpm-v --evaluation evaluation.json --training training.json

`evaluation.json` is what `finetune.tiny.evaluate --json` wrote. `training.json` records the training, as
`finetune.tiny.record` does:
{"hours": float, "machine": {"processor": str, "cores": int},
 "stages": [{"name": str, "hours": float, "pictures": int}],
 "sittings": [{"stage": "towers" or "learn", "from": int, "to": int, "hours": float, "processes": int,
               "published": bool, "flags": {"pictures": int, ...}}]}
Older records have {"seed": int, "commands": [str]} in place of the sittings. Fields beside these are left alone,
missing ones are an error.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.errors import AppError, CheckpointError
from app.flags import report
from finetune.tiny import plan
from finetune.tiny.fonts import HELD_OUT_FAMILIES, TRAINING_FAMILIES, FontFamily
from finetune.tiny.icons import HELD_OUT_SETS, TRAINING_SETS, IconSet, things
from finetune.tiny.photographs import ALBUMS, Album
from finetune.tiny.record import Sitting

NAMES = {"seen": "training generator, new seeds", "drawer2": "second drawer"}
INTRODUCTION = """\
A checkpoint in the format of [openbmb/MiniCPM-V-2_6](https://huggingface.co/openbmb/MiniCPM-V-2_6) with
{parameters:.1f} million parameters ({megabytes:.1f} MB), trained from random weights by this project on pictures that a
program drew. It answers simple questions about simple pictures, offline and on a CPU, so that the program around it
can be shown and tested with answers that are right. It knows eleven colours, eight shapes, {things} everyday things,
printed text, and nothing else: photographs, knowledge and reasoning need the large models of the family.
"""
AGAIN = (
    "pip install -r requirements-finetune.txt",
    "python -m finetune.tiny --cache CACHE --out OUT --plan training.json",
)
LIMITS = """\
It was taught by drawings. Of photographs it knows nothing; shown two dozen of them, it learned to say so. Of
screenshots with more than text, handwriting and drawing styles far from those it saw (outlines, sketches) it knows
little, and what it says of them is not to be trusted. It says that it is a small model when asked for what it was not
taught; the row `honesty` tells how often.
"""


# What the record of the published weights does not hold.
CHANGES = """
The names of things became tokens of their own behind picture 1,027,008 of the answers (2,619 tokens, 1,879 before, by
`finetune.tiny.growing`); the drawings of emojione and streamline-emojis came behind picture 1,066,752.
"""


def read_json(path: Path) -> dict[str, Any]:
    """The object a JSON file holds.

    Raises:
        CheckpointError: no such file, or no JSON object in it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({type(error).__name__}).") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object.")
    return value


def weights(folder: Path) -> tuple[int, int]:
    """Parameters and bytes of a folder's safetensors files, from their headers alone.

    Raises:
        CheckpointError: there are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} holds no .safetensors file.")
    parameters = 0
    for file in files:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(length))
        parameters += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return parameters, sum(file.stat().st_size for file in files)


def _fewer(evaluation: Mapping[str, Any]) -> str:
    """The skills that were asked less often than the others, as an addition to a sentence."""
    most = evaluation["per_skill"]
    counts = {
        name: min(skill[source].get("count", most) for source in NAMES if source in skill)
        for name, skill in evaluation["skills"].items()
    }
    return "".join(f" ({name}: {count})" for name, count in counts.items() if count < most)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def measured(evaluation: Mapping[str, Any]) -> str:
    """The evaluation as a table, what is below its aim in bold, and how many are."""
    skills: Mapping[str, Mapping[str, Any]] = evaluation["skills"]
    sources = [name for name in NAMES if any(name in skill for skill in skills.values())]
    lines = [_row("skill", "example", *(NAMES[name] for name in sources), "aim"), "|" + "---|" * (len(sources) + 3)]
    for name, skill in skills.items():
        cells = [_score(skill.get(source), skill["aim"]) for source in sources]
        lines.append(_row(name, skill["example"], *cells, f"{skill['aim']:.2f}"))
    missed = [n for n, s in skills.items() if any(s[name]["score"] < s["aim"] for name in sources if name in s)]
    reached = "All aims are reached." if not missed else f"Below the aim somewhere (bold): {', '.join(missed)}."
    return "\n".join([*lines, "", reached])


def timed(evaluation: Mapping[str, Any]) -> list[str]:
    """How fast it is, as a sentence; nothing if that was not measured."""
    if "speed" not in evaluation:
        return []
    speed, cores = evaluation["speed"], evaluation["machine"]["cores"]
    return [
        f"On {cores} cores it is loaded in {speed['load']:.2f} s, gives its first token {speed['first_token']:.2f} s "
        f"after a question about a picture and the whole answer after {speed['answer']:.2f} s (medians of "
        f"{speed['pictures']} questions about colours, through `model.chat`, in float32)."
    ]


def _score(result: Mapping[str, Any] | None, aim: float) -> str:
    if result is None:
        return ""
    return f"{result['score']:.3f}" if result["score"] >= aim else f"**{result['score']:.3f}**"


def _icon_sets(sets: Sequence[IconSet], use: str) -> list[str]:
    return [_row(f"[{s.name}]({s.source})", f"{s.package} {s.version}", s.author, s.license, use) for s in sets]


def _families(families: Sequence[FontFamily], use: str) -> list[str]:
    return [_row(family.name, f"{family.package} {family.version}", "", family.license, use) for family in families]


def _albums(albums: Sequence[Album], use: str) -> list[str]:
    return [
        _row(f"photographs ({len(a.files)})", f"{a.package} {a.version} ({a.kind})", a.authors, a.license, use)
        for a in albums
    ]


def attribution() -> str:
    """Icon sets, fonts and photographs with their licences, as a table."""
    rows = [
        *_icon_sets(TRAINING_SETS, "training"),
        *_icon_sets(HELD_OUT_SETS[:1], "evaluation only"),
        *_families(TRAINING_FAMILIES, "training"),
        *_families(HELD_OUT_FAMILIES, "evaluation only"),
        *_albums(ALBUMS, "training: what is not known"),
    ]
    return "\n".join(
        [
            _row("drawings, fonts, photographs", "package (of npm, if not said)", "by", "license", "used for"),
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def recipe(training: Mapping[str, Any]) -> str:
    """How it was trained: stages, hours, machine, and the commands with their seeds.

    Raises:
        CheckpointError: the record lacks a field.
    """
    try:
        machine, stages = training["machine"], training["stages"]
        lines = [_row("stage", "pictures", "hours"), "|---|---|---|"]
        lines += [_row(s["name"], f"{s['pictures']:,}", f"{s['hours']:.1f}") for s in stages]
        where = f"In all {training['hours']:.1f} hours on {machine['cores']} cores ({machine['processor']})"
        sittings = [Sitting.read(one) for one in training.get("sittings", ())]
        again = repeated(sittings) if sittings else f"seed {training['seed']}. Again:\n\n{_bash(training['commands'])}"
        return "\n".join(lines) + f"\n\n{where}, {again}"
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"The record of the training lacks or misuses the field {error}.") from None


def repeated(sittings: Sequence[Sitting]) -> str:
    """The sittings as they were run, and the command that runs all of them again where none is missing."""
    ran = []
    for sitting, words in zip(sittings, plan.commands(sittings, "CACHE", "OUT"), strict=True):
        span = f"{sitting.stage}: pictures {sitting.start:,} to {sitting.stop:,}, {sitting.seconds / 3600:.1f} hours"
        ran += [f"# {span}", shlex.join(["python", *words])]
    count = f"in {len(sittings)} sitting{'s' if len(sittings) > 1 else ''}"
    if lacking := plan.gap(sittings):
        return f"{count}; {lacking} was not recorded. What was:\n\n{_bash(ran)}"
    return (
        f"{count}. All of them again, with the record beside this card:\n\n{_bash(AGAIN)}\n\nThat is:\n\n{_bash(ran)}"
    )


def _bash(lines: Sequence[str]) -> str:
    return "\n".join(["```bash", *lines, "```"])


def card(folder: Path, evaluation: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """The model card as Markdown."""
    parameters, size = weights(folder)
    introduction = INTRODUCTION.format(
        parameters=parameters / 1e6, megabytes=size / 1e6, things=len({thing.word for thing in things()})
    )
    head = "---\nlicense: apache-2.0\nlibrary_name: transformers\npipeline_tag: image-text-to-text\n---\n\n"
    fewer = _fewer(evaluation)
    asked = (
        f"Mean scores over {evaluation['per_skill']} new pictures for each skill and generator{fewer}, asked through "
        f"`model.chat` with the configured slicing ({evaluation['decode']} decoding, seed {evaluation['seed']}). The "
        "second drawer shares neither code nor fonts nor backgrounds with training; its pictures measure 160 to 900 px."
    )
    sections = {
        "What it can do": "\n\n".join([asked, measured(evaluation), *timed(evaluation)]),
        "What it cannot do": LIMITS.strip(),
        "How it was trained": f"{recipe(training)}\n\n{CHANGES.strip()}",
        "Drawings, fonts and photographs": (
            "Pictures for training and evaluation were drawn with these; none of them is part of this "
            f"repository.\n\n{attribution()}"
        ),
        "License": "Apache-2.0, as the rest of this project.",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"{head}# A tiny MiniCPM-V\n\n{introduction}\n{body}\n"


def main(argv: list[str] | None = None) -> int:
    """Command line: write README.md into the model's folder."""
    parser = argparse.ArgumentParser(prog="python -m finetune.tiny.card", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--evaluation", type=Path, required=True, help="JSON of finetune.tiny.evaluate")
    parser.add_argument("--training", type=Path, required=True, help="JSON record of the training")
    flags = parser.parse_args(argv)
    try:
        text = card(flags.model, read_json(flags.evaluation), read_json(flags.training))
        (flags.model / "README.md").write_text(text, encoding="utf-8")
    except AppError as error:
        return report(error, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
