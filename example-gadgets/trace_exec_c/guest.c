/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest of trace_exec in C. What is a field of the record, the host decodes; what is left lies behind the path, in
 * the record's variable part: the arguments and the working directory.
 */
#include <gadget.h>

enum gadget_outcome gadget_on_exec(const struct event *event)
{
	struct gadget_bytes rest = gadget_tail(event), args, cwd, arg;

	if (rest.size < (uint64_t)event->file_size + event->args_size + event->cwd_size)
		return GADGET_MALFORMED;
	rest = gadget_skip(rest, event->file_size);
	args = gadget_first(rest, event->args_size);
	cwd = gadget_first(gadget_skip(rest, event->args_size), event->cwd_size);
	cwd = gadget_until_nul(cwd.at, cwd.size);

	exec_row(event);
	if (event->error)
		exec_set_error(event->error);
	if (exec_wants_args()) {
		/* The last one may lack its NUL where the record was too short for all of it. */
		exec_begin_args();
		while (gadget_split(&args, &arg))
			exec_add_args(arg);
	}
	if (cwd.size)
		exec_set_cwd(cwd);
	return GADGET_ACCEPTED;
}
