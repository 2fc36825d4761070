#!/bin/sh
# Every process is killed in the middle of a push, and so is PostgreSQL. The next
# push succeeds, no reader ever sees a narinfo whose references are not all there,
# and when lease and authorisations have run out, a garbage collection leaves
# nothing of the dead uploads.
. "$(dirname "$0")/lib.sh"

STACK_SERVER='--authorization-lifetime=2s'
stack_start --uploaders 2 --lease 4s --own-postgres

# A reader that looks at the bucket all the time.
(
	while [ ! -e "$TMP/watched" ]; do
		bucket_closed >>"$TMP/torn" || echo "seen at $(date +%T)" \
		    >>"$TMP/torn"
		echo look >>"$TMP/looks"
	done
) &
watcher=$!

# Something is written, and something is not.
in_the_middle() {
	[ "$(db_query "select count(*) from uploads u join upload_writes w
	    on w.upload_id = u.id where state = 'open' and lease_until > now()" \
	    2>/dev/null)" -gt 3 ] 2>/dev/null
}

seed=0
for victim in client signer uploader1 gc server postgres; do
	seed=$((seed + 1))
	path=$(nix_build everything --argstr seed "crash $seed" \
	    --arg bigBytes 120000000 --arg smallFiles 300 \
	    --arg chainLength 8)
	# One object at a time, so that there is a middle.
	background push niks3 push --max-concurrent-uploads 1 \
	    --compression-level 8 "$path"
	passes "a push is on its way to be met by the death of: $victim" \
	    wait_until 20 in_the_middle
	case $victim in
	client)
		proc_stop "$TMP" KILL push
		finished push ;;
	*)
		stack_kill "$victim"
		sleep 0.3
		# Not in a subshell: what it starts would die with that.
		stack_restart "$victim"
		is "$victim comes back" $? 0
		finished push
		echo "# the push that lost its $victim ended with $?" ;;
	esac
	# Its own rows are those of a dead upload unless it got through.
	passes "the next push succeeds ($victim)" niks3 push "$path"
	passes "a reader gets all of it ($victim)" bucket_closed
done

: >"$TMP/watched"
wait $watcher
is "no reader ever saw a torn closure" "$(cat "$TMP/torn" 2>/dev/null)" ""
like "and one looked often" "$(wc -l <"$TMP/looks")" '^([5-9]|[1-9][0-9]+)$'

# The lease is 4 s, an authorisation's memory about as long.
sleep 5
out=$(niks3 gc --older-than=720h --pending-older-than=0s 2>&1)
like 'a garbage collection ends' "$out" 'completed successfully'
like 'it ends the dead uploads' "$out" 'failed-uploads-deleted=[1-9]'
is 'no upload is open' "$(db_query \
    "select count(*) from uploads where state = 'open'")" 0
is 'no object is pending' "$(db_query 'select count(*) from pending')" 0
is 'no multipart upload is known' \
    "$(db_query 'select count(*) from multiparts')" 0
passes 'the bucket holds what the database says, and no parts' bucket_recount
seed=0
for victim in client signer uploader1 gc server postgres; do
	seed=$((seed + 1))
	path=$(nix_build everything --argstr seed "crash $seed" \
	    --arg bigBytes 120000000 --arg smallFiles 300 \
	    --arg chainLength 8)
	reader_new "$TMP/reader$seed" "$NIKS3_PUBLIC_KEY"
	passes "what was pushed over the dead $victim is read back by nix" \
	    reader_copy "$TMP/reader$seed" "$NIKS3_CACHE_URL" "$path"
	rm -rf "$TMP/reader$seed/nix"
done
tap_done
