"""What the command line and the environment decide, checked where it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from app.backends.table import BACKENDS
from app.errors import OptionError, SettingsError
from app.remote.profiles import PROFILES
from app.sampling import BASE, BY_NAME
from app.texts import Phrase, listed
from app.texts.languages import AUTO, LANGUAGES

ENGINES = ("auto", "batched", "plain")
REMOTE_ENGINES = ("auto", *PROFILES)
DTYPES = ("auto", "bf16", "fp16", "fp32", "int4", "int8")
SOURCES = ("huggingface", "modelscope")
VIDEO_READERS = ("pyav", "decord")
UNITS = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one server runs.

    Attributes:
        model: a folder or a hub id.
        port: of the page, 1 to 65535.
        device: "auto", "cuda", "cuda:N", "mps" or "cpu".
        dtype: one of `DTYPES`.
        host: the address to listen on.
        share: open a public gradio.live link.
        auth: user and password the page asks for, or None.
        root_path: path or URL under which a proxy serves the page.
        backend: a name of `BACKENDS`.
        max_file_size: of one upload, in bytes.
        multi_gpus: spread the model over all GPUs.
        max_memory: bytes for weights by GPU index, and "cpu"; empty measures what is free.
        cpu_offload: what does not fit on the GPUs may lie in main memory.
        source: hub to fetch from, one of `SOURCES`.
        video_reader: one of `VIDEO_READERS`.
        engine: with backend "local" one of `ENGINES`: "batched" answers many at once, "plain" one after another; "auto"
            takes the first where model and device allow it. With backend "openai" one of `REMOTE_ENGINES`: what the
            servers are; "auto" asks them.
        base_urls: the servers of backend "openai", without /v1.
        served_model: the model to ask them for; empty takes the only one.
        cache_size: bytes on the device for what is kept between answers, and for what a batch works on, which takes a
            whole context at least; 0 keeps nothing, None takes a tenth of what is free once the model is loaded.
        vision_table: bytes on the device, beside those, for image features that the prompts of a batch are read with;
            None takes a sixteenth of those.
        compile: start slower for faster answers: steps are recorded on CUDA, layers compiled on a CPU.
        adapters: folders of adapters by name, in the order of the page.
        api_key_env: name of the environment variable that holds the API key: the one sent to another engine, and the
            one that our own API asks for; empty is none.
        api: serve the OpenAI protocol beside the page.
        api_only: serve it without a page.
        allow_url_hosts: hosts from which that may read images and videos; see `app.api.fetch.Fetcher`.
        stands_in: the embedded model answers because this machine is too small for a published one.
        lent_gpu: a GPU is there only while an answer is written, in another process (Hugging Face's ZeroGPU).
        feedback: file for likes and dislikes; empty shows neither.
        lang: language of the page, one of `LANGUAGES`; "auto" takes the browser's.
        option_defaults: option defaults that win over the family's, in the form of `Capabilities.defaults`.

    Raises:
        SettingsError: a value cannot be used; names the flag, what was got and what is allowed.
    """

    model: str
    port: int = 8885
    device: str = "auto"
    dtype: str = "auto"
    host: str = "127.0.0.1"
    share: bool = False
    auth: tuple[str, str] | None = field(default=None, repr=False)
    root_path: str = ""
    backend: str = "local"
    max_file_size: int = 500 * 1024**2
    multi_gpus: bool = False
    max_memory: Mapping[int | str, int] = field(default_factory=dict)
    cpu_offload: bool = False
    source: str = "huggingface"
    video_reader: Literal["pyav", "decord"] = "pyav"
    engine: str = "auto"
    base_urls: Sequence[str] = field(default_factory=list)
    served_model: str = ""
    cache_size: int | None = None
    vision_table: int | None = None
    compile: bool = False
    adapters: Mapping[str, str] = field(default_factory=dict)
    api_key_env: str = ""
    api: bool = False
    api_only: bool = False
    allow_url_hosts: tuple[str, ...] = ()
    stands_in: bool = False
    lent_gpu: bool = False
    feedback: str = ""
    lang: str = AUTO
    option_defaults: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(bool(self.model.strip()), "model", self.model, Phrase("allow_model"))
        _require(1 <= self.port <= 65535, "port", self.port, Phrase("allow_port"))
        _require(bool(re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device)), "device", self.device,
                 Phrase("allow_device"))  # fmt: skip
        _one_of("dtype", self.dtype, DTYPES)
        _one_of("backend", self.backend, tuple(BACKENDS))
        _check_engine(self)
        _one_of("source", self.source, SOURCES)
        _one_of("video-reader", self.video_reader, VIDEO_READERS)
        _require(bool(self.host.strip()), "host", self.host, Phrase("allow_host"))
        _require(bool(re.match(r"$|/|https?://", self.root_path)), "root-path", self.root_path, Phrase("allow_path"))
        _require(self.max_file_size > 0, "max-file-size", self.max_file_size, Phrase("allow_some"))
        # Somebody may give the key itself, which no error is to repeat.
        if not re.fullmatch(r"([A-Za-z_]\w*)?", self.api_key_env, re.ASCII):
            raise SettingsError(Phrase("key_is_name"))
        _one_of("lang", self.lang, (*LANGUAGES, AUTO))
        _check_api(self)
        for name in self.adapters:
            _require(name.strip() not in ("", BASE), "adapter", name, Phrase("allow_adapter_name", base=BASE))
        for name, value in self.option_defaults.items():
            _check_option(name.removeprefix("beam."), value)

    @property
    def open_to_others(self) -> bool:
        """Whether other machines can reach the page, or what is served instead, without a password."""
        locked = bool(self.api_key_env) if self.api_only else self.auth is not None
        return not locked and (self.share or not _is_loopback(self.host))

    def read_api_key(self) -> str | None:
        """The API key from its environment variable; None if `api_key_env` is empty.

        Raises:
            SettingsError: the variable is not set, or empty.
        """
        if not self.api_key_env:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise SettingsError(Phrase("key_not_set"), Phrase("do_put_key"))
        return key


