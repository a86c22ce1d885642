"""What a model wrote is readable in the page to share, and nothing in it acts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from time import monotonic

import pytest

from app.talks.answer_html import answer_html
from tests.ui.test_escape import CODE, DISAGREEMENTS, NASTY

ALLOWED = set("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split())
HARMLESS = {"class", "rel", "title", "start", "style"}
LINKS = ["[x](javascript:alert(1))", "[x](JAVASCRIPT:alert(1))", "[x](data:text/html,<b>)", "[x](file:///etc/passwd)"]
LINKS += ["[x](vbscript:x)", "[x](//elsewhere/x)", "[x](other.html)", "<javascript:alert(1)>", "[x][y]\n\n[y]: data:x"]
LINKS += ["[x](java&#115;cript:alert(1))", "[x](&#x6a;avascript:alert(1))", "[x]( \tjavascript:alert(1))"]
OTHERS = {
    "mermaid": "```mermaid\ngraph TD; A[<img src=x onerror=alert(1)>]\n```",
    "breaking out of a link": '[x](https://a/"onmouseover="alert(1) "t\\" onclick=\\"alert(1)")',
    "breaking out of a fence's name": '```"><script>alert(1)</script>\nx\n```',
    "formula": "$$<script>alert(1)</script>$$ and \\(<img onerror=x>\\)\n\n\\[\n</code><script>\n\\]",
    "name of a place": "<ref><img src=x onerror=alert(1)></ref><box>1 2 3 4</box>",
    "table": "|a|b|\n|-|:-:|\n|<script>|x|",
}


class Tags(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def shown(answer: str) -> str:
    return answer_html(answer, lambda number: f"place {number}")


@pytest.mark.parametrize("text", [*NASTY.values(), *DISAGREEMENTS.values(), *CODE.values(), *LINKS, *OTHERS.values()])
def test_nothing_acts_or_is_loaded(text: str) -> None:
    for tag, attributes in Tags(shown(text)).found:
        assert tag in ALLOWED
        link = attributes.pop("href", None)
        assert link is None or re.match("(https?|mailto):", link)
        assert set(attributes) <= HARMLESS
        assert re.fullmatch("(text-align:(left|right|center))?", attributes.get("style") or "")


@pytest.mark.parametrize("text", LINKS)
def test_a_link_to_elsewhere_than_the_web_is_none(text: str) -> None:
    page = shown(text)
    assert "<a " not in page and len(page) > len("<p></p>\n")


def test_links_to_the_web_and_to_mail_stay() -> None:
    page = shown("[a](https://a.org/x) <http://b.org> <mailto:c@d.org>")
    assert re.findall('href="([^"]*)"', page) == ["https://a.org/x", "http://b.org", "mailto:c@d.org"]
    assert page.count('rel="noopener noreferrer"') == 3


def test_markdown_is_read() -> None:
    page = shown(
        "# Title\n\nOne\ntwo **bold**\n\n1. a\n   - b\n\n|x|y|\n|-|-|\n|1|2|\n\n```python\na < b\n```\n\n~~no~~"
    )
    for part in (
        "<h1>Title</h1>",
        "One<br />",
        "<strong>bold</strong>",
        "<ol>",
        "<td>2</td>",
        "a &lt; b",
        "<s>no",
    ):
        assert part in page


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("so \\(a_1 * b_1 < c\\) holds", '<p>so <code class="formula">a_1 * b_1 &lt; c</code> holds</p>'),
        ("$$x^2$$", '<pre><code class="formula">x^2</code></pre>'),
        ("\\[\nx\n= y\n\n- z\n\\]", '<pre><code class="formula">x\n= y\n\n- z</code></pre>'),
        ("so\n$$\n* a\n$$\nthen", '<p>so</p>\n<pre><code class="formula">* a</code></pre>\n<p>then</p>'),
        ("$$a$$ and $$b$$", '<p><code class="formula">a</code> and <code class="formula">b</code></p>'),
        ("- $$\na\n\nb $$", "<ul>\n<li>$$<br />\na</li>\n</ul>\n<p>b $$</p>"),
        ("> $$\n> a\n> $$\n\nb", '<blockquote>\n<pre><code class="formula">a</code></pre>\n</blockquote>\n<p>b</p>'),
        ("5 $ or 6 $", "<p>5 $ or 6 $</p>"),
        ("\\[ never", "<p>[ never</p>"),
        ("`\\(x\\)`", "<p><code>\\(x\\)</code></p>"),
    ],
)
def test_a_formula_is_shown_as_it_is_written(text: str, formula: str) -> None:
    assert shown(text).strip() == formula


def test_places_are_shown_by_their_names() -> None:
    text = "The <ref>big *red* star</ref><box>1 2 3 4</box>, <box>5 6 7 8</box> and <box>9 9 9 9</box>"
    assert shown(text) == "<p>The big *red* star, place 1 and place 2</p>\n"
    assert shown("`<ref>a</ref><box>1 2 3 4</box>`").count("&lt;") == 4
    assert "&lt;box&gt;no" in shown("<box>no</box>")


@pytest.mark.parametrize("text", ["> ", "- ", "[", "*a ", "$$", "\\[\n", "<ref>", "![", "`", "|a\n|-\n", "<box>1 "])
def test_an_answer_gone_wild_is_shown_in_time(text: str) -> None:
    began = monotonic()
    shown(text * (20_000 // len(text)))
    assert monotonic() - began < 20  # what grows with the square takes minutes
