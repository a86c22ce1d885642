"""Measure the embedded checkpoint, skill by skill, the way a user asks it: `model.chat`, its own slicing.

    python -m finetune.tiny.evaluate --model assets/tiny-minicpm-v --cache DIR --json evaluation.json

Questions come from two generators of pictures: the one that training uses, with other seeds ("seen"), and a second
one that shares no code, fonts or backgrounds with it ("drawer2"). With --json or --answers, an evaluation that was
stopped goes on behind the last skill and generator that it came to the end of.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean
from types import MappingProxyType
from typing import Any

from app.errors import AppError, OptionError
from app.flags import report
from finetune.tiny import speed
from finetune.tiny.case import SKILLS, Case, CaseSource, Skill
from finetune.tiny.kept import Kept, Row, fingerprint, replace_text

DECODING: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "greedy": {"sampling": False, "num_beams": 1, "repetition_penalty": 1.0},
        "sampling": {"sampling": True},  # as `chat` does by itself: top_p 0.8, temperature 0.7
        "beam": {"sampling": False},  # as `chat` does: 3 beams, repetition_penalty 1.2
    }
)


# Questions whose answers are timed.
TIMED = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """A case, what the model said and what that is worth."""

    case: Case
    answer: str
    score: float


@dataclass(frozen=True, slots=True)
class Measure:
    """What one generator's questions of one skill gave.

    Attributes:
        score: mean, 0 to 1. count: questions. groups: kind of question -> (questions, mean score).
    """

    score: float
    count: int
    groups: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Measure:
        """The mean, overall and by kind."""
        kinds: dict[str, list[float]] = defaultdict(list)
        for one in rows:
            kinds[one["group"]].append(one["score"])
        groups = {kind: (len(scores), round(fmean(scores), 4)) for kind, scores in sorted(kinds.items())}
        return cls(round(fmean(one["score"] for one in rows), 4), len(rows), groups)


class Examinee:
    """A checkpoint, loaded by the Auto classes and asked through `model.chat`.

    Args:
        folder: the checkpoint.
        decode: key of DECODING.
        batch: conversations answered at once.
        device: as torch names it.

    Raises:
        AppError: the folder holds no checkpoint that can be loaded.
    """

    def __init__(self, folder: Path, decode: str = "greedy", batch: int = 8, device: str = "cpu") -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        import app.modeling  # noqa: F401  registers the family

        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval().to(device)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self._decoding, self._batch = DECODING[decode], batch

    def ask(self, cases: Sequence[Case]) -> Iterator[Asked]:
        """Answers, in any order: cases that take the same options go together."""
        alike: dict[tuple[Any, ...], list[Case]] = defaultdict(list)
        for case in cases:
            alike[case.max_new_tokens, tuple(sorted(case.options.items()))].append(case)
        for group in alike.values():
            rest = iter(group)
            while some := list(islice(rest, self._batch)):
                answers = self._chat(some)
                yield from (Asked(c, a, c.score(a)) for c, a in zip(some, answers, strict=True))

    def answer(self, case: Case, most: int | None = None) -> str:
        """The answer to a single question, of `most` tokens at most; of as many as the case allows if None."""
        (text,) = self._chat([replace(case, max_new_tokens=most) if most else case])
        return text

    def _chat(self, cases: Sequence[Case]) -> list[str]:
        messages = [[dict(message) for message in case.messages] for case in cases]
        options = {**cases[0].options, **self._decoding, "max_new_tokens": cases[0].max_new_tokens}
        return self.model.chat(image=None, msgs=messages, tokenizer=self.tokenizer, **options)


def cases_of(source: CaseSource, skill: str, count: int, seed: int) -> list[Case]:
    """The first questions of a skill; each has its own seed, so that a longer run begins with the same ones."""
    return [source(skill, Random(f"{seed} {skill} {number}")) for number in range(count)]


def sources(cache: Path) -> dict[str, CaseSource]:
    """The generators by name."""
    from finetune.tiny.drawer2_cases import Drawer2
    from finetune.tiny.seen import Seen

    return {"seen": Seen(cache), "drawer2": Drawer2(cache)}


def skills_named(names: Sequence[str] | None) -> tuple[Skill, ...]:
    """All skills, or those named.

    Raises:
        OptionError: an unknown name.
    """
    known = {skill.name: skill for skill in SKILLS}
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise OptionError(f"No skill is called {', '.join(unknown)}.", f"Skills: {', '.join(known)}.")
    return tuple(known[name] for name in names) if names else SKILLS


def table(measured: Mapping[str, Mapping[str, Measure]], skills: Sequence[Skill]) -> str:
    """Skill, score of each generator, aim; "*" marks what is below it."""
    columns = list(dict.fromkeys(name for by_source in measured.values() for name in by_source))
    lines = [f"{'skill':16}" + "".join(f"{name:>10}" for name in columns) + f"{'aim':>8}"]
    for skill in skills:
        cells = []
        for name in columns:
            measure = measured.get(skill.name, {}).get(name)
            cells.append(f"{measure.score:9.3f}{'*' if measure.score < skill.aim else ' '}" if measure else " " * 10)
        lines.append(f"{skill.name:16}" + "".join(cells) + f"{skill.aim:8.2f}")
    return "\n".join(lines)


def as_json(
    measured: Mapping[str, Mapping[str, Measure]], skills: Sequence[Skill], flags: argparse.Namespace, seconds: float
) -> dict[str, Any]:
    """The evaluation as JSON; `finetune.tiny.card` reads it."""
    results = {
        skill.name: {"aim": skill.aim, "example": skill.example}
        | {
            name: {"score": measure.score, "count": measure.count, "groups": measure.groups}
            for name, measure in measured[skill.name].items()
        }
        for skill in skills
    }
    machine = {"cores": os.cpu_count(), "processor": platform.machine()}
    about = {"decode": flags.decode, "per_skill": flags.per_skill, "seed": flags.seed, "seconds": round(seconds)}
    return {**about, "machine": machine, "skills": results}


def speed_of(flags: argparse.Namespace, source: CaseSource) -> dict[str, Any]:
    """Times of questions about the colour of something, as `finetune.tiny.speed` measures them."""
    cases = cases_of(source, "colour", 1 + TIMED, flags.seed)
    return speed.measure(lambda folder: Examinee(folder, flags.decode, 1, flags.device), flags.model, cases)


def wanted(given: Iterable[str], skills: Sequence[Skill]) -> Iterator[tuple[Skill, str]]:
    """Every skill with every generator that can draw it."""
    for skill in skills:
        yield from ((skill, name) for name in given if not (name == "seen" and skill.held_out))


def row(name: str, asked: Asked) -> Row:
    """What was asked by a generator, and what was answered, as JSON."""
    case = asked.case
    shown = {"skill": case.skill, "source": name, "group": case.group, "question": case.question}
    return shown | {"expected": case.expected, "answer": asked.answer, "score": asked.score}


def begun(flags: argparse.Namespace) -> Kept:
    """What is there of this evaluation, beside the file that it is for."""
    results: Path | None = flags.json or flags.answers
    names = ("decode", "per_skill", "seed", "batch", "device")
    settings = {name: getattr(flags, name) for name in names} | {"weights": fingerprint(flags.model)}
    return Kept(results and results.with_name(f"{results.name}.begun"), settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m finetune.tiny.evaluate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--cache", type=Path, required=True, help="folder of icons.npz and fonts/, fetched if missing")
    parser.add_argument("--per-skill", type=int, default=100, help="questions of each skill and generator (100)")
    parser.add_argument("--skills", nargs="+", help="only these")
    parser.add_argument("--sources", nargs="+", help="only these generators: seen, drawer2")
    parser.add_argument("--decode", choices=list(DECODING), default="greedy", help="how answers are chosen (greedy)")
    parser.add_argument("--batch", type=int, default=8, help="questions answered at once (8)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
    parser.add_argument("--seed", type=int, default=20_000, help="of the questions")
    parser.add_argument("--json", type=Path, help="file that gets the results")
    parser.add_argument("--answers", type=Path, help="file that gets every question and answer, one JSON per line")
    return parser


def run(flags: argparse.Namespace) -> None:
    """Measure and print; see the flags.

    Raises:
        AppError: the model cannot be loaded, a name is unknown, or icons cannot be fetched.
    """
    skills = skills_named(flags.skills)
    given = {
        name: source for name, source in sources(flags.cache).items() if not flags.sources or name in flags.sources
    }
    kept, examinee = begun(flags), Examinee(flags.model, flags.decode, flags.batch, flags.device)
    if kept:
        print(f"Going on: {len(kept)} parts were measured before.", file=sys.stderr, flush=True)
    measured: dict[str, dict[str, Measure]] = defaultdict(dict)
    lines: list[str] = []
    for skill, name in wanted(given, skills):
        if (rows := kept.get(skill.name, name)) is None:
            started = time.monotonic()
            asked = examinee.ask(cases_of(given[name], skill.name, flags.per_skill, flags.seed))
            rows = [row(name, one) for one in asked]
            kept.add(skill.name, name, rows, time.monotonic() - started)
        measured[skill.name][name] = Measure.of(rows)
        lines += [json.dumps(one, ensure_ascii=False) + "\n" for one in rows]
        if flags.answers:
            replace_text(flags.answers, "".join(lines))
        print(f"{skill.name} ({name}): {measured[skill.name][name].score:.3f}", file=sys.stderr, flush=True)
    print(table(measured, skills))
    if flags.json:
        results = as_json(measured, skills, flags, kept.seconds)
        results["speed"] = speed_of(flags, next(iter(given.values())))
        replace_text(flags.json, json.dumps(results, ensure_ascii=False, indent=2) + "\n")
    kept.forget()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    try:
        run(_parser().parse_args(argv))
    except AppError as error:
        return report(error, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
