"""`python -m app.replicas --model M --replicas N`. Light until the flags are known to be right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from app.errors import AppError, SettingsError
from app.flags import report, say
from app.replicas.flags import parse_plan
from app.replicas.plan import Plan
from app.texts import Phrase
from app.texts.languages import Locale, command_locale

# Ray reads these when it is imported and hands them on to its processes; what is set already wins.
ALWAYS = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is reported to anybody
ALONE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on this machine alone, whatever it is
    "RAY_worker_niceness": "0",  # replicas are not what should wait for the rest of the machine
}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted, or deploy into the cluster that `--address` names.

    Returns:
        Exit code: 0 when done, 1 if the replicas cannot run, 2 if a flag is wrong. Errors are one line on stderr.
    """
    locale = command_locale(sys.argv[1:] if argv is None else argv, os.environ)
    try:
        plan = parse_plan(argv)
    except SettingsError as error:
        return report(error, 2, locale)
    try:
        for name, value in (ALWAYS if plan.address else ALWAYS | ALONE).items():
            os.environ.setdefault(name, value)
        serve_replicas = _load()
        serve_replicas(plan, locale)
    except AppError as error:
        return report(error, 1, locale)
    except KeyboardInterrupt:
        say(Phrase("stopped"), locale)
    return 0


def _load() -> Callable[[Plan, Locale], None]:
    """What serves a plan.

    Raises:
        SettingsError: a package it needs is missing.
    """
    try:
        from app.replicas.run import serve_replicas
    except ModuleNotFoundError as cause:
        raise SettingsError(
            Phrase("replicas_package", name=cause.name),
            Phrase("do_install_replicas"),
        ) from cause
    return serve_replicas


if __name__ == "__main__":
    sys.exit(main())