def parse_auth(text: str) -> tuple[str, str]:
    """User and password from "USER:PASS"; the password may hold colons.

    Raises:
        SettingsError: either is missing. The text is not repeated.
    """
    user, _, password = text.partition(":")
    if not user or not password:
        raise SettingsError(Phrase("auth_wrong"))
    return user, password


def parse_hosts(text: str) -> tuple[str, ...]:
    """Hosts from "a.org,*.b.org,c.org:8080".

    Raises:
        SettingsError: a part is none.
    """
    hosts = tuple(filter(None, text.replace(" ", "").lower().split(",")))
    for host in hosts:
        _require(bool(re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)*(:\d{1,5})?", host)), "allow-url-hosts", host,
                 Phrase("allow_hosts"))  # fmt: skip
    return hosts


def parse_cache_size(text: str) -> int | None:
    """Bytes from a size such as "2gb"; "auto" is None.

    Raises:
        SettingsError: neither.
    """
    return _size_or_auto(text, "cache-size")


def parse_vision_table(text: str) -> int | None:
    """Bytes from a size such as "64mb"; "auto" is None.

    Raises:
        SettingsError: neither.
    """
    return _size_or_auto(text, "vision-table")


def _size_or_auto(text: str, flag: str) -> int | None:
    return None if text.strip().lower() == "auto" else parse_size(text, flag, Phrase("allow_cache"))


def parse_size(text: str, flag: str = "max-file-size", allowed: str = "") -> int:
    """Bytes from "20mb", "1.5 GB" or "4096".

    Raises:
        SettingsError: not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?b)?\s*", text, re.IGNORECASE)
    if not match:
        raise SettingsError(Phrase("flag_value", flag=flag, got=text, allowed=allowed or Phrase("allow_size")))
    return int(float(match[1]) * UNITS[(match[2] or "").lower()])


def parse_max_memory(text: str) -> dict[int | str, int]:
    """Bytes by device from "0=10GiB,1=10GiB,cpu=20GiB".

    Raises:
        SettingsError: not such a list.
    """
    budgets: dict[int | str, int] = {}
    for item in filter(None, text.replace(" ", "").split(",")):
        match = re.fullmatch(r"(\d+|cpu)=(\d+(?:\.\d+)?)([kmg]i?b)", item, re.IGNORECASE)
        if not match:
            raise SettingsError(Phrase("max_memory_wrong", text=text))
        device = match[1].lower()
        budgets[device if device == "cpu" else int(device)] = int(float(match[2]) * UNITS[match[3].lower()])
    return budgets


def parse_adapters(texts: Iterable[str], before: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Folders by name from "NAME=DIR", or from "DIR", whose last part is the name.

    Args:
        before: those there are already.

    Raises:
        SettingsError: two have one name.
    """
    folders = dict(before)
    for text in texts:
        name, mark, folder = text.partition("=")
        # A folder's own name may have the mark, such as runs/lr=1e-4.
        if not mark or re.search(r"[/\\]", name) or Path(text).is_dir():
            name, folder = Path(text).resolve().name, text
        if name in folders:
            raise SettingsError(Phrase("adapter_twice", name=name), Phrase("do_give_names"))
        folders[name] = folder
    return folders


