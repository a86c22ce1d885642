"""Models, adapters and devices that cannot be used, and answers that failed."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "model_load_failed": ("The model could not be loaded ({type}).", "模型加载失败（{type}）。"),
    "do_see_terminal": ("See the terminal.", "详情见终端。"),
    "model_not_loaded": ("The model is not loaded.", "模型尚未加载。"),
    "adapter_option": ("adapter: got {name!r}, allowed is {known}.", "adapter：收到 {name!r}，可用的是 {known}。"),
    "adapter_replaces": (
        "Adapter {name!r} replaces {key}, which {state} in this model.",
        "适配器 {name!r} 要替换 {key}，但它在此模型中{state}。",
    ),
    "do_load_plain": (
        "Load the model without --cpu-offload, in bf16, or quantise it while it loads (--dtype int4).",
        "请在加载模型时不用 --cpu-offload 并使用 bf16，或在加载时量化（--dtype int4）。",
    ),
    "adapter_not_put": (
        "Adapter {name!r} cannot be put into this model ({error}).",
        "适配器 {name!r} 无法装入此模型（{error}）。",
    ),
    "adapter_shapes": (
        "Adapter {name!r} does not fit this model: {shapes}.",
        "适配器 {name!r} 与此模型不符：{shapes}。",
    ),
    "adapter_unfit": (
        "Adapter {name!r} does not fit this model: {why}.",
        "适配器 {name!r} 与此模型不符：{why}。",
    ),
    "answer_cancelled": ("The answer was cancelled.", "回答已取消。"),
    "engine_ended": ("The engine has ended.", "推理引擎已结束。"),
    "do_restart_server": ("Start the server again.", "请重新启动服务器。"),
    "model_failed": ("The model failed while it answered.", "模型在回答时出错。"),
    "do_regenerate": ("Regenerate.", "请重新生成。"),
    "engine_not_batched": ("--engine batched: {obstacle}.", "--engine batched：{obstacle}。"),
    "do_engine_plain": ("Use --engine plain.", "请使用 --engine plain。"),
    "device_unknown": (
        "Device {name!r} was asked; allowed is auto, cuda, cuda:N, mps or cpu.",
        "要求的设备是 {name!r}；允许的是 auto、cuda、cuda:N、mps 或 cpu。",
    ),
    "device_missing": ("Device {name} was asked; here is {devices}.", "要求的设备是 {name}；这里有 {devices}。"),
    "dtype_unknown": ("Dtype {name!r} was asked; allowed is {known}.", "要求的精度是 {name!r}；允许的是 {known}。"),
    "not_on_mps": (
        "{got}, which cannot run on mps; fp16 and fp32 work there.",
        "{got}，无法在 mps 上运行；那里可用 fp16 和 fp32。",
    ),
    "do_full_fp16": ("Use the full checkpoint with --dtype fp16.", "请使用完整权重和 --dtype fp16。"),
    "config_not_json": (
        "The config.json of {model} is not JSON ({cause}).",
        "{model} 的 config.json 不是 JSON（{cause}）。",
    ),
    "do_fetch_again": ("Fetch the model again.", "请重新获取模型。"),
    "config_no_object": (
        "The config.json of {model} is a JSON {type}, not an object.",
        "{model} 的 config.json 是 JSON {type}，不是对象。",
    ),
    "folder_no_config": ("The folder {model} holds no config.json.", "文件夹 {model} 中没有 config.json。"),
    "do_name_folder": ("Name the folder that has the model's config.json.", "请指定含有模型 config.json 的文件夹。"),
    "model_not_found": (
        "{model} {got}; allowed is a folder or a hub id such as openbmb/MiniCPM-V-2_6.",
        "{model} {got}；允许的是文件夹，或 openbmb/MiniCPM-V-2_6 这样的模型名。",
    ),
    "do_check_model": ("Check --model.", "请检查 --model。"),
    "source_unknown": (
        "--source: got {source!r}, allowed is huggingface or modelscope.",
        "--source：收到 {source!r}，允许的是 huggingface 或 modelscope。",
    ),
    "do_go_online": (
        "Go online and start again, or name a complete folder with --model.",
        "请联网后重新启动，或用 --model 指定完整的文件夹。",
    ),
    "out_of_memory": ("The device ran out of memory.", "设备内存不足。"),
    "do_use_less": (
        "Use fewer images or frames, fewer slices per image, or a shorter conversation; then regenerate.",
        "请减少图片、帧数或每张图片的切片数，或缩短对话，然后重新生成。",
    ),
    "model_failed_type": ("The model failed while it answered ({type}).", "模型在回答时出错（{type}）。"),
    "do_regenerate_or_new": ("Regenerate, or start a new conversation.", "请重新生成，或开始新对话。"),
    "gpu_too_small": ("The model does not fit into the GPU's memory.", "GPU 内存放不下此模型。"),
    "do_smaller_model": (
        "Try --dtype int4, --multi-gpus or a smaller model.",
        "请尝试 --dtype int4、--multi-gpus 或更小的模型。",
    ),
    "memory_too_small": (
        "The weights need {needed:.1f} GiB of main memory; {free:.1f} GiB are free.",
        "权重需要 {needed:.1f} GiB 主内存；可用 {free:.1f} GiB。",
    ),
    "do_smaller_weights": (
        "Close other programs, or use --dtype int4, --dtype bf16 or a smaller model.",
        "请关闭其他程序，或使用 --dtype int4、--dtype bf16 或更小的模型。",
    ),
    "note_bf16_for_memory": (
        "In fp32 the weights need {needed:.1f} GiB and {free:.1f} GiB are free; bf16 is used, which is slower here.",
        "以 fp32 计权重需要 {needed:.1f} GiB，可用 {free:.1f} GiB；改用 bf16，在此机器上较慢。",
    ),
    "package_missing": ("A package is missing: {name}.", "缺少软件包：{name}。"),
    "do_pip_requirements": ("pip install -r requirements.txt", "pip install -r requirements.txt"),
    "files_not_loaded": (
        "The model's files cannot be loaded ({type}: {error}).",
        "无法加载模型文件（{type}：{error}）。",
    ),
    "do_check_download": (
        "Check that the download is complete and that the model is one of the family.",
        "请检查下载是否完整，以及模型是否属于此系列。",
    ),
    "modelscope_missing": (
        "--source modelscope needs the package modelscope-hub, which is not installed.",
        "--source modelscope 需要软件包 modelscope-hub，但尚未安装。",
    ),
    "do_install_modelscope": ("Install it with: pip install modelscope-hub", "请安装：pip install modelscope-hub"),
    "quantization_unknown": (
        "The weights are quantised by {method}, which is not run here; bitsandbytes int4 is.",
        "权重由 {method} 量化，此处不支持；支持 bitsandbytes int4。",
    ),
    "do_full_or_engine": (
        "Name the full model, with --dtype int4 if need be, or serve this one by vLLM and use --backend openai.",
        "请指定完整模型（需要时加 --dtype int4），或用 vLLM 提供此模型并使用 --backend openai。",
    ),
    "no_memory_for_first": (
        "--max-memory says nothing of GPU {number}, which takes the first part of the model.",
        "--max-memory 未说明 GPU {number}，而模型的第一部分在其上。",
    ),
    "do_name_first": ("Add {number}=SIZE, or choose another --device.", "请添加 {number}=SIZE，或选择其他 --device。"),
    "note_not_offloaded": (
        "--cpu-offload is not used: in {kind} the weights stay on GPUs.",
        "未使用 --cpu-offload：{kind} 权重只能在 GPU 上。",
    ),
    "no_room_for_batches": (
        "Beside the weights there is no room for a cache of one whole context.",
        "除权重外，内存放不下一整个上下文的缓存。",
    ),
    "do_engine_plain_memory": (
        "Use --engine plain, whose cache grows with the conversation, or --dtype int4.",
        "请使用 --engine plain（其缓存随对话增长），或 --dtype int4。",
    ),
    "note_plain_for_memory": (
        "There is no room for many answers at once: they are written one after another (--engine plain).",
        "内存不足以同时回答多个请求：将逐个回答（--engine plain）。",
    ),
    "note_vision_table_plain": (
        "--vision-table has no effect: this model's answers are written one after another (--engine plain).",
        "--vision-table 不起作用：此模型的回答逐个生成（--engine plain）。",
    ),
    "uncompiled_int8": (
        "int8 decides on the host which numbers are outliers, which cannot be recorded",
        "int8 需在主机端判断离群值，无法录制",
    ),
    "weights_too_large": (
        "The weights need {needed:.2f} GiB, {pinned:.2f} GiB of it on the first device; for weights there is: {have}.",
        "权重需要 {needed:.2f} GiB，其中 {pinned:.2f} GiB 须在第一个设备上；可用于权重的有：{have}。",
    ),
    "do_spread": (
        "Use --dtype int4, more GPUs, a larger --max-memory, or --cpu-offload to put the rest into main memory.",
        "请使用 --dtype int4、更多 GPU、更大的 --max-memory，或用 --cpu-offload 把其余部分放入主内存。",
    ),
    "adapter_file_missing": ("{folder}: {names} is missing.", "{folder}：缺少 {names}。"),
    "do_copy_adapter": ("Copy the whole folder of the adapter.", "请复制适配器的整个文件夹。"),
    "adapter_no_folder": (
        "--adapter: got {folder!r}, allowed is the folder of an adapter; there is none.",
        "--adapter：收到 {folder!r}，允许的是适配器的文件夹；但没有这个文件夹。",
    ),
    "adapter_no_config": (
        "{folder}: {file} is missing, so this is no adapter in PEFT's format.",
        "{folder}：缺少 {file}，因此不是 PEFT 格式的适配器。",
    ),
    "do_training_folder": (
        "Give the folder that the training wrote it into; a full model is loaded with --model.",
        "请指定训练时写入的文件夹；完整模型用 --model 加载。",
    ),
    "adapter_config_unread": ("{folder}: {file} cannot be read ({type}).", "{folder}：无法读取 {file}（{type}）。"),
    "adapter_config_empty": ("{folder}: {file} holds no fields.", "{folder}：{file} 中没有字段。"),
    "adapter_kind": (
        "{folder}: got an adapter of type {kind}, allowed is LORA.",
        "{folder}：适配器类型为 {kind}，允许的是 LORA。",
    ),
    "do_merge": (
        "Merge it into the model with the program that trained it (PEFT: merge_and_unload).",
        "请用训练它的程序将其合并到模型中（PEFT：merge_and_unload）。",
    ),
    "adapter_init": (
        "{folder}: init_lora_weights is {start!r}: it fits a changed model, not the model itself.",
        "{folder}：init_lora_weights 为 {start!r}：它适用于改动过的模型，而不是模型本身。",
    ),
    "do_convert_lora": (
        "Convert it to a plain LoRA with PEFT (path_initial_model_for_weight_conversion).",
        "请用 PEFT 转换为普通 LoRA（path_initial_model_for_weight_conversion）。",
    ),
    "adapter_bias": (
        "{folder}: bias is {bias!r}, allowed is 'none': biases would change the model for everyone.",
        "{folder}：bias 为 {bias!r}，允许的是 'none'：偏置会改变所有人使用的模型。",
    ),
    "do_train_nobias": (
        "Train it with bias='none', or merge it into the model with PEFT (merge_and_unload).",
        "请用 bias='none' 训练，或用 PEFT 将其合并到模型中（merge_and_unload）。",
    ),
    "adapter_features": (
        "{folder}: it uses {odd}; allowed is LoRA with {allowed}.",
        "{folder}：它使用了 {odd}；允许的是含有 {allowed} 的 LoRA。",
    ),
    "adapter_weights_unread": ("{path}: the weights cannot be read ({type}).", "{path}：无法读取权重（{type}）。"),
    "do_check_copy": ("Check that the copy is complete.", "请检查副本是否完整。"),
    "adapter_saved_missing": (
        "{folder}: modules_to_save names {names}, but their weights are not there.",
        "{folder}：modules_to_save 列出了 {names}，但没有它们的权重。",
    ),
    "do_save_adapter": (
        "Save the adapter again with PEFT's save_pretrained.",
        "请用 PEFT 的 save_pretrained 重新保存适配器。",
    ),
    "adapter_empty": ("{folder}: the weights hold nothing.", "{folder}：权重是空的。"),
    "member_unsupported": (
        "{name} is not supported yet; use an external engine. Known here: {known}.",
        "尚不支持 {name}；请使用外部引擎。这里支持：{known}。",
    ),
    "do_other_engines": (
        "Engines that run it are vLLM, SGLang, llama.cpp and Ollama.",
        "可运行它的引擎有 vLLM、SGLang、llama.cpp 和 Ollama。",
    ),
    "member_unknown": (
        "The checkpoint's config.json (model_type {type!r}, version {version!r}) is of no model known here."
        " Known: {known}.",
        "此权重的 config.json（model_type {type!r}，version {version!r}）不属于任何已知模型。已知的有：{known}。",
    ),
    "do_check_name": (
        "Check the model's name; update this application if the model is newer than it.",
        "请检查模型名称；如果模型比此应用新，请更新应用。",
    ),
    "weights_unfit": ("The weights do not fit the model: {parts}.", "权重与模型不符：{parts}。"),
    "do_check_complete": (
        "Check that config.json and the weight files come from the same repository and are complete.",
        "请检查 config.json 和权重文件是否来自同一仓库且完整。",
    ),
    "features_differ": (
        "The prompt has {places} image positions, but there are {features} image features.",
        "提示中有 {places} 个图片位置，但有 {features} 个图片特征。",
    ),
    "token_differs": (
        "config.json says {field} = {got!r}, but the tokenizer has {token} as {ids}.",
        "config.json 中 {field} = {got!r}，但分词器中 {token} 是 {ids}。",
    ),
    "tokenizer_other": (
        "The tokenizer is a {type} (tokenizer_class in tokenizer_config.json); its tokens differ from those of this "
        "model.",
        "分词器是 {type}（tokenizer_config.json 中的 tokenizer_class）；它的 token 与此模型不同。",
    ),
    "do_take_tokenizer": (
        "Take tokenizer_config.json and tokenizer.model from the published repository.",
        "请从发布的仓库获取 tokenizer_config.json 和 tokenizer.model。",
    ),
    "file_not_tensors": (
        "{name} is broken or holds more than tensors ({type}); it is not loaded.",
        "{name} 已损坏，或含有张量以外的内容（{type}）；未加载。",
    ),
    "do_take_safetensors": (
        "Take the file from the published repository, or weights as safetensors.",
        "请从发布的仓库获取此文件，或使用 safetensors 格式的权重。",
    ),
    "queries_differ": (
        "config.json says {query_field} = {stated}, but the weights have {count} queries ({resampler}.query).",
        "config.json 中 {query_field} = {stated}，但权重有 {count} 个查询（{resampler}.query）。",
    ),
    "do_set_queries": (
        "Set {query_field} to the number of the weights, or take both from the same repository.",
        "请将 {query_field} 设为权重中的数目，或从同一仓库获取两者。",
    ),
    "tower_width": (
        "The vision tower is {width} wide ({weight}); its number of heads is known only for {known}.",
        "视觉塔宽度为 {width}（{weight}）；只有以下宽度的注意力头数是已知的：{known}。",
    ),
    "do_vision_config": (
        "Give hidden_size, num_hidden_layers, num_attention_heads and intermediate_size as vision_config in "
        "config.json.",
        "请在 config.json 的 vision_config 中给出 "
        "hidden_size、num_hidden_layers、num_attention_heads 和 intermediate_size。",
    ),
    "config_field": ("config.json says {name} = {got!r}, but {why}.", "config.json 中 {name} = {got!r}，但{why}。"),
    "do_check_checkpoint": (
        "Check that the checkpoint is one of the model its config.json names.",
        "请检查此权重是否属于其 config.json 所说的模型。",
    ),
    "queue_longest": (
        "{count} requests wait already, which is the most allowed.",
        "已有 {count} 个请求在等待，这是允许的上限。",
    ),
    "queue_own_most": (
        "{count} of your requests wait already, which is the most allowed for one user.",
        "您已有 {count} 个请求在等待，这是单个用户允许的上限。",
    ),
    "do_again_seconds": ("Try again in about {seconds} s.", "请约 {seconds} 秒后再试。"),
    "this_gpu": ("this GPU", "此 GPU"),
    "this_mps": ("the mps device", "mps 设备"),
    "this_cpu": ("this processor", "此处理器"),
    "checkpoint_int4": ("This checkpoint is int4", "此权重是 int4"),
    "dtype_asked": ("{name} was asked", "要求的是 {name}"),
    "note_no_bf16": (
        "bf16 was asked, but {device} lacks it in hardware; {best} is used.",
        "要求的是 bf16，但{device}的硬件不支持；改用 {best}。",
    ),
    "note_int4_stays": (
        "int8 was asked, but this checkpoint is int4 already; it stays int4.",
        "要求的是 int8，但此权重已是 int4；保持 int4。",
    ),
    "do_auto_nvidia": (
        "Use --device auto; a machine with an NVIDIA GPU needs its driver and a CUDA build of PyTorch.",
        "请使用 --device auto；有 NVIDIA GPU 的机器需要驱动和 CUDA 版的 PyTorch。",
    ),
    "do_auto_device": ("Use one of these or --device auto.", "请使用其中之一，或 --device auto。"),
    "unbatched_positions": (
        "{name} counts positions or sums up the past in a way that the scheduler does not know",
        "{name} 计算位置或汇总历史的方式是调度器不了解的",
    ),
    "unbatched_adapters": (
        "adapters are switched from answer to answer, and a batch has one set of weights",
        "适配器会随回答切换，而一个批次只有一套权重",
    ),
    "unbatched_mps": ("it is slow on this device with this version of torch", "在此设备和此版本的 torch 上很慢"),
    "unbatched_lent": ("the GPU is lent for one answer at a time", "GPU 每次只借给一个回答"),
    "lent_quantized": (
        "{kind} weights need a GPU while they load, and here one is lent for answers alone.",
        "{kind} 权重在加载时需要 GPU，而此处的 GPU 仅在回答时借出。",
    ),
    "do_name_full": ("Name the full checkpoint, which fits.", "请使用完整权重，显存足够。"),
    "gpu_not_lent": ("The GPU was not lent: {why}.", "未能借到 GPU：{why}。"),
    "do_ask_less": ("A smaller Max New Tokens asks for less time.", "减小“最大新 token 数”可缩短申请的时间。"),
    "unbatched_spread": ("the model is spread over several devices", "模型分布在多个设备上"),
    "lies_in_memory": ("lies in main memory", "位于主内存中"),
    "is_quantised": ("is quantised", "已被量化"),
    "shape_differs": ("{name} is {got}, allowed is {allowed}", "{name} 是 {got}，允许的是 {allowed}"),
    "do_load_base": ("Load the model that it was made for.", "请加载它所对应的模型。"),
    "do_load_base_named": (
        "Load the model that it was made for (it says {base}).",
        "请加载它所对应的模型（它说是 {base}）。",
    ),
    "unfit_no_place": ("the model has no place for {names}", "模型中没有 {names} 的位置"),
    "unfit_none": ("the model has no {names}", "模型中没有 {names}"),
    "unfit_lacks": ("it lacks weights for {names}", "它缺少 {names} 的权重"),
    "names_more": ("{names} and {count} more", "{names} 等另外 {count} 个"),
    "is_a_file": ("is a file", "是一个文件"),
    "is_not_there": ("does not exist", "不存在"),
    "the_weights": ("the weights", "权重"),
    "incomplete": ("{model} is not complete: {name} is missing.", "{model} 不完整：缺少 {name}。"),
    "incomplete_more": (
        "{model} is not complete: {name} and more are missing.",
        "{model} 不完整：缺少 {name} 等文件。",
    ),
    "only_tower": ("{tower} is known", "只支持 {tower}"),
    "images_between": ("images stand between two tokens", "图片须位于两个 token 之间"),
    "queries_square": ("the queries form a square", "查询的数目须是平方数"),
    "keys_missing": ("{count} missing ({names})", "缺少 {count} 个（{names}）"),
    "keys_unexpected": ("{count} unexpected ({names})", "多出 {count} 个（{names}）"),
    "keys_shape": ("{count} of another shape ({names})", "{count} 个形状不同（{names}）"),
    "bytes_of": ("{done:.3g} of {total:.3g} {unit}", "{done:.3g} / {total:.3g} {unit}"),
    "loading_compiling": (
        "It is being compiled, which takes a minute or more (--compile); then it answers faster.",
        "正在编译（--compile），需要一分钟或更久，之后回答会更快。",
    ),
    "not_compiled": ("--compile: {reason}.", "--compile：{reason}。"),
    "do_not_compile": ("Start without --compile.", "启动时请不要使用 --compile。"),
    "uncompiled_mps": ("it is for CUDA devices and processors, not for mps", "适用于 CUDA 设备和处理器，不适用于 mps"),
    "uncompiled_adapters": ("adapters change the layers from answer to answer", "适配器会随回答改变各层"),
    "uncompiled_plain": (
        "on a GPU it records the steps of the batched engine, and {obstacle}",
        "在 GPU 上它录制 batched 引擎的步骤，而{obstacle}",
    ),
    "plain_was_asked": ("--engine plain was asked", "要求了 --engine plain"),
    "no_compiler": (
        "there is no C++ compiler (g++ or clang++) on this machine, which it needs on a processor",
        "此机器上没有 C++ 编译器（g++ 或 clang++），在处理器上编译需要它",
    ),
    "do_install_compiler": (
        "Install one, or start without --compile.",
        "请安装一个，或启动时不要使用 --compile。",
    ),
    "compiler_failed": ("the compiler failed ({type})", "编译器失败（{type}）"),
    "do_install_headers": (
        "Install g++ and the headers of Python (python3-dev), or start without --compile.",
        "请安装 g++ 和 Python 头文件（python3-dev），或启动时不要使用 --compile。",
    ),
    "loading_weights": ("weights", "权重"),
    "loading_on": ("{dtype} on {device}", "{device} 上的 {dtype}"),
    "loading_model": ("{name}, {how}", "{name}，{how}"),
    "model_not_loadable": ("The model cannot be loaded.", "无法加载模型。"),
}
