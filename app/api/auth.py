"""The key that the API asks for."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.errors import ApiError

_bearer = HTTPBearer(auto_error=False, description="The key of the variable that --api-key-env names.")


class BearerKey:
    """A dependency that lets nobody pass without the key.

    Args:
        key: compared in a time that tells nothing of it.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def __call__(self, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> None:
        """Raise an `ApiError` of status 401 if the key is missing or another."""
        # The server reads headers as Latin-1, so these are the bytes that were sent.
        if given is None or not hmac.compare_digest(given.credentials.encode("latin-1", "replace"), self._key):
            raise ApiError(
                "The API key is missing or wrong.",
                "Send Authorization: Bearer KEY.",
                401,
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
