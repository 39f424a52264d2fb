/* SPDX-License-Identifier: Apache-2.0 */
/* The guest of the conformance suite: the same as ../rust/src/lib.rs. */
#include <float.h>
#include <gadget.h>

/* A key that the eBPF side does not use. */
#define OURS 9999

static uint64_t seen;
static struct gadget_bytes *kept;
static size_t kept_count;
static uint32_t once, every, ticks;
static gadget_owner owners[8];
static size_t owner_count;

static void fact(const char *what, int64_t number)
{
	facts_row();
	facts_set_what(gadget_bytes(what, strlen(what)));
	facts_set_number(number);
}

static void fact_text(const char *what, struct gadget_bytes text)
{
	facts_row();
	facts_set_what(gadget_bytes(what, strlen(what)));
	facts_set_text(text);
}

/* Every column has a value. */
static void types(const struct event *event)
{
	struct gadget_bytes argument = event_argument(event);
	uint64_t n = event->sequence;

	types_row(event);
	types_set_flag(n % 2 == 0);
	types_set_i_8((int8_t)-n);
	types_set_i_16((int16_t)-(n * 100));
	types_set_i_32((int32_t)-(n * 100000));
	types_set_i_64(-(int64_t)n * 10000000000);
	types_set_u_8((uint8_t)n);
	types_set_u_16((uint16_t)(n * 100));
	types_set_u_32((uint32_t)(n * 100000));
	types_set_u_64(n * 10000000000);
	types_set_f_32((float)n / 4);
	types_set_f_64((double)n / 10);
	types_set_name(argument);
	types_set_raw(argument);
	types_add_words(argument);
	types_add_words(gadget_string(""));
	types_add_words(gadget_string("word"));
	types_begin_grid_item();
	types_add_grid_item((uint16_t)n);
	types_add_grid_item(2);
	types_begin_grid_item();
	types_begin_grid_item();
	types_add_grid_item(3);
	types_set_place_port(80);
	types_add_place_names(gadget_string("a"));
	types_add_place_names(gadget_string("b"));
	types_set_place_at_x(-(int32_t)n);
	types_begin_places_item();
	types_set_places_item_port(1);
	types_begin_places_item();
	types_set_places_item_port(2);
}

/* The least and the greatest value of each type, empty texts and lists. */
static void limits(const struct event *event)
{
	int at;

	types_row(event);
	types_set_flag(false);
	types_set_i_8(INT8_MIN);
	types_set_i_16(INT16_MIN);
	types_set_i_32(INT32_MIN);
	types_set_i_64(INT64_MIN);
	types_set_u_8(0);
	types_set_u_16(0);
	types_set_u_32(0);
	types_set_u_64(0);
	types_set_f_32(-0.5f);
	types_set_f_64(DBL_MAX);
	types_set_name(gadget_string(""));
	types_set_raw(gadget_string(""));
	types_begin_words();
	types_begin_grid();
	types_row(event);
	types_set_flag(true);
	types_set_i_8(INT8_MAX);
	types_set_i_16(INT16_MAX);
	types_set_i_32(INT32_MAX);
	types_set_i_64(INT64_MAX);
	types_set_u_8(UINT8_MAX);
	types_set_u_16(UINT16_MAX);
	types_set_u_32(UINT32_MAX);
	types_set_u_64(UINT64_MAX);
	types_set_f_32(1.5f);
	types_set_f_64(DBL_MIN);
	types_set_name(gadget_bytes("\xf0\x9f\x98\x80\0\"\\\n", 8));
	types_set_raw(gadget_bytes("\0\xff", 2));
	for (at = 0; at < 40; at++)
		types_add_words(gadget_string("x"));
	types_begin_grid_item();
	types_add_grid_item(UINT16_MAX);
}

/* Nulls in a column, a list and the fields of a struct. */
static void nulls(const struct event *event)
{
	types_row(event);
	types_row(event);
	types_set_flag(true);
	types_set_i_16(1);
	types_set_i_64(2);
	types_add_words(gadget_string("a"));
	types_add_null_words();
	types_add_words(gadget_string("b"));
	types_begin_grid_item();
	types_add_grid_item(1);
	types_add_null_grid_item();
	types_begin_grid_item();
	types_add_null_grid_item();
	types_add_null_place_names();
	types_add_place_names(gadget_string("a"));
	types_begin_place_at();
	types_begin_places_item();
	types_set_places_item_port(5);
	types_begin_places_item();
	types_row(event);
	types_set_i_8(3);
	types_set_u_64(4);
	types_set_name(gadget_string("b"));
}

