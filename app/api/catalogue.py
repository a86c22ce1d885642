"""The names under which the model and its adapters are asked for."""

from __future__ import annotations

from pathlib import Path
from time import time

from app.api.errors import ApiError
from app.api.replies import ModelCard, ModelList, ModelTakes
from app.backends.base import Backend
from app.settings import Settings

OWNER = "minicpm-v-web-demo"


class Catalogue:
    """The model under its name, and each adapter under its own."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._created = int(time())

    @property
    def name(self) -> str:
        """Of the model: that of the hub, of its folder, whose path is nobody's business, or another engine's for it."""
        if self._settings.backend == "local":
            folder = Path(self._settings.model)
            return folder.resolve().name if folder.is_dir() else self._settings.model
        told = self._backend.capabilities
        return self._settings.served_model or told.served_model or told.model

    def cards(self) -> ModelList:
        """All of them, the model first."""
        return ModelList(data=[self._card(name) for name in (self.name, *self._backend.capabilities.adapters)])

    def card(self, name: str) -> ModelCard:
        """One of them.

        Raises:
            ApiError: there is none of this name.
        """
        self.adapter(name)
        return self._card(name)

    def adapter(self, name: str | None) -> str:
        """The adapter that a name asks for, empty for the model alone.

        Raises:
            ApiError: there is none of this name.
        """
        if name in (None, self.name):
            return ""
        adapters = self._backend.capabilities.adapters
        if name not in adapters:
            known = ", ".join((self.name, *adapters))
            raise ApiError(
                "There is no model of this name.", f"Ask for {known}.", 404, "model_not_found", param="model"
            )
        return name

    def _card(self, name: str) -> ModelCard:
        return ModelCard(
            id=name,
            created=self._created,
            owned_by=OWNER,
            parent=None if name == self.name else self.name,
            max_model_len=self._backend.capabilities.context or None,
            capabilities=self._takes(),
        )

    def _takes(self) -> ModelTakes:
        told = self._backend.capabilities
        defaults = {**told.defaults, **self._settings.option_defaults}
        return ModelTakes(
            max_images=told.max_images,
            video=told.video,
            system_prompt=told.system_prompt,
            few_shot=told.few_shot,
            beam_search=told.beam_search,
            random_weights=told.random_weights,
            has_chat=told.has_chat,
            logprobs=told.logprobs,
            # A prompt is nobody's business, and programs have their own.
            defaults={name: value for name, value in defaults.items() if not name.endswith("system_prompt")},
            hidden_options=sorted(told.hidden_options),
        )
