"""The files of the chat components, which a browser fetches once per release of the package that has them.

Gradio lets it ask anew for each of them, some eighty, whenever a page opens. Here the release is part of their address,
so what was fetched under it never changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_ISREG
from typing import Any

import gradio as gr
from gradio.route_utils import API_PREFIX
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

FOREVER = "public, max-age=31536000, immutable"  # a year is the longest that caches promise to take (RFC 9111)


class PageBlocks(gr.Blocks):
    """Blocks whose pages name the release of each custom component's package."""

    def get_config_file(self) -> Any:
        """Gradio's, with the addresses of `component_routes`."""
        config = super().get_config_file()
        released = {kind.get_component_class_id(): address for kind, address in _custom(self.blocks.values()).items()}
        for component in config["components"]:
            identity = component.get("component_class_id")
            component["component_class_id"] = released.get(identity, identity)
        return config


def component_routes(demo: gr.Blocks) -> list[Route]:
    """Where the files lie that a page of these blocks asks for; they are no secret, and served without login."""
    return [
        Route(f"{API_PREFIX}/custom_component/{address}/client/{{path:path}}", _files(_folder(kind)))
        for kind, address in _custom(demo.blocks.values()).items()
    ]


def _files(folder: Path) -> Callable[[Request], Response]:
    """Gives the files of a folder. No `Mount`, which finds none behind a proxy that takes its path from the address."""
    files = StaticFiles(directory=folder)

    def give(request: Request) -> Response:
        path, state = files.lookup_path(request.path_params["path"])
        if state is None or not S_ISREG(state.st_mode):
            return Response(status_code=404)
        response = files.file_response(path, state, request.scope)
        response.headers["Cache-Control"] = FOREVER
        return response

    return give


def _custom(blocks: Iterable[Any]) -> dict[type[Any], str]:
    """The classes whose files Gradio does not have itself, each with the last part of its address."""
    kinds = {type(block) for block in blocks}
    return {kind: address for kind in kinds if _folder(kind).is_dir() and (address := _address(kind))}


def _folder(kind: type[Any]) -> Path:
    return Path(sys.modules[kind.__module__].__file__ or "").parent / getattr(kind, "TEMPLATE_DIR", "no folder")


def _address(kind: type[Any]) -> str | None:
    """Of a class in an installed package; Gradio's own name for it tells its file alone."""
    try:
        release = version(kind.__module__.partition(".")[0])
    except PackageNotFoundError:
        return None
    return sha256(f"{kind.get_component_class_id()} {release}".encode()).hexdigest()