/* Nulls in place of a list or a struct, as an item of a list and as a field of a struct. */
static void nested_nulls(const struct event *event)
{
	int at;

	types_row(event);
	types_add_words(gadget_string("a"));
	types_add_null_grid();
	types_begin_grid_item();
	types_add_grid_item(1);
	types_begin_grid_item();
	types_add_null_grid();
	types_set_place_port(1);
	types_add_null_places();
	types_begin_places_item();
	types_set_places_item_port(2);
	types_row(event);
	types_add_null_grid();
	for (at = 0; at < 9; at++)
		types_add_null_places();
	types_row(event);
	types_begin_grid_item();
	types_add_grid_item((uint16_t)event->sequence);
	types_set_place_port(3);
	types_add_place_names(gadget_string("b"));
	types_set_place_at_x(4);
	types_begin_places_item();
	types_set_places_item_port(5);
}

static void looked_up(uint32_t key)
{
	uint64_t value;

	switch (counts_lookup(key, &value)) {
	case GADGET_FOUND:
		fact("lookup", (int64_t)value);
		break;
	case GADGET_ABSENT:
		facts_row();
		facts_set_what(gadget_string("lookup"));
		break;
	default:
		gadget_panic("no answer");
	}
}

static void all_maps(void)
{
	struct gadget_entries entries;
	struct gadget_bytes values;
	int64_t sum = 0;
	uint64_t value;
	uint16_t part;
	size_t cpu;
	uint32_t key;
	int at;

	looked_up('l');
	looked_up(OURS);
	if (!counts_update(OURS, 7))
		gadget_panic("no room");
	looked_up(OURS);
	for (at = 0; at < 2; at++)
		fact("delete", counts_delete(OURS) == GADGET_FOUND);
	if (!counts_read_all(&entries))
		gadget_panic("no answer");
	while (counts_next(&entries, &key, &value))
		fact("entry", (int64_t)(key * 1000 + value));
	if (by_cpu_lookup(0, &values) != GADGET_FOUND)
		gadget_panic("no answer");
	for (cpu = 0; by_cpu_of_cpu(values, cpu, &part); cpu++)
		sum += part;
	fact("by CPU", sum);
}

static void all_params(void)
{
	fact("flag", gadget_params.flag);
	fact("lowest", gadget_params.lowest);
	facts_row();
	facts_set_what(gadget_string("level"));
	facts_set_amount(gadget_params.level);
	fact("rate", (int64_t)(gadget_params.rate * 1000));
	fact_text("prefix", gadget_params.prefix);
	fact("wait", (int64_t)(gadget_params.wait / 1000));
}

static void keep(struct gadget_bytes text)
{
	uint8_t *copy = gadget_alloc(text.size);

	memcpy(copy, text.at, text.size);
	kept = gadget_resize(kept, (kept_count + 1) * sizeof(*kept));
	kept[kept_count++] = gadget_bytes(copy, text.size);
}

static void give_up_kept(void)
{
	size_t at;

	for (at = 0; at < kept_count; at++)
		fact_text("kept", kept[at]);
	kept_count = 0;
}

enum gadget_outcome gadget_on_cases(const struct event *event)
{
	struct gadget_bytes argument = event_argument(event);
	uint32_t cancelled;
	size_t at;

