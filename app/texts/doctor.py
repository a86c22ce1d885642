"""What `python -m app.doctor` reports."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "doctor.versions": ("Versions: {versions}", "版本：{versions}"),
    "doctor.missing": ("missing", "缺少"),
    "doctor.device_line": (
        "{name}: {model}, {free:.1f} of {total:.1f} GiB free, --dtype auto is {dtype}, "
        "--cache-size auto is {cache:.1f} GiB at most",
        "{name}：{model}，可用 {free:.1f} / {total:.1f} GiB，--dtype auto 为 {dtype}，"
        "--cache-size auto 最多为 {cache:.1f} GiB",
    ),
    "doctor.cache_batched": (
        "  of it, with --engine batched: {pages:.2f} keys and values of the batch, {prefixes:.2f} of beam searches, "
        "{features:.2f} image features, {reading:.2f} image features that are being read (--vision-table auto)",
        "  其中使用 --engine batched 时：批次的键值 {pages:.2f}，束搜索的键值 {prefixes:.2f}，"
        "图像特征 {features:.2f}，正在读取的图像特征 {reading:.2f}（--vision-table auto）",
    ),
    "doctor.cache_plain": (
        "  with --engine plain: {prefixes:.2f} keys and values, {features:.2f} image features",
        "  使用 --engine plain 时：键值 {prefixes:.2f}，图像特征 {features:.2f}",
    ),
    "doctor.batches": (
        "{model} on {device}, many at once: {dtypes}; else one after another",
        "{device} 上的 {model}，同时回答多人：{dtypes}；否则逐个回答",
    ),
    "doctor.batches_not": (
        "{model} on {device}: only one after another, for many at once take a whole context",
        "{device} 上的 {model}：只能逐个回答，因为同时回答需要整个上下文的内存",
    ),
    "doctor.head_batched": ("batched", "批处理"),
    "doctor.fits": ("{model} on {device}: {dtypes}", "{device} 上的 {model}：{dtypes}"),
    "doctor.fits_not": ("{model} on {device}: does not fit", "{device} 上的 {model}：放不下"),
    "doctor.fine": ("Nothing is wrong.", "没有问题。"),
    "doctor.cores": ("{count} cores", "{count} 核"),
    "doctor.apple": ("Apple GPU, shares main memory", "Apple GPU，共享主内存"),
    "doctor.head_weights": ("weights", "权重"),
    "doctor.head_kv": ("KV/1000", "KV/1000"),
    "doctor.head_image": ("image", "图片"),
    "doctor.head_frames": ("64 frames", "64 帧"),
    "doctor.head_all": ("in all", "合计"),
    "doctor.not_installed": (
        "{name} is not installed; install it with: pip install -r requirements.txt",
        "尚未安装 {name}；请安装：pip install -r requirements.txt",
    ),
    "doctor.other_version": (
        "{name} is {found}, but this application was made for {wanted}; install it with: pip install {name}=={wanted}",
        "{name} 是 {found}，但此应用基于 {wanted}；请安装：pip install {name}=={wanted}",
    ),
    "doctor.no_cuda": (
        "There is an NVIDIA driver, but this torch has no CUDA; install the CUDA build of torch.",
        "有 NVIDIA 驱动，但此 torch 没有 CUDA；请安装 CUDA 版的 torch。",
    ),
    "doctor.disk": (
        "Only {free:.0f} GiB are free on the disk of your home folder; a model takes 6 to 18.",
        "主文件夹所在磁盘只剩 {free:.0f} GiB；一个模型需要 6 到 18。",
    ),
}
