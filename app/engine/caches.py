"""What is kept from one answer to the next, so that nothing is computed twice: bounded, and never needed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import torch
from cachetools import LRUCache

from app.engine.conversation import Decoded
from app.engine.prefix_cache import PrefixCache
from app.modeling.runner import Frames, Runner

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Of decoded pictures and frames, in main memory.
MEDIA_BYTES = 512 * 1024**2
# Of the bytes on the device, for image features; the rest is for keys and values.
FEATURE_SHARE = 0.125
# Of the memory that is free once the model is loaded, where no size is given.
AUTO_SHARE = 0.1
MOST_AUTO = 8 * 1024**3


@dataclass(frozen=True, slots=True, eq=False)
class Caches:
    """The caches of one engine.

    Attributes:
        decoded: pictures and frames by file and choice of frames. prefixes: keys and values of conversations.
    """

    decoded: Decoded
    prefixes: PrefixCache
    runner: Runner

    @classmethod
    def of(cls, runner: Runner, most: int) -> Caches:
        """Empty ones for a model.

        Args:
            most: bytes on the device; 0 keeps nothing there.
        """
        runner.keep_features(int(most * FEATURE_SHARE))
        decoded: LRUCache[Hashable, PILImage | Frames] = LRUCache(MEDIA_BYTES if most else 0, getsizeof=_pixel_bytes)
        return cls(Decoded(decoded), PrefixCache(most - int(most * FEATURE_SHARE), runner.new_cache), runner)

    def clear_device(self) -> bool:
        """Forget all that lies on the device; tells whether there was anything."""
        held = bool(self.prefixes.bytes or self.runner.features)
        self.prefixes.clear()
        self.runner.features.clear()
        return held


def auto_bytes(device: torch.device) -> int:
    """Bytes for the caches on a device where no size is given."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return share_of(free)


def share_of(free: int) -> int:
    """Bytes for the caches where so many are free and no size is given."""
    return min(MOST_AUTO, int(free * AUTO_SHARE))


def _pixel_bytes(medium: PILImage | Frames) -> int:
    pictures = medium.pictures if isinstance(medium, Frames) else (medium,)
    return sum(picture.width * picture.height * len(picture.getbands()) for picture in pictures)