	seen++;
	switch (event->letter) {
	case 't':
		types(event);
		break;
	case 'x':
		limits(event);
		break;
	case 'n':
		nulls(event);
		break;
	case 'N':
		nested_nulls(event);
		break;
	case 'd':
		return GADGET_DROPPED;
	case 'm':
		return GADGET_MALFORMED;
	case 'p':
		for (at = 0; at < argument.size; at++) {
			types_row(event);
			types_set_name(gadget_bytes(argument.at + at, 1));
		}
		break;
	case 'o':
		fact_text("no record", argument);
		facts_set_number((int64_t)seen);
		break;
	case 'k':
		keep(argument);
		break;
	case 'c':
		fact("boot", (int64_t)gadget_clock_boot());
		fact("wall", (int64_t)gadget_clock_wall());
		break;
	case 'l':
		all_maps();
		break;
	case 'q':
		all_params();
		break;
	case 'e':
		for (at = 0; at < 2; at++) {
			live_row();
			live_set_record(event->sequence);
		}
		live_end_frame();
		live_row();
		live_set_record(seen);
		break;
	case 'T':
		gadget_timer_once(gadget_params.wait, &once);
		gadget_timer_every(20000000, &every);
		if (!gadget_timer_once(1000000, &cancelled))
			gadget_panic("no timer");
		gadget_timer_cancel(cancelled);
		break;
	case 'b':
		gadget_panic("the case b");
	default:
		return GADGET_MALFORMED;
	}
	return GADGET_ACCEPTED;
}

/* An owner and the name of its container. */
static void owner(const char *what, gadget_owner owner)
{
	struct gadget_bytes name;

	switch (gadget_owner_field(owner, GADGET_CONTAINER, &name)) {
	case GADGET_FOUND:
		fact_text(what, name);
		break;
	case GADGET_ABSENT:
		facts_row();
		facts_set_what(gadget_string(what));
		break;
	default:
		gadget_panic("no answer");
	}
	facts_set_number(owner);
}

static void field(gadget_owner owner, struct gadget_bytes name)
{
	struct gadget_bytes value;
	char what[40];

	gadget_format(what, sizeof(what), "%.*s", (int)name.size, (const char *)name.at);
	switch (gadget_owner_field(owner, what, &value)) {
	case GADGET_FOUND:
		fact_text(what, value);
		facts_set_number(owner);
		break;
	case GADGET_ABSENT:
		fact(what, owner);
		break;
	default:
		fact_text("no field", name);
	}
}

/* Owners that are asked for at once. */
static void several(const struct owned *record)
{
	uint64_t cgroups[] = { record->cgroup_id, record->cgroup_id + 1, 999 };
	struct gadget_bytes images[3];
	gadget_owner found[3];
	size_t at;

	gadget_owners_of_cgroups(cgroups, 3, found);
	if (!gadget_owner_fields(found, 3, GADGET_IMAGE, images))
		gadget_panic("no answer");
	for (at = 0; at < 3; at++) {
		fact("image", found[at]);
		if (images[at].at)
			facts_set_text(images[at]);
	}
}

enum gadget_outcome gadget_on_owned(const struct owned *record)
{
	struct gadget_bytes argument = owned_argument(record);

	switch (record->letter) {
	case 'r':
		owner("record", gadget_owner_of_record(record));
		break;
	case 'g':
		owner("cgroup", gadget_owner_of_cgroup(record->cgroup_id));
		break;
	case 'm':
		owner("mount namespace", gadget_owner_of_mount_namespace(record->mntns_id, record->time));
		break;
	case 'i':
		owner("id", gadget_owner_of_id(argument));
		break;
	case 'f':
		field(gadget_owner_of_record(record), argument);
		break;
	case 's':
		several(record);
		break;
	case 'k':
		owners[owner_count++ % 8] = gadget_owner_of_record(record);
		break;
	case 'b':
		gadget_panic("the case b");
	default:
		return GADGET_MALFORMED;
	}
	return GADGET_ACCEPTED;
}

void gadget_added(const gadget_owner *of, size_t count)
{
	size_t at;

	for (at = 0; at < count; at++)
		owner("added", of[at]);
}

void gadget_removed(const gadget_owner *of, size_t count)
{
	size_t at;

	for (at = 0; at < count; at++)
		owner("removed", of[at]);
}

void gadget_tick(uint32_t timer, uint32_t due)
{
	if (timer == once) {
		fact("once", due);
	} else if (timer == every) {
		fact("every", due);
		if (++ticks == 3)
			gadget_timer_cancel(timer);
		give_up_kept();
	} else {
		fact("cancelled", due);
	}
}

void gadget_stop(void)
{
	size_t at;

	for (at = 0; at < owner_count; at++)
		owner("kept", owners[at]);
	give_up_kept();
	totals_row();
	totals_set_records(seen);
}
