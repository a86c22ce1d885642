"""One question from the terminal, answered on stdout as it is written; everything else goes to stderr."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from app.backends.base import Backend
from app.backends.table import make_backend
from app.errors import AppError, MediaError, SettingsError
from app.flags import add_decoding_flags, add_model_flags, option_defaults, pop_decoding_flags, report, say
from app.media.kind import file_type, read_head
from app.messages import Image, Message, Part, Video
from app.parsing import Parser
from app.placement import place_attachments
from app.sampling import BASE, SamplingParams
from app.session import Session
from app.settings import Settings
from app.texts import Phrase
from app.texts.languages import Locale, command_locale
from app.turn import check_not_empty

DEFAULT_MODEL = "openbmb/MiniCPM-V-2_6"
INTERRUPTED = 130  # what shells report for Ctrl+C


@dataclass(frozen=True, slots=True)
class Question:
    """What a command line asks.

    Attributes:
        parts: text and files, in the order in which the model sees them.
        options: the decoding options that were given.
        adapter: which of the settings' adapters answers; empty is the model alone.
    """

    settings: Settings
    parts: tuple[Part, ...]
    options: Mapping[str, Any]
    adapter: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the question of a command line (default: this process').

    Returns:
        Exit code: 0 after an answer, 1 if there was none, 2 if a flag is wrong, 130 after Ctrl+C. Errors are one
        line on stderr.
    """
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    try:
        question = parse_question(argv)
    except AppError as error:
        return report(error, 2, locale)
    except KeyboardInterrupt:
        return INTERRUPTED
    # Libraries that print do so on stderr: stdout is for the answer.
    out = sys.stdout
    try:
        with redirect_stdout(sys.stderr), _log_on_stderr():
            write_answer(question, out, locale)
    except AppError as error:
        return report(error, 1, locale)
    except KeyboardInterrupt:
        say(Phrase("stopped"), locale)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on, as behind `| head`; without this, Python complains once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        return 1
    return 0


def write_answer(question: Question, out: TextIO, locale: Locale = "en") -> None:
    """Load the model and write the answer as it comes, with a newline at its end.

    Raises:
        AppError: the model cannot be loaded, or cannot answer.
    """
    backend = make_backend(question.settings)
    try:
        _stream(question, backend, out, locale)
    finally:
        backend.close()


def parse_question(argv: Sequence[str] | None = None) -> Question:
    """The question of a command line.

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        MediaError: a file is none of the kind its flag says.
        RequestError: there is nothing in the question.
        SystemExit: `--help` was asked for and printed.
    """
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    flags = vars(build_parser(locale).parse_args(argv))
    text, files = flags.pop("question"), flags.pop("files") or []
    options, chosen = pop_decoding_flags(flags), flags.pop("use_adapter")
    settings = Settings(**flags, option_defaults=option_defaults(options))
    adapter = _adapter(settings, chosen)
    _check_files(files)
    parts = place_attachments(_from_stdin() if text == "-" else text, files)
    check_not_empty(Message("user", parts))
    return Question(settings, parts, options, adapter)


def build_parser(locale: Locale = "en") -> argparse.ArgumentParser:
    """The flags; one per decoding option is made from its declaration."""
    parser = Parser(Phrase("about.ask"), locale)
    parser.add_argument("question", metavar="QUESTION", help=Phrase("help.question"))
    add_model_flags(parser, DEFAULT_MODEL)
    add = parser.add_argument
    add("--use-adapter", metavar="NAME", help=Phrase("help.use-adapter", base=BASE))
    add("--image", dest="files", action="append", metavar="FILE", type=lambda name: Image(Path(name)),
        help=Phrase("help.image"))  # fmt: skip
    add("--video", dest="files", action="append", metavar="FILE", type=lambda name: Video(Path(name)),
        help=Phrase("help.video"))  # fmt: skip
    add_decoding_flags(parser, Phrase("about.ask_decoding"))
    return parser


def _stream(question: Question, backend: Backend, out: TextIO, locale: Locale) -> None:
    remote = question.settings.backend == "openai"
    if remote:  # what it takes, its servers tell once they are looked at
        backend.start()
    params = SamplingParams.of({**question.options, "adapter": question.adapter}, backend.capabilities.defaults)
    session = Session()
    updates = session.send(question.parts, params, backend)
    next(updates)  # says at once what this model cannot take, before the weights are loaded
    if backend.capabilities.random_weights:
        say(Phrase("random_weights"), locale)
    if not remote:
        backend.start()
    last = None
    try:
        for last in updates:
            out.write(last.chunk.text)
            out.flush()
    finally:
        updates.close()
        if session.turns[-1].answer:
            out.write("\n")
            out.flush()
    if error := session.turns[-1].error:
        raise error
    if last and last.chunk.finish_reason == "length":
        say(Phrase("cut_off", count=params.max_new_tokens), locale)


def _adapter(settings: Settings, chosen: str | None) -> str:
    """The adapter that answers: the chosen one, else the first."""
    if chosen is None:
        return next(iter(settings.adapters), "")
    if chosen not in (BASE, *settings.adapters):
        known = ", ".join((BASE, *settings.adapters))
        raise SettingsError(Phrase("use_adapter_unknown", chosen=chosen, known=known), Phrase("do_give_adapter"))
    return "" if chosen == BASE else chosen


def _check_files(files: Sequence[Image | Video]) -> None:
    counts = {"image": 0, "video": 0}
    for file in files:
        wanted = "video" if isinstance(file, Video) else "image"
        counts[wanted] += 1
        try:
            found = file_type(read_head(Path(str(file.source))))
        except MediaError as error:
            raise SettingsError(
                Phrase("file_flag_wrong", wanted=wanted, number=counts[wanted], message=error.message)
            ) from None
        moving = wanted == "video" and found.name == "a GIF image"
        if found.kind != wanted and not moving:
            hint = Phrase("do_use_flag", kind=found.kind) if found.kind else Phrase("do_give_media")
            raise SettingsError(Phrase("file_flag_other", wanted=wanted, number=counts[wanted], name=found.name), hint)


def _from_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(Phrase("stdin_not_utf8"), Phrase("do_convert_first")) from None


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Show what this application logs, but for the backend's errors: they end the answer and are reported then."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(
        lambda record: (
            bool(record.exc_info) or record.levelno < logging.ERROR or not record.name.startswith("app.backends")
        )
    )
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
