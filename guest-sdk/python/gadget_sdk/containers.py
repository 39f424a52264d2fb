"""Whose a record is: which container, pod, systemd unit, or the host.

Nothing here waits: what is not known yet is ``UNKNOWN`` or ``None``, and may be known in a later call. Answers stand still
during one call of the gadget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional, Sequence

from . import host
from .record import Record

SCOPE = "scope"
"""What it is: ``container``, ``sandbox``, ``unit``, ``session`` or ``host``."""
RUNTIME = "runtime"
"""The runtime: ``docker``, ``containerd``..."""
CONTAINER = "container"
"""The container's name."""
CONTAINER_ID = "container_id"
"""The container's id, all of it."""
CONTAINER_PID = "container_pid"
"""The process id of the container's first process, in decimal."""
IMAGE = "image"
"""The image's name, as it was asked for."""
IMAGE_ID = "image_id"
"""The image's id."""
IMAGE_DIGEST = "image_digest"
"""The image's digest."""
CONTAINER_STARTED = "container_started"
"""When it was started: nanoseconds since 1970, in decimal."""
LABELS = "labels"
"""Its labels: ``name=value`` with commas between, sorted."""
NAMESPACE = "namespace"
"""The pod's namespace."""
POD = "pod"
"""The pod's name."""
POD_UID = "pod_uid"
"""The pod's uid."""
POD_CONTAINER = "pod_container"
"""The container's name in its pod."""
POD_LABELS = "pod_labels"
"""The pod's labels, as ``LABELS``."""
POD_OWNER_KIND = "pod_owner_kind"
"""What the pod belongs to: ``Deployment``, ``DaemonSet``..."""
POD_OWNER = "pod_owner"
"""The name of what the pod belongs to."""
HOST_NETWORK = "host_network"
"""Whether it shares the host's network: ``true`` or ``false``."""
UNIT = "unit"
"""The systemd unit."""
CGROUP_PATH = "cgroup_path"
"""The path of its cgroup."""


@dataclass(frozen=True, order=True)
class Owner:
    """An owner of records. Its number is never another's, and can be asked about for minutes after the owner is gone."""

    number: int
    """What the host knows it by."""

    @property
    def known(self) -> bool:
        """Whether it is known whose it is."""
        return self.number != 0

    def field(self, name: str) -> Optional[str]:
        """A field of it as it is known now, by its name: one of the names above, or Inspektor Gadget's (``k8s.podName``).
        None when it is not known, or there is no such thing. Raises ``HostError`` when the host has no such field."""
        return host.owner_fields([self.number], name)[0]


UNKNOWN = Owner(0)
"""Not known (yet)."""


def of_record(record: Record) -> Owner:
    """The owner of a record, while the gadget is handed it."""
    return of_records([record])[0]


def of_records(records: Iterable[Record]) -> list[Owner]:
    """The owners of records of this call, in their order."""
    return [Owner(number) for number in host.owners_of_records([record.record_origin for record in records])]


def by_cgroup(cgroup: int) -> Owner:
    """The owner of a cgroup, by its id."""
    return by_cgroups([cgroup])[0]


def by_cgroups(cgroups: Sequence[int]) -> list[Owner]:
    """The owners of cgroups, by their ids, in their order."""
    return [Owner(number) for number in host.owners_by_cgroup(cgroups)]


def by_mount_namespace(namespace: int, at: int) -> Owner:
    """The owner of a mount namespace that was seen ``at`` so many nanoseconds of CLOCK_BOOTTIME: the kernel gives its
    number to others soon after."""
    return Owner(host.owner_by_mount_namespace(namespace, at))


def by_id(id: str) -> Owner:
    """The container with this id, or with an id that begins so: at least 12 digits, which only one has."""
    return Owner(host.owner_by_id(id))


def fields(owners: Iterable[Owner], name: str) -> list[Optional[str]]:
    """A field of several owners, in their order; see ``Owner.field``. Raises ``HostError``, also when the texts are more
    than one call may get."""
    return list(host.owner_fields([owner.number for owner in owners], name))
