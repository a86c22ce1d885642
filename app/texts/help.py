"""What `--help` says: of each flag, of each command, and the words of the parser itself."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "help.video-reader": ("library that decodes videos", "解码视频的库"),
    "help.compile": (
        "start a minute later and answer faster (CUDA, or a CPU with g++)",
        "启动晚一分钟左右，回答更快（CUDA，或带 g++ 的 CPU）",
    ),
    "help.source": ("hub to fetch the model from", "从哪个模型库获取模型"),
    "help.cache-size": (
        "memory on the device for keys, values and image features that are kept between answers, so that the next one "
        "starts at once, and for those of a batch, which takes a whole context at least; 0 keeps nothing",
        "设备上用于保留键值和图像特征的内存，使下一个回答立即开始，也用于批处理自身的键值和图像特征（至少一个完整上下文）；"
        "0 表示不保留",
    ),
    "help.vision-table": (
        "memory on the device, beside --cache-size, for the image features that the prompts of a batch are read with: "
        "where they take more, the next picture waits; auto takes a sixteenth of --cache-size",
        "设备上（在 --cache-size 之外）用于批处理正在读取的图像特征的内存：超出时下一张图片等待；"
        "auto 取 --cache-size 的十六分之一",
    ),
    "help.engine": (
        "whether many are answered at once (batched) or one after another (plain); with --backend openai what the "
        "servers are (auto asks them)",
        "同时回答多人（batched）或逐个回答（plain）；与 --backend openai 一起时表示服务器的种类（auto 会询问它们）",
    ),
    "help.cpu-offload": ("put what does not fit on the GPUs into main memory", "把 GPU 放不下的部分放入主内存"),
    "help.max-memory": (
        "memory for weights by GPU, where it shall not be measured",
        "各 GPU 用于权重的内存；不给出则自行测量",
    ),
    "help.multi-gpus": ("spread the model over all GPUs", "把模型分布到所有 GPU"),
    "help.api-key-env": (
        "environment variable that holds the API key: sent to another engine, asked for by --api",
        "存放 API 密钥的环境变量：发送给其他引擎，或由 --api 要求",
    ),
    "help.served-model": (
        "model to ask the servers for; what they serve if they serve one",
        "向服务器请求的模型；若只有一个则用它",
    ),
    "help.base-url": (
        "server of --backend openai, such as http://127.0.0.1:8000; may be repeated",
        "--backend openai 的服务器，例如 http://127.0.0.1:8000；可重复给出",
    ),
    "help.backend": ("what answers; only local needs weights", "由什么回答；只有 local 需要权重"),
    "help.adapter": (
        "folder of fine-tuned weights (LoRA) for the model; may be repeated",
        "模型的微调权重（LoRA）文件夹；可重复给出",
    ),
    "help.dtype": ("precision of the weights", "权重的精度"),
    "help.device": ("where the model runs", "模型在哪里运行"),
    "help.model": ("folder of a checkpoint, or its name on the hub", "权重文件夹，或模型库中的名称"),
    "help.max-file-size": ("largest upload, such as 200mb or 1gb", "上传文件的最大大小，例如 200mb 或 1gb"),
    "help.feedback": (
        "show like and dislike; append them with question and answer to this file (JSON lines)",
        "显示喜欢与不喜欢；连同问题和回答追加到此文件（JSON lines）",
    ),
    "help.allow-url-hosts": (
        "hosts from which --api may read images and videos; else it takes data URLs alone",
        "--api 可以从哪些主机读取图片和视频；否则只接受 data URL",
    ),
    "help.api-only": ("serve the OpenAI protocol under /v1 without a page", "只在 /v1 提供 OpenAI 协议，没有页面"),
    "help.api": ("serve the OpenAI protocol under /v1 beside the page", "除页面外，还在 /v1 提供 OpenAI 协议"),
    "help.root-path": ("path or URL under which a proxy serves the page", "代理提供页面的路径或网址"),
    "help.auth": (
        "ask for this login; {auth_variable} keeps it out of the process list",
        "要求以此登录；用 {auth_variable} 可避免出现在进程列表中",
    ),
    "help.share": ("open a public gradio.live link", "打开公开的 gradio.live 链接"),
    "help.port": ("port to listen on", "监听的端口"),
    "help.host": ("address to listen on; 0.0.0.0 is every interface", "监听的地址；0.0.0.0 表示所有接口"),
    "help.video": ("a video; likewise", "一个视频；同上"),
    "help.image": (
        "a picture; may be repeated, and [image 2] in the question puts the second there",
        "一张图片；可重复给出，问题中的 [image 2] 表示第二张的位置",
    ),
    "help.use-adapter": (
        "which adapter answers, or {base} for none; else the first one given",
        "由哪个适配器回答，{base} 表示不用；否则用给出的第一个",
    ),
    "help.question": ("what to ask; - reads it from stdin", "要问的问题；- 表示从标准输入读取"),
    "help.address": ("Ray cluster to deploy into; one is started otherwise", "要部署到的 Ray 集群；否则启动一个"),
    "help.routing": (
        "whether each turn of a conversation goes to the copy that has its cache",
        "对话的每一轮是否都交给持有其缓存的副本",
    ),
    "help.drain-timeout": (
        "how long answers may go on when their copy is replaced or ended",
        "副本被替换或结束时，回答最多还能持续多久",
    ),
    "help.ingress-replicas": ("processes that take requests and hand them on", "接收并转交请求的进程数"),
    "help.cpus-per-replica": ("CPU cores of each copy, which are its threads", "每个副本的 CPU 核数，即它的线程数"),
    "help.gpus-per-replica": (
        "GPUs of each copy: 0.5 is half of one (1; with --device cpu 0)",
        "每个副本的 GPU 数：0.5 表示半个（默认 1；与 --device cpu 一起为 0）",
    ),
    "help.max-queued-requests": ("requests that may wait; more get 429", "最多等待的请求数；更多的得到 429"),
    "help.max-ongoing-requests": ("requests a copy takes at once; more wait", "一个副本同时处理的请求数；更多的等待"),
    "help.target-ongoing-requests": (
        "requests per copy, waiting ones counted, that copies are added or ended to come to",
        "每个副本的目标请求数（含等待中的），据此增减副本",
    ),
    "help.max-replicas": ("copies when many ask", "许多人使用时的副本数"),
    "help.min-replicas": (
        "copies when nobody asks; with --max-replicas, instead of --replicas",
        "无人使用时的副本数；与 --max-replicas 一起，代替 --replicas",
    ),
    "help.replicas": (
        "copies of the model (1 unless --min-replicas says otherwise)",
        "模型的副本数（默认 1，除非给出 --min-replicas）",
    ),
    "help.replicas.max-file-size": (
        "largest image or video, such as 200mb or 1gb",
        "图片或视频的最大大小，例如 200mb 或 1gb",
    ),
    "help.replicas.allow-url-hosts": (
        "hosts from which images and videos may be read; else data URLs alone",
        "可以从哪些主机读取图片和视频；否则只接受 data URL",
    ),
    "help.type": (
        "precision of the language model; the tower stays in f16 unless it is f32",
        "语言模型的精度；除非是 f32，视觉塔保持 f16",
    ),
    "help.out": ("folder to write to", "要写入的文件夹"),
    "help.json": ("print the report as JSON", "以 JSON 输出报告"),
    "help.lang": (
        "language of the page and of this command; auto takes the browser's, and here that of LC_ALL or LANG",
        "页面和此命令的语言；auto 跟随浏览器，在这里跟随 LC_ALL 或 LANG",
    ),
    "help.decoding": ("decoding", "解码"),
    "help.replicas_group": ("replicas", "副本"),
    "help.range": ("{help} ({minimum} to {maximum})", "{help}（{minimum} 到 {maximum}）"),
    "about.page": ("Chat with MiniCPM-V in the browser.", "在浏览器中与 MiniCPM-V 对话。"),
    "about.page_decoding": (
        "What the page's controls start with; else the model's own defaults.",
        "页面控件的初始值；否则为模型自己的默认值。",
    ),
    "about.ask": (
        "Ask MiniCPM-V one question; the answer is streamed to stdout.",
        "向 MiniCPM-V 提一个问题；回答会流式写到标准输出。",
    ),
    "about.ask_decoding": ("What is not given is the model's own default.", "未给出的取模型自己的默认值。"),
    "about.replicas": (
        "Serve several copies of the model under one address, behind the OpenAI protocol.",
        "在一个地址下以 OpenAI 协议提供模型的多个副本。",
    ),
    "about.replicas_decoding": (
        "What is taken where a request does not say; else the model's own defaults.",
        "请求未说明时采用的值；否则为模型自己的默认值。",
    ),
    "about.export": (
        "`python -m app.export gguf --model DIR --out DIR`: GGUF files and a Modelfile for llama.cpp and Ollama.",
        "`python -m app.export gguf --model DIR --out DIR`：为 llama.cpp 和 Ollama 生成 GGUF 文件和 Modelfile。",
    ),
    "about.gguf": (
        "Write MODEL as GGUF, its vision tower apart, and a Modelfile.",
        "把 MODEL 写成 GGUF（视觉塔单独一个文件），并写 Modelfile。",
    ),
    "about.doctor": (
        "What is here, what each model needs, what fits, and what is wrong: `python -m app.doctor`.",
        "这里有什么、每个模型需要什么、放得下哪些、有什么问题：`python -m app.doctor`。",
    ),
    "parser.usage": ("usage: ", "用法："),
    "parser.options": ("options", "选项"),
    "parser.positional": ("positional arguments", "位置参数"),
    "parser.help": ("show this help message and exit", "显示此帮助并退出"),
    "parser.default": (" (default: %(default)s)", "（默认：%(default)s）"),
    "parser.unknown": ("unrecognized arguments: {got}.", "无法识别的参数：{got}。"),
    "parser.required": ("the following arguments are required: {names}.", "缺少必需的参数：{names}。"),
    "parser.one_value": ("argument {name}: expected one argument.", "参数 {name}：需要一个值。"),
    "parser.wrong_type": ("argument {name}: invalid {type} value: {got}.", "参数 {name}：{got} 不是有效的 {type}。"),
    "parser.choice": (
        "argument {name}: invalid choice: {got} (choose from {allowed}).",
        "参数 {name}：{got} 无效（可选：{allowed}）。",
    ),
    "parser.no_value": ("argument {name}: ignored explicit argument {got}.", "参数 {name}：不接受值 {got}。"),
}
