#!/bin/sh
# The object pins/NAME is what the pin is, whenever its writes arrive.
. "$(dirname "$0")/lib.sh"
stack_start

app=$(nix_build app)
niks3 push "$app" >/dev/null 2>&1
passes 'a pin' niks3 pins create one "$app"
is 'its object says so' "$(s3_get "$STACK_NAME" pins/one)" "$app"
is 'a late write is expected' "$(db_query "select count(*) from pin_writes
    where until > now() + interval '45 s'")" 1

# It arrives, and the time comes in which it must have.
echo /nix/store/older >"$TMP/older"
s3_put "$STACK_NAME" pins/one "$TMP/older"
due() {
	db_query 'update pin_writes set until = now()' >/dev/null
}
says() {
	[ "$(s3_get "$STACK_NAME" "$1")" = "$2" ]
}
settled() {
	[ "$(db_query 'select count(*) from pin_writes')" = 0 ]
}
due
passes 'the object is written once more' wait_until 30 says pins/one "$app"
passes 'and forgotten' wait_until 30 settled

passes 'the pin goes' niks3 pins delete one
s3_put "$STACK_NAME" pins/one "$TMP/older"
gone() {
	[ -z "$(bucket_ls pins/)" ]
}
due
passes 'what came after it goes, too' wait_until 30 gone
passes 'and is forgotten' wait_until 30 settled

# Nobody wrote the object: the server died, or the uploader was away.
proc_stop "$STACK" TERM uploader1
fails 'a pin without an uploader' 'was not written' \
    niks3 pins create two "$app"
is 'holds' "$(db_query 'select name from pins')" two
stack_run uploader1
due
passes 'its object comes by itself' wait_until 60 says pins/two "$app"

tap_done
