"""The page as an app on a phone or a desktop: its manifest and its icons.

Gradio's own manifest names one drawing of another project, and an address that is wrong behind a proxy's path; here
every address is relative to the manifest. There is no service worker: nothing that is written or attached lies in a
cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

ICONS = Path(__file__).parents[2] / "assets" / "icons"
FAVICON = ICONS / "icon-192.png"
COLOUR = "#1565c0"
HEAD = f"""<meta name="theme-color" content="{COLOUR}">
<meta name="mobile-web-app-capable" content="yes">
<link rel="apple-touch-icon" href="app-icons/touch-180.png">
"""


def app_routes() -> list[Route]:
    """What an installed page needs; served without login, so it says nothing of the model."""
    icons = {path.name: path for path in ICONS.glob("*.png")}

    def icon(request: Request) -> Response:
        path = icons.get(request.path_params["name"])
        return FileResponse(path, headers={"Cache-Control": "max-age=86400"}) if path else Response(status_code=404)

    def manifest(_: Request) -> Response:
        return JSONResponse(_manifest(), media_type="application/manifest+json")

    return [
        Route("/manifest.json", manifest, include_in_schema=False),
        Route("/app-icons/{name}", icon, include_in_schema=False),
    ]


def _manifest() -> dict[str, Any]:
    return {
        "name": "MiniCPM-V Web Demo",
        "short_name": "MiniCPM-V",
        "start_url": "./",
        "scope": "./",
        "id": "./",
        "display": "standalone",
        "theme_color": COLOUR,
        "background_color": "#ffffff",
        "icons": [
            _icon("icon-192.png", 192, "any"),
            _icon("icon-512.png", 512, "any"),
            _icon("maskable-512.png", 512, "maskable"),
        ],
    }


def _icon(name: str, side: int, purpose: str) -> dict[str, str]:
    return {"src": f"app-icons/{name}", "sizes": f"{side}x{side}", "type": "image/png", "purpose": purpose}
