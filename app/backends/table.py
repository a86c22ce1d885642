"""The backends there are, by name; a backend is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from app.errors import SettingsError
from app.texts import Phrase

if TYPE_CHECKING:
    from app.backends.base import Backend
    from app.settings import Settings

BACKENDS: Mapping[str, str] = {
    "local": "app.backends.local:LocalBackend",
    "echo": "app.backends.echo:EchoBackend",
    "openai": "app.backends.openai:OpenAIBackend",
}


def make_backend(settings: Settings) -> Backend:
    """The backend the settings name, not started yet: its class' `from_settings(settings)`.

    Raises:
        AppError: the backend cannot work with these settings, or a package it needs is missing.
    """
    module, name = BACKENDS[settings.backend].split(":")
    try:
        backend_class = getattr(import_module(module), name)
    except ModuleNotFoundError as cause:
        raise SettingsError(
            Phrase("backend_package", backend=settings.backend, name=cause.name),
            Phrase("do_install_requirements"),
        ) from cause
    backend: Backend = backend_class.from_settings(settings)
    return backend
