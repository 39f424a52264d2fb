/* SPDX-License-Identifier: Apache-2.0 */
/* The guest of my_gadget. What is a field of the record, the host decodes; what is left is the file's name. */
#include <gadget.h>

enum gadget_outcome gadget_on_opens(const struct event *event)
{
	struct gadget_bytes path = event_path(event);
	size_t at;

	path = gadget_until_nul(path.at, path.size);
	at = path.size;
	while (at && path.at[at - 1] != '/')
		at--;
	opens_row(event);
	opens_set_file(gadget_skip(path, at));
	return GADGET_ACCEPTED;
}
