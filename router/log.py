"""Logging of every process: structured events on stderr, JSON lines or, on a terminal, readable.

What peers sent is made harmless here, whoever logs it. Secrets are never given to a logger; that a
peer may say them back to us is the reason for `redacted`. Each process calls `configure` before
anything else, and once more when it knows its configuration.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from router.log_output import Output

MAX_TEXT_CHARS: Final = 256
MAX_TRACEBACK_CHARS: Final = 8192
REDACTED: Final = "[redacted]"
_KEPT_ITEMS: Final = 16
_MIN_SECRET_CHARS: Final = 4  # what is shorter stands in every other word
# A dialback key, a component's digest: 160 bits or more in hexadecimal.
_DIGEST: Final = r"[0-9A-Fa-f]{40,}"

_secret = re.compile(_DIGEST)
_output = Output()


def configure(role: str, level: str = "info", secrets: Collection[str] = ()) -> None:
    """Send all events of this process, those of the standard library's loggers too, to stderr.

    `role` ("supervisor", "a0.3", …) is added to each. `level`: "debug", "info", "warning" or
    "error"; of libraries, warnings and errors alone. `secrets` never appear, whoever says them.
    """
    global _secret, _output
    known = sorted((s for s in secrets if len(s) >= _MIN_SECRET_CHARS), key=len, reverse=True)
    _secret = re.compile("|".join([*map(re.escape, known), _DIGEST]))
    _key.cache_clear()
    _output.close()
    _output = Output()
    least: int = getattr(logging, level.upper())

    def add_role(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["role"] = role
        return event

    renderer: Any = _json
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            add_role,
            structlog.processors.add_log_level,
            _stamp,
            structlog.processors.format_exc_info,
            harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        # Unlike print, one write for the line and its end: processes share the stream.
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _output)),
        cache_logger_on_first_use=False,
    )
    of_libraries = max(least, logging.WARNING)
    logging.basicConfig(handlers=[_ToStructlog()], level=of_libraries, force=True)


def logger(name: str) -> FilteringBoundLogger:
    """The logger of a module; `name` is added to each event as `module`."""
    bound: FilteringBoundLogger = structlog.get_logger(module=name)
    return bound


def is_debug() -> bool:
    """Whether events of level debug are written, before anything is gathered for one."""
    least: Any = structlog.get_config()["wrapper_class"]
    return bool(least.is_enabled_for(None, logging.DEBUG))


def escape(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """The text with everything unprintable (Cc, Cf, Zl, Zp, …) as `\\uXXXX`, cut to `limit`."""
    if len(text) <= limit and text.isprintable():
        return text
    text = text[: limit + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redacted(text: str) -> str:
    """The text without this process's secrets, and without whatever looks like a key or digest."""
    return _secret.sub(REDACTED, text)


def harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: redacts, escapes and bounds every key and value of the event."""
    traceback = event.pop("exception", None)
    safe = {_key(key): _value(value) for key, value in event.items()}
    if traceback is not None:
        lines = redacted(str(traceback))[-MAX_TRACEBACK_CHARS:].splitlines()
        safe["exception"] = "\n".join(escape(line) for line in lines)
    return safe


def _stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Processor: the time in UTC (RFC 3339), to the microsecond."""
    second, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    event["timestamp"] = f"{_second(second)}.{microseconds:06}Z"
    return event


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _encode(event)


_encode: Final = json.JSONEncoder(check_circular=False).encode


def _value(value: Any, depth: int = 3) -> Any:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        items = list(value.items())[:_KEPT_ITEMS]
        return {_text(key): _value(item, depth - 1) for key, item in items}
    if depth and isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_value(item, depth - 1) for item in value[:_KEPT_ITEMS]]
    return _text(value)


def _text(value: Any) -> str:
    return escape(redacted(str(value)))


@lru_cache(maxsize=256)
def _key(key: str) -> str:
    return _text(key)


class _ToStructlog(logging.Handler):
    """Takes what libraries log (asyncio, aiohttp) into the same stream of events."""

    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage()
        logger(record.name).log(record.levelno, event, exc_info=record.exc_info)
