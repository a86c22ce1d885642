"""One file per model family: all that is true only of it."""

from __future__ import annotations

from app.families.base import Family


def all_families() -> tuple[Family, ...]:
    """Every family known here. A new one is a file of its own and a name in this list."""
    import app.modeling  # noqa: F401  (registration asks for all families; it must not find one half imported)
    from app.families import (
        minicpm_v_1_0,
        minicpm_v_2_0,
        minicpm_v_2_5,
        minicpm_v_2_6,
        minicpm_v_4_6,
        minicpm_v_4_7,
        omnilmm_12b,
    )

    modules = (
        minicpm_v_2_6,
        minicpm_v_2_5,
        minicpm_v_2_0,
        minicpm_v_1_0,
        omnilmm_12b,
        minicpm_v_4_6,
        minicpm_v_4_7,
    )
    return tuple(module.FAMILY for module in modules)
