"""The exports of a component. Imported when the component is built, where the interpreter runs up to its first call:
what happens at the top of a module happens there, once, and is part of the component."""

from __future__ import annotations

import builtins
import gc
import io
import sys
import time
from types import ModuleType, TracebackType
from typing import Any, Callable, NoReturn, Optional, Sequence

from . import host, log
from .errors import InitError
from .running import Running

_MOST_FRAMES = 8
"""Frames of an exception that are shown at either end."""

_running: Optional[Running[Any]] = None
_start: Callable[[], Running[Any]]


def begin(generated: Any, module: ModuleType) -> None:
    """Finds the gadget in the author's module. The last thing that happens while the component is built."""
    global _start
    file = f"{module.__name__}.py"
    found = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, generated.Gadget) and kind.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise TypeError(f"{file}: exactly one class is derived from gadget.Gadget; here: {names}")
    kind = found[0]
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    if missing:
        raise TypeError(f"{file}: {kind.__name__} has no method {', '.join(missing)}")
    _start = lambda: Running(generated, kind)  # noqa: E731
    # What is alive now lives as long as the guest: it need not be looked at again.
    gc.collect()
    gc.freeze()


class Handler:
    """The export ``handler``."""

    def init(self) -> None:
        """Starts the gadget; what it raises ends the run."""
        global _running
        reason: str
        # Not before: the runtime goes on where the build ends.
        _leave_the_machine()
        try:
            _running = _start()
            return
        except InitError as error:
            reason = str(error)
        except BaseException as error:
            reason = _told(error)
        raise host.Err(reason)

    def process(self, source: int, records: bytes) -> Any:
        """Hands a span over."""
        try:
            return host.verdict(*_alive().process(source, records))
        except BaseException as error:
            _give_up(error)

    def stop(self) -> None:
        """The last call."""
        try:
            _alive().stop()
        except BaseException as error:
            _give_up(error)


class Ticker:
    """The export ``ticker``."""

    def tick(self, timer: int, due: int) -> None:
        """A timer is due."""
        try:
            _alive().tick(timer, due)
        except BaseException as error:
            _give_up(error)


class ContainerWatcher:
    """The export ``container-watcher``."""

    def added(self, owners: Sequence[int]) -> None:
        """Containers are there."""
        try:
            _alive().added(owners)
        except BaseException as error:
            _give_up(error)

    def removed(self, owners: Sequence[int]) -> None:
        """Containers are gone."""
        try:
            _alive().removed(owners)
        except BaseException as error:
            _give_up(error)


def _alive() -> Running[Any]:
    if _running is None:
        raise RuntimeError("called before init")
    return _running


def _give_up(error: BaseException) -> NoReturn:
    """Tells what happened, and ends the instance."""
    _told(error)
    # The runtime prints the exception once more before it traps.
    sys.stderr = io.StringIO()
    raise RuntimeError("told already") from None


def _told(error: BaseException) -> str:
    """Logs an exception with its place, the author's frames only; gives its last line."""
    last = type(error).__name__
    if str(error):
        last += f": {error}"
    log.error(last)
    frames = [f"  {file}:{line} in {function}" for file, line, function in _frames(error.__traceback__)]
    if len(frames) > 2 * _MOST_FRAMES:
        frames[_MOST_FRAMES:-_MOST_FRAMES] = [f"  ... {len(frames) - 2 * _MOST_FRAMES} more"]
    for frame in frames:
        log.error(frame)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        log.error(f"  after {type(cause).__name__}: {cause}")
    return last


def _frames(traceback: Optional[TracebackType]) -> list[tuple[str, int, str]]:
    """The frames of a traceback, the outermost first; files as the author named them."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append((code.co_filename.lstrip("/").partition("/")[2], traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    own = [frame for frame in frames if not frame[0].startswith("gadget_sdk/")]
    return own or frames


def _leave_the_machine() -> None:
    """A guest has no files, no clock and no terminal: who asks for one is told so, where the runtime would only trap."""

    def refuse(what: str, cure: str) -> Callable[..., NoReturn]:
        def refused(*_: object, **__: object) -> NoReturn:
            raise RuntimeError(f"{what}: a guest {cure}")

        return refused

    clock = "has no clock of its own; grant `guest: {clock: true}` and use gadget.clock"
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"):
        setattr(time, name, refuse(f"time.{name}", clock))
    time.sleep = refuse("time.sleep", "never waits; use gadget.timers")
    builtins.open = io.open = refuse("open", "has no files; what it needs is read at the top of guest.py")
    sys.meta_path.insert(0, _NoModules())
    sys.stdout = log.Stream(2)
    sys.stderr = log.Stream(0)


class _NoModules:
    """Finds no module."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> NoReturn:
        """Says what to do."""
        raise ImportError(f"{name}: a guest has no files; import it at the top of guest.py")
