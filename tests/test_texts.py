"""Every word for a reader comes from the tables of texts, in every language."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import app.errors
from app.errors import RequestError
from app.texts import PARTS, TEXTS, Phrase, listed, translated
from app.texts.languages import LANGUAGES, command_locale, known, locale_of

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
# Programs read what the API says, and so it speaks English.
SOURCES = [
    path
    for path in [*sorted(APP.rglob("*.py")), ROOT / "chat.py"]
    if not path.is_relative_to(APP / "api") and not path.is_relative_to(APP / "texts") and path.name != "ingress.py"
]
SCRIPTS = sorted((APP / "ui" / "static").glob("*.js"))
ERRORS = {name for name in vars(app.errors) if name.endswith("Error")}
SPEAKS = ERRORS | {"LoadStatus", "Parser", "Warning", "Info", "say", "print"}
SHOWN = {"help", "description", "label", "info", "placeholder", "title", "hint", "detail"}
COMPONENTS = {"gr", "pro", "antd", "antdx", "ms"}
WORDS = {"allowed", "detail", "got", "hint", "message", "note", "reason", "said", "shapes", "state", "why", "words"}
WORDY = re.compile(r"[A-Za-z]{2,} [a-z]|[a-z][.!?]$")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_words_for_readers_outside_of_the_tables(path: Path) -> None:
    found = [f"{path.name}:{line}: {text!r}" for line, text in literals(ast.parse(path.read_text("utf-8")))]
    assert not found, "these belong into app/texts or app/ui/texts.py: " + "; ".join(found)


@pytest.mark.parametrize(
    "code",
    [
        'raise RequestError("The message is empty.", Phrase("do_reload"))',
        'raise RequestError(f"Got {got} instead of text.")',
        'hint = "Use another one."',
        'add("--flag", help="what it does")',
        'gr.Button("Send it now")',
        'gr.Textbox(label="Name")',
        'say("Stopped it.", locale)',
    ],
)
def test_words_outside_of_the_tables_are_found(code: str) -> None:
    assert list(literals(ast.parse(code)))


def literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of what is written for readers in code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, last = name.split(".")[0], name.split(".")[-1]
            speaks = last in SPEAKS or owner in COMPONENTS or name == "type(error)"
            values = list(node.args) if speaks else []
            for keyword in node.keywords:
                if owner in COMPONENTS and keyword.arg in SHOWN and isinstance(keyword.value, ast.Constant):
                    if isinstance(keyword.value.value, str) and keyword.value.value.strip():
                        yield node.lineno, keyword.value.value
                elif speaks or keyword.arg in SHOWN:
                    values.append(keyword.value)
        elif isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets} & WORDS:
            values = [node.value]
        else:
            continue
        yield from ((node.lineno, text) for value in values for text in wordy(value))


def wordy(node: ast.AST) -> Iterator[str]:
    """The texts of an expression that read as words, tags aside."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            plain = re.sub(r"<[^>]*>?", "", part.value)
            if WORDY.search(plain):
                yield part.value


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_words_in_scripts(path: Path) -> None:
    shown = r"""(?:aria-label|title|placeholder|textContent|alt)["']?\s*(?::|=|,)\s*["'`][A-Z]?[a-z]+[ "'`]"""
    code = re.sub(r"/\*\*.*?\*/", "", path.read_text("utf-8"), flags=re.DOTALL)
    assert not re.findall(shown, code)


def test_every_phrase_is_in_the_table_with_its_fields() -> None:
    for path in [*APP.rglob("*.py"), ROOT / "chat.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Phrase" and node.args:
                given = {keyword.arg for keyword in node.keywords}
                for key in keys_of(node.args[0]):
                    assert key in TEXTS, f"{path.name}:{node.lineno}: no text {key}"
                    assert None in given or given >= fields_of(TEXTS[key][0]), f"{path.name}:{node.lineno}: {key}"


def keys_of(node: ast.expr) -> Iterator[str]:
    """The keys that may stand there."""
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*keys_of(node.body), *keys_of(node.orelse))


def test_every_text_is_used() -> None:
    code = "\n".join(path.read_text("utf-8") for path in SOURCES)
    composed = ("option.", "doctor.head_")
    unused = [key for key in TEXTS if f'"{key}"' not in code and not key.startswith(composed)]
    assert not unused


def test_every_text_in_every_language_with_the_same_fields() -> None:
    assert len(TEXTS) == sum(len(part.TEXTS) for part in PARTS), "two parts have one key"
    for key, texts in TEXTS.items():
        assert len(texts) == len(LANGUAGES) and all(text.strip() for text in texts), key
        assert len({frozenset(fields_of(text)) for text in texts}) == 1, key


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_a_phrase_is_english_and_can_be_had_in_chinese() -> None:
    phrase = Phrase("flag_value", flag="port", got="x", allowed=Phrase("allow_port"))
    assert phrase == "--port: got 'x', allowed is 1 to 65535."
    assert phrase.to("zh") == "--port：收到 'x'，允许的值：1 到 65535。"
    assert pickle.loads(pickle.dumps(phrase)).to("zh") == phrase.to("zh")
    assert translated("words of another", "zh") == "words of another"
    assert Phrase("allow_min_replicas", least=1).but(least=2).to("en") == "--min-replicas (2) or more"


def test_listed() -> None:
    assert listed([], "list_or") == ""
    assert listed(["a"], "list_or") == "a"
    assert translated(listed(["a", "b"], "list_or"), "zh") == "a 或 b"


def test_an_error_says_message_and_hint_in_a_language() -> None:
    error = RequestError(Phrase("message_empty"), Phrase("do_write_something"))
    assert str(error) == "The message is empty. Write something or attach an image or a video."
    assert translated(error.said, "zh") == "消息是空的。请写些内容，或添加图片或视频。"
    assert translated(RequestError("Theirs.", Phrase("do_reload")).said, "zh") == "Theirs.请刷新页面。"


@pytest.mark.parametrize(
    ("words", "environment", "locale"),
    [
        ([], {}, "en"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ([], {"LANG": "de_DE.UTF-8"}, "en"),
        (["--lang", "zh"], {"LANG": "en_US.UTF-8"}, "zh"),
        (["--lang=en", "--port", "1"], {"LANG": "zh_TW"}, "en"),
        (["--lang", "auto"], {"LC_MESSAGES": "zh_CN"}, "zh"),
        (["--lang"], {}, "en"),
    ],
)
def test_the_language_of_a_command(words: list[str], environment: dict[str, str], locale: str) -> None:
    assert command_locale(words, environment) == locale


def test_names_of_languages() -> None:
    assert [known(name) for name in ("zh-Hans-CN", "EN", "fr", "")] == ["zh", "en", None, None]
    assert locale_of("fr, zh;q=0.5") == "zh"
