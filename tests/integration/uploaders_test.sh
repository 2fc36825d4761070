#!/bin/sh
# Three uploaders share the work; one that dies in the middle of a push does not
# fail it.
. "$(dirname "$0")/lib.sh"

STACK_UPLOADER='--log-level=debug'
stack_start --uploaders 3

# answered N: how many calls uploader N has answered.
answered() {
	grep -c 'by=server' "$STACK/uploader$1.log"
}

path=$(nix_build everything --arg bigBytes 60000000 --arg smallFiles 300)
passes 'a push' niks3 push "$path"
for n in 1 2 3; do
	like "uploader $n answered some of it" "$(answered $n)" \
	    '^([3-9]|[1-9][0-9]+)$'
done

path=$(nix_build everything --argstr seed two --arg bigBytes 150000000 \
    --arg smallFiles 300)
background push niks3 push --max-concurrent-uploads 2 "$path"
some_written() {
	[ "$(db_query "select count(*) from uploads u join upload_writes w
	    on w.upload_id = u.id where state = 'open'")" -gt 3 ]
}
passes 'a second one is on its way' wait_until 20 some_written
stack_kill uploader2
finished push
is 'it succeeds although one uploader was killed' $? 0
passes 'all of it is there' bucket_closed
passes 'the bucket holds what the database says' bucket_recount

stack_kill uploader1
stack_kill uploader3
path=$(nix_build app --argstr seed three)
background push niks3 push "$path"
sleep 2
stack_run uploader1
finished push
is 'a push waits for an uploader to come' $? 0
tap_done
