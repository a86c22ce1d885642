"""Wrong flags, and what keeps a command from doing its work."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "use_adapter_unknown": (
        "--use-adapter: got {chosen!r}, allowed is {known}.",
        "--use-adapter：收到 {chosen!r}，可用的是 {known}。",
    ),
    "do_give_adapter": ("Give its folder with --adapter.", "请用 --adapter 指定它的文件夹。"),
    "file_flag_wrong": ("--{wanted} {number}: {message}", "--{wanted} {number}：{message}"),
    "file_flag_other": ("--{wanted} {number}: the file is {name}.", "--{wanted} {number}：此文件是{name}。"),
    "stdin_not_utf8": ("The question on stdin is not UTF-8.", "标准输入中的问题不是 UTF-8 编码。"),
    "do_convert_first": ("Convert it first.", "请先转换编码。"),
    "backend_package": (
        "Backend {backend!r} needs the package {name!r}, which is not installed.",
        "后端 {backend!r} 需要软件包 {name!r}，但尚未安装。",
    ),
    "do_install_requirements": (
        "Install it with: pip install -r requirements.txt",
        "请安装：pip install -r requirements.txt",
    ),
    "host_unknown": (
        "--host: got {host!r}, which is no known name or address.",
        "--host：收到 {host!r}，不是已知的名称或地址。",
    ),
    "port_forbidden": ("--port: port {port} is not open to this user.", "--port：此用户不能使用端口 {port}。"),
    "do_high_port": ("Choose one above 1023.", "请选择大于 1023 的端口。"),
    "port_taken": (
        "Port {port} on {host} cannot be used ({strerror}).",
        "无法使用 {host} 上的端口 {port}（{strerror}）。",
    ),
    "do_other_port": (
        "Choose another one with --port, or end the program that has it.",
        "请用 --port 另选一个，或结束占用它的程序。",
    ),
    "feedback_unwritten": (
        "--feedback: the file cannot be written ({strerror}).",
        "--feedback：无法写入此文件（{strerror}）。",
    ),
    "do_other_name": ("Name another one.", "请另选一个。"),
    "flag_message": ("{message}.", "{message}。"),
    "do_see_help": ("See --help.", "参见 --help。"),
    "replicas_package": (
        "Replicas need the package {name!r}, which is not installed.",
        "副本需要软件包 {name!r}，但尚未安装。",
    ),
    "do_install_replicas": (
        "Install it with: pip install -r requirements-replicas.txt",
        "请安装：pip install -r requirements-replicas.txt",
    ),
    "replicas_both": (
        "--replicas does not go with --min-replicas and --max-replicas.",
        "--replicas 不能与 --min-replicas 和 --max-replicas 同用。",
    ),
    "do_one_or_others": ("Give one or the others.", "请只给出其中一种。"),
    "replicas_backend": (
        "--backend: got 'openai', allowed is local or echo: replicas hold a model.",
        "--backend：收到 'openai'，允许的是 local 或 echo：副本要持有模型。",
    ),
    "do_page_in_front": (
        "Put the page in front of another engine instead: python web_demo_2.6.py --backend openai.",
        "请改为把页面放在另一个引擎之前：python web_demo_2.6.py --backend openai。",
    ),
    "replicas_one": (
        "--min-replicas and --max-replicas go together: got one.",
        "--min-replicas 和 --max-replicas 须同时给出：只收到一个。",
    ),
    "do_both_or_replicas": ("Give both, or --replicas.", "请两个都给出，或使用 --replicas。"),
    "flag_value": ("--{flag}: got {got!r}, allowed is {allowed}.", "--{flag}：收到 {got!r}，允许的值：{allowed}。"),
    "queue_full": ("Too many requests wait already.", "等待的请求已经太多。"),
    "do_again_later": ("Try again in a while.", "请稍后再试。"),
    "no_ray": (
        "--address: there is no Ray cluster at {address!r} that takes this.",
        "--address：在 {address!r} 没有接受此请求的 Ray 集群。",
    ),
    "do_start_ray": (
        "Start one with: ray start --head; its token has to be in the same ~/.ray/auth_token.",
        "请启动一个：ray start --head；其令牌须在同一个 ~/.ray/auth_token 中。",
    ),
    "ray_late": ("Ray does not start on this machine: {cause}", "Ray 无法在本机启动：{cause}"),
    "do_ray_late": (
        "It gives up after 30 seconds: try again when the machine is less busy, or look for a full disk or memory.",
        "Ray 会在 30 秒后放弃：请在机器较空闲时重试，或检查磁盘与内存是否已满。",
    ),
    "gpus_few": (
        "The replicas need {least:g} GPUs; this machine has {there:g}.",
        "副本需要 {least:g} 个 GPU；这台机器有 {there:g} 个。",
    ),
    "do_fewer_replicas": (
        "Ask for fewer --replicas or --gpus-per-replica, or run on CPUs with --device cpu.",
        "请减少 --replicas 或 --gpus-per-replica，或用 --device cpu 在 CPU 上运行。",
    ),
    "do_see_above": ("What came before is above.", "之前的信息见上文。"),
    "do_serve_status": (
        "See what runs there with: serve status; what is in the way has to end first.",
        "请用 serve status 查看正在运行的内容；冲突的应用须先结束。",
    ),
    "model_silent": ("The model does not answer: {detail}", "模型没有响应：{detail}"),
    "key_is_name": (
        "--api-key-env: allowed is the name of an environment variable, never the key itself.",
        "--api-key-env：允许的是环境变量的名称，而不是密钥本身。",
    ),
    "key_not_set": (
        "--api-key-env: the variable of this name is not set, or empty.",
        "--api-key-env：此名称的变量没有设置，或为空。",
    ),
    "do_put_key": ("Put the key into it.", "请把密钥放入其中。"),
    "auth_wrong": (
        "--auth: got no user or no password, allowed is USER:PASS.",
        "--auth：缺少用户名或密码，允许的是 USER:PASS。",
    ),
    "max_memory_wrong": (
        "--max-memory: got {text!r}, allowed is a list such as 0=10GiB,1=10GiB,cpu=20GiB.",
        "--max-memory：收到 {text!r}，允许的是 0=10GiB,1=10GiB,cpu=20GiB 这样的列表。",
    ),
    "adapter_twice": ("--adapter: got two of the name {name!r}.", "--adapter：名称 {name!r} 出现了两次。"),
    "do_give_names": ("Give names: --adapter NAME=DIR.", "请指定名称：--adapter NAME=DIR。"),
    "flag_page_only": (
        "--{flag} is for the page; --api-only serves none.",
        "--{flag} 用于页面；--api-only 不提供页面。",
    ),
    "do_ask_key": ("Ask for a key with --api-key-env.", "请用 --api-key-env 要求密钥。"),
    "auth_gap": (
        "--auth asks for a login on the page, but --api would answer without one.",
        "--auth 要求在页面上登录，但 --api 不登录也会响应。",
    ),
    "do_add_key": ("Add --api-key-env NAME.", "请加上 --api-key-env NAME。"),
    "url_hosts_idle": (
        "--allow-url-hosts has no effect without --api or --api-only.",
        "没有 --api 或 --api-only 时，--allow-url-hosts 不起作用。",
    ),
    "key_idle": (
        "--api-key-env has no effect without --api, --api-only or --backend openai: the page asks for no key.",
        "没有 --api、--api-only 或 --backend openai 时，--api-key-env 不起作用：页面不要求密钥。",
    ),
    "do_auth_or_api": (
        "Use --auth USER:PASS for the page, or add --api.",
        "页面请用 --auth USER:PASS，或添加 --api。",
    ),
    "option_unknown_one": ("Unknown option {name}. Known options: {known}.", "未知选项 {name}。已知选项：{known}。"),
    "flag_wrong": ("--{message}", "--{message}"),
    "base_url_wrong": (
        "--base-url: got what is no plain URL of a server, allowed is one such as http://127.0.0.1:8000.",
        "--base-url：收到的不是普通的服务器网址，允许的是 http://127.0.0.1:8000 这样的网址。",
    ),
    "do_key_variable": (
        "A key belongs into the variable that --api-key-env names.",
        "密钥应放入 --api-key-env 所指定的变量。",
    ),
    "engine_backend": (
        "--engine: {engine!r} does not go with --backend {backend}.",
        "--engine：{engine!r} 不能与 --backend {backend} 同用。",
    ),
    "do_use_backend": ("Use --backend {other}.", "请使用 --backend {other}。"),
    "flag_no_effect": (
        "--{flag} has no effect with --backend {backend}.",
        "--{flag} 对 --backend {backend} 不起作用。",
    ),
    "vision_table_plain": (
        "--vision-table has no effect with --engine plain.",
        "--vision-table 对 --engine plain 不起作用。",
    ),
    "do_leave_vision_table": (
        "Leave it out, or use --engine batched.",
        "请不要给出它，或使用 --engine batched。",
    ),
    "vision_table_small": (
        "--vision-table: got {got} bytes; one picture takes {least} with this model.",
        "--vision-table：收到 {got} 字节；此模型的一张图片需要 {least} 字节。",
    ),
    "do_vision_table": (
        "Give so many or more, or auto.",
        "请给出不少于此的大小，或使用 auto。",
    ),
    "do_use_flag": ("Use --{kind} for it.", "请改用 --{kind}。"),
    "do_give_media": ("Give a picture or a video.", "请给出图片或视频。"),
    "allow_model": ("a folder or a hub id", "文件夹或模型名"),
    "allow_port": ("1 to 65535", "1 到 65535"),
    "allow_device": ("auto, cuda, cuda:N, mps or cpu", "auto、cuda、cuda:N、mps 或 cpu"),
    "allow_host": ("a name or an address", "名称或地址"),
    "allow_path": ("/PATH or a URL", "/PATH 或网址"),
    "allow_some": ("more than nothing", "大于零的大小"),
    "allow_urls": ("the URL of each server, with --backend openai", "每个服务器的网址（与 --backend openai 一起）"),
    "allow_once": ("each server once", "每个服务器一次"),
    "allow_cache": ("auto, or a size such as 2gb", "auto，或 2gb 这样的大小"),
    "allow_size": ("a size such as 200mb or 1gb", "200mb 或 1gb 这样的大小"),
    "allow_adapter_name": (
        "any name but {base}; it is given as NAME=DIR",
        "除 {base} 以外的任何名称；以 NAME=DIR 的形式给出",
    ),
    "allow_hosts": (
        "a list of names such as example.org,*.example.org,example.org:8080",
        "example.org,*.example.org,example.org:8080 这样的名称列表",
    ),
    "got_none": ("none", "没有"),
    "got_twice": ("one twice", "重复的一个"),
    "do_give_engine": ("Give it to the engine where that is started.", "请在启动引擎时给它。"),
    "do_use_openai": ("Use it with --backend openai.", "请与 --backend openai 一起使用。"),
    "allow_one": ("1 or more", "1 或更多"),
    "allow_above_0": ("more than 0", "大于 0 的数"),
    "allow_0": ("0 or more", "0 或更多"),
    "allow_gpus": ("whole GPUs, or a part of one", "整个 GPU，或一个 GPU 的一部分"),
    "allow_0_seconds": ("0 or more seconds", "0 或更多秒"),
    "allow_min_replicas": ("--min-replicas ({least}) or more", "--min-replicas（{least}）或更多"),
    "replicas_not_started": ("The replicas do not start.", "副本无法启动。"),
    "replicas_not_started_why": ("The replicas do not start: {words}", "副本无法启动：{words}"),
    "answers_failed": ("The last {count} answers failed.", "最近 {count} 个回答都失败了。"),
    "running_on": ("* Running on local URL:  {url}", "* Running on local URL:  {url}"),
    "running_before": (
        "* Running on URL:  {url} (Serve ran there before: --host and --port have no effect)",
        "* Running on URL:  {url}（Serve 此前已在该处运行：--host 和 --port 不起作用）",
    ),
    "replicas_restart": ("Restarting the replicas one after another.", "正在逐个重启副本。"),
    "replicas_ending": (
        "Ending once the answers being written are complete; again to end now.",
        "正在生成的回答完成后结束；再按一次立即结束。",
    ),
    "stopped": ("Stopped.", "已停止。"),
    "stopped_incomplete": ("Stopped; the files are not complete.", "已停止；文件不完整。"),
    "random_weights": (
        "The weights of this checkpoint are random: the answer is noise.",
        "此权重是随机的：回答没有意义。",
    ),
    "cut_off": ("The answer was cut off after --max-new-tokens {count}.", "回答在 --max-new-tokens {count} 处被截断。"),
    "error_line": ("error: {words}", "错误：{words}"),
    "warn_open_page": (
        "Warning: everyone who reaches this page can use it; ask for a password with --auth USER:PASS or {variable}.",
        "警告：任何能访问此页面的人都可以使用它；请用 --auth USER:PASS 或 {variable} 要求密码。",
    ),
    "warn_open_server": (
        "Warning: everyone who reaches this server can use it; ask for a key with --api-key-env NAME.",
        "警告：任何能访问此服务器的人都可以使用它；请用 --api-key-env NAME 要求密钥。",
    ),
}
