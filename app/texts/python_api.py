"""Wrong calls of the Python API and of the page's endpoint."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "chat_images_many": (
        "The conversation has {count} images; {model} takes 1.",
        "对话中有 {count} 张图片；{model} 只接受 1 张。",
    ),
    "do_one_image": ("Send one image.", "请只发送一张图片。"),
    "chat_image_late": (
        "The image is in message {number}; {model} takes it in the first message.",
        "图片在第 {number} 条消息中；{model} 只在第一条消息中接受图片。",
    ),
    "do_image_first": (
        'Put the image into the first message, or under "image".',
        '请把图片放入第一条消息，或放在 "image" 中。',
    ),
    "chat_input_wrong": (
        'The input is {got}; it must be a dict with "question".',
        '输入是{got}；必须是含有 "question" 的字典。',
    ),
    "chat_question_empty": (
        '"question" is no list of messages, or an empty one.',
        '"question" 不是消息列表，或是空列表。',
    ),
    "first_not_user": ("The first message is not the user's.", "第一条消息不是用户的。"),
    "do_begin_user": ('Begin with a message of the role "user".', '请以角色为 "user" 的消息开头。'),
    "base64_type": ("{place} is a {type}, not a base64 text.", "{place} 是 {type}，不是 base64 文本。"),
    "do_use_img2base64": ("Use img2base64(path).", "请使用 img2base64(path)。"),
    "base64_wrong": ("{place} is not base64.", "{place} 不是 base64。"),
    "at_place": ("{place}: {message}", "{place}：{message}"),
    "chat_role_wrong": (
        "Message {number} {got}; allowed roles are 'user' and 'assistant'.",
        "第 {number} 条消息{got}；允许的角色是 'user' 和 'assistant'。",
    ),
    "chat_no_content": ("Message {number} has no content.", "第 {number} 条消息没有内容。"),
    "chat_part_wrong": (
        "Message {number} has a part {got}; allowed are 'text' and 'image'.",
        "第 {number} 条消息中有一部分{got}；允许的是 'text' 和 'image'。",
    ),
    "chat_not_json": ("{name} is not JSON: it cannot be read{where}.", "{name} 不是 JSON：无法读取{where}。"),
    "chat_params_type": ('"params" is a {type}, not a dict.', '"params" 是 {type}，不是字典。'),
    "do_pass_params": ('Pass {{"max_new_tokens": 512}}.', '请传入 {{"max_new_tokens": 512}}。'),
    "chat_image_type": ('"image" is a {type}, not a base64 text.', '"image" 是 {type}，不是 base64 文本。'),
    "tokenizer_no_token": (
        "The tokenizer has no token {token} (added_tokens).",
        "分词器没有 token {token}（added_tokens）。",
    ),
    "do_check_files": ("Check its files.", "请检查其文件。"),
    "prompt_cut_image": (
        "The prompt was cut behind its image, to {count} tokens.",
        "提示在图片之后被截断为 {count} 个 token。",
    ),
    "do_ask_shorter": ("Ask something shorter.", "请问得短一些。"),
    "roles_repeat": (
        "Message {number} has the role {role!r}, as the one before it.",
        "第 {number} 条消息的角色是 {role!r}，与前一条相同。",
    ),
    "do_alternate": ("The roles user and assistant must alternate.", "角色 user 和 assistant 必须交替出现。"),
    "generate_nothing": (
        "generate() got neither input_ids nor inputs_embeds.",
        "generate() 既没有收到 input_ids，也没有收到 inputs_embeds。",
    ),
    "do_pass_one": ("Pass one of them.", "请传入其中之一。"),
    "beams_stream": (
        "stream=True got sampling=False; beam search cannot stream.",
        "stream=True 与 sampling=False 同时给出；束搜索不能流式输出。",
    ),
    "do_sampling_true": ("Use sampling=True.", "请使用 sampling=True。"),
    "configs_differ": (
        "config.json says {ours} = {got!r}, preprocessor_config.json says {theirs} = {other!r}.",
        "config.json 中 {ours} = {got!r}，而 preprocessor_config.json 中 {theirs} = {other!r}。",
    ),
    "do_same_repository": ("Take both files from the same repository.", "请从同一个仓库获取这两个文件。"),
    "msgs_not_json": ("msgs is a text that is not JSON ({error}).", "msgs 是一段文本，但不是 JSON（{error}）。"),
    "do_pass_list": ("Pass a list of messages.", "请传入消息列表。"),
    "msgs_empty": ("msgs is empty.", "msgs 是空的。"),
    "do_pass_list_user": ("Pass a list of messages, the first one the user's.", "请传入消息列表，第一条须是用户的。"),
    "batch_image": ("A batch of conversations got image=.", "一批对话收到了 image=。"),
    "do_image_content": ("Put each image into its message's content.", "请把每张图片放入它所在消息的 content。"),
    "do_message_form": (
        'A message is {{"role": "user" or "assistant", "content": ...}}; see system_prompt= for the rest.',
        '消息的形式是 {{"role": "user" 或 "assistant", "content": ...}}；其余参见 system_prompt=。',
    ),
    "image_type": (
        "An image is of type {type}; a PIL image or a uint8 array (H, W, 3) is needed.",
        "图片的类型是 {type}；需要 PIL 图片或 uint8 数组 (H, W, 3)。",
    ),
    "placeholders_differ": (
        "The prompt has {count} image placeholders {placeholder} for {images} images.",
        "提示中有 {count} 个图片占位符 {placeholder}，对应 {images} 张图片。",
    ),
    "do_one_placeholder": ("Put one placeholder per image into the text.", "请在文本中为每张图片放一个占位符。"),
    "prompt_cut_inside": (
        "The prompt was cut inside an image after {count} tokens.",
        "提示在 {count} 个 token 后被截断于图片之中。",
    ),
    "do_larger_input": (
        "Use a larger max_inp_length, fewer images or fewer slices per image.",
        "请使用更大的 max_inp_length、更少的图片，或减少每张图片的切片数。",
    ),
    "prompts_differ": (
        "There are images for {images} conversations, but {prompts} prompts.",
        "有 {images} 个对话的图片，但有 {prompts} 个提示。",
    ),
    "template_not_taken": (
        "chat_template= is not taken; the model's own template is used.",
        "不接受 chat_template=；使用模型自己的模板。",
    ),
    "system_not_taken": (
        "The conversation has a system prompt, which this model does not take.",
        "对话中有系统提示，但此模型不接受。",
    ),
    "do_leave_out": ("Leave it out.", "请去掉。"),
    "images_one": (
        "The conversation has {images} images; this model takes one.",
        "对话中有 {images} 张图片；此模型只接受一张。",
    ),
    "do_leave_others": ("Leave out the others.", "请去掉其余的。"),
    "image_needed": (
        "The conversation has no image; this model answers only about one.",
        "对话中没有图片；此模型只回答关于图片的问题。",
    ),
    "do_add_image": ("Add an image.", "请添加一张图片。"),
    "tag_repeated": (
        "The text has {count} times {tag} for one image.",
        "文本中 {tag} 出现了 {count} 次，但只有一张图片。",
    ),
    "do_write_once": ("Write it once, or not at all.", "请只写一次，或不写。"),
    "history_roles": (
        "history has the roles {roles}; allowed are user and assistant in turn, ending with assistant.",
        "history 中的角色是 {roles}；允许 user 和 assistant 交替出现，以 assistant 结束。",
    ),
    "do_system_param": ("Put a system prompt into params.system_prompt.", "请把系统提示放入 params.system_prompt。"),
    "not_uploaded": ("A file was not uploaded.", "有文件未上传。"),
    "do_handle_file": (
        "Pass files through handle_file of gradio_client.",
        "请用 gradio_client 的 handle_file 传入文件。",
    ),
    "history_content": (
        "history: content is neither a text nor a list of text and files.",
        "history：content 既不是文本，也不是由文本和文件组成的列表。",
    ),
    "history_file": (
        "history: an assistant's content has a file; allowed is text.",
        "history：assistant 的 content 中有文件；只允许文本。",
    ),
    "options_not_taken": (
        "{name} takes no {unknown}; its options are {known}.",
        "{name} 不接受 {unknown}；它的选项是 {known}。",
    ),
    "do_question_image": (
        'The conversation itself is in "question" and "image".',
        '对话本身放在 "question" 和 "image" 中。',
    ),
    "sampling_type": (
        "sampling: got {sampling!r}, allowed is True or False.",
        "sampling：收到 {sampling!r}，允许的是 True 或 False。",
    ),
    "file_unread_why": ("The file cannot be read: {strerror}.", "无法读取此文件：{strerror}。"),
    "role_wrong": ("Message {number} has the role {role!r}.", "第 {number} 条消息的角色是 {role!r}。"),
    "role_wrong_empty": (
        "Message {number} has the role {role!r} and no content.",
        "第 {number} 条消息的角色是 {role!r}，且没有内容。",
    ),
    "do_chat_form": (
        'Pass json.dumps([{{"role": "user", "content": "..."}}]), or as content a list of '
        '{{"type": "text", "pairs": "..."}} and {{"type": "image", "pairs": base64}}.',
        '请传入 json.dumps([{{"role": "user", "content": "..."}}])，或让 content 为 '
        '{{"type": "text", "pairs": "..."}} 和 {{"type": "image", "pairs": base64}} 的列表。',
    ),
    "has_keys": ("the keys {keys}", "键 {keys}"),
    "a_type": ("a {type}", " {type}"),
    "has_role": ("has the role {role!r}", "的角色是 {role!r}"),
    "is_type": ("is a {type}", "是 {type}"),
    "part_no_text": ("of the type {kind!r} without a text", "的类型是 {kind!r} 而没有文本"),
    "part_type": ("of the type {kind!r}", "的类型是 {kind!r}"),
    "at_character": (" at character {number}", "，位于第 {number} 个字符"),
    "image_of_message": ("The image of message {number}", "第 {number} 条消息的图片"),
}
