"""Model text cannot act on the page, stays readable, and comes back unchanged."""

from __future__ import annotations

import random

import pytest

from app.ui.escape import JOINER, MAX_CODE_DELIMITERS, MAX_DELIMITERS, MAX_MARKERS, escape, unescape

NASTY = {
    "script": "<script>alert(1)</script>",
    "style": "<style>*{display:none}</style>",
    "overlay": '<div style="position:fixed;inset:0;background:red">x</div>',
    "remote image": "![x](http://203.0.113.1/beacon.png)",
    "reference image": "![x][1]\n\n[1]: http://203.0.113.1/beacon.png",
    "html image": '<img src="http://203.0.113.1/a.png" onerror="alert(1)">',
    "svg": '<svg onload="alert(1)"></svg>',
    "iframe": '<iframe src="http://203.0.113.1"></iframe>',
    "form": '<form action="http://203.0.113.1"><input></form>',
    "link element": '<link rel="stylesheet" href="http://203.0.113.1/a.css">',
    "base": '<base href="http://203.0.113.1/">',
    "meta refresh": '<meta http-equiv="refresh" content="0;url=http://203.0.113.1">',
    "comment": "<!-- hidden --> shown",
    "processing instruction": "<?php echo 1 ?>",
    "box and ref": "<ref>a cat</ref><box>1 2 3 4</box>",
    "unclosed": "a < b and <b",
    "uppercase": "<STYLE>*{}</STYLE>",
    "video": '<video src="http://203.0.113.1/a.mp4" autoplay></video>',
    "entity": "&lt;script&gt; &amp; &#60;b&#62;",
}
# Each makes a naive scanner believe that the style element is code while a Markdown parser does not.
DISAGREEMENTS = {
    "indented closing": "```\nx\n   ```\n<style>*{}</style>",
    "closing with a tab": "```\nx\n```\t\n<style>*{}</style>\n```\n",
    "indented fence inside": "```\n    ```\n```\n<style>*{}</style>",
    "math around a fence": "$$\n```\n$$\n<style>*{}</style>",
    "tilde fence": "~~~\n```\n~~~\n<style>*{}</style>",
    "fence in a list": "- a\n  ```\n  x\n<style>*{}</style>",
    "link swallows a backtick": "http://a/`<style>*{}</style>`",
    "table splits code": "|a|b|\n|-|-|\n|`x|<style>*{}</style>`|",
    "escaped backtick": "\\`<style>*{}</style>`",
    "unclosed backtick": "`<style>*{}</style>",
    "carriage return": "```\nx\n```\r<style>*{}</style>",
    "line separator": "```\u2028```\n<style>*{}</style>",
    "backticks in the info": "``` a`b\n<style>*{}</style>",
    "name of a link before a fence": "[x]:\n```\n<style>*{}</style>\n```",
    "name of a link around a fence": "[x\n```\ny]: z\n<style>*{}</style>\n```",
    "open fence in a list": "1. a\n   ```\n   x\n2. b\n<style>*{}</style>",
    "indented as code below a list": "- a\n\nb\n\n    <style>*{}</style>",
    "tilde fence that is none": "a\n    ~~~\n<style>*{}</style>",
    "fence in a quote": "> ```\n<style>*{}</style>\n> ```\n<style>*{}</style>",
}
# What the model wrote as code, not at the left margin or with another sign.
CODE = {
    "in a list": "1. Do:\n\n   ```cpp\n   {}\n   ```\n",
    "behind a list marker": "- ```cpp\n  {}\n  ```\n",
    "in a quote": "> ```\n> {}\n> ```\n",
    "tildes": "~~~html\n{}\n~~~\n",
    "words behind the name": "``` python title=x\n{}\n```\n",
    "four backticks": "````\n```\n{}\n```\n````\n",
    "indented": "Code:\n\n    {}\n\n    {}\n",
    "with carriage returns": "```cpp\r\n{}\r\n```\r\n",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_nothing_acts_outside_code(text: str) -> None:
    escaped = escape(text)
    assert "<" not in escaped
    assert "![" not in escaped
    assert unescape(escaped) == text


@pytest.mark.parametrize("text", DISAGREEMENTS.values(), ids=DISAGREEMENTS.keys())
def test_no_tag_where_parsers_may_disagree(text: str) -> None:
    escaped = escape(text)
    assert "<s" not in escaped
    assert unescape(escaped) == text


def test_plain_fenced_code_is_untouched() -> None:
    text = "Look:\n```html\n<b>bold & ![x](y)</b>\n```\n<b>"
    assert escape(text) == "Look:\n```html\n<b>bold & ![x](y)</b>\n```\n&lt;b>"


@pytest.mark.parametrize("frame", CODE.values(), ids=CODE.keys())
def test_code_shows_no_entities(frame: str) -> None:
    code = "#include <vector> // a && b < c &lt;"
    text = frame.replace("{}", code) + "\na & b\n"
    escaped = escape(text)
    assert escaped.replace(JOINER, "") == frame.replace("{}", code) + "\na &amp; b\n"
    assert "<v" not in escaped
    assert unescape(escaped) == text


def test_what_is_indented_in_a_list_is_prose() -> None:
    text = "- a\n\n    <b>\n"
    assert escape(text) == "- a\n\n    &lt;b>\n"


@pytest.mark.parametrize("fence", ["```mermaid\n", "```mermaid \n", "```Mermaid\n", "- ```mermaid\n", "````mermaid\n"])
def test_code_named_mermaid_is_ordinary_code(fence: str) -> None:
    text = f"a\n{fence}<style>*{{}}</style>\n```\n"
    escaped = escape(text)
    assert "```mermaid\n" not in escaped.lower() and "```mermaid " not in escaped.lower()
    assert unescape(escaped) == text


def test_nesting_is_capped_where_code_may_be_none() -> None:
    text = "a\n    ~~~\n" + "*a " * MAX_CODE_DELIMITERS + "a\n    ~~~\n" + "*a " * MAX_DELIMITERS
    escaped = escape(text)
    assert escaped.count("*") <= MAX_DELIMITERS + 1
    assert unescape(escaped) == text
    text = "~~~\n" + "- " * 1500 + "x"
    assert escape(text) == "~~~\n" + "- " * MAX_MARKERS + JOINER + "- " * (1500 - MAX_MARKERS) + "x"


def test_inline_code_shows_no_entities() -> None:
    assert escape("use `a < b` and `<b>`") == f"use `a < b` and `<{JOINER}b>`"


def test_open_fence_while_streaming() -> None:
    assert escape("```html\n<b>") == "```html\n<b>"


@pytest.mark.parametrize("marker", ["- ", "> ", "1. ", "* ", "+ ", "-\t", ">"])
def test_nesting_in_a_line_is_capped(marker: str) -> None:
    text = marker * 1500 + "x"
    escaped = escape(text)
    assert escaped.startswith(marker * MAX_MARKERS + JOINER)
    assert unescape(escaped) == text


def test_nesting_by_indentation_is_capped() -> None:
    text = "\n".join("  " * depth + "- x" for depth in range(1500))
    deepest = max(len(line) - len(line.lstrip(" ")) for line in escape(text).splitlines())
    assert deepest <= 24
    assert unescape(escape(text)) == text


@pytest.mark.parametrize("piece", ["*a ", "**a ", "_a ", "[", "~~a "])
def test_nesting_of_delimiters_is_capped(piece: str) -> None:
    text = piece * 1500
    escaped = escape(text)
    assert sum(escaped.count(mark) for mark in "*_[~") <= MAX_DELIMITERS + 1
    assert unescape(escaped) == text


def test_ordinary_markdown_is_untouched() -> None:
    text = (
        "# Title\n\n- **a** *b*\n- [link](https://example.org)\n\n1. one\n   - two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    assert escape(text) == text


def test_any_text_comes_back() -> None:
    pieces = [
        "<",
        ">",
        "&",
        "&lt;",
        "`",
        "``",
        "```",
        "\n",
        "![",
        "- ",
        "> ",
        "a",
        " ",
        "$$",
        "```py\n",
        "\n```\n",
        "\n\n    ",
        "~~~\n",
        "mermaid\n",
        "é",
    ]
    source = random.Random(0)
    for _ in range(3000):
        text = "".join(source.choices(pieces, k=source.randint(1, 30)))
        assert unescape(escape(text)) == text, repr(text)
