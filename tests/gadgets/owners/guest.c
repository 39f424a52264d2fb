/* SPDX-License-Identifier: Apache-2.0 */
/* Asks in each way whose a record is, and once more when it is all over. */
#include <gadget.h>

#define KEPT 256

static gadget_owner kept[KEPT];
static size_t kept_count;

static void answer(const char *what, gadget_owner owner)
{
	struct gadget_bytes text;

	answers_row();
	answers_set_what(gadget_string(what));
	answers_set_whose(owner);
	if (gadget_owner_field(owner, GADGET_CONTAINER, &text) == GADGET_FOUND)
		answers_set_name(text);
	if (gadget_owner_field(owner, GADGET_IMAGE, &text) == GADGET_FOUND)
		answers_set_picture(text);
	if (gadget_owner_field(owner, GADGET_CGROUP_PATH, &text) == GADGET_FOUND)
		answers_set_path(text);
}

enum gadget_outcome gadget_on_exec(const struct event *event)
{
	gadget_owner owner = gadget_owner_of_record(event);
	struct gadget_bytes id;

	answer("record", owner);
	answer("cgroup", gadget_owner_of_cgroup(event->cgroup_id));
	answer("mount namespace", gadget_owner_of_mount_namespace(event->mntns_id, event->timestamp_raw));
	if (gadget_owner_field(owner, GADGET_CONTAINER_ID, &id) == GADGET_FOUND)
		answer("id", gadget_owner_of_id(id));
	if (kept_count < KEPT)
		kept[kept_count++] = owner;
	return GADGET_ACCEPTED;
}

void gadget_added(const gadget_owner *owners, size_t count)
{
	for (size_t at = 0; at < count; at++)
		answer("added", owners[at]);
}

void gadget_removed(const gadget_owner *owners, size_t count)
{
	for (size_t at = 0; at < count; at++)
		answer("removed", owners[at]);
}

void gadget_stop(void)
{
	for (size_t at = 0; at < kept_count; at++)
		answer("late", kept[at]);
}
