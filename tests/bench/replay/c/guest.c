/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest of trace_open does, in C. For benches. */
#include <gadget.h>

enum gadget_outcome gadget_on_open(const struct event *event)
{
	open_row(event);
	if (event->error)
		open_set_error(event->error);
	else
		open_set_fd((int32_t)event->fd);
	return GADGET_ACCEPTED;
}
