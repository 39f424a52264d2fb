/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's functions: the contract's imports, written out by hand against the canonical ABI of `ig:gadget@0.1.0`.
 * Encoding the component checks every signature against the WIT, and a test of the build checks the layouts.
 */
#ifndef GADGET_HOST_H
#define GADGET_HOST_H

#include "rows.h"

#ifdef __wasm__
#define GADGET__IMPORT(interface, name) \
	__attribute__((import_module("ig:gadget/" interface "@0.1.0"), import_name(name)))
#define GADGET__EXPORT(name) __attribute__((export_name(name)))
#else
#define GADGET__IMPORT(interface, name)
#define GADGET__EXPORT(name)
#endif

/* A `result<_, string>`, or one whose value is a bool, a u32 or a list. */
struct gadget__answer {
	uint8_t failed;
	union {
		bool yes;
		uint32_t number;
		struct gadget__list list; /* what it is, or why it failed */
	};
};

/* A `result<option<list<u8>>, string>`. */
struct gadget__option {
	uint8_t failed;
	union {
		struct {
			bool some;
			struct gadget__list list;
		};
		struct gadget__list reason;
	};
};

/* An `option<string>`. */
struct gadget__field {
	bool some;
	struct gadget__list text;
};

/* Of host.c, for rows.c. */
void gadget__emit(const struct gadget__table *table, size_t columns);

GADGET__IMPORT("tables", "emit")
void gadget__host_emit(uint32_t table, uint32_t rows, const void *origin, size_t origins,
		       const struct gadget__column *columns, size_t count, struct gadget__answer *answer);
GADGET__IMPORT("tables", "end-frame") void gadget__host_end_frame(uint32_t table);
GADGET__IMPORT("tables", "wanted") void gadget__host_wanted(uint32_t table, struct gadget__list *answer);
GADGET__IMPORT("log", "write") void gadget__host_log(uint32_t level, const void *text, size_t size);
GADGET__IMPORT("params", "get") void gadget__host_param(uint32_t param, struct gadget__list *answer);
GADGET__IMPORT("clock", "boot") uint64_t gadget__host_boot(void);
GADGET__IMPORT("clock", "wall") uint64_t gadget__host_wall(void);
GADGET__IMPORT("maps", "lookup")
void gadget__host_lookup(uint32_t grant, const void *key, size_t key_size, struct gadget__option *answer);
GADGET__IMPORT("maps", "update")
void gadget__host_update(uint32_t grant, const void *key, size_t key_size, const void *value, size_t value_size,
			 struct gadget__answer *answer);
GADGET__IMPORT("maps", "delete")
void gadget__host_delete(uint32_t grant, const void *key, size_t key_size, struct gadget__answer *answer);
GADGET__IMPORT("maps", "read-all") void gadget__host_read_all(uint32_t grant, struct gadget__answer *answer);
GADGET__IMPORT("timers", "every") void gadget__host_every(uint64_t period, struct gadget__answer *answer);
GADGET__IMPORT("timers", "once") void gadget__host_once(uint64_t delay, struct gadget__answer *answer);
GADGET__IMPORT("timers", "cancel") void gadget__host_cancel(uint32_t timer);
GADGET__IMPORT("containers", "of-records")
void gadget__host_of_records(const uint32_t *offsets, size_t count, struct gadget__list *answer);
GADGET__IMPORT("containers", "by-cgroup")
void gadget__host_by_cgroup(const uint64_t *cgroups, size_t count, struct gadget__list *answer);
GADGET__IMPORT("containers", "by-mount-namespace")
uint32_t gadget__host_by_mount_namespace(uint64_t mount_namespace, uint64_t at);
GADGET__IMPORT("containers", "by-id") uint32_t gadget__host_by_id(const void *id, size_t size);
GADGET__IMPORT("containers", "field")
void gadget__host_field(const uint32_t *owners, size_t count, const void *name, size_t size,
			struct gadget__answer *answer);

#endif
