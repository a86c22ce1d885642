"""Help and errors of a command line in the reader's language."""

from __future__ import annotations

import pytest

from app.errors import SettingsError
from app.parsing import Parser, columns, wrapped
from app.texts import Phrase, translated


def parser(locale: str) -> Parser:
    made = Parser(Phrase("about.page"), locale, prog="demo")
    made.add_argument("--port", type=int, default=1, help=Phrase("help.port"))
    made.add_argument("--out", required=True, choices=("a", "b"), help=Phrase("help.adapter"))
    return made


def test_help_in_both_languages() -> None:
    english, chinese = parser("en").format_help(), parser("zh").format_help()
    assert english.startswith("usage: demo") and "port to listen on (default: 1)" in english
    assert "show this help message and exit" in english and "positional" not in english
    assert chinese.startswith("用法：demo") and "监听的端口（默认：1）" in chinese and "显示此帮助并退出" in chinese


@pytest.mark.parametrize(
    ("words", "english", "chinese"),
    [
        (["--out", "a", "--what"], "unrecognized arguments: --what.", "无法识别的参数：--what。"),
        ([], "the following arguments are required: --out.", "缺少必需的参数：--out。"),
        (["--port"], "argument --port: expected one argument.", "参数 --port：需要一个值。"),
        (["--port", "x"], "argument --port: invalid int value: 'x'.", "参数 --port：'x' 不是有效的 int。"),
        (["--out", "c"], "argument --out: invalid choice: 'c'", "参数 --out：'c' 无效"),
    ],
)
def test_what_is_wrong_in_both_languages(words: list[str], english: str, chinese: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parser("zh").parse_args(words)
    assert str(raised.value).startswith(english) and str(raised.value).endswith("See --help.")
    assert translated(raised.value.said, "zh").startswith(chinese)


def test_chinese_lines_are_no_wider_than_the_terminal() -> None:
    text = "模型的微调权重（LoRA）文件夹；可重复给出，并且 --max-new-tokens 也可以。" * 3
    lines = wrapped(text, 20)
    assert all(columns(line) <= 22 for line in lines)  # closing marks may hang over
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line[0] in "，。；）" for line in lines)