def _check_api(settings: Settings) -> None:
    """A flag of the API alone has no effect without it, and a login for the page alone would leave a way around it."""
    if settings.api_only and (settings.share or settings.auth):
        flag = "share" if settings.share else "auth"
        raise SettingsError(Phrase("flag_page_only", flag=flag), Phrase("do_ask_key"))
    if settings.api and settings.auth and not settings.api_key_env:
        raise SettingsError(Phrase("auth_gap"), Phrase("do_add_key"))
    if settings.api_only and settings.feedback:
        raise SettingsError(Phrase("flag_page_only", flag="feedback"))
    serves = settings.api or settings.api_only
    if settings.allow_url_hosts and not serves:
        raise SettingsError(Phrase("url_hosts_idle"))
    if settings.api_key_env and not serves and settings.backend != "openai":
        raise SettingsError(Phrase("key_idle"), Phrase("do_auth_or_api"))


def _require(fine: bool, flag: str, got: Any, allowed: str) -> None:
    if not fine:
        raise SettingsError(Phrase("flag_value", flag=flag, got=got, allowed=allowed))


def _one_of(flag: str, got: str, allowed: tuple[str, ...]) -> None:
    _require(got in allowed, flag, got, Phrase("list_or", before=listed(allowed[:-1], "list_comma"), after=allowed[-1]))


def _check_option(name: str, value: Any) -> None:
    if name not in BY_NAME:
        raise SettingsError(Phrase("option_unknown_one", name=name, known=", ".join(BY_NAME)))
    try:
        BY_NAME[name].check(value)
    except OptionError as cause:
        raise SettingsError(Phrase("flag_wrong", message=_with_dashes(cause.message))) from cause


def _with_dashes(message: str) -> str:
    return message.but(name=message.fields["name"].replace("_", "-")) if isinstance(message, Phrase) else message


def parse_base_url(text: str) -> str:
    """The URL of a server without its /v1, under which the client asks.

    Raises:
        SettingsError: no http(s) URL of a host, or one with a login or a query.
    """
    url = text.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or parts.username or parts.password or parts.query or parts.fragment:
        # Not repeated: it may hold a password.
        raise SettingsError(
            Phrase("base_url_wrong"),
            Phrase("do_key_variable"),
        )
    return url


def _check_engine(settings: Settings) -> None:
    """What belongs to another backend than the one that is chosen is refused, not ignored."""
    remote = settings.backend == "openai"
    if settings.engine in {*ENGINES, *REMOTE_ENGINES} - set(REMOTE_ENGINES if remote else ENGINES):
        other = "local" if remote else "openai --base-url URL"
        raise SettingsError(
            Phrase("engine_backend", engine=settings.engine, backend=settings.backend),
            Phrase("do_use_backend", other=other),
        )
    _one_of("engine", settings.engine, REMOTE_ENGINES if remote else ENGINES)
    if remote:
        _require(bool(settings.base_urls), "base-url", Phrase("got_none"), Phrase("allow_urls"))
        urls = [parse_base_url(url) for url in settings.base_urls]
        _require(len(set(urls)) == len(urls), "base-url", Phrase("got_twice"), Phrase("allow_once"))
        object.__setattr__(settings, "base_urls", urls)
    here = {"base-url": settings.base_urls, "served-model": settings.served_model}
    there = {
        "device": settings.device != "auto",
        "dtype": settings.dtype != "auto",
        "source": settings.source != SOURCES[0],
        "cache-size": settings.cache_size is not None,
        "vision-table": settings.vision_table is not None,
        "adapter": settings.adapters,
        "multi-gpus": settings.multi_gpus,
        "max-memory": settings.max_memory,
        "cpu-offload": settings.cpu_offload,
        "compile": settings.compile,
    }
    if settings.engine == "plain" and settings.vision_table is not None:
        raise SettingsError(Phrase("vision_table_plain"), Phrase("do_leave_vision_table"))
    for flag, given in (there if remote else here).items():
        if given:
            raise SettingsError(
                Phrase("flag_no_effect", flag=flag, backend=settings.backend),
                Phrase("do_give_engine") if remote else Phrase("do_use_openai"),
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
