"""What is kept from one answer to the next, so that nothing is computed twice: bounded, and never needed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import torch
from cachetools import LRUCache
from torch import Tensor

from app.engine.conversation import Decoded
from app.engine.device_turns import DeviceTurns
from app.engine.prefix_cache import PrefixCache
from app.media.clip import Check
from app.modeling.runner import Frames, ProgressHook, Prompt, Runner

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

# Of decoded pictures and frames, in main memory.
MEDIA_BYTES = 512 * 1024**2
# Of the bytes on the device, for image features; the rest is for keys and values.
FEATURE_SHARE = 0.125
# Of a batch's: for what its beam searches leave behind; and of its image features those whose prompts are being read.
SEARCH_SHARE = 0.125
READING_SHARE = 0.5
# Of the memory that is free once the model is loaded, where no size is given.
AUTO_SHARE = 0.1
MOST_AUTO = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Shares:
    """How the bytes on the device are divided; all parts together are all of them, and a table's of its own.

    Attributes:
        features: of pictures, kept. reading: of pictures whose prompts a batch is reading.
        prefixes: keys and values of answers that were written one by one, which in a batch are beam searches.
        pages: keys and values of a batch, in use and kept.
    """

    features: int
    reading: int
    prefixes: int
    pages: int

    @classmethod
    def of(cls, most: int, *, batched: bool, table: int | None = None) -> Shares:
        """Those of one engine.

        Args:
            table: bytes for what a batch is reading, beside the others; None takes its part of them.
        """
        features = int(most * FEATURE_SHARE)
        if not batched:
            return cls(features, 0, most - features, 0)
        reading, prefixes = int(features * READING_SHARE), int(most * SEARCH_SHARE)
        pages = most - features - prefixes
        if table is not None:
            return cls(features, table, prefixes, pages)
        return cls(features - reading, reading, prefixes, pages)


@dataclass(frozen=True, slots=True, eq=False)
class Caches:
    """The caches of one engine.

    Attributes:
        decoded: pictures and frames by file and choice of frames. prefixes: keys and values of conversations.
        turns: in which threads look features up, make and drop them.
    """

    decoded: Decoded
    prefixes: PrefixCache
    runner: Runner
    turns: DeviceTurns = field(default_factory=DeviceTurns)

    @classmethod
    def of(cls, runner: Runner, most: int, shares: Shares | None = None) -> Caches:
        """Empty ones for a model.

        Args:
            most: bytes on the device; 0 keeps nothing there.
            shares: how they are divided; None leaves nothing for a batch.
        """
        shares = shares or Shares.of(most, batched=False)
        runner.keep_features(shares.features)
        decoded: LRUCache[Hashable, PILImage | Frames] = LRUCache(MEDIA_BYTES if most else 0, getsizeof=_pixel_bytes)
        return cls(Decoded(decoded), PrefixCache(shares.prefixes, runner.new_cache), runner)

    def features_of(
        self, prompt: Prompt, on_progress: ProgressHook, start: int, check: Check = lambda: None
    ) -> tuple[dict[bytes, Tensor], int]:
        """See `Runner.features_of`; threads take turns, and few slices pass many.

        Args:
            check: called while others have their turns; may raise to wait no longer.
        """
        new = [one for one in prompt.placed if one.digest not in self.runner.features]
        slices = sum(len(one.spans) for one in new if one.spans and one.spans[-1][1] > start)
        with self.turns.turn(slices, check) as let_pass, torch.inference_mode():

            def report(done: int, total: int) -> None:
                on_progress(done, total)
                let_pass(done)

            return self.runner.features_of(prompt, report, start)

    def clear_device(self) -> bool:
        """Forget all that lies on the device; tells whether there was anything."""
        with self.turns.turn(0, lambda: None):
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
