"""Which files of a repository a model needs: never code, and pickles only where nothing better is."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch

WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.safetensors")
PICKLED = "*.bin"


def wanted_files(names: Iterable[str]) -> list[str]:
    """The files of a repository that a model needs."""
    names = list(names)
    pickled = () if any(name.endswith(".safetensors") for name in names) else (PICKLED,)
    return [name for name in names if any(fnmatch(name, pattern) for pattern in (*WANTED, *pickled))]
