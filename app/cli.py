"""From the command line to a running page. Light until the flags are known to be right."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from app.backends.table import BACKENDS, make_backend
from app.errors import AppError, SettingsError
from app.sampling import OPTIONS, Option
from app.settings import DTYPES, SOURCES, VIDEO_READERS, Settings, parse_auth, parse_size

AUTH_VARIABLE = "MINICPMV_AUTH"


def main(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> int:
    """Parse the flags, start the backend and serve the page until Ctrl+C.

    Returns:
        Exit code: 0 after Ctrl+C, 1 if the server cannot run, 2 if a flag is wrong. Errors are one line on stderr.
    """
    try:
        settings = parse_settings(default_model, default_port, argv)
    except SettingsError as error:
        return _report(error, 2)
    try:
        serve(settings)
    except AppError as error:
        return _report(error, 1)
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
        print(f"Warning: everyone who reaches this page can use it; ask for a password with --auth USER:PASS or "
              f"{AUTH_VARIABLE}.", file=sys.stderr)  # fmt: skip
    backend = make_backend(settings)
    try:
        backend.start()
        # Imported late: Gradio takes seconds, which the weights use to load; and it reads this variable at import.
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        from app.ui.demo import build_demo, launch

        launch(build_demo(backend, settings), settings)
    finally:
        backend.close()


def parse_settings(default_model: str, default_port: int, argv: Sequence[str] | None = None) -> Settings:
    """The settings of a command line (default: this process') and the environment.

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
        SystemExit: `--help` was asked for and printed.
    """
    flags = vars(build_parser(default_model, default_port).parse_args(argv))
    options = {option.name: flags.pop(option.name) for option in OPTIONS}
    auth = flags.pop("auth") or os.environ.get(AUTH_VARIABLE)
    return Settings(
        **flags | {"max_file_size": parse_size(flags["max_file_size"])},
        auth=parse_auth(auth) if auth else None,
        option_defaults=_overrides(options),
    )


def build_parser(default_model: str, default_port: int) -> argparse.ArgumentParser:
    """The flags; one per decoding option is made from its declaration."""
    parser = _Parser(
        description="Chat with MiniCPM-V in the browser.",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", default=default_model, help="folder of a checkpoint, or its name on the hub")
    add("--device", default="auto", metavar="auto|cuda|cuda:N|mps|cpu", help="where the model runs")
    add("--dtype", default="auto", metavar="|".join(DTYPES), help="precision of the weights")
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 is every interface")
    add("--port", type=int, default=default_port, help="port to listen on")
    add("--share", action="store_true", help="open a public gradio.live link")
    add("--auth", metavar="USER:PASS", help=f"ask for this login; {AUTH_VARIABLE} keeps it out of the process list")
    add("--root-path", default="", help="path or URL under which a proxy serves the page")
    add("--backend", default="local", metavar="|".join(BACKENDS), help="what answers; echo needs no weights")
    add("--max-file-size", default="500mb", metavar="SIZE", help="largest upload, such as 200mb or 1gb")
    add("--multi-gpus", action="store_true", help="spread the model over all GPUs")
    add("--source", default="huggingface", metavar="|".join(SOURCES), help="hub to fetch the model from")
    add("--video-reader", default="pyav", metavar="|".join(VIDEO_READERS), help="library that decodes videos")
    group = parser.add_argument_group("decoding", "What the page's controls start with; else the model's own defaults.")
    for option in OPTIONS:
        _add_option(group, option)
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


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default in (False, "", argparse.SUPPRESS)
        return action.help if silent else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}.", "See --help.")


def _add_option(group: argparse._ArgumentGroup, option: Option) -> None:
    flag = f"--{option.name.replace('_', '-')}"
    if option.type is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=_help(option))
        group.set_defaults(**{option.name: None})
        return
    metavar = {int: "N", float: "X"}.get(option.type, "TEXT")
    group.add_argument(flag, type=option.type, default=None, metavar=metavar, help=_help(option))


def _help(option: Option) -> str:
    allowed = "" if option.minimum is None else f" ({option.minimum} to {option.maximum})"
    return f"{option.help}{allowed}".replace("%", "%%")


def _overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults for both decode types of the options that were given."""
    given = {name: value for name, value in options.items() if value is not None}
    return given | {f"beam.{name}": value for name, value in given.items()}


def _report(error: AppError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
