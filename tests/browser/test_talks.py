"""Conversations on the page: versions, the browser's store, the list at the side."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.talk_list import entries, holds, kept, menu

pytestmark = pytest.mark.browser


def edit(chat, index: int, text: str) -> None:
    question = chat.message(index)
    question.get_by_role("button", name="Edit").click()
    question.locator("textarea").fill(text)
    question.get_by_role("button", name="Save").click()


def test_versions_are_walked_and_the_model_gets_the_one_shown(chat) -> None:
    chat.ask("first")
    chat.ask("second")
    edit(chat, 0, "primo")
    expect(chat.message(1)).to_contain_text('text "primo"')
    chat.idle()
    expect(chat.messages).to_have_count(2)
    expect(chat.message(1)).to_contain_text("2/2")
    expect(chat.button("Next version")).to_be_disabled()

    chat.button("Version before").click()
    expect(chat.messages).to_have_count(4)
    expect(chat.message(0)).to_contain_text("first")
    expect(chat.message(1)).to_contain_text("1/2")
    expect(chat.ask("third")).to_contain_text('Message 3: text "third"')

    chat.button("Next version").click()
    expect(chat.messages).to_have_count(2)
    expect(chat.ask("fourth")).to_contain_text('Message 2: text "fourth"')


def test_regenerating_keeps_the_older_answer(chat) -> None:
    chat.ask("first")
    chat.page.get_by_label("Seed").fill("5")
    chat.button("Regenerate").click()
    expect(chat.message(1)).to_contain_text("seed=5")
    expect(chat.message(1)).to_contain_text("2/2")
    chat.button("Version before").click()
    expect(chat.message(1)).to_contain_text("all at their defaults")


def test_a_reload_brings_everything_back(own_chat, examples: Path) -> None:
    chat = own_chat
    chat.ask("What is this?", examples / "pair_1.png")
    chat.page.get_by_label("Seed").fill("5")
    edit(chat, 0, "And this?")
    expect(chat.message(1)).to_contain_text("2/2")
    chat.idle()
    expect(entries(chat)).to_have_count(1)
    kept(chat)

    chat.reload()
    expect(chat.messages).to_have_count(2)
    expect(chat.message(0)).to_contain_text("And this?")
    expect(chat.message(1)).to_contain_text("2/2")
    picture = chat.message(0).locator("img").first
    expect(picture).to_be_visible()
    assert width(picture) == 480
    expect(chat.page.get_by_label("Seed")).to_have_value("5")
    expect(chat.ask("more")).to_contain_text("Message 2")


def width(picture: Locator) -> int:
    """In pixels of the file, once it is there."""
    return picture.evaluate("async e => { await e.decode(); return e.naturalWidth }")


def test_the_list(own_chat) -> None:
    chat = own_chat
    chat.ask("apples and pears")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.ask("oranges")
    expect(entries(chat)).to_have_text(["oranges", "apples and pears"])
    expect(chat.page.get_by_role("heading", name="Today")).to_be_visible()

    menu(chat, "apples and pears", "Pin")
    expect(entries(chat)).to_have_text(["apples and pears", "oranges"])
    menu(chat, "oranges", "Rename")
    chat.page.get_by_label("Name of the conversation").fill("Citrus")
    chat.page.keyboard.press("Enter")
    expect(entries(chat)).to_have_text(["apples and pears", "Citrus"])

    chat.page.get_by_label("Search in all conversations").fill("ORANGES")
    expect(entries(chat)).to_have_count(1)
    expect(entries(chat)).to_contain_text("Citrus")
    chat.page.get_by_label("Search in all conversations").fill("")
    entries(chat).filter(has_text="apples").click()
    expect(chat.message(0)).to_contain_text("apples and pears")

    menu(chat, "apples and pears", "Delete")
    expect(chat.messages).to_have_count(0)
    expect(entries(chat)).to_have_text(["Citrus"])
    chat.button("Undo").click()
    expect(entries(chat)).to_have_text(["apples and pears", "Citrus"])
    kept(chat)
    chat.reload()
    expect(entries(chat)).to_have_text(["apples and pears", "Citrus"])


def test_a_cleared_conversation_comes_back_by_undo_and_stays(own_chat) -> None:
    chat = own_chat
    chat.ask("kept after all")
    expect(entries(chat)).to_have_count(1)
    kept(chat)
    chat.button("Clear history").click()
    expect(chat.messages).to_have_count(0)
    expect(entries(chat)).to_have_count(0)
    chat.button("Undo").click()
    expect(chat.message(0)).to_contain_text("kept after all")
    expect(entries(chat)).to_have_text(["kept after all"])

    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.ask("another")
    expect(entries(chat)).to_have_text(["another", "kept after all"])
    kept(chat)
    chat.reload()
    expect(entries(chat)).to_have_text(["another", "kept after all"])


def test_the_list_folds_away_and_is_a_drawer_on_a_phone(open_chat) -> None:
    phone = open_chat("echo", viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    expect(phone.page.locator(".talk-list")).not_to_be_visible()
    phone.button("显示对话列表").click()
    drawer = phone.page.get_by_role("navigation", name="对话列表")
    expect(drawer).to_be_visible()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.shoot("talks_phone_drawer")
    phone.button("隐藏对话列表").click()
    expect(drawer).not_to_be_visible()
    expect(phone.button("显示对话列表")).to_be_focused()


def test_a_draft_with_its_picture_survives_a_reload(own_chat, examples: Path) -> None:
    chat = own_chat
    chat.attach(examples / "pair_1.png")
    chat.write("half a question")
    chat.page.wait_for_function(
        "() => { const it = talks.record(talks.current())?.draft; return it?.text && it.files.length }"
    )
    kept(chat)
    chat.reload()
    expect(chat.box).to_have_value("half a question")
    chat.send_button.click()
    expect(chat.message(1)).to_contain_text("image 1 of 480x360 px")
    chat.idle()
    expect(entries(chat)).to_have_text(["half a question"])


def test_export_import_and_python(own_chat, examples: Path, tmp_path: Path) -> None:
    chat = own_chat
    chat.ask("What is it?", examples / "pair_1.png")
    expect(entries(chat)).to_have_count(1)
    kept(chat)
    names = {"Export as .zip": "zip", "Export as Markdown": "md", "Export as a web page": "html"}
    for entry, extension in names.items():
        with chat.page.expect_download() as waiting:
            menu(chat, "What is it?", entry)
        waiting.value.save_as(tmp_path / f"talk.{extension}")
        assert waiting.value.suggested_filename == f"What-is-it.{extension}"
    assert "What is it?" in (tmp_path / "talk.md").read_text("utf-8")
    assert "data:image/png" in (tmp_path / "talk.html").read_text("utf-8")

    with chat.page.expect_file_chooser() as chooser:
        chat.button("Import a conversation (.zip)").click()
    chooser.value.set_files(tmp_path / "talk.zip")
    expect(entries(chat)).to_have_count(2)
    expect(chat.message(0)).to_contain_text("What is it?")
    assert (
        chat.message(0).locator("img").first.evaluate("async e => { await e.decode(); return e.naturalWidth }") == 480
    )

    chat.button("Copy as Python").click()
    dialog = chat.page.get_by_role("dialog", name="Copy as Python")
    expect(dialog).to_contain_text("client.chat.completions.create")
    expect(dialog).to_contain_text("model.chat(")
    chat.shoot("talks_python")
    chat.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_keyboard(own_chat) -> None:
    chat, keys = own_chat, own_chat.page.keyboard
    chat.write("/long 1")
    keys.press("Enter")
    expect(chat.stop_button).to_be_visible()
    keys.press("Escape")
    chat.idle()
    expect(chat.message(1)).to_contain_text("Stopped")

    chat.box.press("ArrowUp")
    expect(chat.message(0).locator("textarea")).to_be_focused()
    chat.message(0).get_by_role("button", name="Cancel").click()
    keys.press("ControlOrMeta+k")
    expect(chat.page.get_by_label("Search in all conversations")).to_be_focused()
    chat.page.get_by_role("heading", name="Echo").click()
    keys.press("?")
    expect(chat.page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Stop the answer")
    chat.shoot("talks_shortcuts")
    keys.press("Escape")
    keys.press("ControlOrMeta+Shift+o")
    expect(chat.messages).to_have_count(0)


def test_what_is_deleted_stays_deleted(own_chat) -> None:
    chat = own_chat
    chat.ask("of no use")
    expect(entries(chat)).to_have_count(1)
    menu(chat, "of no use", "Delete")
    expect(chat.messages).to_have_count(0)
    chat.ask("something else")
    expect(entries(chat)).to_have_text(["something else"])
    kept(chat)
    chat.reload()
    expect(entries(chat)).to_have_text(["something else"])


def test_a_message_deleted_beside_a_draft_stays_deleted(own_chat) -> None:
    chat = own_chat
    chat.ask("of no use")
    chat.write("half a thought")
    chat.page.wait_for_function("talks.record(talks.current())?.draft?.text === 'half a thought'")
    chat.message(0).get_by_role("button", name="Delete", exact=True).click()
    chat.page.locator(".ms-gr-ant-popover").get_by_role("button", name="Delete").click()
    expect(chat.messages).to_have_count(0)
    expect(entries(chat)).to_have_count(0)
    kept(chat)
    chat.reload()
    expect(chat.box).to_have_value("half a thought")
    expect(chat.messages).to_have_count(0)
    expect(entries(chat)).to_have_count(0)


def test_what_was_not_sent_yet_is_found_in_the_list(own_chat) -> None:
    chat = own_chat
    chat.ask("a question")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.write("a long thought, not sent yet")  # and at once elsewhere, before it was kept
    entries(chat).filter(has_text="a question").click()
    expect(chat.message(0)).to_contain_text("a question")
    expect(chat.box).to_have_value("")
    entries(chat).filter(has_text="a long thought").click()
    expect(chat.box).to_have_value("a long thought, not sent yet")
    expect(chat.messages).to_have_count(0)
    chat.send_button.click()
    expect(chat.message(1)).to_contain_text("a long thought")


def test_an_edit_that_was_called_off_goes_into_no_other_message(own_chat, examples: Path) -> None:
    chat = own_chat
    chat.ask("first")
    chat.ask("second", examples / "pair_1.png")
    question = chat.message(0)
    question.get_by_role("button", name="Edit").click()
    question.locator("textarea").fill("never meant")
    question.get_by_role("button", name="Cancel").click()
    edit(chat, 2, "with a picture")
    expect(chat.message(3)).to_contain_text("with a picture")
    chat.idle()
    expect(chat.message(2).locator("img").first).to_be_visible()
    expect(chat.message(0)).to_contain_text("first")
    expect(chat.page.get_by_text("never meant")).to_have_count(0)


def test_python_is_not_shown_once_more_by_an_export(own_chat, tmp_path: Path) -> None:
    chat = own_chat
    chat.ask("apples")
    chat.button("Copy as Python").click()
    expect(chat.page.get_by_role("dialog")).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    with chat.page.expect_download() as waiting:
        menu(chat, "apples", "Export as Markdown")
    waiting.value.save_as(tmp_path / "talk.md")
    chat.ask("and pears")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)


CHANGE = "window.talks.change(window.talks.current(), { pinned: true })"  # the list is made anew, as by an answer


def test_a_list_made_anew_leaves_alone_who_uses_it(own_chat) -> None:
    chat, page = own_chat, own_chat.page
    chat.ask("first")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    chat.ask("second")
    expect(entries(chat)).to_have_count(2)
    menu(chat, "first", "Rename")
    name = page.get_by_label("Name of the conversation")
    name.press("ControlOrMeta+a")
    page.keyboard.type("half")
    page.evaluate(CHANGE)
    expect(name).to_be_focused()
    page.keyboard.type(" done")
    name.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(name).to_have_value("half done")
    name.press("Enter")
    expect(entries(chat)).to_have_text(["second", "half done"])
    expect(page.get_by_role("button", name="half done", exact=True)).to_be_focused()

    more = chat.button("More about second")
    more.focus()
    page.evaluate(CHANGE)
    expect(more).to_be_focused()
    more.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.evaluate(CHANGE)
    page.keyboard.press("Escape")
    expect(more).to_be_focused()


def test_what_is_kept_is_not_counted_with_every_part_of_an_answer(own_chat) -> None:
    chat = own_chat
    chat.ask("first")
    expect(chat.page.locator(".talk-room")).to_contain_text("in this browser")
    chat.page.evaluate("""() => {
        window.counted = 0;
        const used = window.talkStore.used;
        window.talkStore.used = () => { window.counted += 1; return used(); };
    }""")
    chat.send("/long 1")
    expect(chat.stop_button).to_be_visible()
    chat.page.evaluate(CHANGE)  # puts off what was planned before
    chat.page.evaluate("window.counted = 0")
    chat.page.wait_for_timeout(1000)
    assert chat.page.evaluate("window.counted") == 0
    chat.stop_button.click()
    chat.idle()
    chat.page.wait_for_function("window.counted > 0")


def test_escape_closes_what_is_open_and_lets_the_answer_go_on(own_chat, examples: Path) -> None:
    chat, page = own_chat, own_chat.page
    chat.ask("first", examples / "pair_1.png")
    chat.send("/long 1")
    expect(chat.stop_button).to_be_visible()
    chat.message(0).locator("img").first.click()
    preview = page.locator(".ms-gr-ant-image-preview-mask")
    expect(preview).to_be_visible()
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    chat.message(0).get_by_role("button", name="Delete").click()
    asked = page.get_by_text("Delete this question and its answer?")
    expect(asked).to_be_visible()
    page.keyboard.press("Escape")
    expect(asked).not_to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})  # the list is a drawer now
    expect(page.locator(".talk-list")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".talk-list")).not_to_be_visible()
    expect(chat.stop_button).to_be_visible()
    page.keyboard.press("Escape")
    chat.idle()


def test_a_dialog_closes_only_by_a_click_beside_it(own_chat) -> None:
    page = own_chat.page
    own_chat.button("Keyboard shortcuts").click()
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    place = dialog.bounding_box()
    page.mouse.click(place["x"] + 6, place["y"] + 6)
    text = dialog.get_by_text("Stop the answer").bounding_box()
    page.mouse.move(text["x"] + 4, text["y"] + 4)
    page.mouse.down()
    page.mouse.move(place["x"] - 20, text["y"] + 4)
    page.mouse.up()
    expect(dialog).to_be_visible()
    page.mouse.click(place["x"] - 20, place["y"] + 6)
    expect(dialog).to_have_count(0)


def media(chat) -> list[dict]:
    """The files that the browser keeps: id, path on the server and bytes."""
    return chat.page.evaluate(
        """async () => {
            const answered = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
            const store = (await answered(indexedDB.open("minicpm-v-talks"))).transaction("media").objectStore("media");
            return (await answered(store.getAll())).map(({ id, path, blob }) => ({ id, path, bytes: blob.size }));
        }"""
    )


def toast(chat, text: str) -> None:
    expect(chat.page.locator(".page-toast")).to_contain_text(text)


def test_a_conversation_without_its_pictures_is_not_opened(own_chat, examples: Path) -> None:
    chat, gone = own_chat, "**/gradio_api/file=**"
    chat.ask("What is it?", examples / "pair_1.png")
    holds(chat, "What is it?")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    kept(chat)
    chat.page.route(gone, lambda route: route.fulfill(status=404))
    chat.page.route("**/gradio_api/upload*", lambda route: route.fulfill(status=503))
    entries(chat).click()
    toast(chat, "A file of the conversation could not be uploaded")
    expect(chat.messages).to_have_count(0)
    menu(chat, "What is it?", "Export as Markdown")
    toast(chat, "A file of the conversation could not be uploaded")
    chat.page.evaluate("sessionStorage.setItem('minicpm-v-open', talks.records()[0].id)")
    chat.reload()
    toast(chat, "A file of the conversation could not be uploaded")
    expect(chat.messages).to_have_count(0)

    chat.page.unroute("**/gradio_api/upload*")
    chat.page.unroute(gone)
    entries(chat).click()
    expect(chat.message(0)).to_contain_text("What is it?")
    assert width(chat.message(0).locator("img").first) == 480
    chat.errors.clear()  # of the answers above


def test_a_picture_that_was_sent_is_no_draft(own_chat, examples: Path) -> None:
    chat = own_chat
    chat.ask("What is it?", examples / "pair_1.png")
    holds(chat, "What is it?")
    chat.page.wait_for_function("talks.record(talks.current()).draft === null")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    kept(chat)
    assert chat.page.evaluate("async () => (await talkStore.all()).map((record) => record.draft)") == [None]


def test_an_import_that_fails_is_told_of(own_chat, examples: Path, tmp_path: Path) -> None:
    chat = own_chat
    chat.ask("What is it?", examples / "pair_1.png")
    kept(chat)
    with chat.page.expect_download() as waiting:
        menu(chat, "What is it?", "Export as .zip")
    waiting.value.save_as(tmp_path / "talk.zip")

    def choose() -> None:
        with chat.page.expect_file_chooser() as chooser:
            chat.button("Import a conversation (.zip)").click()
        chooser.value.set_files(tmp_path / "talk.zip")

    for answer in (lambda route: route.fulfill(status=413), lambda route: route.abort()):
        chat.page.route("**/gradio_api/upload*", answer)
        choose()
        toast(chat, "A file of the conversation could not be uploaded")
        chat.page.unroute("**/gradio_api/upload*")
        chat.page.evaluate("document.querySelector('.page-toast').remove()")
    chat.errors.clear()

    chat.page.evaluate(
        """async () => {
            const request = indexedDB.open("minicpm-v-talks");
            await new Promise((done) => { request.onsuccess = done; });
            request.result.transaction("media", "readwrite").objectStore("media").clear();
            navigator.storage.estimate = async () => ({ quota: 0 });
        }"""
    )
    choose()
    expect(entries(chat)).to_have_count(2)
    toast(chat, "too large to be kept")


def test_a_draft_being_kept_does_not_bring_a_deleted_conversation_back(own_chat) -> None:
    chat = own_chat
    chat.ask("of no use")
    kept(chat)
    chat.page.evaluate(
        """() => {
            const keepMedia = talkStore.keepMedia;
            talkStore.keepMedia = async (paths) => {
                if (Object.keys(paths).length) { window.keeping = true; await new Promise((go) => { window.go = go }); }
                return keepMedia({});
            };
            talks.drafted({ files: ["somewhere.png"] });
        }"""
    )
    chat.page.wait_for_function("window.keeping")
    menu(chat, "of no use", "Delete")
    chat.page.evaluate("() => { talkStore.keepMedia = async () => 0; window.go(); }")
    expect(entries(chat)).to_have_count(0)
    kept(chat)
    assert (
        chat.page.evaluate("async () => (await talkStore.all()).filter(it => it.talk.turns.length && !it.deleted)")
        == []
    )


def quota(chat, size: int) -> None:
    chat.page.evaluate("quota => { navigator.storage.estimate = async () => ({ quota }); }", size)


def fetched(chat) -> list[str]:
    """Methods of the requests by which our scripts ask for files, from now on."""
    methods: list[str] = []

    def note(request) -> None:
        if "/file=" in request.url and request.resource_type == "fetch":
            methods.append(request.method)

    chat.page.on("request", note)
    return methods


def test_a_file_that_does_not_fit_is_asked_for_and_told_of_once(own_chat, examples: Path) -> None:
    chat, methods = own_chat, fetched(own_chat)
    chat.ask("older", examples / "pair_1.png")
    holds(chat, "older")
    chat.button("New conversation").click()
    expect(chat.messages).to_have_count(0)
    kept(chat)
    quota(chat, 0)
    methods.clear()
    chat.attach(examples / "pair_2.png")
    toast(chat, "too large to be kept")
    chat.page.locator(".page-toast").evaluate("toast => toast.remove()")
    chat.send("hello")
    expect(chat.footers).to_have_count(1)
    chat.idle()
    chat.ask("again")
    kept(chat)
    assert methods == ["HEAD"]
    expect(chat.page.locator(".page-toast")).to_have_count(0)
    assert len(media(chat)) == 1

    quota(chat, 10**9)
    menu(chat, "older", "Delete")
    chat.page.locator(".page-toast").evaluate("toast => toast.finish()")
    expect(entries(chat)).to_have_text(["hello"])
    kept(chat)
    assert [medium["bytes"] for medium in media(chat)] == [(examples / "pair_2.png").stat().st_size]


def test_what_was_sent_is_kept_once_and_goes_with_its_turn(own_chat, examples: Path) -> None:
    chat, methods = own_chat, fetched(own_chat)
    chat.attach(examples / "pair_1.png")
    chat.write("What is it?")
    chat.page.wait_for_function("talks.record(talks.current())?.draft?.files.length === 1")
    kept(chat)
    assert [medium["id"] for medium in media(chat)] == ["draft:" + medium["path"] for medium in media(chat)]
    chat.send_button.click()
    holds(chat, "What is it?")
    chat.page.wait_for_function("talks.record(talks.current()).draft === null")
    kept(chat)
    (medium,) = media(chat)
    assert len(medium["id"]) == 64 and medium["bytes"] == (examples / "pair_1.png").stat().st_size
    assert methods == ["HEAD", "GET"]

    chat.idle()
    chat.message(0).get_by_role("button", name="Delete", exact=True).click()
    chat.page.locator(".ms-gr-ant-popover").get_by_role("button", name="Delete").click()
    expect(entries(chat)).to_have_count(0)
    kept(chat)
    assert media(chat) == []


def test_a_page_left_open_for_a_day_has_its_pictures_still(own_chat, tmp_path: Path) -> None:
    chat = own_chat
    first, second = tmp_path / "first.png", tmp_path / "second.png"  # other tests show the examples of the same server
    Image.new("RGB", (480, 360), "red").save(first)
    Image.new("RGB", (480, 360), "blue").save(second)
    chat.ask("What is it?", first)
    holds(chat, "What is it?")
    chat.attach(second)
    chat.write("half a thought")
    chat.page.get_by_label("Seed").fill("7")
    chat.page.wait_for_function("talks.record(talks.current()).draft?.files.length === 1")
    chat.page.wait_for_function("talks.record(talks.current()).draft?.text === 'half a thought'")
    kept(chat)
    before = media(chat)
    for medium in before:
        Path(medium["path"]).unlink()
    chat.box.press("End")
    held, uploads = [], "**/gradio_api/upload*"
    chat.page.route(uploads, lambda route: route.continue_() if held else held.append(route))
    with chat.page.expect_request(uploads):
        chat.page.evaluate(
            """() => {
                const now = Date.now;
                Date.now = () => now() + 25 * 3600000;
                document.dispatchEvent(new Event("visibilitychange"));
            }"""
        )
    chat.page.keyboard.insert_text(", all of it")
    chat.page.keyboard.press("Enter")
    held[0].continue_()
    expect(chat.page.locator("body.talk-reopening")).to_have_count(0)
    expect(chat.message(2)).to_contain_text("half a thought, all of it")
    expect(chat.page.get_by_label("Seed")).to_have_value("7")
    assert {medium["id"] for medium in media(chat)} == {medium["id"] for medium in before}
    assert all(Path(medium["path"]).exists() for medium in media(chat))
    chat.errors.clear()  # of the files that were asked for
    expect(chat.message(3)).to_contain_text("image 1 of 480x360 px")
    expect(chat.message(3)).to_contain_text("seed=7")
    chat.idle()
    assert width(chat.message(0).locator("img").first) == 480
    chat.page.wait_for_function("talks.record(talks.current()).draft === null")
    kept(chat)
    assert len(media(chat)) == 2
