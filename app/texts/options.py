"""The decoding options: what their controls are called, and one sentence for the controls and for `--help`."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    "option.do_sample": ("Decode Type", "解码方式"),
    "option.do_sample.help": (
        "Sample from the distribution; off means beam search.",
        "从概率分布中采样；否则使用束搜索。",
    ),
    "option.num_beams": ("Num Beams", "束数"),
    "option.num_beams.help": ("Beams of the search; 1 is greedy.", "束搜索的宽度；1 为贪心。"),
    "option.temperature": ("Temperature", "温度"),
    "option.temperature.help": ("Flatter above 1, sharper below.", "大于 1 更随机，更小则更确定。"),
    "option.top_p": ("Top P", "Top P"),
    "option.top_p.help": (
        "Keep the most likely tokens that sum to this share.",
        "保留概率之和达到该值的最可能 token。",
    ),
    "option.top_k": ("Top K", "Top K"),
    "option.top_k.help": (
        "Keep this many most likely tokens; 0 keeps all.",
        "只保留这么多最可能的 token；0 表示全部保留。",
    ),
    "option.repetition_penalty": ("Repetition Penalty", "重复惩罚"),
    "option.repetition_penalty.help": (
        "Above 1 discourages tokens already generated.",
        "大于 1 会抑制已生成的 token。",
    ),
    "option.max_new_tokens": ("Max New Tokens", "最大新 token 数"),
    "option.max_new_tokens.help": ("The answer ends here at the latest.", "回答最多到此为止。"),
    "option.seed": ("Seed", "随机种子"),
    "option.seed.help": (
        "The same seed gives the same answer; empty means a new one each time.",
        "相同的种子得到相同的回答；留空则每次不同。",
    ),
    "option.max_slice_nums": ("Max Slices", "最大切片数"),
    "option.max_slice_nums.help": ("Cut a large image into at most this many slices.", "大图最多切成这么多片。"),
    "option.max_frames": ("Max Frames", "最大帧数"),
    "option.max_frames.help": ("Take at most this many frames of a video.", "每个视频最多取这么多帧。"),
    "option.system_prompt": ("System Prompt", "系统提示"),
    "option.system_prompt.help": (
        "Put in front of the conversation; empty means none.",
        "放在对话之前；留空表示没有。",
    ),
    "option.enable_thinking": ("Thinking", "思考"),
    "option.enable_thinking.help": ("Think first; the thinking is shown folded.", "先思考再回答；思考过程会折叠显示。"),
    "option.downsample_mode": ("Downsampling", "下采样"),
    "option.downsample_mode.help": (
        "Patches that become one vision token; 4x sees finer detail.",
        "多少图块合成一个视觉 token；4x 更精细。",
    ),
}
