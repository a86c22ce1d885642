"""Take the pictures of docs/guide.md, on the real page, into docs/guide/: python -m scripts.make_guide

python -m scripts.make_guide meter seen            some of them
python -m scripts.make_guide readme --out assets   the one of README.md
python -m scripts.make_guide --language zh --dark --out out/zh

The embedded model answers, and where an answer must hold what that model does not write, servers of the tests: one says
what it hears, one fails as it is told to. Needs requirements-dev.txt and Chromium, as the browser tests do.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from app.ui.texts import Locale, say
from tests.browser.conftest import EXAMPLES, FLAGS, PATIENCE, SERVERS, chromium, serving
from tests.browser.test_camera import FAKE

OUT = Path(__file__).resolve().parents[1] / "docs" / "guide"
WIDE, TALL = {"width": 1200, "height": 780}, {"width": 390, "height": 760}
WHOLE = {"width": 1300, "height": 1130}
LARGE, LONG = 4, 420  # pictures of as many slices as there may be, and questions: too much for the embedded model
WRITTEN = """A <ref>red circle</ref><box>110 135 355 450</box>, a <ref>blue star</ref><box>605 90 860 415</box>:

| shape | colour | corners |
|---|---|---|
| circle | red | 0 |
| triangle | orange | 3 |

```python
shapes = {"circle": "red", "star": "blue"}
print(shapes["star"])
```"""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: how to get the page there; it returns what to take, None for the whole window."""

    scene: Callable[[Scene], Locator | None]
    server: str
    phone: bool = False
    alone: bool = False  # a larger one, not of the guide: taken if it is named


