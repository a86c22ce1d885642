"""Clips to measure with."""

from __future__ import annotations

from pathlib import Path


def clip(path: Path, seconds: int, side: int = 448, rate: int = 8, shift: int = 0) -> Path:
    """A square clip in which a bright bar runs over a ground that grows lighter.

    Args:
        shift: makes clips of equal length different.
    """
    import av
    import numpy as np

    frames = rate * seconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            picture = np.full((side, side, 3), 200 * index // frames, np.uint8)
            at = (index * 4 + 16 * shift) % side
            picture[:, at : at + 16] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def looped_clip(path: Path, width: int, height: int, times: int, seconds: int = 10, rate: int = 25) -> Path:
    """An H.264 clip with one key frame in `seconds`, played `times` times but encoded once: an hour costs little."""
    import av
    import numpy as np

    frames = rate * seconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(frames), "keyint_min": str(frames), "bf": "0"}
        packets = []
        for index in range(frames):
            picture = np.full((height, width, 3), 200 * index // frames, np.uint8)
            at = index * 4 % width
            picture[:, at : at + 16] = 255
            packets.extend(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        packets.extend(stream.encode(None))
        length = round(1 / (rate * packets[0].time_base))
        for number, packet in ((number, packet) for number in range(times) for packet in packets):
            again = av.Packet(bytes(packet))
            again.stream, again.time_base, again.is_keyframe = stream, packet.time_base, packet.is_keyframe
            again.pts, again.dts = (stamp + number * frames * length for stamp in (packet.pts, packet.dts))
            again.duration = length
            container.mux(again)
    return path
