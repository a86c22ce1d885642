"""How a family writes an image into its prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Grid = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """The text of an image and how to find its feature positions again.

    Attributes:
        text: (grid, query_num, image_index) to the prompt text of one image. `grid` is (cols, rows) or None
            without cells; `image_index` is None if images are not numbered. Every slice holds `query_num` times
            `<unk>`, where the features go.
        starts, ends: tokens directly before and after each run of features.
        template: a chat template (Jinja) that holds instead of the tokenizer's.
    """

    text: Callable[[Grid | None, int, int | None], str]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    template: str | None = None

    def bounds(self, ids: Sequence[int], token_id: Callable[[str], int]) -> tuple[list[tuple[int, int]], bool]:
        """Where the runs of features are.

        Args:
            ids: a tokenised prompt.
            token_id: id of a token.

        Returns:
            Half-open (start, end) positions in order, and whether every run is closed.
        """
        start_ids = {token_id(token) for token in self.starts}
        end_ids = {token_id(token) for token in self.ends}
        starts = [at + 1 for at, token in enumerate(ids) if token in start_ids]
        ends = [at for at, token in enumerate(ids) if token in end_ids]
        return list(zip(starts, ends, strict=False)), len(starts) == len(ends)


def cells_in_one_slice(grid: Grid | None, query_num: int, image_index: int | None) -> str:
    """The overview, then one `<slice>` around all cells, each cell an image again; rows on lines of their own."""
    image = f"<image>{'<unk>' * query_num}</image>"
    if grid is None:
        return image
    cols, rows = grid
    cells = "\n".join(image * cols for _ in range(rows))
    return f"{image}<slice>{cells}</slice>"
