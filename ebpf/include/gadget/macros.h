/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a gadget declares about itself.
 *
 * A declaration is a constant whose name carries the message, its parts joined by "___"; the host
 * finds it in the object's BTF and symbol table. The constants lie in .rodata, which every gadget
 * has anyway, so that no further map is made for them. The value is never read.
 */
#ifndef __GADGET_MACROS_H
#define __GADGET_MACROS_H

#define ___gadget_marker(name) \
	const void *const name __attribute__((unused)) = (const void *)0

/* A pointer to the struct, so that its BTF is in the object even if no map or program names it. */
#define ___gadget_type(kind, name, type) \
	const struct type *const __gadget_##kind##_type_##name __attribute__((unused)) = 0

/*
 * GADGET_TRACER(name, map, type): records of `struct type` arrive in the ring buffer `map`
 * (GADGET_TRACER_MAP of buffer.h); together they are the source `name`.
 */
#define GADGET_TRACER(name, map, type)                          \
	___gadget_marker(gadget_tracer_##name##___##map##___##type); \
	___gadget_type(tracer, name, type);

/* GADGET_MAPITER(name, map): the entries of the hash map `map` are read now and then as source `name`. */
#define GADGET_MAPITER(name, map) ___gadget_marker(gadget_mapiter_##name##___##map);

/*
 * GADGET_ITER(name, type, program...): one to five iterator programs (SEC("iter/...")) write
 * `struct type`, whole ones, with bpf_seq_write; what all of them wrote is one frame of the source
 * `name`. They run in this order, one to its end before the next begins, so that one can prepare a
 * map for those behind it. Those over sockets (tcp, udp, unix, ...) run once in each network
 * namespace, the others once.
 */
#define GADGET_ITER(name, type, ...)                                                         \
	___gadget_type(iter, name, type);                                                    \
	___gadget_pick(__VA_ARGS__, ___gadget_iter5, ___gadget_iter4, ___gadget_iter3,       \
		       ___gadget_iter2, ___gadget_iter1, )                                   \
	(name, type, __VA_ARGS__)

/* The name of GADGET_ITER in older sources. */
#define GADGET_SNAPSHOTTER(name, type, ...) GADGET_ITER(name, type, __VA_ARGS__)

#define ___gadget_pick(a, b, c, d, e, chosen, ...) chosen
#define ___gadget_iter1(name, type, p1) ___gadget_marker(gadget_iter_##name##___##type##___##p1);
#define ___gadget_iter2(name, type, p1, p2) \
	___gadget_marker(gadget_iter_##name##___##type##___##p1##___##p2);
#define ___gadget_iter3(name, type, p1, p2, p3) \
	___gadget_marker(gadget_iter_##name##___##type##___##p1##___##p2##___##p3);
#define ___gadget_iter4(name, type, p1, p2, p3, p4) \
	___gadget_marker(gadget_iter_##name##___##type##___##p1##___##p2##___##p3##___##p4);
#define ___gadget_iter5(name, type, p1, p2, p3, p4, p5) \
	___gadget_marker(gadget_iter_##name##___##type##___##p1##___##p2##___##p3##___##p4##___##p5);

/*
 * GADGET_PARAM(variable): `variable`, a `const volatile` global, is set from the command line
 * before the programs are loaded. What it is initialised with is its default.
 */
#define GADGET_PARAM(variable) ___gadget_marker(gadget_param_##variable);

#endif /* __GADGET_MACROS_H */
