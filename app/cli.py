"""From the command line to a running page. Light until the flags are known to be right."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from app.backends.base import Backend
from app.backends.table import make_backend
from app.errors import AppError, SettingsError
from app.flags import Parser, add_decoding_flags, add_model_flags, option_defaults, pop_decoding_flags, report
from app.settings import Settings, parse_auth, parse_hosts, parse_size
from app.spaces import EMBEDDED, is_too_small

AUTH_VARIABLE = "MINICPMV_AUTH"
MODEL_VARIABLE = "MINICPMV_MODEL"


def main(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> int:
    """Parse the flags, start the backend and serve the page until Ctrl+C.

    Returns:
        Exit code: 0 after Ctrl+C, 1 if the server cannot run, 2 if a flag is wrong. Errors are one line on stderr.
    """
    try:
        settings = parse_settings(default_model, default_port, argv)
    except SettingsError as error:
        return report(error, 2)
    try:
        serve(settings)
    except AppError as error:
        return report(error, 1)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    return 0


def serve(settings: Settings) -> None:
    """Build the backend and the page, and serve until interrupted.

    Raises:
        AppError: the port is taken or the backend cannot be built.
    """
    check_port(settings.host, settings.port)
    if settings.open_to_others:
        print(_warning(settings), file=sys.stderr)
    backend = make_backend(settings)
    try:
        backend.start()
        _serve_started(backend, settings)
    finally:
        backend.close()


def _serve_started(backend: Backend, settings: Settings) -> None:
    if settings.api_only:
        from app.api.server import serve_alone

        serve_alone(backend, settings)
        return
    # Imported late: Gradio takes seconds, which the weights use to load; and it reads this variable at import.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from app.ui.quick_start import skip_stubs

    skip_stubs()
    from app.ui.demo import build_demo, launch

    if not settings.api:
        launch(build_demo(backend, settings), settings)
        return
    from app.api.server import beside_page

    with beside_page(backend, settings) as beside:
        launch(build_demo(beside.backend, settings), settings, beside.routes)


def _warning(settings: Settings) -> str:
    what = "server" if settings.api_only else "page"
    how = (
        "a key with --api-key-env NAME" if settings.api_only else f"a password with --auth USER:PASS or {AUTH_VARIABLE}"
    )
    return f"Warning: everyone who reaches this {what} can use it; ask for {how}."


def parse_settings(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> Settings:
    """The settings of a command line (default: this process') and the environment.

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        SystemExit: `--help` was asked for and printed.
    """
    chosen = os.environ.get(MODEL_VARIABLE)
    flags = vars(build_parser(chosen or default_model, default_port).parse_args(argv))
    options = pop_decoding_flags(flags)
    unasked = not chosen and flags["model"] == default_model and flags["backend"] == "local"
    if unasked and is_too_small(os.environ):
        flags |= {"model": str(EMBEDDED), "stands_in": True}
    auth = flags.pop("auth") or os.environ.get(AUTH_VARIABLE)
    settings = Settings(
        **flags | {"max_file_size": parse_size(flags["max_file_size"])},
        auth=parse_auth(auth) if auth else None,
        option_defaults=option_defaults(options),
    )
    settings.read_api_key()  # says at once if there is none
    return settings


def build_parser(default_model: str, default_port: int) -> argparse.ArgumentParser:
    """The flags; one per decoding option is made from its declaration."""
    parser = Parser("Chat with MiniCPM-V in the browser.")
    add_model_flags(parser, default_model)
    add = parser.add_argument
    # Gradio's own variables, which a Hugging Face Space sets.
    host, port = os.environ.get("GRADIO_SERVER_NAME"), os.environ.get("GRADIO_SERVER_PORT")
    add("--host", default=host or "127.0.0.1", help="address to listen on; 0.0.0.0 is every interface")
    add("--port", type=int, default=port or default_port, help="port to listen on")
    add("--share", action="store_true", help="open a public gradio.live link")
    add("--auth", metavar="USER:PASS", help=f"ask for this login; {AUTH_VARIABLE} keeps it out of the process list")
    add("--root-path", default="", help="path or URL under which a proxy serves the page")
    add("--api", action="store_true", help="serve the OpenAI protocol under /v1 beside the page")
    add("--api-only", action="store_true", help="serve the OpenAI protocol under /v1 without a page")
    add("--allow-url-hosts", type=parse_hosts, default="", metavar="HOST,*.HOST",
        help="hosts from which --api may read images and videos; else it takes data URLs alone")  # fmt: skip
    add("--feedback", default="", metavar="FILE",
        help="show like and dislike; append them with question and answer to this file (JSON lines)")  # fmt: skip
    add("--max-file-size", default="500mb", metavar="SIZE", help="largest upload, such as 200mb or 1gb")
    add_decoding_flags(parser, "What the page's controls start with; else the model's own defaults.")
    return parser


def check_port(host: str, port: int) -> None:
    """Find out before anything loads whether the address can be listened on.

    Raises:
        SettingsError: the port is taken or the host is none of this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as cause:
        raise SettingsError(f"--host: got {host!r}, which is no known name or address.") from cause
    except PermissionError as cause:
        raise SettingsError(f"--port: port {port} is not open to this user.", "Choose one above 1023.") from cause
    except OSError as cause:
        raise SettingsError(
            f"Port {port} on {host} cannot be used ({cause.strerror}).",
            "Choose another one with --port, or end the program that has it.",
        ) from cause
