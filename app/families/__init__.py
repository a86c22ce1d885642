"""One file per model family: all that is true only of it."""

from __future__ import annotations

from importlib import import_module

from app.families.base import Family

# In the order in which they are asked whether a config.json is theirs. A new family is a file and a name here.
NAMES = (
    "minicpm_v_2_6",
    "minicpm_v_2_5",
    "minicpm_v_2_0",
    "minicpm_v_1_0",
    "omnilmm_12b",
    "minicpm_v_4_6",
    "minicpm_v_4_7",
)


def all_families() -> tuple[Family, ...]:
    """Every family known here."""
    return tuple(import_module(f"app.families.{name}").FAMILY for name in NAMES)


# A family's file imports from app.modeling, which registers all families when it is imported: that must have happened
# before the first of them is imported, or it would find that one half done.
import app.modeling  # noqa: E402, F401
