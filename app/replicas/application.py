"""The Ray Serve application: `serve run app.replicas.application:build model=M replicas=N`."""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, RequestRouterConfig

from app.replicas.flags import plan_of
from app.replicas.ingress import Ingress
from app.replicas.plan import Plan
from app.replicas.replica import ModelReplica
from app.replicas.router import ConversationRouter, RandomRouter

NAME = "minicpm-v"
DRAIN_LOOK = 0.5  # seconds between looks whether a replica that is to end has ended its answers
# Seconds. Ray replaces a replica after three failures in a row: one whose model has failed says so at once, one that
# only has much to do has three times the second number to answer.
HEALTH_PERIOD, HEALTH_TIMEOUT = 1.0, 30.0
START_TRIES = 3
MANY = 10_000  # requests at one ingress: the replicas' limits are those that count


def build(arguments: dict[str, Any]) -> Application:
    """The application of some flags, for `serve run` and the `args` of its YAML.

    Args:
        arguments: the flags of `python -m app.replicas` without their dashes. `host`, `port` and `address` are Serve's
            own to say.

    Raises:
        SettingsError: an unknown flag or a value that cannot be used.
    """
    return build_application(plan_of(arguments))


def build_application(plan: Plan) -> Application:
    """The application of a plan."""
    replicas = serve.deployment(
        name="model",
        **_number(plan),
        ray_actor_options={"num_cpus": plan.cpus_per_replica, "num_gpus": plan.gpus_per_replica},
        max_ongoing_requests=plan.max_ongoing_requests,
        max_queued_requests=plan.max_queued_requests,
        request_router_config=_routing(plan),
        max_constructor_retry_count=START_TRIES,
        **_ends(plan),
    )(ModelReplica)
    ingress = serve.deployment(
        name="ingress",
        num_replicas=plan.ingress_replicas,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=MANY,
        max_surge_percent=100,  # a new one is there before an old one ends: nobody waits
        **_ends(plan),
    )(serve.ingress()(Ingress))
    return ingress.bind(replicas.bind(plan.settings), plan.settings)


def _number(plan: Plan) -> dict[str, Any]:
    if plan.min_replicas is None or plan.max_replicas is None:
        return {"num_replicas": plan.replicas}
    scaling = AutoscalingConfig(
        min_replicas=plan.min_replicas,
        max_replicas=plan.max_replicas,
        target_ongoing_requests=plan.target_ongoing_requests,
    )
    return {"autoscaling_config": scaling}


def _routing(plan: Plan) -> RequestRouterConfig:
    return RequestRouterConfig(request_router_class=RandomRouter if plan.routing == "random" else ConversationRouter)


def _ends(plan: Plan) -> dict[str, Any]:
    """How replicas are looked after and ended: one that has answers to finish is waited for."""
    return {
        "graceful_shutdown_wait_loop_s": DRAIN_LOOK,
        "graceful_shutdown_timeout_s": plan.drain_timeout,
        "health_check_period_s": HEALTH_PERIOD,
        "health_check_timeout_s": HEALTH_TIMEOUT,
    }
