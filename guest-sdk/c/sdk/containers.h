/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a record is: which container, pod, systemd unit, or the host. Nothing here waits: what is not known yet is 0 or
 * absent, and may be known in a later call. Answers stand still during one call of the guest.
 */
#ifndef GADGET_CONTAINERS_H
#define GADGET_CONTAINERS_H

#include "maps.h"

/*
 * An owner of records; 0: not known (yet). It is never another's, and can be asked about for minutes after the owner is
 * gone.
 */
typedef uint32_t gadget_owner;

/*
 * Names of fields; wit/containers.wit says what each is. Inspektor Gadget's (`k8s.podName`) will do as well.
 */
#define GADGET_SCOPE "scope"
#define GADGET_RUNTIME "runtime"
#define GADGET_CONTAINER "container"
#define GADGET_CONTAINER_ID "container_id"
#define GADGET_CONTAINER_PID "container_pid"
#define GADGET_IMAGE "image"
#define GADGET_IMAGE_ID "image_id"
#define GADGET_IMAGE_DIGEST "image_digest"
#define GADGET_CONTAINER_STARTED "container_started"
#define GADGET_LABELS "labels"
#define GADGET_NAMESPACE "namespace"
#define GADGET_POD "pod"
#define GADGET_POD_UID "pod_uid"
#define GADGET_POD_CONTAINER "pod_container"
#define GADGET_POD_LABELS "pod_labels"
#define GADGET_POD_OWNER_KIND "pod_owner_kind"
#define GADGET_POD_OWNER "pod_owner"
#define GADGET_HOST_NETWORK "host_network"
#define GADGET_UNIT "unit"
#define GADGET_CGROUP_PATH "cgroup_path"

/* The owner of a record that was handed to a `gadget_on_...` function, while that runs. */
gadget_owner gadget_owner_of_record(const void *record);

/* The owner of a cgroup, by its id. */
gadget_owner gadget_owner_of_cgroup(uint64_t cgroup);

/* The owners of `count` cgroups, by their ids, in their order. */
void gadget_owners_of_cgroups(const uint64_t *cgroups, size_t count, gadget_owner *owners);

/*
 * The owner of a mount namespace that was seen `at` so many nanoseconds of CLOCK_BOOTTIME: the kernel gives its number to
 * others soon after.
 */
gadget_owner gadget_owner_of_mount_namespace(uint64_t mount_namespace, uint64_t at);

/* The container with this id, or with an id that begins so: at least 12 digits, which only one has. */
gadget_owner gadget_owner_of_id(struct gadget_bytes id);

/*
 * A field of an owner, by its name, as it is known now. The text is there until the call returns. Absent: not known, or
 * there is no such thing. Failed, with a reason: the host has no field of that name.
 */
enum gadget_found gadget_owner_field(gadget_owner owner, const char *name, struct gadget_bytes *text);

/*
 * The same of `count` owners, in their order; what is absent has no address. False, with a reason: no such field, or the
 * texts are more than one call may get.
 */
bool gadget_owner_fields(const gadget_owner *owners, size_t count, const char *name, struct gadget_bytes *texts);

#endif
