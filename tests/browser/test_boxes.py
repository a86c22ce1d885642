"""Places that an answer names are drawn on their picture; places that a user drags become text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.browser

ANSWER = (
    "A <ref>red circle</ref><box>100 200 500 600</box> beside two <ref>stars</ref><box>600 100 900 300</box>"
    "<box>600 500 900 700</box>, <point>50 950</point> and <quad>10 10 200 40 190 90 20 80</quad>."
)


def answered(chat, text: str, *files: Path) -> Locator:
    """The bubble of an answer that is this very text."""
    return chat.ask(text, *files)


def shapes(bubble: Locator) -> list[list[float]]:
    """x, y, width and height of the drawn boxes as shares of the picture."""
    return bubble.locator(".box-frame").first.evaluate("""frame => {
        const all = frame.getBoundingClientRect();
        return [...frame.querySelectorAll("rect.box-line")].map(line => {
            const at = line.getBoundingClientRect();
            return [(at.x - all.x) / all.width, (at.y - all.y) / all.height,
                at.width / all.width, at.height / all.height];
        });
    }""")


def test_places_are_drawn_and_linked_to_their_names(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim")
    bubble = answered(chat, ANSWER, examples / "shapes.png")

    names = bubble.locator(".box-name")
    assert names.all_inner_texts() == ["red circle", "stars", "place 1", "place 2"]
    expect(bubble.locator(".box-figure")).to_have_count(1)
    expect(bubble.locator(".box-line")).to_have_count(5)
    drawn = sorted(shapes(bubble))
    assert drawn[0] == pytest.approx([0.1, 0.2, 0.4, 0.4], abs=0.02)
    assert "<ref>" not in bubble.locator(".ms-gr-markdown").first.inner_text()

    names.nth(1).hover()
    expect(bubble.locator(".box-line.box-on")).to_have_count(2)
    chat.page.mouse.move(0, 0)
    expect(bubble.locator(".box-on")).to_have_count(0)
    bubble.get_by_role("button", name="red circle, in [image 1]").hover()
    expect(bubble.locator(".box-name.box-on")).to_have_text("red circle")
    names.nth(2).focus()
    chat.page.keyboard.press("Enter")
    expect(names.nth(2)).to_have_attribute("aria-pressed", "true")
    chat.shoot("boxes")


def clipboard(chat) -> str:
    return chat.page.evaluate("navigator.clipboard.readText()")


def test_places_are_copied_and_downloaded(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim", permissions=["clipboard-read", "clipboard-write"])
    bubble = answered(chat, ANSWER, examples / "shapes.png")
    width, height = bubble.locator(".box-frame img").evaluate("image => [image.naturalWidth, image.naturalHeight]")

    bubble.get_by_role("button", name="Copy places as JSON").click()
    expect(bubble.get_by_role("button", name="Copy places as JSON")).to_have_text("Copied")
    places = json.loads(clipboard(chat))["places"]
    assert [place["name"] for place in places] == ["red circle", "stars", "stars", "place 1", "place 2"]
    assert places[0]["pixels"] == pytest.approx([0.1 * width, 0.2 * height, 0.5 * width, 0.6 * height], abs=0.1)
    assert places[4]["thousandths"] == [10, 10, 200, 40, 190, 90, 20, 80]

    bubble.get_by_role("button", name="Copy places as COCO").click()
    expect(bubble.get_by_role("button", name="Copy places as COCO")).to_have_text("Copied")
    coco = json.loads(clipboard(chat))
    assert coco["annotations"][0]["bbox"] == pytest.approx(
        [0.1 * width, 0.2 * height, 0.4 * width, 0.4 * height], abs=0.2
    )
    assert [category["name"] for category in coco["categories"]] == ["red circle", "stars", "place 1", "place 2"]
    assert [item["category_id"] for item in coco["annotations"]] == [1, 2, 2, 3, 4]

    bubble.get_by_role("button", name="Copy places as YOLO").click()
    expect(bubble.get_by_role("button", name="Copy places as YOLO")).to_have_text("Copied")
    lines = clipboard(chat).splitlines()
    assert lines[0] == "0 0.300000 0.400000 0.400000 0.400000"
    assert [line.split()[0] for line in lines] == ["0", "1", "1", "2", "3"] and all(
        len(line.split()) == 5 for line in lines
    )
    names = bubble.get_by_role("button", name="Copy places as YOLO").get_attribute("title")
    assert names == "0: red circle\n1: stars\n2: place 1\n3: place 2"

    with chat.page.expect_download() as download:
        bubble.get_by_role("button", name="Download the drawn picture").click()
    from PIL import Image

    drawn = Image.open(download.value.path())
    assert drawn.size == (width, height)
    at = (round(0.3 * width), round(0.2 * height))  # on the upper edge of the first box
    red, green, blue = drawn.convert("RGB").getpixel(at)
    assert red > 150 and green < 90 and blue < 90

    bubble.get_by_role("button", name="Copy", exact=True).last.click()
    assert clipboard(chat) == ANSWER


def test_several_pictures_are_told_apart(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim")
    text = "In image 2 a <ref>star</ref><box>1 2 300 400</box>, in image 1 a <ref>star</ref><box>500 500 700 700</box>."
    bubble = answered(chat, text, examples / "pair_1.png", examples / "pair_2.png")
    sources = chat.message(0).locator("img").evaluate_all("all => all.map(image => image.src)")
    figures = bubble.locator(".box-figure")
    assert figures.locator("img").evaluate_all("all => all.map(image => image.src)") == [sources[1], sources[0]]
    expect(figures.nth(0)).to_contain_text("[image 2]")

    later = answered(chat, "Again in image 2: <box>10 10 90 90</box>")
    expect(later.locator(".box-figure")).to_have_count(1)
    assert later.locator(".box-frame img").get_attribute("src") == sources[1]
    chat.shoot("boxes_several")


def test_an_answer_with_places_is_edited_as_it_was_written(open_chat, examples: Path) -> None:
    chat = open_chat("verbatim")
    bubble = answered(chat, "a < b <box>1 2 300 400</box> &lt;", examples / "shapes.png")
    bubble.get_by_role("button", name="Edit").click()
    expect(bubble.locator("textarea")).to_have_value("a < b <box>1 2 300 400</box> &lt;")
    bubble.locator("textarea").fill("<ref>edited</ref><box>1 2 300 400</box> &lt;")
    bubble.get_by_role("button", name="Save").click()
    expect(bubble.locator(".box-name")).to_have_text("edited")
    expect(bubble).to_contain_text("&lt;")


def mark(chat):
    chat.button("Mark a place in [image 1]").click()
    dialog = chat.page.get_by_role("dialog", name="Mark a place in [image 1]")
    expect(dialog).to_be_visible()
    return dialog


def test_a_dragged_box_stands_at_the_cursor(chat, examples: Path) -> None:
    chat.attach(examples / "shapes.png")
    chat.write("Read  please")
    for _ in range(7):
        chat.page.keyboard.press("ArrowLeft")
    dialog = mark(chat)
    area = dialog.locator("img").bounding_box()
    chat.page.mouse.move(area["x"] + 0.9 * area["width"], area["y"] + 0.8 * area["height"])
    chat.page.mouse.down()
    chat.page.mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 0.5 * area["height"], steps=4)
    chat.page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.2 * area["height"])
    chat.page.mouse.up()
    chat.shoot("mark_place")
    dialog.get_by_role("button", name="Insert").click()
    expect(dialog).to_have_count(0)
    before, numbers = chat.box.input_value().removesuffix(" please").removesuffix("</box>").split("<box>")
    assert before == "Read "
    assert [int(number) for number in numbers.split()] == pytest.approx([100, 200, 900, 800], abs=8)
    expect(chat.box).to_be_focused()


def test_a_box_is_marked_by_keyboard_alone(chat, examples: Path) -> None:
    chat.attach(examples / "shapes.png")
    chat.button("Mark a place in [image 1]").focus()
    chat.page.keyboard.press("Enter")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        chat.page.keyboard.press(key)
    chat.page.keyboard.press("Enter")
    expect(chat.box).to_have_value("<box>330 330 650 650</box>")
    chat.button("Mark a place in [image 1]").focus()
    chat.page.keyboard.press("Enter")
    chat.page.keyboard.press("Escape")
    expect(chat.button("Mark a place in [image 1]")).to_be_focused()


def test_places_by_touch_on_a_phone_in_the_dark(open_chat, examples: Path) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
    chat = open_chat("verbatim", **phone)
    chat.attach(examples / "shapes.png")
    mark(chat)
    chat.shoot("mark_place_phone")
    chat.button("Insert").tap()
    expect(chat.box).to_have_value("<box>350 350 650 650</box>")
    chat.write(ANSWER)
    chat.send_button.tap()
    expect(chat.footers).to_have_count(1)
    bubble = chat.messages.last
    bubble.locator(".box-name").first.tap()
    expect(bubble.locator(".box-line.box-on")).to_have_count(1)
    bubble.get_by_role("button", name="stars, in [image 1]").last.tap()
    expect(bubble.locator(".box-name.box-on")).to_have_text("stars")
    assert chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chat.shoot("boxes_phone")


def test_the_embedded_model_draws(open_chat, examples: Path) -> None:
    chat = open_chat("tiny")
    bubble = chat.ask("Where is the red circle? Give a box.", examples / "shot_1.png")
    expect(bubble.locator(".box-name")).to_have_text("place 1")
    expect(bubble.locator("rect.box-line")).to_have_count(1)
