/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that uses all that is generated: the same as ../everything/src/lib.rs, and what only C can get wrong. */
#include <gadget.h>

static uint32_t timer;
static bool stopped;

const char *gadget_init(void)
{
	uint32_t other;

	if (gadget_equal(gadget_params.prefix, gadget_string("refuse")))
		return "refused \xff";
	if (gadget_params.verbose_log)
		gadget_info("begins at %llu %llu, rate %lld/1000", (unsigned long long)gadget_clock_boot(),
			    (unsigned long long)gadget_clock_wall(), (long long)(gadget_params.rate * 1000));
	if (!gadget_timer_every(1000000000, &timer))
		return "no timer";
	if (!gadget_timer_once(UINT64_MAX, &other))
		return "no other timer";
	gadget_timer_cancel(other);
	return NULL;
}

enum gadget_outcome gadget_on_stop(const struct event *event)
{
	struct gadget_bytes words = event_tail(event), word;
	int sum = 0;
	size_t at;

	if (event->colour < gadget_params.lowest)
		return GADGET_DROPPED;
	event_row(event);
	event_set_small(-1);
	event_set_flag(event->yes);
	event_set_ratio(gadget_params.rate);
	event_set_small((int8_t)event->negative);
	event_set_name(gadget_chars(event->comm));
	event_set_raw(gadget_bytes(event->proc.comm, sizeof(event->proc.comm)));
	if (event_wants_words()) {
		event_begin_words();
		while (gadget_split(&words, &word))
			event_add_words(word);
	}
	event_begin_grid_item();
	for (at = 0; at < 4; at++)
		event_add_grid_item((uint16_t)event->numbers[at]);
	event_begin_grid_item();
	event_set_place_port(event->named.inner);
	event_add_place_names(gadget_string("a"));
	event_add_place_names(gadget_string("b"));
	for (at = 0; at < 3; at++) {
		sum += event->points[at].x;
		event_begin_places_item();
		event_set_places_item_port(event->points[at].y);
	}
	event_set_place_at_x(sum);
	return GADGET_ACCEPTED;
}

enum gadget_outcome gadget_on_plain(const struct plain *plain)
{
	if (plain_address(plain).size == 1)
		return GADGET_MALFORMED;
	if (plain->value == 0xdead)
		gadget_panic("%s 0x%x", "value", 0xdeadu);
	plain_row(plain);
	if (plain_address(plain).size == 3) {
		totals_row();
		totals_set_key(gadget_owner_of_record(plain));
	}
	return GADGET_ACCEPTED;
}

/* Values that are set twice, left out, and null, at every depth. */
static void numbers(void)
{
	uint32_t row;

	for (row = 0; row < 20; row++) {
		numbers_row();
		if (row == 3)
			continue;
		numbers_set_a((int16_t)-row);
		numbers_set_b(-(int32_t)row);
		if (row % 2)
			numbers_set_c(-(int64_t)row);
		numbers_set_d((uint8_t)row);
		numbers_set_e((uint16_t)(row * 1000));
		numbers_set_f((float)row / 2);
		if (row == 17)
			numbers_set_a(1);
	}
	numbers_row();
	numbers_set_row_item_key(gadget_string("lost"));
	numbers_begin_row();
	numbers_begin_row_item();
	numbers_row();
	numbers_begin_row();
	numbers_row();
	numbers_begin_row();
	numbers_set_row_item_key(gadget_string("lost"));
	numbers_begin_row();
	numbers_begin_row_item();
	numbers_set_row_item_key(gadget_string("gone"));
	numbers_set_row_item_key(gadget_string("first"));
	numbers_add_row_item_more_item(true);
	numbers_add_row_item_more_item(false);
	numbers_add_null_row_item_more();
	numbers_begin_row_item_more_item();
	numbers_add_null_row_item_more_item();
	numbers_add_null_row();
	numbers_begin_row_item();
	numbers_begin_row_item_more();
	numbers_begin_row_item();
	numbers_add_row_item_more_item(true);
	numbers_begin_row_item_more();
	numbers_begin_row_item_more_item();
	numbers_row();
	numbers_set_row_item_key(gadget_string("a text that is longer than what is copied by words, which are 64 bytes"));
}

static void owned(gadget_owner owner, enum gadget_found found, struct gadget_bytes text)
{
	totals_row();
	totals_set_key(owner);
	if (found == GADGET_FOUND)
		totals_set_total(text.size);
}

void gadget_added(const gadget_owner *owners, size_t count)
{
	struct gadget_bytes names[8], none = { NULL, 0 };
	size_t at;

	if (!gadget_owner_fields(owners, count, GADGET_CONTAINER, names))
		gadget_error("no names");
	for (at = 0; at < count; at++)
		owned(owners[at], names[at].at ? GADGET_FOUND : GADGET_ABSENT, names[at]);
	owned(gadget_owner_of_cgroup((uint64_t)1 << 40), GADGET_ABSENT, none);
	owned(gadget_owner_of_mount_namespace(8, 9), GADGET_ABSENT, none);
	owned(gadget_owner_of_id(gadget_string("0123456789ab")), GADGET_ABSENT, none);
}

void gadget_removed(const gadget_owner *owners, size_t count)
{
	struct gadget_bytes pod;
	enum gadget_found found;
	size_t at;

	for (at = 0; at < count; at++) {
		found = gadget_owner_field(owners[at], "k8s.podName", &pod);
		owned(owners[at], found, pod);
		if (gadget_owner_field(owners[at], "colour", &pod) == GADGET_FAILED)
			gadget_warn("%.*s", (int)gadget_reason().size, (const char *)gadget_reason().at);
	}
}

void gadget_tick(uint32_t which, uint32_t due)
{
	struct gadget_entries entries;
	struct gadget_bytes values;
	struct pair_key pair_key;
	struct pair pair;
	uint64_t sum = 0;
	uint32_t key;
	int64_t total;
	uint16_t part;
	size_t cpu;

	if (which != timer) {
		numbers();
		return;
	}
	if (!counts_read_all(&entries))
		gadget_warn("%.*s", (int)gadget_reason().size, (const char *)gadget_reason().at);
	while (counts_next(&entries, &key, &total)) {
		totals_row();
		totals_set_key(key);
		totals_set_total((uint64_t)total * due);
	}
	if (per_cpu_lookup(7, &values) == GADGET_FOUND) {
		for (cpu = 0; per_cpu_of_cpu(values, cpu, &part); cpu++)
			sum += part;
		totals_row();
		totals_set_total(sum);
	}
	totals_end_frame();
	pairs_read_all(&entries);
	while (pairs_next(&entries, &pair_key, &pair)) {
		totals_row();
		totals_set_key(sizeof(pair_key));
		totals_set_total(pair.first + pair.second);
	}
	pair_key = (struct pair_key){ .a = 1, .b = 2 };
	pair = (struct pair){ .first = 3, .second = 4 };
	if (!pairs_update(&pair_key, &pair) || pairs_lookup(&pair_key, &pair) != GADGET_FOUND || pair.second != 4 ||
	    pairs_delete(&pair_key) != GADGET_FOUND || pairs_delete(&pair_key) != GADGET_ABSENT)
		gadget_error("the map forgets");
	if (!counts_update(5, -1) || counts_lookup(5, &total) != GADGET_FOUND || total != -1 ||
	    counts_lookup(6, &total) != GADGET_ABSENT || counts_delete(6) != GADGET_ABSENT)
		gadget_error("the map errs");
}

void gadget_stop(void)
{
	stopped = true;
	totals_row();
	totals_set_total(gadget_chars("bye\0garbage").size);
}
