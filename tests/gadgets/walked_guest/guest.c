/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the even numbers. */
#include <gadget.h>

enum gadget_outcome gadget_on_entries(const struct entry *entry)
{
	if (entry->sequence % 2)
		return GADGET_DROPPED;
	even_row(entry);
	even_set_half(entry->sequence / 2);
	return GADGET_ACCEPTED;
}
