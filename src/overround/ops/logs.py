"""Logging: events with keys, to people as lines and to machines as JSON, secrets masked in both.

Standard error gets lines for people when it is a terminal (and the configuration does not say otherwise),
one JSON object a line when it is not. A service also writes JSON lines to a file that is rotated.

Invariants: nothing is written to standard output; a secret's text never appears, whichever key, message or
traceback it is in; what cannot be written does not stop the program. Other libraries are heard from
``warning`` on.
"""

import logging
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from overround.ops.config import LogConfig, WalletConfig
from overround.ops.secrets import MASK, Secret

ROOT: Final = "overround"
"""Our own loggers are named ``overround.*``."""

FILE_NAME: Final = "overround.log"
FILE_BYTES: Final = 10_000_000
FILES: Final = 5
"""Rotated files that are kept beside the present one."""
RECENT: Final = 8

_SECRET_WORDS: Final = (
    "secret",
    "passphrase",
    "private_key",
    "api_key",
    "password",
    "authorization",
    "cookie",
)


class Recent:
    """The latest events, for a status display."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, str]] = deque(maxlen=RECENT)
        """Level (as of ``logging``) and text."""


@contextmanager
def logs(
    config: LogConfig,
    wallet: WalletConfig | None = None,
    directory: Path | None = None,
    *,
    on_screen: bool = True,
) -> Iterator[Recent]:
    """Log as configured until left; then everything is as before.

    ``directory`` is where a service keeps its log file. With ``on_screen`` off, standard error is left to a
    display, which shows what is yielded; everything is in the file.

    Raises ``OSError`` if the directory cannot be made or written.
    """
    hidden = _texts(wallet)
    recent = Recent()
    handlers = [_to_memory(recent, hidden)]
    if on_screen:
        handlers.append(_on_screen(config, hidden))
    if directory is not None:
        handlers.append(_to_file(directory, hidden))
    root, own = logging.getLogger(), logging.getLogger(ROOT)
    before = (root.handlers[:], root.level, own.level)
    structlog_before = structlog.get_config()
    root.handlers[:] = handlers
    root.setLevel(logging.WARNING)
    own.setLevel(config.level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    try:
        yield recent
    finally:
        structlog.configure(**structlog_before)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        own.setLevel(before[2])
        for handler in handlers:
            handler.close()


def mask_keys(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask values whose key sounds like a secret, however deep they are."""
    for key, value in event.items():
        event[key] = _masked(key, value)
    return event


def _masked(key: str, value: Any) -> Any:
    if any(word in key.lower() for word in _SECRET_WORDS):
        return MASK
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), item) for inner, item in value.items()}
    return value


_SHARED: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    mask_keys,
)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders, then masks the secrets themselves wherever they got to."""

    def __init__(self, renderers: Sequence[Processor], hidden: Sequence[str]) -> None:
        super().__init__(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=_SHARED,
        )
        self._hidden = hidden

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for text in self._hidden:
            line = line.replace(text, MASK)
        return line


_AS_JSON: Final[Sequence[Processor]] = (
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(ensure_ascii=False),
)


_FOR_PEOPLE: Final[Sequence[Processor]] = (
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, pad_event_to=24),
)


def _on_screen(config: LogConfig, hidden: Sequence[str]) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    people = config.format == "console" and sys.stderr.isatty()
    handler.setFormatter(_Formatter(_FOR_PEOPLE if people else _AS_JSON, hidden))
    return handler


def _to_memory(recent: Recent, hidden: Sequence[str]) -> logging.Handler:
    handler = _MemoryHandler(recent)
    handler.setFormatter(_Formatter((_short,), hidden))
    return handler


def _to_file(directory: Path, hidden: Sequence[str]) -> logging.Handler:
    directory.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        directory / FILE_NAME, maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8"
    )
    handler.setFormatter(_Formatter(_AS_JSON, hidden))
    return handler


def _short(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return time, event and keys in one line, without what a display need not repeat."""
    moment = str(event.pop("timestamp", ""))[11:19]
    name = event.pop("event", "")
    for key in ("logger", "level", "run_id", "exc_info", "exception", "stack"):
        event.pop(key, None)
    return f"{moment} {name} " + " ".join(f"{key}={value}" for key, value in event.items())


class _MemoryHandler(logging.Handler):
    def __init__(self, recent: Recent) -> None:
        super().__init__()
        self._recent = recent

    def emit(self, record: logging.LogRecord) -> None:
        self._recent.lines.append((record.levelno, self.format(record).split("\n", 1)[0]))


def _texts(wallet: WalletConfig | None) -> list[str]:
    """Return the secrets' own texts, longest first, so that one inside another leaves nothing behind."""
    values = [] if wallet is None else [getattr(wallet, name) for name in wallet.__struct_fields__]
    texts = {value.reveal() for value in values if isinstance(value, Secret) and value}
    bare = {text.removeprefix("0x") for text in texts}
    return sorted((text for text in texts | bare if text), key=len, reverse=True)
