"""What keeps a model from being fetched, on either hub."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "hub_gated": (
        "{model} on {hub} is open only to accounts that were given access.",
        "{hub} 上的 {model} 只对获得授权的账号开放。",
    ),
    "do_ask_modelscope": (
        "Ask for it at {hub}/models/{model}, then set MODELSCOPE_API_TOKEN.",
        "请在 {hub}/models/{model} 申请，然后设置 MODELSCOPE_API_TOKEN。",
    ),
    "hub_unknown": (
        "{model} is neither a folder here nor a repository on {hub}.",
        "{model} 既不是这里的文件夹，也不是 {hub} 上的仓库。",
    ),
    "do_check_spelling": ("Check the spelling.", "请检查拼写。"),
    "hub_away": (
        "{hub} cannot be reached and {model} is not complete in the cache.",
        "无法连接 {hub}，且缓存中的 {model} 不完整。",
    ),
    "do_connect_modelscope": (
        "Check the connection, try --source huggingface, or name a folder with --model.",
        "请检查网络，尝试 --source huggingface，或用 --model 指定文件夹。",
    ),
    "disk_full_modelscope": (
        "The disk is full: {model} does not fit in ModelScope's cache.",
        "磁盘已满：ModelScope 的缓存放不下 {model}。",
    ),
    "do_room_modelscope": (
        "Make room, or set MODELSCOPE_CACHE to a folder on a larger disk.",
        "请腾出空间，或将 MODELSCOPE_CACHE 设为更大磁盘上的文件夹。",
    ),
    "fetch_failed": ("Fetching {model} from {hub} failed ({type}).", "从 {hub} 获取 {model} 失败（{type}）。"),
    "do_start_again": ("Start again; what was fetched is kept.", "请重新启动；已获取的内容会保留。"),
    "do_ask_huggingface": (
        "Ask for it at {hub}/{model}, then run `hf auth login` or set HF_TOKEN.",
        "请在 {hub}/{model} 申请，然后运行 `hf auth login` 或设置 HF_TOKEN。",
    ),
    "do_spelling_login": (
        "Check the spelling; for a private one run `hf auth login` or set HF_TOKEN.",
        "请检查拼写；私有仓库请运行 `hf auth login` 或设置 HF_TOKEN。",
    ),
    "hub_offline": (
        "HF_HUB_OFFLINE is set and {model} is not complete in the cache {cache}.",
        "设置了 HF_HUB_OFFLINE，而缓存 {cache} 中的 {model} 不完整。",
    ),
    "do_unset_offline": (
        "Unset HF_HUB_OFFLINE, or name a folder with --model.",
        "请取消 HF_HUB_OFFLINE，或用 --model 指定文件夹。",
    ),
    "hub_away_cache": (
        "{hub} cannot be reached and {model} is not complete in the cache {cache}.",
        "无法连接 {hub}，且缓存 {cache} 中的 {model} 不完整。",
    ),
    "do_connect_huggingface": (
        "Check the connection, set HF_ENDPOINT to a mirror, try --source modelscope, or name a folder with --model.",
        "请检查网络，将 HF_ENDPOINT 设为镜像，尝试 --source modelscope，或用 --model 指定文件夹。",
    ),
    "hub_no_config": ("{model} on {hub} has no config.json.", "{hub} 上的 {model} 没有 config.json。"),
    "do_check_the_name": ("Check the name.", "请检查名称。"),
    "hub_answered": ("{hub} answered {status} for {model}.", "{hub} 对 {model} 的请求返回 {status}。"),
    "do_later_endpoint": ("Try again later, or another HF_ENDPOINT.", "请稍后再试，或换一个 HF_ENDPOINT。"),
    "disk_full": ("The disk is full: {model} does not fit in {cache}.", "磁盘已满：{cache} 放不下 {model}。"),
    "do_room": (
        "Make room, or set HF_HOME to a folder on a larger disk; what was fetched is kept.",
        "请腾出空间，或将 HF_HOME 设为更大磁盘上的文件夹；已获取的内容会保留。",
    ),
    "not_stored": ("{model} cannot be stored in {cache} ({strerror}).", "无法将 {model} 存入 {cache}（{strerror}）。"),
    "do_set_home": ("Set HF_HOME.", "请设置 HF_HOME。"),
    "fetch_broke_off": ("Fetching {model} from {hub} broke off ({type}).", "从 {hub} 获取 {model} 时中断（{type}）。"),
}
