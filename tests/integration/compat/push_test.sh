#!/bin/sh
# The push flow of the compatible API: recorded sequences of requests, replayed.
ROOT=$(cd "$(dirname "$0")/../../.." && pwd)
. "$ROOT/tests/integration/lib.sh"
stack_start --uploaders 2
. "$(dirname "$0")/client.sh"

reads() { # WHAT PATH
	local dir
	dir=$TMP/reader.$(random_hex 4)
	reader_new "$dir" "$NIKS3_PUBLIC_KEY"
	passes "$1" reader_copy "$dir" "$NIKS3_CACHE_URL" "$2"
	passes "$1: every file" reader_diff "$dir" "$2"
	nix_remove "$dir"
}

seeded() { # SEED: a closure of three paths, one of which all have in common
	nix_build app --argstr seed "$1"
}

# ---- one closure ----

app=$(seeded app)
passes 'a closure is pushed' go_push "$app"
reads 'a real nix reads it, and trusts it' "$app"
passes 'the bucket is what the database says' bucket_recount
passes 'whatever a narinfo names is there' bucket_closed
is 'nothing is left staged' "$(bucket_ls staging/)" ''
key=$(basename "$app" | cut -c1-32).narinfo
like 'a narinfo has the FileHash that its client did not write' \
    "$(bucket_text "$key")" 'FileHash: sha256:'
is 'the log of a path hangs on its closure' "$(db_query "select count(*)
    from objects where kind = 4 and id in (select unnest(refs) from objects
    where key = '$key')")" "$(wc -l <"$GO/logs")"

go_plan "$app"
passes 'it is begun again' go_begin
is 'and nothing is missing' "$(jq -c .pending_objects "$GO/begun")" '{}'
passes 'the client signs nothing' go_sign
is 'and gets no signatures' "$(jq -c .signatures "$GO/signed")" '{}'
passes 'it completes' go_complete
passes 'completing once more is harmless' go_complete

# ---- the answer of a beginning ----

two=$(seeded two)
go_plan "$two"
passes 'another closure begins' go_begin
like 'the id is a string of digits' "$(jq -c .id "$GO/begun")" '^"[0-9]*"$'
like 'started_at is RFC 3339' "$(jq -r .started_at "$GO/begun")" \
    '^[0-9]*-[0-9]*-[0-9]*T[0-9:.]*Z$'
is 'every entry has a type that clients know' "$(jq -r '.pending_objects[].type' \
    "$GO/begun" | sort -u | grep -vxE \
    'narinfo|nar|listing|build_log|realisation')" ''
is 'every entry has one URL, or parts' "$(jq '[.pending_objects[]
    | select((.presigned_url == null) == (.multipart_info == null))] | length' \
    "$GO/begun")" 0
like 'URLs sign nothing but the host' "$(jq -r '.pending_objects[]
    | .presigned_url // empty' "$GO/begun" | sort -u |
    sed 's/.*SignedHeaders=\([^&]*\).*/\1/' | sort -u)" '^host$'
passes 'its objects are written' go_put_objects
fails 'a narinfo is not there before the commit' AccessDenied \
    s3_get "$STACK_NAME" "$(basename "$two" | cut -c1-32).narinfo"
is 'nor is a NAR: both are staged' "$(bucket_ls nar/ | grep -c \
    "$(go_pending nar | head -n 1)")" 0
answers 'a commit without narinfos is refused' 409 'Push object missing: ' \
    POST "$(go_upload)/complete" ''
passes 'signed' go_sign
passes 'and written' go_put_narinfos
passes 'it commits after all' go_complete
reads 'and is read' "$two"

# ---- parts ----

big=$(nix_build big --arg bigBytes 25000000)
passes 'a NAR over 10 MiB comes in parts' go_push "$big"
reads 'and is read' "$big"
like 'its narinfo has the FileHash, too' \
    "$(bucket_text "$(basename "$big" | cut -c1-32).narinfo")" \
    'FileHash: sha256:'
passes 'no multipart upload is left' test -z "$(s3_uploads "$STACK_NAME")"

# ---- pushes: several roots, one commit ----

one=$(seeded one)
three=$(seeded three)
passes 'two closures are one push' go_push --pushes "$one" "$three"
is 'both are closures' "$(db_query "select count(*) from closures
    where store_path in ('$one', '$three')")" 2
reads 'one is read' "$one"
reads 'and the other' "$three"

# ---- late writes ----

late=$(seeded late)
go_plan "$late"
go_begin && go_put_objects && go_sign && go_put_narinfos
key=$(basename "$late" | cut -c1-32).narinfo
url=$(go_url "$key")
passes 'a closure commits' go_complete
text=$(bucket_text "$key")
is 'its URL is still good' "$(echo 'evil' | go_put "$url" text/plain)" 200
is 'and reaches nothing that is published' "$(bucket_text "$key")" "$text"
passes 'a collection runs' niks3 gc --older-than=720h
like 'what was written late stays while its URL is good' \
    "$(bucket_ls staging/)" "$key"
db_query "update uploads set created_at = now() - interval '6 h'
    where id = $(basename "$(go_upload)")" >/dev/null
passes 'and later' niks3 gc --older-than=720h
is 'it goes' "$(bucket_ls staging/)" ''

# ---- verify_s3 ----

key=$(basename "$one" | cut -c1-32).narinfo
nar=$(bucket_text "$key" | sed -n 's/^URL: //p')
s3_delete "$STACK_NAME" "$nar"
s3_delete "$STACK_NAME" "$key"
go_plan "$one"
passes 'without verify_s3' go_begin
is 'nothing is known to be lost' "$(jq -c .pending_objects "$GO/begun")" '{}'
passes 'with it' go_begin '{"verify_s3": true}'
is 'what is lost is asked for' "$(jq -r '.pending_objects | keys[]' \
    "$GO/begun" | LC_ALL=C sort)" "$(printf '%s\n' "$key" "$nar" | LC_ALL=C sort)"
passes 'written' go_put_objects
passes 'signed' go_sign
passes 'and its narinfo' go_put_narinfos
passes 'and committed' go_complete
reads 'it is whole again' "$one"
passes 'the bucket is what the database says, after all' bucket_recount

# ---- a client of the old API and one of ours share what they push ----

shared=$(seeded shared)
passes 'ours pushes' niks3 push "$shared"
go_plan "$shared"
passes 'the other begins' go_begin
is 'and has nothing to do' "$(jq -c .pending_objects "$GO/begun")" '{}'
passes 'which it says' go_complete
other=$(seeded other)
passes 'the other pushes' go_push "$other"
like 'ours has nothing to do' "$(niks3 push "$other" 2>&1)" 'cached|present|already'

tap_done
