/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's functions are to the rest. */
#include "host.h"
#include "clock.h"
#include "containers.h"
#include "log.h"
#include "maps.h"
#include "timers.h"

/* Why the last function of this call failed. */
static struct gadget_bytes gadget__reason;

static struct gadget_bytes gadget__bytes(struct gadget__list list)
{
	return gadget_bytes(list.at, list.size);
}

static bool gadget__failed(uint8_t failed, struct gadget__list reason)
{
	if (failed)
		gadget__reason = gadget__bytes(reason);
	return failed;
}

struct gadget_bytes gadget_reason(void)
{
	return gadget__reason;
}

/* Hands the rows of a table over, with the first `columns` of `emitted`. */
void gadget__emit(const struct gadget__table *table, size_t columns)
{
	struct gadget__answer answer;

	gadget__host_emit(table->index, table->rows, table->origin.at, table->origin.size / 4, table->emitted, columns,
			  &answer);
	if (gadget__failed(answer.failed, answer.list))
		gadget_error("%lu rows of table %u are lost: %.*s", (unsigned long)table->rows, table->index,
			     (int)answer.list.size, (const char *)answer.list.at);
}

void gadget__end_frame(struct gadget__table *table)
{
	gadget__flush(table);
	gadget__host_end_frame(table->index);
}

__attribute__((cold)) uint64_t gadget__ask(struct gadget__table *table)
{
	struct gadget__list answer = { NULL, 0 };
	const gadget_u16 *wanted;
	unsigned int column;

	table->wanted = 0;
	table->asked = true;
	if (!table->columns)
		return 0;
	gadget__host_wanted(table->index, &answer);
	wanted = (const gadget_u16 *)answer.at;
	/* Both ascend. */
	for (column = 0; column < table->columns; column++) {
		while (answer.size && *wanted < table->indexes[column]) {
			wanted++;
			answer.size--;
		}
		if (answer.size && *wanted == table->indexes[column])
			table->wanted |= UINT64_C(1) << column;
	}
	return table->wanted;
}

uint64_t gadget_clock_boot(void)
{
	return gadget__host_boot();
}

uint64_t gadget_clock_wall(void)
{
	return gadget__host_wall();
}

static bool gadget__timer(struct gadget__answer answer, uint32_t *timer)
{
	if (gadget__failed(answer.failed, answer.list))
		return false;
	*timer = answer.number;
	return true;
}

bool gadget_timer_every(uint64_t period, uint32_t *timer)
{
	struct gadget__answer answer;

	gadget__host_every(period, &answer);
	return gadget__timer(answer, timer);
}

bool gadget_timer_once(uint64_t delay, uint32_t *timer)
{
	struct gadget__answer answer;

	gadget__host_once(delay, &answer);
	return gadget__timer(answer, timer);
}

void gadget_timer_cancel(uint32_t timer)
{
	gadget__host_cancel(timer);
}

gadget_owner gadget_owner_of_record(const void *record)
{
	size_t origin = (uintptr_t)record - (uintptr_t)gadget__span.at - GADGET__HEADER;
	struct gadget__list answer = { NULL, 0 };
	uint32_t offset = (uint32_t)origin;

	if (origin >= gadget__span.size)
		gadget_panic("the owner of a record that is not of this call");
	gadget__host_of_records(&offset, 1, &answer);
	return answer.size ? *(const gadget_u32 *)answer.at : 0;
}

void gadget_owners_of_cgroups(const uint64_t *cgroups, size_t count, gadget_owner *owners)
{
	struct gadget__list answer = { NULL, 0 };

	gadget__host_by_cgroup(cgroups, count, &answer);
	gadget__copy(owners, count * sizeof(*owners), gadget_bytes(answer.at, answer.size * sizeof(*owners)));
}

gadget_owner gadget_owner_of_cgroup(uint64_t cgroup)
{
	gadget_owner owner;

	gadget_owners_of_cgroups(&cgroup, 1, &owner);
	return owner;
}

gadget_owner gadget_owner_of_mount_namespace(uint64_t mount_namespace, uint64_t at)
{
	return gadget__host_by_mount_namespace(mount_namespace, at);
}

gadget_owner gadget_owner_of_id(struct gadget_bytes id)
{
	return gadget__host_by_id(id.at, id.size);
}

bool gadget_owner_fields(const gadget_owner *owners, size_t count, const char *name, struct gadget_bytes *texts)
{
	const struct gadget__field *found;
	struct gadget__answer answer;
	size_t at;

	gadget__host_field(owners, count, name, __builtin_strlen(name), &answer);
	if (gadget__failed(answer.failed, answer.list))
		return false;
	found = (const struct gadget__field *)answer.list.at;
	for (at = 0; at < count; at++) {
		texts[at] = gadget_bytes(NULL, 0);
		if (at < answer.list.size && found[at].some)
			texts[at] = gadget__bytes(found[at].text);
	}
	return true;
}

enum gadget_found gadget_owner_field(gadget_owner owner, const char *name, struct gadget_bytes *text)
{
	struct gadget__answer answer;
	const struct gadget__field *found;

	gadget__host_field(&owner, 1, name, __builtin_strlen(name), &answer);
	if (gadget__failed(answer.failed, answer.list))
		return GADGET_FAILED;
	found = (const struct gadget__field *)answer.list.at;
	if (!answer.list.size || !found->some)
		return GADGET_ABSENT;
	*text = gadget__bytes(found->text);
	return GADGET_FOUND;
}

enum gadget_found gadget__lookup(uint32_t grant, struct gadget_bytes key, struct gadget_bytes *value)
{
	struct gadget__option answer;

	gadget__host_lookup(grant, key.at, key.size, &answer);
	if (gadget__failed(answer.failed, answer.reason))
		return GADGET_FAILED;
	if (!answer.some)
		return GADGET_ABSENT;
	*value = gadget__bytes(answer.list);
	return GADGET_FOUND;
}

bool gadget__update(uint32_t grant, struct gadget_bytes key, struct gadget_bytes value)
{
	struct gadget__answer answer;

	gadget__host_update(grant, key.at, key.size, value.at, value.size, &answer);
	return !gadget__failed(answer.failed, answer.list);
}

enum gadget_found gadget__delete(uint32_t grant, struct gadget_bytes key)
{
	struct gadget__answer answer;

	gadget__host_delete(grant, key.at, key.size, &answer);
	if (gadget__failed(answer.failed, answer.list))
		return GADGET_FAILED;
	return answer.yes ? GADGET_FOUND : GADGET_ABSENT;
}

bool gadget__read_all(uint32_t grant, struct gadget_entries *entries)
{
	struct gadget__answer answer;

	entries->rest = gadget_bytes(NULL, 0);
	gadget__host_read_all(grant, &answer);
	if (gadget__failed(answer.failed, answer.list))
		return false;
	entries->rest = gadget__bytes(answer.list);
	return true;
}

bool gadget__entry(struct gadget_entries *entries, size_t key_size, struct gadget_bytes *key, struct gadget_bytes *value)
{
	struct gadget_bytes payload;

	if (!gadget__next(&entries->rest, &payload) || payload.size < key_size)
		return false;
	*key = gadget_first(payload, key_size);
	*value = gadget_skip(payload, (key_size + 7) & ~(size_t)7);
	return true;
}

void gadget__copy(void *to, size_t size, struct gadget_bytes from)
{
	from = gadget_first(from, size);
	__builtin_memset(to, 0, size);
	if (from.size)
		__builtin_memcpy(to, from.at, from.size);
}
