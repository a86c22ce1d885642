"""What other engines cannot do, or did not."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "echo_failed": ("The echo failed because the message asked for it.", "echo 按消息的要求失败了。"),
    "do_send_otherwise": ("Send one that starts otherwise.", "请换一种开头再发送。"),
    "echo_no_memory": ("The echo ran out of memory because the message asked for it.", "echo 按消息的要求耗尽了内存。"),
    "do_fewer_images": ("Send fewer images.", "请减少图片数量。"),
    "app_closing": ("The application is closing.", "应用正在关闭。"),
    "engine_serves": ("{title} at {url} serves {models}.", "{url} 上的 {title} 提供 {models}。"),
    "do_served_model": ("Name one with --served-model.", "请用 --served-model 指定一个。"),
    "engine_silent": ("The engine at {url} does not answer ({reason}).", "{url} 上的推理服务没有响应（{reason}）。"),
    "do_start_engine": ("Start it, then ask again.", "请启动它，然后重新提问。"),
    "engine_status": (
        "The engine at {url} answered with the status {status}.",
        "{url} 上的推理服务返回了状态 {status}。",
    ),
    "engine_broke_off_words": ("The engine at {url} broke off: {words}", "{url} 上的推理服务中断了：{words}"),
    "engine_broke_off": ("The answer of the engine at {url} broke off.", "{url} 上的推理服务的回答中断了。"),
    "engine_unclear": (
        "The engine at {url} gave what could not be understood ({name}).",
        "{url} 上的推理服务返回了无法理解的内容（{name}）。",
    ),
    "do_name_key": (
        "Name the variable that holds its key with --api-key-env.",
        "请用 --api-key-env 指定存放密钥的环境变量。",
    ),
    "do_wait_little": ("Wait a little, then ask again.", "请稍等片刻，然后重新提问。"),
    "do_name_model": ("Name one of its models with --served-model.", "请用 --served-model 指定它的一个模型。"),
    "do_change_message": (
        "Change the message or its options, then send it again.",
        "请修改消息或其选项，然后重新发送。",
    ),
    "video_frames_over": (
        "The video has {count} frames to look at; the engine takes {limit} of a video.",
        "视频有 {count} 帧要看；该引擎每个视频只接受 {limit} 帧。",
    ),
    "do_fewer_frames": ("Set Max Frames to {limit} or less.", "请将最大帧数设为 {limit} 或更小。"),
    "image_bytes": (
        "The image takes {size:,} bytes; allowed are {limit:,}.",
        "图片占 {size:,} 字节；最多允许 {limit:,} 字节。",
    ),
    "do_smaller_image": ("Attach a smaller copy of it.", "请添加较小的副本。"),
    "request_bytes": (
        "The conversation's images and videos take more than {limit} MB.",
        "对话中的图片和视频超过了 {limit} MB。",
    ),
    "do_fewer_smaller": (
        "Send fewer or smaller ones, delete earlier ones or clear the history.",
        "请减少或缩小它们，删除较早的，或清空历史。",
    ),
    "engine_no_beams": ("Beam search was asked; {title} has none.", "要求使用束搜索；{title} 不支持。"),
    "do_choose_sampling": ("Choose Sampling as Decode Type.", "请将解码方式设为“采样”。"),
    "engine_no_logprobs": (
        "logprobs was asked; {title} does not tell probabilities.",
        "要求了 logprobs；{title} 不提供概率。",
    ),
    "engine_no_option": (
        "{name} is {value!r}; {title} {how} no {name} with a request.",
        "{name} 为 {value!r}；{title} {how} {name}。",
    ),
    "too_slow": ("it took too long", "用时过长"),
    "connection_closed": ("it closed the connection", "它关闭了连接"),
    "connection_refused": ("connection refused", "连接被拒绝"),
    "name_unknown": ("name or service not known", "名称或服务未知"),
    "certificate": ("certificate", "证书有问题"),
    "no_connection": ("no connection", "没有连接"),
    "engine_says": ("The engine at {url} says: {words}", "{url} 上的推理服务说：{words}"),
    "do_ask_again": ("Press Regenerate to ask again.", "请点击“重新生成”再问一次。"),
    "do_see_log": (
        "See the engine's own log; press Regenerate to ask again.",
        "请查看推理服务自己的日志；点击“重新生成”再问一次。",
    ),
    "do_less_context": (
        "Use fewer images or frames, a shorter text or a smaller Max New Tokens, or give the engine more context.",
        "请减少图片或帧数，缩短文本，调小最大新 token 数，或给推理服务更大的上下文。",
    ),
    "no_engine": ("No engine answers.", "没有推理服务响应。"),
    "serves_none": ("no model that it tells", "没有说明任何模型"),
    "names_and_more": ("{names} and more", "{names} 等"),
    "other_engine": ("an engine of another kind", "另一种推理服务"),
    "do_slices_server": (
        "Set the slices for the whole server where it is started, if the engine can.",
        "如果引擎支持，请在启动时为整个服务器设置切片数。",
    ),
    "do_slices_vllm": (
        "Start the server with --mm-processor-kwargs '{{\"max_slice_nums\": N}}': it holds for all its requests.",
        "请用 --mm-processor-kwargs '{{\"max_slice_nums\": N}}' 启动服务器：它对所有请求生效。",
    ),
    "do_leave_neutral": (
        "Leave it at {neutral!r}, which leaves it to the server.",
        "请保持 {neutral!r}，由服务器决定。",
    ),
    "takes": ("takes", "不接受请求中的"),
    "beams_take": ("beam search takes", "的束搜索不接受请求中的"),
}
