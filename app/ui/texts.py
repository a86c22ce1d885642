"""The words of the page, in every language; those of its options and errors are in `app.texts`.

Static labels follow the browser's language by themselves (labels.py); what is made while an answer is written uses
`say` with the page's locale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.sampling import OPTIONS
from app.texts.languages import LANGUAGES, column_of
from app.texts.languages import Locale as Locale
from app.texts.languages import locale_of as locale_of

TEXTS: Mapping[str, tuple[str, str]] = {
    # tabs, buttons, boxes
    "chat": ("Chat", "对话"),
    "few_shot": ("Few Shot", "少样本"),
    "how_to": ("How to use", "使用说明"),
    "decoding": ("Decoding", "解码"),
    "placeholder": ("Ask anything about your images and videos", "就你的图片和视频提问"),
    "attach": ("Attach images and videos", "添加图片和视频"),
    "attachments": ("Attachments", "附件"),
    "drop": ("Drop images and videos here", "将图片和视频拖放到这里"),
    "drop_hint": ("or click to choose them", "或点击选择"),
    "send": ("Send", "发送"),
    "stop": ("Stop", "停止"),
    "regenerate": ("Regenerate", "重新生成"),
    "clear": ("Clear history", "清空历史"),
    "edit": ("Edit", "编辑"),
    "delete": ("Delete", "删除"),
    "delete_ask": ("Delete this question and its answer?", "删除这个问题及其回答？"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "save": ("Save", "保存"),
    "cancel": ("Cancel", "取消"),
    "close": ("Close", "关闭"),
    "remove": ("Remove", "移除"),
    "add_files": ("Add files", "添加文件"),
    "back": ("Back", "向左"),
    "forward": ("Forward", "向右"),
    "open": ("Open", "打开"),
    "language": ("Language", "语言"),
    "language_name": ("English", "中文"),
    "scroll": ("Scroll to the end", "滚动到底部"),
    "conversation": ("Conversation", "对话内容"),
    "image": ("Image", "图片"),
    "user": ("User", "用户"),
    "assistant": ("Assistant", "助手"),
    "user_hint": ("A question, as you would ask it", "一个问题"),
    "assistant_hint": ("The answer you want to it", "期望的回答"),
    "add_example": ("Add Example", "添加示例"),
    "generate": ("Generate", "生成"),
    "few_shot_help": (
        "Show the model what you want: add examples of a question with its answer, then leave Assistant empty, "
        "put the real question in User and press Generate.",
        "先用示例告诉模型你想要什么：添加若干问答示例，然后在“用户”中填写真正的问题，“助手”留空，点击“生成”。",
    ),
    "sampling": ("Sampling", "采样"),
    "beam": ("Beam Search", "束搜索"),
    "random": ("random", "随机"),
    "thinking": ("Thinking", "思考过程"),
    "adapter": ("Adapter", "适配器"),
    "adapter_help": (
        "Fine-tuned weights that answer from now on; the model stays loaded.",
        "之后由所选的微调权重回答；模型无需重新加载。",
    ),
    "base": ("Base model", "基础模型"),
    # presets
    "presets": ("Presets", "预设"),
    "presets_model": ("Of the model", "模型的"),
    "presets_own": ("Yours", "我的"),
    "presets_full": ("The browser has no room for this preset.", "浏览器空间不足，无法保存此预设。"),
    "preset_none": ("Choose a preset", "选择预设"),
    "preset_defaults": ("The model's defaults", "模型默认值"),
    "preset_precise": ("Precise", "精确"),
    "preset_beams": ("Beam search", "束搜索"),
    "preset_creative": ("Creative", "创意"),
    "preset_thinking": ("Thinking", "先思考"),
    "preset_save": ("Save as a preset", "存为预设"),
    "preset_rename": ("Rename the preset", "重命名预设"),
    "preset_delete": ("Delete the preset", "删除预设"),
    "preset_deleted": ("Preset {name} deleted", "已删除预设“{name}”"),
    "preset_name": ("Name of the preset", "预设名称"),
    "preset_overwrite": ("Overwrite", "覆盖"),
    "preset_used": ("Preset: {name}", "预设：{name}"),
    # the empty page
    "welcome": ("Chat about images and videos", "聊聊图片和视频"),
    "welcome_try": ("Or try an example:", "或者试试示例："),
    "welcome_hint": (
        "Attach, paste or drop images and videos, then ask.",
        "添加、粘贴或拖入图片和视频，然后提问。",
    ),
    # conversations
    "talks": ("Conversations", "对话列表"),
    "talks_show": ("Show conversations", "显示对话列表"),
    "talks_hide": ("Hide conversations", "隐藏对话列表"),
    "talk_new": ("New conversation", "新对话"),
    "talk_search": ("Search", "搜索"),
    "talk_search_hint": ("Search in all conversations", "搜索所有对话"),
    "talk_none": ("No conversations yet. They stay in this browser.", "还没有对话。对话只保存在此浏览器中。"),
    "talk_no_match": ("Nothing found", "没有找到"),
    "talk_pinned": ("Pinned", "已置顶"),
    "talk_today": ("Today", "今天"),
    "talk_yesterday": ("Yesterday", "昨天"),
    "talk_menu": ("More about {title}", "更多操作：{title}"),
    "talk_rename": ("Rename", "重命名"),
    "talk_name": ("Name of the conversation", "对话名称"),
    "talk_pin": ("Pin", "置顶"),
    "talk_unpin": ("Unpin", "取消置顶"),
    "talk_untitled": ("Pictures and clips", "图片与视频"),
    "talk_deleted": ("Conversation deleted", "对话已删除"),
    "undo": ("Undo", "撤销"),
    "talks_room": ("{used} of {limit} in this browser", "此浏览器中已用 {used} / {limit}"),
    "talks_full": (
        "The browser has no room for this conversation. Delete older ones.",
        "浏览器空间不足，无法保存此对话。请删除旧对话。",
    ),
    "talks_media_full": (
        "Files too large to be kept in this browser: {count}. Delete older conversations.",
        "有 {count} 个文件太大，无法保存在此浏览器中。请删除旧对话。",
    ),
    "talks_failed": ("This browser could not keep the conversation.", "此浏览器无法保存对话。"),
    "upload_failed": (
        "A file could not be uploaded: it is too large, or the connection broke. Attach it again.",
        "文件上传失败：文件过大或连接中断。请重新添加。",
    ),
    "talk_upload_failed": (
        "A file of the conversation could not be uploaded: it is too large, or the connection broke. Nothing has "
        "changed; try again.",
        "对话中的文件上传失败：文件过大或连接中断。没有任何改动，请重试。",
    ),
    "talk_import": ("Import a conversation (.zip)", "导入对话（.zip）"),
    "talk_zip": ("Export as .zip", "导出为 .zip"),
    "talk_markdown": ("Export as Markdown", "导出为 Markdown"),
    "talk_html": ("Export as a web page", "导出为网页"),
    "python": ("Copy as Python", "复制为 Python"),
    "python_help": (
        "Export the conversation as .zip, unpack it in the project's folder, and run the code there.",
        "将对话导出为 .zip，解压到项目文件夹中，并在该处运行代码。",
    ),
    "python_chat": ("The model itself", "直接使用模型"),
    "python_openai": ("Through the API (--api)", "通过 API（--api）"),
    "shortcuts": ("Keyboard shortcuts", "键盘快捷键"),
    "key_send": ("Send", "发送"),
    "key_line": ("New line", "换行"),
    "key_stop": ("Stop the answer", "停止回答"),
    "key_edit": ("Edit the last question (in the empty box)", "编辑上一个问题（输入框为空时）"),
    "key_search": ("Search in all conversations", "搜索所有对话"),
    "key_new": ("New conversation", "新对话"),
    "key_help": ("This page", "显示此页"),
    "versions": ("Versions of this answer", "此回答的版本"),
    "version_before": ("Version before", "上一个版本"),
    "version_after": ("Next version", "下一个版本"),
    # status
    "loading": ("The model is loading. You can write already.", "模型正在加载，你可以先输入。"),
    "load_failed": ("The model could not be loaded.", "模型加载失败。"),
    "away": ("The engine does not answer yet. You can write already.", "推理服务尚无响应，你可以先输入。"),
    "stands_in": (
        "This Space has no GPU and little memory: the small embedded model answers, which knows drawings alone.",
        "此 Space 没有 GPU 且内存较小：由内置的小模型回答，它只认识简单的图画。",
    ),
    "noise": (
        "This checkpoint was never trained: its answers are noise. It shows that everything works.",
        "此权重未经训练：回答是无意义的文字，仅用于演示流程。",
    ),
    # progress
    "queue": ("Waiting for a free place", "正在排队"),
    "queue_place": ("Waiting, number {place} in line", "正在排队，当前第 {place} 位"),
    "queue_time": (
        "Waiting, number {place} in line, about {seconds} s",
        "正在排队，当前第 {place} 位，约 {seconds} 秒",
    ),
    "load": ("Loading the model", "正在加载模型"),
    "decode_video": ("Decoding the video", "正在解码视频"),
    "encode_images": ("Encoding the images", "正在编码图像"),
    "prefill": ("Reading the prompt", "正在读取提示"),
    "search": ("Searching with beams", "正在束搜索"),
    # under an answer
    "new_tokens": ("{count:,} tokens", "{count:,} 个 token"),
    "speed": ("{speed:.1f} tokens/s", "{speed:.1f} token/秒"),
    "ttft": ("first token after {seconds:.2f} s", "首 token {seconds:.2f} 秒"),
    "vision_tokens": ("{count:,} vision tokens", "{count:,} 个视觉 token"),
    "cached_tokens": ("{count:,} tokens reused", "复用 {count:,} 个 token"),
    "cached_slices": ("{count:,} slices reused", "复用 {count:,} 个切片"),
    "stopped": ("Stopped", "已停止"),
    "failed": ("Failed", "失败"),
    "not_sent": ("Not sent", "未发送"),
    "example": ("Example", "示例"),
    "turns_dropped": (
        "The oldest {count} messages did not fit the context and were left out.",
        "最早的 {count} 条消息超出上下文，已省略。",
    ),
    # heard by those who use a screen reader
    "skip": ("Skip to the message box", "跳到输入框"),
    "hear_answering": ("Answering", "正在回答"),
    "hear_done": ("The answer is complete.", "回答完成。"),
    "hear_stopped": ("The answer was stopped.", "回答已停止。"),
    "hear_failed": ("The answer failed.", "回答失败。"),
    "hear_question": ("Question {number}", "第 {number} 个问题"),
    "hear_answer": ("Answer {number}", "第 {number} 个回答"),
    # places in pictures
    "box_unnamed": ("place {number}", "位置 {number}"),
    "image_number": ("image {number}", "图 {number}"),
    "video_number": ("video {number}", "视频 {number}"),
    "box_figure": ("Places in {picture}", "{picture} 中的位置"),
    "box_copy": ("Copy places as {format}", "复制位置（{format}）"),
    "box_download": ("Download the drawn picture", "下载标注后的图片"),
    "box_shown": ("{name}, in {picture}", "{name}，位于 {picture}"),
    "mark_place": ("Mark a place in {picture}", "在 {picture} 中标出位置"),
    "mark_hint": (
        "Drag a box over the picture. With the keyboard: arrows move it, Shift with arrows changes its size.",
        "在图片上拖出一个框。键盘：方向键移动，Shift 加方向键改变大小。",
    ),
    "mark_insert": ("Insert", "插入"),
    # photos
    "camera": ("Take photos", "拍照"),
    "camera_live": ("What the camera sees", "摄像头画面"),
    "camera_starting": ("The camera starts …", "正在启动摄像头…"),
    "camera_shoot": ("Take a photo", "拍摄一张"),
    "camera_flip": ("Other camera", "切换摄像头"),
    "camera_app": ("Camera app", "相机应用"),
    "camera_photos": ("Photos taken", "已拍摄的照片"),
    "camera_photo": ("Photo {number}", "照片 {number}"),
    "camera_remove": ("Remove photo {number}", "移除照片 {number}"),
    "camera_attach": ("Attach {count}", "添加 {count} 张"),
    "camera_denied": (
        "The browser was not allowed to use the camera. Allow it beside the address, then try again.",
        "浏览器没有使用摄像头的权限。请在地址栏旁允许，然后重试。",
    ),
    "camera_missing": ("No camera was found.", "没有找到摄像头。"),
    "camera_busy": (
        "The camera could not be started. Another program may be using it.",
        "无法启动摄像头，可能正被其他程序占用。",
    ),
    "camera_insecure": (
        "The browser gives the camera only to pages opened through https or on this machine.",
        "浏览器只允许通过 https 或本机打开的页面使用摄像头。",
    ),
    # what the model saw
    "saw": ("What the model saw", "模型看到了什么"),
    "saw_unknown": (
        "This answer was written elsewhere: how its pictures were cut and what its prompt was is not known here.",
        "此回答由其他服务生成：图片如何切分、提示的具体内容在这里无从得知。",
    ),
    "saw_counted": ("It counted {count:,} prompt tokens.", "对方统计的提示为 {count:,} 个 token。"),
    "saw_prompt_tokens": ("Prompt", "提示"),
    "saw_of_context": ("{count:,} of {context:,} tokens", "{count:,} / {context:,} 个 token"),
    "saw_vision": ("Vision tokens", "视觉 token"),
    "saw_text": ("Text tokens", "文本 token"),
    "saw_reused": ("Tokens reused from earlier turns", "复用先前轮次的 token"),
    "saw_reused_slices": ("Slices not encoded again", "未重新编码的切片"),
    "saw_dropped": ("Oldest messages left out", "已省略的最早消息"),
    "saw_image": ("Image {number}", "图片 {number}"),
    "saw_clip": ("Video {number}, {frames} frames", "视频 {number}，{frames} 帧"),
    "saw_frame": ("Frame {number}", "第 {number} 帧"),
    "saw_frame_parts": ("{slices} slices and {count:,} tokens per frame", "每帧 {slices} 个切片，{count:,} 个 token"),
    "saw_tokens": ("{count:,} tokens", "{count:,} 个 token"),
    "saw_overview": ("Overview", "全图"),
    "saw_cells": ("Slices, {columns} × {rows}", "切片，{columns} × {rows}"),
    "saw_prompt": ("Prompt", "提示"),
    "saw_prompt_help": (
        "Exactly as the model got it: special tokens in blue, places of picture features folded in green.",
        "与模型收到的完全一致：蓝色为特殊 token，绿色为折叠的图像特征。",
    ),
    "saw_prompt_now": (
        "As the model would get it now: special tokens in blue, places of picture features folded in green.",
        "模型现在会收到的内容：蓝色为特殊 token，绿色为折叠的图像特征。",
    ),
    "saw_changed": (
        "The conversation was changed since this answer; this is what would be sent now.",
        "对话在此回答之后有改动；这里显示的是现在会发送的内容。",
    ),
    "saw_settings": ("Settings that held", "当时的设置"),
    # answers
    "table_csv": ("Download the table as CSV", "下载表格（CSV）"),
    "templates": ("Templates", "提示模板"),
    "template_ocr": ("Read the text", "识别文字"),
    "template_ocr_text": (
        "Read all the text in the image, line by line, exactly as it is written.",
        "逐行读出图中的全部文字，保持原样。",
    ),
    "template_describe": ("Describe", "描述"),
    "template_describe_text": (
        "Describe the image: what is in it, where it is and what happens.",
        "描述这张图片：有什么、在哪里、正在发生什么。",
    ),
    "template_compare": ("Compare", "比较"),
    "template_compare_text": (
        "Compare the images: what is the same, and what is different?",
        "比较这些图片：哪些相同，哪些不同？",
    ),
    "template_table": ("Table to CSV", "表格转 CSV"),
    "template_table_text": (
        "Write the table in the image as CSV in a code block, with its head in the first line.",
        "把图中的表格写成 CSV，放在代码块中，第一行是表头。",
    ),
    "template_find": ("Find", "查找"),
    "template_find_text": ("Where is the … ? Give a box.", "…在哪里？请给出框。"),
    "template_translate": ("Translate", "翻译"),
    "template_translate_text": (
        "Translate the text in the image into English. Keep its lines.",
        "把图中的文字翻译成中文，保留分行。",
    ),
    "system_prompts": ("System prompts", "系统提示库"),
    "system_none": ("None", "无"),
    "system_exact": ("Exact", "严谨"),
    "system_exact_text": (
        "Say only what can be seen in the picture. If something cannot be seen, say so.",
        "只说图片中能看到的内容；看不到的请直接说明。",
    ),
    "system_short": ("Short", "简短"),
    "system_short_text": ("Answer in one short sentence.", "用一句简短的话回答。"),
    "system_json": ("JSON", "JSON"),
    "system_json_text": ("Answer with valid JSON and nothing else.", "只用合法的 JSON 回答，不要输出其他内容。"),
    "system_teacher": ("Teacher", "老师"),
    "system_teacher_text": (
        "Explain step by step, in plain words, as to somebody who sees such a picture for the first time.",
        "像对第一次看到这类图片的人那样，用通俗的话一步一步解释。",
    ),
    "like": ("Like", "喜欢"),
    "dislike": ("Dislike", "不喜欢"),
    "feedback_reason": ("Why? (kept on this server)", "原因？（保存在此服务器上）"),
    "feedback_send": ("Send reason", "提交原因"),
    "feedback_thanks": ("Thank you, that was noted.", "谢谢，已记录。"),
    # the video bench
    "bench": ("Video {number}, {length}: {frames} frames will be sent", "视频 {number}，{length}：将发送 {frames} 帧"),
    "bench_start": ("From", "从"),
    "bench_end": ("to", "到"),
    "bench_mode": ("How frames are chosen", "选帧方式"),
    "bench_fps": ("Frames per second", "每秒帧数"),
    "bench_count": ("Number of frames", "帧数"),
    "bench_scenes": ("Scene changes", "场景变化"),
    "bench_drop": ("Leave out the frame at {time}", "不发送 {time} 处的帧"),
    "bench_jump": ("Jump to {place}", "跳转到 {place}"),
    # the meter
    "meter": ("Before sending", "发送之前"),
    "meter_tokens": ("Prompt {count:,} of {room:,} tokens", "提示 {count:,} / {room:,} 个 token"),
    "meter_attachments": ("attachments {counts}", "附件 {counts}"),
    "meter_memory": ("memory {need} of {free} free", "内存 {need} / 可用 {free}"),
    "meter_seconds": ("first token in about {seconds} s", "约 {seconds} 秒后出现首个 token"),
    "meter_new": ("time not known yet", "用时未知"),
    "meter_unknown": (
        "What this takes is not known here: another engine counts it.",
        "此消息的开销在这里无从得知：由其他服务统计。",
    ),
    "meter_dropped": ("The first {count} messages would be left out.", "最早的 {count} 条消息将被省略。"),
    "meter_too_long": ("This message alone is too long for the model.", "仅这条消息就超出了模型的上下文。"),
    "meter_memory_short": ("This needs more memory than is free.", "所需内存超过可用内存。"),
    "meter_left_out": ("Turns left out: {count}", "已省略 {count} 轮"),
    "fix_max_slice_nums": ("{value} slices per image", "每张图 {value} 个切片"),
    "fix_max_frames": ("{value} frames", "{value} 帧"),
    "fix_leave_out": ("Leave out the first turns: {value}", "省略最早的 {value} 轮"),
    "fix_bring_back": ("Bring them back", "恢复"),
    "retry": ("Retry", "重试"),
    # how to use
    "try": ("Try it", "试一试"),
    "one_image": ("One image", "单张图片"),
    "one_image_help": (
        "Attach an image with the link sign, paste it or drop it anywhere on the page. Then ask.",
        "点击链接图标添加图片，也可以粘贴或拖入页面，然后提问。",
    ),
    "one_image_ask": ("What colour is the star?", "星形是什么颜色？"),
    "images": ("Several images", "多张图片"),
    "images_help": (
        "Attachments are numbered. Write [image 1] or [image 2] to put that one at this place of your text; "
        "those you do not mention come first.",
        "附件按顺序编号。在文字中写 [图 1]、[图 2] 可把图片放到该处；未提及的图片排在最前。",
    ),
    # In English everywhere: the checkpoint that ships has learned to compare, and to watch, in English alone.
    "images_ask": ("Which image has the red circle, the first or the second?",) * 2,
    "reading": ("Text in a picture", "图中文字"),
    "reading_help": (
        "Numbers, words and whole pages of print. Large pictures are cut into slices, at most Max Slices.",
        "数字、单词以及整页印刷文字都可以。大图会被切片，最多“最大切片数”片。",
    ),
    "reading_ask": ("Read the text.", "读出文字。"),
    "video": ("A video", "视频"),
    "video_help": (
        "One frame per second is taken, at most Max Frames; longer videos are sampled evenly.",
        "每秒取一帧，最多取“最大帧数”帧；更长的视频均匀取帧。",
    ),
    "video_ask": ("Does the ball move left or right?",) * 2,
    "examples": ("Few-shot examples", "少样本示例"),
    "examples_help": (
        "Examples of question and answer teach the model a format. This puts two into the chat and opens Few Shot.",
        "问答示例可以教会模型一种格式。点击后会在对话中加入两个示例并打开“少样本”。",
    ),
    "examples_ask": ("What is this?", "这是什么？"),
    "examples_answer_1": ("red circle", "红色的圆形"),
    "examples_answer_2": ("blue star", "蓝色的星形"),
    "tips": (
        "**Stop** ends an answer at once and keeps what was written. **Regenerate** answers the last question again. "
        "Below each message are copy, edit and delete; an edited question is answered anew. "
        "**Decoding** holds the options of the model; beam search shows nothing until it ends.",
        "**停止**会立即结束回答并保留已生成的内容。**重新生成**会再次回答最后一个问题。"
        "每条消息都可以复制、编辑或删除：编辑问题后会重新回答。"
        "**解码**面板提供模型的各项参数；束搜索在结束前不会显示内容。",
    ),
}


# What is counted, where it is one.
_ONE = re.compile(r"(?<![\d.,])1 ((?:vision )?(?:token|slice|frame|file|message))s\b")


def say(key: str, locale: Locale, **values: Any) -> str:
    """A text in a language, its `{names}` filled in; one token is not "1 tokens"."""
    text = TEXTS[key][column_of(locale)].format(**values)
    return _ONE.sub(r"1 \1", text) if locale == "en" else text


def translations() -> dict[Locale, dict[str, str]]:
    """All static texts by language and `static_key`."""
    options = {option.label.key: option.label for option in OPTIONS} | {
        option.help.key: option.help for option in OPTIONS
    }
    return {
        locale: {static_key(key): texts[column_of(locale)] for key, texts in TEXTS.items()}
        | {static_key(key): text.to(locale) for key, text in options.items()}
        for locale in LANGUAGES
    }


def static_key(key: str) -> str:
    """The name of a text in Gradio's table, apart from Gradio's own names.

    Args:
        key: of `TEXTS`, or "option.NAME" and "option.NAME.help".
    """
    return "page_" + key.replace(".", "_")
