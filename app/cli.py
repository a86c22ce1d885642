"""From the command line to a running page. Light until the flags are known to be right."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from app.backends.base import Backend
from app.backends.table import make_backend
from app.errors import AppError, SettingsError
from app.flags import add_decoding_flags, add_model_flags, option_defaults, pop_decoding_flags, report, say
from app.parsing import Parser
from app.settings import Settings, parse_auth, parse_hosts, parse_size
from app.spaces import EMBEDDED, is_too_small, lends_gpu, prepare
from app.texts import Phrase
from app.texts.languages import Locale, command_locale
from app.ui.quick_start import no_collection, no_stubs
from app.upload_folder import own_upload_folder

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

AUTH_VARIABLE = "MINICPMV_AUTH"
MODEL_VARIABLE = "MINICPMV_MODEL"
LENT_TOKENS = 512  # Max New Tokens where a GPU is lent: the more, the longer it is asked for


def main(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> int:
    """Parse the flags, start the backend and serve the page until Ctrl+C or SIGTERM.

    Returns:
        Exit code: 0 after these, 1 if the server cannot run, 2 if a flag is wrong. Errors are one line on stderr.
    """
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    try:
        settings = parse_settings(default_model, default_port, argv)
    except SettingsError as error:
        return report(error, 2, locale)
    if threading.current_thread() is threading.main_thread():
        # What stops a service or a container; by default nothing would be cleaned up.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve(settings, locale)
    except AppError as error:
        return report(error, 1, locale)
    except KeyboardInterrupt:
        say(Phrase("stopped"), locale)
    return 0


def serve(settings: Settings, locale: Locale = "en") -> None:
    """Build the backend and the page, and serve until interrupted.

    Raises:
        AppError: the port is taken, now or when the weights are there, or the backend cannot be built.
    """
    check_port(settings.host, settings.port)
    if settings.open_to_others:
        say(_warning(settings), locale)
    # Gradio reads this variable when it is imported, which a Space's own package does at once.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    prepare(os.environ)
    with no_collection():
        backend = make_backend(settings)
    try:
        backend.start()
        with own_upload_folder(os.environ):
            _serve_started(backend, settings)
    except (OSError, SystemExit):  # Gradio's, and uvicorn's, where they cannot listen
        check_port(settings.host, settings.port)  # another program took it while the weights loaded: says so
        raise
    finally:
        backend.close()


def _serve_started(backend: Backend, settings: Settings) -> None:
    if settings.api_only:
        from app.api.server import serve_alone

        serve_alone(backend, settings)
        return
    # Imported late: Gradio takes seconds, which the weights use to load.
    with ExitStack() as stack:
        with no_collection(), no_stubs():
            from app.ui.demo import build_demo, launch

            routes: tuple[BaseRoute, ...] = ()
            if settings.api:
                from app.api.server import beside_page

                beside = stack.enter_context(beside_page(backend, settings))
                backend, routes = beside.backend, beside.routes
            demo = build_demo(backend, settings)
        launch(demo, settings, routes)


def _warning(settings: Settings) -> str:
    return Phrase("warn_open_server") if settings.api_only else Phrase("warn_open_page", variable=AUTH_VARIABLE)


def parse_settings(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> Settings:
    """The settings of a command line (default: this process') and the environment.

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        SystemExit: `--help` was asked for and printed.
    """
    chosen = os.environ.get(MODEL_VARIABLE)
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    flags = vars(build_parser(chosen or default_model, default_port, locale).parse_args(argv))
    options = pop_decoding_flags(flags)
    unasked = not chosen and flags["model"] == default_model and flags["backend"] == "local"
    if unasked and is_too_small(os.environ):
        flags |= {"model": str(EMBEDDED), "stands_in": True}
    if lends_gpu(os.environ) and flags["backend"] == "local" and flags["device"] != "cpu":
        flags["lent_gpu"] = True
        options.setdefault("max_new_tokens", LENT_TOKENS)
    auth = flags.pop("auth") or os.environ.get(AUTH_VARIABLE)
    settings = Settings(
        **flags | {"max_file_size": parse_size(flags["max_file_size"])},
        auth=parse_auth(auth) if auth else None,
        option_defaults=option_defaults(options),
    )
    settings.read_api_key()  # says at once if there is none
    return settings


def build_parser(default_model: str, default_port: int, locale: Locale = "en") -> argparse.ArgumentParser:
    """The flags; one per decoding option is made from its declaration."""
    parser = Parser(Phrase("about.page"), locale)
    add_model_flags(parser, default_model)
    add = parser.add_argument
    # Gradio's own variables, which a Hugging Face Space sets.
    host, port = os.environ.get("GRADIO_SERVER_NAME"), os.environ.get("GRADIO_SERVER_PORT")
    add("--host", default=host or "127.0.0.1", help=Phrase("help.host"))
    add("--port", type=int, default=port or default_port, help=Phrase("help.port"))
    add("--share", action="store_true", help=Phrase("help.share"))
    add("--auth", metavar="USER:PASS", help=Phrase("help.auth", auth_variable=AUTH_VARIABLE))
    add("--root-path", default="", help=Phrase("help.root-path"))
    add("--api", action="store_true", help=Phrase("help.api"))
    add("--api-only", action="store_true", help=Phrase("help.api-only"))
    add("--allow-url-hosts", type=parse_hosts, default="", metavar="HOST,*.HOST",
        help=Phrase("help.allow-url-hosts"))  # fmt: skip
    add("--feedback", default="", metavar="FILE",
        help=Phrase("help.feedback"))  # fmt: skip
    add("--max-file-size", default="500mb", metavar="SIZE", help=Phrase("help.max-file-size"))
    add_decoding_flags(parser, Phrase("about.page_decoding"))
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
        raise SettingsError(Phrase("host_unknown", host=host)) from cause
    except PermissionError as cause:
        raise SettingsError(Phrase("port_forbidden", port=port), Phrase("do_high_port")) from cause
    except OSError as cause:
        raise SettingsError(
            Phrase("port_taken", port=port, host=host, strerror=cause.strerror),
            Phrase("do_other_port"),
        ) from cause
