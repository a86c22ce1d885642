"""The tensors of a checkpoint, each read when it is asked for: a model need not fit the memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from app.errors import CheckpointError
from app.texts import Phrase


class Weights:
    """The weights in a folder.

    Raises:
        CheckpointError: there are none, or a file is broken.
    """

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        self._pickled: dict[str, torch.Tensor] = {}
        try:
            for path in sorted(folder.glob("*.safetensors")):
                with safe_open(path, framework="pt") as file:
                    self._files |= dict.fromkeys(file.keys(), path)
            if not self._files:
                for path in sorted(folder.glob("pytorch_model*.bin")):
                    self._pickled |= torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError) as cause:
            raise CheckpointError(
                Phrase("file_broken", name=path.name, type=type(cause).__name__), Phrase("do_fetch_anew")
            ) from cause
        if not self._files and not self._pickled:
            raise CheckpointError(Phrase("folder_no_weights", folder=folder), Phrase("do_name_safetensors"))

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(sorted({*self._files, *self._pickled}))

    def __contains__(self, name: str) -> bool:
        return name in self._files or name in self._pickled

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            CheckpointError: it is not there.
        """
        self._require(name)
        if name in self._pickled:
            return tuple(self._pickled[name].shape)
        with safe_open(self._files[name], framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())

    def read(self, name: str) -> np.ndarray:
        """A tensor as float32.

        Raises:
            CheckpointError: it is not there.
        """
        self._require(name)
        if name in self._pickled:
            return self._pickled[name].float().numpy()
        with safe_open(self._files[name], framework="pt") as file:
            return file.get_tensor(name).float().numpy()

    def _require(self, name: str) -> None:
        if name not in self:
            raise CheckpointError(Phrase("weight_missing", name=name), Phrase("do_take_all"))
