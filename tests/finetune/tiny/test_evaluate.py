"""The evaluation asks through `model.chat`, counts what it got, and reports it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from app.errors import OptionError
from finetune.tiny import evaluate
from finetune.tiny.case import SKILLS, VIDEO_OPTIONS, Case
from finetune.tiny.evaluate import Asked, Examinee, Measure, cases_of, main, row, skills_named, table, wanted
from finetune.tiny.kept import Row
from tests.checkpoints import folder

CHECKPOINT = folder("minicpm-v-2_6")
GREEDY: dict[str, Any] = {"sampling": False, "num_beams": 1, "repetition_penalty": 1.0}


@cache
def examinee() -> Examinee:
    return Examinee(CHECKPOINT, batch=2)


def case(number: int, tokens: int = 6, frames: int = 0, **fields: Any) -> Case:
    """A question about a picture of a colour of its own, or about frames."""
    pictures = [Image.new("RGB", (60, 50), (40 * number, 90, 30 * n)) for n in range(max(1, frames))]
    message = {"role": "user", "content": [*pictures, f"Question {number}?"]}
    options = VIDEO_OPTIONS if frames else {}
    score = fields.pop("score", lambda answer: 0.0)
    return Case("colour", [message], score, "x", options=options, max_new_tokens=tokens, **fields)


def asked(score: float, group: str) -> Row:
    return row("seen", Asked(case(0, group=group), "", score))


def source(skill: str, rng: Random) -> Case:
    """One question in four gives a point, whatever is answered."""
    point = float(rng.random() < 0.25)
    drawn = case(rng.randint(0, 5), group=skill, score=lambda answer: point)
    return replace(drawn, skill=skill)


def test_every_answer_is_that_of_chat_for_its_own_case() -> None:
    cases = [case(0), case(1), case(2, tokens=3), case(3, frames=2), case(4)]
    found = {one.case.question: one.answer for one in examinee().ask(cases)}
    assert len(found) == 5
    for single in cases:
        model, messages = examinee().model, [dict(message) for message in single.messages]
        options = {**single.options, **GREEDY, "max_new_tokens": single.max_new_tokens}
        alone = model.chat(image=None, msgs=messages, tokenizer=examinee().tokenizer, **options)
        assert found[single.question] == alone


def test_answers_are_scored_by_their_case() -> None:
    scored = examinee().ask([case(0, score=lambda answer: 0.25), case(1, score=lambda answer: 1.0)])
    assert [one.score for one in scored] == [0.25, 1.0]


def test_a_measure_is_the_mean_overall_and_by_kind() -> None:
    measure = Measure.of([asked(1, "a"), asked(0, "a"), asked(1, "b"), asked(0.5, "b")])
    assert measure == Measure(0.625, 4, {"a": (2, 0.5), "b": (2, 0.75)})


def test_a_longer_run_begins_with_the_same_questions() -> None:
    short, long = (cases_of(source, "colour", count, seed=1) for count in (3, 6))
    assert [one.question for one in short] == [one.question for one in long][:3]
    assert [one.question for one in cases_of(source, "colour", 6, seed=2)] != [one.question for one in long]


def test_the_table_marks_what_is_below_its_aim() -> None:
    skills = skills_named(["colour", "count"])
    measured = {"colour": {"seen": Measure(0.95, 9)}, "count": {"seen": Measure(0.89, 9), "drawer2": Measure(1, 9)}}
    head, colour, count = table(measured, skills).splitlines()
    assert head.split() == ["skill", "seen", "drawer2", "aim"]
    assert colour.split() == ["colour", "0.950", "0.95"]
    assert count.split() == ["count", "0.890*", "1.000", "0.90"]


def test_skills_by_name() -> None:
    assert skills_named(None) == SKILLS
    assert [skill.name for skill in skills_named(["shape", "colour"])] == ["shape", "colour"]
    with pytest.raises(OptionError, match="dancing"):
        skills_named(["colour", "dancing"])


def test_the_command_prints_the_table_and_writes_json_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "sources", lambda cache: {"seen": source, "drawer2": source})
    results, answers = tmp_path / "results.json", tmp_path / "answers.jsonl"
    flags = f"--model {CHECKPOINT} --cache {tmp_path} --per-skill 4 --skills colour turns --sources drawer2"
    assert main([*flags.split(), "--json", str(results), "--answers", str(answers)]) == 0
    written = json.loads(results.read_text("utf-8"))
    assert set(written["skills"]) == {"colour", "turns"} and written["per_skill"] == 4
    measure = written["skills"]["turns"]["drawer2"]
    lines = [json.loads(line) for line in answers.read_text("utf-8").splitlines()]
    assert [line["skill"] for line in lines] == ["colour"] * 4 + ["turns"] * 4
    assert measure["score"] == pytest.approx(sum(line["score"] for line in lines[4:]) / 4)
    assert measure["groups"] == {"turns": [4, measure["score"]]}
    assert "seen" not in written["skills"]["turns"]
    times = written["speed"]
    assert times["pictures"] == evaluate.TIMED and times["load"] > 0
    # Medians of single runs of which either may have been disturbed: neither need be the longer one.
    assert times["answer"] > 0 and times["first_token"] > 0
    assert f"{measure['score']:.3f}" in capsys.readouterr().out


def test_an_unknown_skill_ends_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(CHECKPOINT), "--cache", str(tmp_path), "--skills", "dancing"]) == 1
    assert "dancing" in capsys.readouterr().err


def test_what_training_never_draws_is_asked_of_the_second_drawer_alone() -> None:
    found = [
        (skill.name, name) for skill, name in wanted(["seen", "drawer2"], skills_named(["things", "things_twemoji"]))
    ]
    assert found == [("things", "seen"), ("things", "drawer2"), ("things_twemoji", "drawer2")]


class Stopping:
    """The generator of these tests, which is stopped at a question."""

    def __init__(self, at: int = 10**6) -> None:
        self.drawn: list[str] = []
        self.at = at

    def __call__(self, skill: str, rng: Random) -> Case:
        if len(self.drawn) == self.at:
            raise KeyboardInterrupt
        self.drawn.append(skill)
        return source(skill, rng)


def test_an_evaluation_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, answers = tmp_path / "results.json", tmp_path / "answers.jsonl"
    flags = f"--model {CHECKPOINT} --cache {tmp_path} --per-skill 3 --skills colour turns".split()
    flags += ["--json", str(results), "--answers", str(answers)]
    monkeypatch.setattr(evaluate, "speed_of", lambda flags, source: {})  # these draw too, and are no two times the same

    def evaluated(stopping: Stopping, *more: str) -> list[str]:
        monkeypatch.setattr(evaluate, "sources", lambda cache: {"drawer2": stopping})
        main([*flags, *more])
        return stopping.drawn

    whole = evaluated(Stopping())
    assert whole == ["colour"] * 3 + ["turns"] * 3 and sorted(tmp_path.iterdir()) == [answers, results]
    once = json.loads(results.read_text("utf-8")), answers.read_text("utf-8")
    with pytest.raises(KeyboardInterrupt):
        evaluated(Stopping(4))
    assert json.loads(results.read_text("utf-8")) == once[0], "what was complete stays until there is more"
    assert evaluated(Stopping()) == ["turns"] * 3
    again = json.loads(results.read_text("utf-8")), answers.read_text("utf-8")
    assert again[0] | {"seconds": 0} == once[0] | {"seconds": 0} and again[1] == once[1]
    # By other settings everything is asked anew.
    with pytest.raises(KeyboardInterrupt):
        evaluated(Stopping(4))
    assert evaluated(Stopping(), "--seed", "7") == whole
