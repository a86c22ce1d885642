"""What Ray is told of the replicas."""

from __future__ import annotations

from typing import Any

import pytest

from app.replicas.application import build


def model_of(routing: str) -> Any:
    """How the replicas' deployment is configured."""
    application: Any = build({"backend": "echo", "routing": routing})
    return application._bound_deployment.init_args[0]._bound_deployment._deployment_config


@pytest.mark.parametrize("routing", ["conversation", "random"])
def test_replicas_have_time_to_say_how_busy_they_are_whoever_starts_ray(routing: str) -> None:
    router: Any = model_of(routing).request_router_config.get_request_router_class()
    assert router.queue_len_response_deadline_s == 1.0


def test_a_failed_model_is_noticed_at_once_and_a_busy_one_has_time() -> None:
    config = model_of("conversation")
    assert config.health_check_period_s == 1.0 and config.health_check_timeout_s == 30.0