class Scene:
    """The page as somebody uses it, in a language."""

    def __init__(self, page: Page, locale: Locale) -> None:
        self.page, self._locale = page, locale

    def say(self, key: str, **values: Any) -> str:
        """A text of the page."""
        return say(key, self._locale, **values)

    def button(self, key: str, **values: Any) -> Locator:
        """A button by its text's key."""
        return self.page.get_by_role("button", name=self.say(key, **values), exact=True)

    def tab(self, key: str) -> None:
        """Open a tab."""
        self.page.get_by_role("tab", name=self.say(key), exact=True).click()

    def attach(self, *names: str) -> None:
        """Attach example files and wait until the server has them."""
        self.button("attach").click()
        self.page.locator(".message-box input[type=file]").first.set_input_files([EXAMPLES / name for name in names])
        expect(self.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(len(names))

    def write(self, text: str) -> None:
        """Write into the message box."""
        box = self.page.get_by_placeholder(self.say("placeholder"))
        box.fill(text)
        expect(box).to_have_value(text)

    def ask(self, text: str, *names: str) -> None:
        """Send a message and wait for its answer."""
        answers = self.page.locator(".seen-open").count()
        if names:
            self.attach(*names)
        self.write(text)
        self.button("send").click()
        expect(self.page.locator(".seen-open")).to_have_count(answers + 1)
        expect(self.button("send")).to_be_visible()

    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog").last


def chat(scene: Scene) -> None:
    """A question about a picture, and a second one."""
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    scene.ask(scene.say("examples_ask"))


def readme(scene: Scene) -> None:
    """A question about a picture, and the place that answers it."""
    scene.ask("Where is the red circle? Give a box.", "shapes.png")
    figure = scene.page.locator(".box-figure")
    expect(figure).to_be_visible()
    figure.scroll_into_view_if_needed()
    scene.page.evaluate("document.activeElement.blur()")


def conversations(scene: Scene) -> None:
    """A few conversations and the menu of one."""
    for text, names in (("video_ask", ("ball.mp4",)), ("images_ask", ("pair_1.png", "pair_2.png"))):
        scene.ask(scene.say(text), *names)
        scene.button("talk_new").click()
        expect(scene.page.locator(".seen-open")).to_have_count(0)
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    expect(scene.page.locator(".talk-open")).to_have_count(3)
    scene.page.locator(".talk-more").first.click()
    expect(scene.page.get_by_role("menu")).to_be_visible()


def branches(scene: Scene) -> Locator:
    """An answer in its second version."""
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    scene.button("regenerate").click()
    expect(scene.page.get_by_text("2/2")).to_be_visible()
    expect(scene.button("send")).to_be_visible()
    return scene.page.locator(".main-column")


def seen(scene: Scene) -> Locator:
    """What the model saw of two pictures."""
    scene.ask(scene.say("images_ask"), "pair_1.png", "pair_2.png")
    scene.button("saw").click()
    expect(scene.dialog()).to_be_visible()
    return scene.dialog()


def meter(scene: Scene) -> Locator:
    """What a message takes before it is sent."""
    scene.attach("pair_1.png", "pair_2.png", "word.jpg")
    scene.write(scene.say("images_ask"))
    expect(scene.page.locator(".meter").first).to_be_visible()
    return scene.page.locator(".main-column")


def bench(scene: Scene) -> Locator:
    """The frames of a clip."""
    scene.attach("ball.mp4")
    scene.write(scene.say("video_ask"))
    expect(scene.page.locator(".bench")).to_be_visible()
    expect(scene.page.locator(".meter").first).to_be_visible()
    return scene.page.locator(".bench")


def answers(scene: Scene) -> Locator:
    """An answer with a table, code and places in its picture."""
    scene.ask(WRITTEN, "shapes.png")
    expect(scene.page.locator(".box-figure")).to_be_visible()
    scene.page.locator(".conversation table").last.scroll_into_view_if_needed()
    return scene.page.locator(".main-column")


def boxes(scene: Scene) -> Locator:
    """The places of an answer, drawn on its picture."""
    answers(scene)
    figure = scene.page.locator(".box-figure")
    figure.scroll_into_view_if_needed()
    return figure


def marking(scene: Scene) -> Locator:
    """A place marked in a picture for the question."""
    scene.attach("shapes.png")
    scene.page.locator(".mark-place").first.click()
    return scene.dialog()


def templates(scene: Scene) -> None:
    """The library of prompts."""
    scene.page.locator(".library-prompts summary").click()
    expect(scene.page.locator(".library-prompts .library-list")).to_be_visible()


def presets(scene: Scene) -> Locator:
    """The list of presets, one of them chosen."""
    choice = scene.page.get_by_role("combobox", name=scene.say("presets"), exact=True)
    choice.select_option(label=scene.say("preset_precise"))
    return scene.page.locator(".side-column")


def languages(scene: Scene) -> None:
    """The page after its language was switched, with a conversation on it."""
    chat(scene)
    other: Locale = "zh"
    scene.page.get_by_role("combobox", name=scene.say("language"), exact=True).select_option(other)
    expect(scene.page.get_by_role("button", name=say("clear", other), exact=True)).to_be_visible()
    scene.page.evaluate("scrollTo(0, 0)")
    expect(scene.page.locator(".talk-room")).to_have_text(re.compile(r"\d"))


def few_shot(scene: Scene) -> Locator:
    """Examples before the question."""
    scene.tab("how_to")
    scene.page.locator(".try-examples").click()
    expect(scene.page.locator(".few-shot img")).to_be_visible()
    return scene.page.locator(".main-column")


def keys(scene: Scene) -> Locator:
    """The keyboard shortcuts."""
    scene.button("shortcuts").click()
    return scene.dialog()


def how_to(scene: Scene) -> Locator:
    """The examples to try."""
    scene.tab("how_to")
    expect(scene.page.locator(".how-to video")).to_be_visible()
    return scene.page.locator(".main-column")


def over(scene: Scene) -> Locator:
    """What fits, where a message takes too much."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(LARGE)]
        for path, turned in zip(paths, range(0, 360, 360 // LARGE), strict=True):
            Image.linear_gradient("L").rotate(turned).resize((1344, 1344)).convert("RGB").save(path)
        scene.button("attach").click()
        scene.page.locator(".message-box input[type=file]").first.set_input_files(paths)
        expect(scene.page.locator("[class*=attachment-list-card-status-done]")).to_have_count(LARGE)
    scene.write(" ".join([scene.say("images_ask")] * LONG))
    expect(scene.page.locator(".meter-over")).to_be_visible()
    return scene.page.locator(".main-column")


def failed(scene: Scene) -> Locator:
    """A turn for which there was no room."""
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    scene.attach("pair_1.png", "pair_2.png")
    scene.write("/oom " + scene.say("images_ask"))
    scene.button("send").click()
    expect(scene.button("retry")).to_be_visible()
    expect(scene.page.locator(".meter").first).to_be_visible()
    expect(scene.page.get_by_test_id("toast-body")).to_have_count(0)
    return scene.page.locator(".main-column")


def python(scene: Scene) -> Locator:
    """The code that asks the same again."""
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    scene.button("python").first.click()
    expect(scene.dialog()).to_be_visible()
    return scene.dialog()


def rating(scene: Scene) -> Locator:
    """An answer that was disliked, and the question why."""
    scene.ask(scene.say("one_image_ask"), "shot_2.png")
    scene.button("dislike").click()
    expect(scene.page.locator(".feedback-row")).to_be_visible()
    return scene.page.locator(".main-column")


def camera(scene: Scene) -> Locator:
    """The webcam, here one that shows a test picture."""
    scene.button("camera").click()
    expect(scene.dialog().get_by_role("button", name=scene.say("camera_shoot"))).to_be_enabled()
    return scene.dialog()


SHOTS: dict[str, Shot] = {
    "chat": Shot(chat, "tiny"),
    "how_to": Shot(how_to, "tiny"),
    "conversations": Shot(conversations, "tiny"),
    "branches": Shot(branches, "tiny"),
    "seen": Shot(seen, "tiny"),
    "meter": Shot(meter, "tiny"),
    "over": Shot(over, "tiny"),
    "failed": Shot(failed, "echo"),
    "bench": Shot(bench, "tiny"),
    "few_shot": Shot(few_shot, "tiny"),
    "answers": Shot(answers, "verbatim"),
    "boxes": Shot(boxes, "verbatim"),
    "marking": Shot(marking, "verbatim"),
    "templates": Shot(templates, "verbatim"),
    "python": Shot(python, "tiny"),
    "rating": Shot(rating, "rated"),
    "camera": Shot(camera, "echo"),
    "keys": Shot(keys, "verbatim"),
    "presets": Shot(presets, "tiny"),
    "languages": Shot(languages, "tiny"),
    "phone": Shot(chat, "tiny", phone=True),
    "readme": Shot(readme, "tiny", alone=True),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the pictures that are asked for."""
    parser = argparse.ArgumentParser(description="Take the pictures of docs/guide.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHOTS)}; the guide's if none is given")
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(SHOTS):
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    expect.set_options(timeout=PATIENCE)
    given.out.mkdir(parents=True, exist_ok=True)
    names = given.names or [name for name, shot in SHOTS.items() if not shot.alone]
    for name, picture in take(names, given.language, "dark" if given.dark else "light"):
        path = given.out / f"{name}.png"
        path.write_bytes(small(picture))
        print(f"{path}  {path.stat().st_size // 1024} KB", flush=True)


def take(names: Sequence[str], locale: Locale, theme: str) -> Iterator[tuple[str, bytes]]:
    """The pictures by name, as Chromium makes them."""
    with ExitStack() as stack:
        logs = Path(stack.enter_context(TemporaryDirectory()))
        rated = [*SERVERS["tiny"], "--feedback", str(logs / "likes.jsonl")]
        urls = {
            server: stack.enter_context(serving({**SERVERS, "rated": rated}[server], logs / server))
            for server in {SHOTS[name].server for name in names}
        }
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *FAKE])
        for name in names:
            yield name, shoot(browser, SHOTS[name], urls[SHOTS[name].server], locale, theme)
        browser.close()


def shoot(browser: Browser, shot: Shot, url: str, locale: Locale, theme: str) -> bytes:
    """One picture, in a browser that has never seen the page."""
    context = browser.new_context(
        viewport=TALL if shot.phone else WHOLE if shot.alone else WIDE,
        is_mobile=shot.phone,
        has_touch=shot.phone,
        locale={"en": "en-US", "zh": "zh-CN"}[locale],
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        permissions=["camera"],
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    scene = Scene(page, locale)
    expect(scene.button("send")).to_have_count(1)
    part = shot.scene(scene)
    picture = part.screenshot() if part else page.screenshot()
    context.close()
    return picture


def small(picture: bytes) -> bytes:
    """The same picture with 256 colours; by coverage, for else a small shape takes another one's colour."""
    out = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    main()
