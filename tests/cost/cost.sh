#!/bin/sh
# What a gadget costs the programs that it watches: CPU time of one call, in nanoseconds, without the gadget, of a
# process that the gadget was not asked for, and of one that it shows. The three take turns; each figure is the
# smallest of its rounds, because what else runs on the machine only adds.
#
#   sudo tests/cost/cost.sh BUNDLE open|exec|exec-failed|connection|other [ROUNDS]
#
# The program is IG_BIN, or target/release/ig.
set -eu
bundle=$1 kind=$2 rounds=${3:-5}
here=$(dirname "$0")
ig=${IG_BIN:-$here/../../target/release/ig}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cc -O2 -static -o "$folder/calls" "$here/calls.c"
chmod 755 "$folder"
mkfifo -m 666 "$folder/attached" "$folder/over"

ns() { sed -n 's/^ns a call: //p' "$1"; }
for round in $(seq "$rounds"); do
	"$folder/calls" "$kind" 2>"$folder/out"
	ns "$folder/out" >>"$folder/without"

	# Its command runs once everything is attached.
	{
		"$ig" run "$bundle" -o json -- sh -c "echo yes >'$folder/attached'; read over <'$folder/over'" \
			>/dev/null 2>"$folder/summary" || echo no >"$folder/attached"
	} &
	read -r attached <"$folder/attached"
	[ "$attached" = yes ] || { cat "$folder/summary" >&2; exit 1; }
	"$folder/calls" "$kind" 2>"$folder/out"
	echo over >"$folder/over"
	wait
	ns "$folder/out" >>"$folder/filtered"

	"$ig" run "$bundle" -o json -- "$folder/calls" "$kind" >/dev/null 2>"$folder/out"
	ns "$folder/out" >>"$folder/shown"
done
least() { sort -n "$folder/$1" | head -n 1; }
none=$(least without)
printf '%s, %s, Linux %s, %s rounds\n' "$(basename "$bundle")" "$kind" "$(uname -r)" "$rounds"
printf '%-28s %8s %8s\n' '' 'ns' 'added'
printf '%-28s %8d\n' 'without the gadget' "$none"
printf '%-28s %8d %8d\n' 'a process not asked for' "$(least filtered)" "$(($(least filtered) - none))"
printf '%-28s %8d %8d\n' 'a process that is shown' "$(least shown)" "$(($(least shown) - none))"
sed -n '/^records/p' "$folder/out" # the last round's ledger: attempted and not reserved
