"""The host's stand-in where the guest is not WebAssembly: for tests of a gadget's logic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Optional


@dataclass(frozen=True)
class Emitted:
    """Rows that a gadget emitted, as they were handed over."""

    table: int
    """The table's place in the manifest."""
    rows: int
    """The number of rows."""
    origin: list[int]
    """Per row the offset of its record, or empty."""
    columns: dict[int, list[bytes]]
    """By its place in the table the buffers of each column."""


@dataclass
class _State:
    on_emit: Optional[Callable[[Emitted], Optional[str]]] = None
    emitted: list[Emitted] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    wanted: dict[int, list[int]] = field(default_factory=dict)
    params: dict[int, str] = field(default_factory=dict)
    maps: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    now: int = 0
    timers: int = 0
    of_records: dict[int, int] = field(default_factory=dict)
    of_cgroups: dict[int, int] = field(default_factory=dict)
    of_mount_namespaces: dict[int, int] = field(default_factory=dict)
    fields: dict[tuple[int, str], str] = field(default_factory=dict)


_FIELDS = frozenset(
    "scope runtime container container_id container_pid container_started image image_id image_digest labels namespace pod "
    "pod_uid pod_container pod_labels pod_owner_kind pod_owner host_network unit cgroup_path".split()
)

_state = _State()


def reset() -> None:
    """Forgets everything that was set or collected."""
    global _state
    _state = _State()


def on_emit(act: Callable[[Emitted], Optional[str]]) -> None:
    """What happens to emitted rows from now on, instead of being collected; a text refuses them."""
    _state.on_emit = act


def emitted() -> list[Emitted]:
    """Takes the rows emitted since the last call."""
    taken, _state.emitted = _state.emitted, []
    return taken


def ended() -> list[int]:
    """Takes the tables whose frames were ended since the last call."""
    taken, _state.ended = _state.ended, []
    return taken


def set_param(index: int, value: str) -> None:
    """Sets a parameter, by its place in the manifest."""
    _state.params[index] = value


def set_wanted(table: int, columns: Iterable[int]) -> None:
    """Sets which columns of a table somebody needs, ascending; all of them if this is never called."""
    _state.wanted[table] = list(columns)


def set_entry(grant: int, key: bytes, value: bytes) -> None:
    """Sets an entry of a map, by its grant's place in the manifest."""
    _state.maps.setdefault(grant, {})[key] = value


def set_owner_of_record(origin: int, owner: int) -> None:
    """Sets whose a record is, by its ``record_origin``; owners are numbers."""
    _state.of_records[origin] = owner


def set_owner_of_cgroup(cgroup: int, owner: int) -> None:
    """Sets whose a cgroup is."""
    _state.of_cgroups[cgroup] = owner


def set_owner_of_mount_namespace(namespace: int, owner: int) -> None:
    """Sets whose a mount namespace is, at any time."""
    _state.of_mount_namespaces[namespace] = owner


def set_field(owner: int, name: str, value: str) -> None:
    """Sets a field of an owner, by its name in ``gadget_sdk.containers``. A container is found by its ``container_id``."""
    _state.fields[owner, name] = value


def set_now(now: int) -> None:
    """Sets both clocks, in nanoseconds."""
    _state.now = now


def logged() -> list[tuple[str, str]]:
    """Takes the messages logged since the last call, each with its level."""
    taken, _state.log = _state.log, []
    return taken


def span(payloads: Iterable[bytes]) -> bytes:
    """Builds a span of these payloads, framed as the kernel frames them."""
    framed = bytearray()
    for payload in payloads:
        framed += len(payload).to_bytes(4, "little") + bytes(4) + payload
        framed += bytes(-len(framed) % 8)
    return bytes(framed)


class host:  # noqa: N801
    """What the contract's interfaces are elsewhere."""

    class Level:
        """The levels of the log."""

        ERROR = "error"
        WARN = "warn"
        INFO = "info"
        DEBUG = "debug"

    class Err(Exception):
        """What a function of the host raises."""

        def __init__(self, value: str) -> None:
            super().__init__(value)
            self.value = value

    @dataclass
    class Column:
        """One column of an emit."""

        index: int
        buffers: list[bytes]

    @dataclass
    class Verdict:
        """What became of a span."""

        accepted: int
        dropped: int
        malformed: int

    @staticmethod
    def emit(table: int, rows: int, origin: Iterable[int], columns: Iterable[Any]) -> None:
        """Collects rows."""
        taken = Emitted(table, rows, list(origin), {column.index: list(column.buffers) for column in columns})
        if _state.on_emit is None:
            _state.emitted.append(taken)
            return
        refused = _state.on_emit(taken)
        if refused is not None:
            raise host.Err(refused)

    @staticmethod
    def end_frame(table: int) -> None:
        """Collects the end of a frame."""
        _state.ended.append(table)

    @staticmethod
    def wanted(table: int) -> list[int]:
        """What was set."""
        return _state.wanted.get(table, list(range(1024)))

    @staticmethod
    def write(level: str, text: str) -> None:
        """Collects a message."""
        _state.log.append((level, text))

    @staticmethod
    def get(index: int) -> str:
        """What was set."""
        return _state.params.get(index, "")

    @staticmethod
    def boot() -> int:
        """What was set."""
        return _state.now

    @staticmethod
    def wall() -> int:
        """What was set."""
        return _state.now

    @staticmethod
    def lookup(grant: int, key: bytes) -> Optional[bytes]:
        """What was set."""
        return _state.maps.get(grant, {}).get(key)

    @staticmethod
    def update(grant: int, key: bytes, value: bytes) -> None:
        """Sets an entry."""
        set_entry(grant, key, value)

    @staticmethod
    def delete(grant: int, key: bytes) -> bool:
        """Removes an entry."""
        return _state.maps.get(grant, {}).pop(key, None) is not None

    @staticmethod
    def read_all(grant: int) -> bytes:
        """What was set, in the order of the keys."""
        entries = sorted(_state.maps.get(grant, {}).items())
        return span(key + bytes(-len(key) % 8) + value for key, value in entries)

    @staticmethod
    def every(period_ns: int) -> int:
        """Counts timers."""
        _state.timers += 1
        return _state.timers

    @staticmethod
    def once(delay_ns: int) -> int:
        """Counts timers."""
        return host.every(delay_ns)

    @staticmethod
    def of_records(offsets: Iterable[int]) -> list[int]:
        """What was set."""
        return [_state.of_records.get(offset, 0) for offset in offsets]

    @staticmethod
    def by_cgroup(cgroups: Iterable[int]) -> list[int]:
        """What was set."""
        return [_state.of_cgroups.get(cgroup, 0) for cgroup in cgroups]

    @staticmethod
    def by_mount_namespace(namespace: int, at: int) -> int:
        """What was set."""
        return _state.of_mount_namespaces.get(namespace, 0)

    @staticmethod
    def by_id(id: str) -> int:
        """The only one whose ``container_id`` is that, or begins with 12 digits of it."""
        found = [
            owner
            for (owner, name), whole in _state.fields.items()
            if name == "container_id" and (whole == id or (len(id) >= 12 and whole.startswith(id)))
        ]
        return found[0] if len(found) == 1 else 0

    @staticmethod
    def field(owners: Iterable[int], name: str) -> list[Optional[str]]:
        """What was set."""
        if "." not in name and name not in _FIELDS:
            raise host.Err(f"there is no field {name!r} of containers")
        return [_state.fields.get((owner, name)) for owner in owners]

    @staticmethod
    def cancel(timer: int) -> None:
        """Nothing."""
