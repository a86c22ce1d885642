"""What the server at a URL is: which engine, which model, how much context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openai

from app.errors import SettingsError
from app.remote.card import Told, adapters_of, read_card
from app.remote.failures import failure_of
from app.remote.profiles import PROFILES, UNKNOWN, Profile
from app.sampling import RARE
from app.texts import Phrase

TIMEOUT = 5.0  # seconds for each question


@dataclass(frozen=True, slots=True)
class Found:
    """What a server is.

    Attributes:
        model: the name to ask for.
        version: as the engine tells it; may be empty.
        context: tokens of prompt and answer together; 0 is unknown.
        adapters: names of the model's adapters.
        told: what it says its model takes; None where it says nothing.
    """

    profile: Profile
    model: str
    version: str = ""
    context: int = 0
    adapters: tuple[str, ...] = ()
    told: Told | None = None

    @property
    def hidden_options(self) -> frozenset[str]:
        """Options without effect, as `Capabilities.hidden_options` has them."""
        hidden = self.profile.hidden_options
        return hidden - (RARE & set(self.profile.fields)) | self.told.hidden_options if self.told else hidden

    @property
    def defaults(self) -> dict[str, Any]:
        """Defaults of the options: the model's own where they are told."""
        return self.profile.defaults | (dict(self.told.defaults) if self.told else {})

    @property
    def title(self) -> str:
        """The engine with its version."""
        return f"{self.profile.title} {self.version}".strip()


async def examine(client: openai.AsyncOpenAI, url: str, engine: str = "auto", model: str = "") -> Found:
    """Ask a server what it is.

    Args:
        url: without /v1.
        engine: a name of `PROFILES`, which is believed, or "auto".
        model: the model to ask for; empty takes the only one that is served.

    Raises:
        AppError: it does not answer, is not ready, asks for a key, or serves no model of that name.
    """
    asked = client.with_options(timeout=TIMEOUT)
    try:
        await _check_health(asked, url)
        cards = await _models(asked, bool(model))
    except openai.APIError as cause:
        raise failure_of(cause, url).error from cause
    profile = PROFILES[engine] if engine != "auto" else await _recognise(asked, url, cards)
    card = _choose(cards, model, profile, url)
    version = await _version(asked, url, profile)
    context = await _context(asked, url, profile, card)
    name = model or str(card["id"])
    return Found(profile, name, version, context, adapters_of(name, cards), read_card(card) if profile.ours else None)


async def _check_health(client: openai.AsyncOpenAI, url: str) -> None:
    """An engine whose core died goes on listing its models; only its health tells."""
    try:
        await client.get(f"{url}/health", cast_to=object)
    except openai.APIStatusError as cause:
        if cause.status_code >= 500:
            raise


async def _models(client: openai.AsyncOpenAI, named: bool) -> list[Mapping[str, Any]]:
    """The entries of /v1/models; none where the server has no such list and the model is named anyway.

    That of transformers serve fails (500) where nothing was ever downloaded from Hugging Face.
    """
    try:
        listed: Any = await client.get("/models", cast_to=object)
    except openai.APIStatusError as cause:
        if named and (cause.status_code == 404 or cause.status_code >= 500):
            return []
        raise
    data = listed.get("data") if isinstance(listed, Mapping) else None
    return [card for card in data or [] if isinstance(card, Mapping) and card.get("id")]


async def _recognise(client: openai.AsyncOpenAI, url: str, cards: Sequence[Mapping[str, Any]]) -> Profile:
    """By who it says owns its models, else by a path that only one engine has."""
    owners = {card.get("owned_by") for card in cards}
    for profile in PROFILES.values():
        if profile.owner and profile.owner in owners:
            return profile
    if isinstance(await _ask(client, f"{url}/api/version"), Mapping):
        return PROFILES["ollama"]
    schema = await _ask(client, f"{url}/openapi.json")
    if isinstance(schema, Mapping) and "/load_model" in (schema.get("paths") or {}):
        return PROFILES["transformers"]
    return UNKNOWN


def _choose(cards: Sequence[Mapping[str, Any]], model: str, profile: Profile, url: str) -> Mapping[str, Any]:
    """The entry of the model to ask for."""
    # An entry with a parent is an adapter of another entry.
    names = [str(card["id"]) for card in cards if not card.get("parent")]
    if model:
        # Some engines take names that they do not list; those that do not say so themselves.
        return next((card for card in cards if card["id"] == model), {})
    likely = names if len(names) == 1 else [name for name in names if "minicpm" in name.lower().replace("-", "")]
    if len(likely) == 1:
        return next(card for card in cards if card["id"] == likely[0])
    shown = ", ".join(names[:8])
    if len(names) > 8:
        shown = Phrase("names_and_more", names=shown)
    raise SettingsError(
        Phrase("engine_serves", title=profile.title, url=url, models=shown or Phrase("serves_none")),
        Phrase("do_served_model"),
    )


async def _version(client: openai.AsyncOpenAI, url: str, profile: Profile) -> str:
    paths = {"vllm": "/version", "ollama": "/api/version", "sglang": "/get_server_info", "minicpm": "/version"}
    answer = await _ask(client, url + paths[profile.name]) if profile.name in paths else None
    version = answer.get("version") if isinstance(answer, Mapping) else None
    return version if isinstance(version, str) and len(version) < 40 else ""


async def _context(client: openai.AsyncOpenAI, url: str, profile: Profile, card: Mapping[str, Any]) -> int:
    """Tokens that fit one request."""
    told: Any = card.get("max_model_len")
    if profile.name == "llama-server":
        props = await _ask(client, f"{url}/props")
        settings = props.get("default_generation_settings") if isinstance(props, Mapping) else None
        told = settings.get("n_ctx") if isinstance(settings, Mapping) else None
    return told if isinstance(told, int) and told > 0 else 0


async def _ask(client: openai.AsyncOpenAI, url: str) -> Any:
    """A JSON answer, None if there is none."""
    try:
        return await client.get(url, cast_to=object)
    except (openai.APIError, ValueError):
        return None
