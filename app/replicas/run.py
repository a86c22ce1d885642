"""A Ray of this machine's own with the application in it, or one that runs already."""

from __future__ import annotations

import logging
import math
import os
import re
import signal
import threading
from queue import SimpleQueue
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.context import _get_global_client
from ray.serve.exceptions import RayServeException
from ray.serve.schema import LoggingConfig

from app.cli import check_port
from app.errors import ModelError, SettingsError
from app.flags import say
from app.replicas.application import NAME, build_application
from app.replicas.plan import Plan
from app.settings import Settings
from app.texts import Phrase
from app.texts.languages import Locale

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)
END, RESTART, ENDED = "end", "restart", "ended"
SIGNALS = {"SIGINT": END, "SIGTERM": END, "SIGHUP": RESTART}  # Windows lacks the last


def serve_replicas(plan: Plan, locale: Locale = "en") -> None:
    """Serve until interrupted; with an address, deploy and return.

    SIGHUP restarts the replicas one after another; the first SIGINT or SIGTERM lets answers end, the second does not.

    Raises:
        AppError: the port is taken, the machine has too little for the plan, or the model cannot be loaded.
    """
    if plan.address:
        _deploy(plan, locale)
        return
    check_port(plan.settings.host, plan.settings.port)
    _start_ray(plan)
    try:
        _start_serve(plan.settings, everywhere=False)
        _run(plan, wait=True)
        _say_where(plan.settings, locale)
        _follow_signals(plan, locale)
    finally:
        ray.shutdown()


def _deploy(plan: Plan, locale: Locale) -> None:
    try:
        ray.init(address=plan.address, logging_level="warning", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, RayError) as cause:
        raise SettingsError(
            Phrase("no_ray", address=plan.address),
            Phrase("do_start_ray"),
        ) from cause
    try:
        _start_serve(plan.settings, everywhere=True)
        _run(plan, wait=True)
        _say_where(plan.settings, locale)
    finally:
        ray.shutdown()


def _start_ray(plan: Plan) -> None:
    """A Ray of this process, which ends with it and listens on this machine alone.

    Raises:
        ModelError: Ray does not start.
        SettingsError: the machine has fewer GPUs than the plan wants.
    """
    # Cores are for counting here: two replicas on one core are slow, and run.
    cores = max(os.cpu_count() or 1, math.ceil(plan.most_replicas * plan.cpus_per_replica))
    try:
        ray.init(
            address="local",
            num_cpus=cores,
            include_dashboard=False,
            logging_level="warning",
            log_to_driver=True,
        )
    except Exception as cause:  # what Ray raises where it is too slow to come up is nothing more special
        raise ModelError(Phrase("ray_late", cause=cause), Phrase("do_ray_late")) from cause
    there = ray.cluster_resources().get("GPU", 0)
    least = (plan.min_replicas or plan.replicas) * plan.gpus_per_replica
    if there < least:
        raise SettingsError(
            Phrase("gpus_few", least=least, there=there),
            Phrase("do_fewer_replicas"),
        )


def _start_serve(settings: Settings, everywhere: bool) -> None:
    """Start what listens; where that runs already it stays as it is.

    Raises:
        ModelError: it does not start.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        serve.start(
            proxy_location="EveryNode" if everywhere else "HeadOnly",
            http_options={"host": settings.host.strip("[]"), "port": settings.port},
            logging_config=QUIET,
        )
    except (RayError, RayServeException, TimeoutError) as cause:
        raise _not_started(cause) from cause


def _run(plan: Plan, wait: bool) -> None:
    """Deploy, or deploy anew: replicas that run are replaced one after another, each once its answers have ended.

    Raises:
        ModelError: the replicas do not start.
    """
    target = serve.RunTarget(target=build_application(plan), name=NAME, route_prefix="/", logging_config=QUIET)
    try:
        serve.run_many([target], wait_for_applications_running=wait)
    except RuntimeError as cause:
        raise ModelError(_reason(NAME), Phrase("do_see_above")) from cause
    except (RayError, RayServeException) as cause:
        raise _not_started(cause) from cause


def _not_started(cause: Exception) -> ModelError:
    """What Ray says against it, without the traceback that it puts around an error of another process."""
    words = str(getattr(cause, "cause", None) or cause).strip().partition("\n")[0]
    return ModelError(Phrase("replicas_not_started_why", words=words), Phrase("do_serve_status"))


def _reason(name: str) -> str:
    """Why an application did not start: the last line of what Ray tells of it."""
    application = serve.status().applications.get(name)
    told = [application.message] if application else []
    told += [deployment.message for deployment in application.deployments.values()] if application else []
    errors = [line for text in told for line in text.splitlines() if re.match(r"[\w.]+(Error|Exception): ", line)]
    if not errors:
        return Phrase("replicas_not_started")
    return Phrase("replicas_not_started_why", words=errors[-1].partition(": ")[2])


def _say_where(settings: Settings, locale: Locale) -> None:
    """Print the address: the flags', or that of a Serve that ran before and has kept its own."""
    listens = _get_global_client().http_config
    host = str(listens.host)
    shown = f"[{host}]" if ":" in host else host
    kept = (host, listens.port) != (settings.host.strip("[]"), settings.port)
    where = Phrase("running_before" if kept else "running_on", url=f"http://{shown}:{listens.port}/v1")
    print(where.to(locale), flush=True)


def _follow_signals(plan: Plan, locale: Locale) -> None:
    """Do what signals ask until they ask for the end."""
    news: SimpleQueue[str] = SimpleQueue()

    def note(number: int, frame: object) -> None:
        news.put(SIGNALS[signal.Signals(number).name])

    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), note)
    while news.get() == RESTART:
        say(Phrase("replicas_restart"), locale)
        _run(plan, wait=False)
    say(Phrase("replicas_ending"), locale)
    threading.Thread(target=_drain, args=(news,), daemon=True).start()
    while news.get() == RESTART:
        pass


def _drain(news: SimpleQueue[Any]) -> None:
    """Take no more requests, and say when all answers have ended."""
    while True:
        try:
            serve.delete(NAME)
        except TimeoutError:  # Ray waits for a minute, an answer may take longer
            continue
        news.put(ENDED)
        return
