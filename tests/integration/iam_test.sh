#!/bin/sh
# The uploader takes credentials as AWS's SDKs find them: from the metadata of an
# instance, a container's endpoint, STS, or the environment; it survives that they
# change, end, or are not to be had for a while.
. "$(dirname "$0")/lib.sh"

STACK_IAM=1
STACK_UPLOADER='--s3-use-iam --log-level=debug'
hub=$TMP/aws
mkdir "$hub"

# ceph_key COMMAND [OPTION...]: of the one user.
ceph_key() {
	timeout 60 radosgw-admin -c "$STACK/ceph/ceph.conf" key "$@" \
	    --uid=test --key-type=s3 >/dev/null 2>&1
}

# give ID SECRET SECONDS [TOKEN]: is what the endpoints answer from now on.
give() {
	local end
	end=$(date -u -d "@$(($(date +%s) + $3))" +%Y-%m-%dT%H:%M:%SZ)
	cat >"$hub/json.new" <<-JSON
	{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "$1",
	"SecretAccessKey": "$2", "Token": "${4-}", "Expiration": "$end"}
	JSON
	cat >"$hub/xml.new" <<-XML
	<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>
	<Credentials><AccessKeyId>$1</AccessKeyId>
	<SecretAccessKey>$2</SecretAccessKey>
	<SessionToken>${4-}</SessionToken><Expiration>$end</Expiration>
	</Credentials></AssumeRoleWithWebIdentityResult>
	</AssumeRoleWithWebIdentityResponse>
	XML
	mv "$hub/json.new" "$hub/json"
	mv "$hub/xml.new" "$hub/xml"
}

hub_start() {
	: >"$TMP/hub.log"
	proc_start "$TMP" hub "$BUILD/tests/tools/fake_aws" "$hub" \
	    "127.0.0.1:$port"
	wait_until 10 grep -q listening "$TMP/hub.log"
}

# log_new: what the uploader says from now on; the rest is kept.
log_new() {
	cat "$STACK/uploader1.log" >>"$TMP/said"
	: >"$STACK/uploader1.log"
}

logged() {
	grep -Eq "$1" "$STACK/uploader1.log"
}

# Nothing of the environment's own.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_REGION \
    AWS_DEFAULT_REGION
port=$(port_free)
AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:$port
export AWS_EC2_METADATA_SERVICE_ENDPOINT
give "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" 3600
hub_start

# ---- instance metadata, that end soon ----

stack_start --own-s3
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
passes 'the uploader says where its credentials are from' \
    logged 'new credentials source="instance metadata"'
path=$(nix_build app)
passes 'a push with credentials of the instance' niks3 push "$path"

first=$(random_hex 10) second=$(random_hex 10)
secret1=$(random_hex 20) secret2=$(random_hex 20)
ceph_key create --access-key="$first" --secret-key="$secret1"
ceph_key create --access-key="$second" --secret-key="$secret2"
give "$first" "$secret1" 70
stack_restart uploader1
log_new
give "$second" "$secret2" 3600
# They are renewed at half their life, when they are still good enough to sign
# for others. Pushes go on meanwhile.
n=0 failed=0 end=$(($(date +%s) + 60))
while ! logged 'new credentials' && [ "$(date +%s)" -lt $end ]; do
	n=$((n + 1))
	path=$(nix_build app --argstr seed "turn$n")
	niks3 push "$path" >"$TMP/push.log" 2>&1 || {
		failed=$((failed + 1))
		cat "$TMP/push.log" >>"$TMP/failed.log"
	}
done
passes 'the credentials were renewed in mid-run' logged 'new credentials'
is "none of the pushes meanwhile failed" "$failed" 0
[ $failed -eq 0 ] || tail -n 5 "$TMP/failed.log" | sed 's/^/# /'
ceph_key rm --access-key="$first"
path=$(nix_build app --argstr seed renewed)
passes 'a push when the old ones are gone' niks3 push "$path"

# Refused before their end: the next ones are asked for at once.
give "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" 3600
ceph_key rm --access-key="$second"
log_new
passes 'S3 refuses the credentials, and others are found' \
    niks3 pins create here "$path"
passes 'the log tells of them' logged 'new credentials'

# ---- an endpoint that is down, or answers nonsense ----

proc_stop "$TMP" TERM hub
proc_stop "$STACK" TERM uploader1
log_new
stack_run uploader1
passes 'the log says that nobody answers' \
    wait_until 20 logged 'no credentials source="instance metadata" .*failures'
passes 'and what the uploader waits for' \
    wait_until 20 logged 'waiting for S3 .*no credentials from instance'
echo '{"Code": "Success", "SecretAccessKey": "hidden' >"$hub/json"
hub_start
passes 'the log says that it is nonsense' \
    wait_until 20 logged 'no credentials .*the answer: malformed'
give "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" 3600
passes 'it serves as soon as they are there' stack_wait
path=$(nix_build app --argstr seed back)
passes 'a push then' niks3 push "$path"

# ---- the other sources ----

export AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:$port/container"
stack_restart uploader1
passes 'a container before the instance' logged 'source=container'
path=$(nix_build app --argstr seed container)
passes 'a push with credentials of a container' niks3 push "$path"

(umask 077; random_hex 40 >"$TMP/jwt")
export AWS_WEB_IDENTITY_TOKEN_FILE="$TMP/jwt" AWS_ROLE_ARN=arn:aws:iam::1:role/r
export AWS_ENDPOINT_URL_STS="http://127.0.0.1:$port/"
stack_restart uploader1
passes 'web identity before a container' logged 'source="web identity"'
path=$(nix_build app --argstr seed sts)
passes 'a push with credentials of a role' niks3 push "$path"

log_new
AWS_ACCESS_KEY_ID=$CEPH_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$CEPH_SECRET_KEY \
    stack_restart uploader1
path=$(nix_build app --argstr seed environment)
passes 'a push with credentials of the environment' niks3 push "$path"
is 'they come before all others' "$(grep -c 'new credentials' \
    "$STACK/uploader1.log")" 0

# ---- with a session token ----

# Ceph has an STS of its own, whose credentials really need their token.
ceph_admin() {
	timeout 60 radosgw-admin -c "$STACK/ceph/ceph.conf" "$@" 2>&1
}

ceph_role() {
	ceph_admin role create --role-name=cache --path=/ \
	    --assume-role-policy-doc='{"Version": "2012-10-17", "Statement": [{
		"Effect": "Allow", "Action": ["sts:AssumeRole"],
		"Principal": {"AWS": ["arn:aws:iam:::user/test"]}}]}' &&
	ceph_admin role-policy put --role-name=cache --policy-name=all \
	    --policy-doc='{"Version": "2012-10-17", "Statement": [{
		"Effect": "Allow", "Action": ["s3:*"],
		"Resource": "arn:aws:s3:::*"}]}'
}

# assume: asks STS for credentials of the role. Its signature covers the hash of
# the body, which curl sends for S3 only.
assume() {
	local q=Action=AssumeRole\&DurationSeconds=900
	q=$q\&RoleArn=arn%3Aaws%3Aiam%3A%3A%3Arole%2Fcache
	q=$q\&RoleSessionName=test\&Version=2011-06-15
	curl -sS --fail-with-body --max-time 20 "$S3_ENDPOINT/" -d "$q" \
	    -K "$TMP/sts.curl" >"$TMP/assumed"
}

# part NAME: of what STS answered.
part() {
	sed -n "s:.*<$1>\([^<]*\)</$1>.*:\1:p" "$TMP/assumed"
}

(umask 077; printf 'user = "%s:%s"\naws-sigv4 = "aws:amz:%s:sts"\n' \
    "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" "$S3_REGION" >"$TMP/sts.curl")
unset AWS_WEB_IDENTITY_TOKEN_FILE
passes 'a role' ceph_role
passes 'its credentials' assume
like 'they have a token' "$(part SessionToken)" '^.{100,}$'
give "$(part AccessKeyId)" "$(part SecretAccessKey)" 900 "$(part SessionToken)"
stack_restart uploader1
path=$(nix_build everything --arg bigBytes 60000000 --arg smallFiles 20)
passes 'a push with temporary credentials, also in parts' niks3 push "$path"
passes 'a pin' niks3 pins create temporary "$path"
passes 'and its end' niks3 pins delete temporary
NIKS3_TEST_S3_ENDPOINT=$S3_ENDPOINT \
    NIKS3_TEST_S3_ACCESS_KEY=$(part AccessKeyId) \
    NIKS3_TEST_S3_SECRET_KEY=$(part SecretAccessKey) \
    NIKS3_TEST_S3_SESSION_TOKEN=$(part SessionToken) \
    tap_program "$BUILD/tests/s3_live"
give "$(part AccessKeyId)" "$(part SecretAccessKey)" 900
proc_stop "$STACK" TERM uploader1
log_new
stack_run uploader1
passes 'without their token they are worth nothing' \
    wait_until 20 logged 'cannot start .*kind=forbidden'
give "$CEPH_ACCESS_KEY" "$CEPH_SECRET_KEY" 3600
stack_restart uploader1

# ---- what cannot be ----

fails 'keys and --s3-use-iam exclude each other' 'exclude each other' \
    niks3-uploader -n --s3-endpoint h --s3-bucket b --s3-use-iam \
    --s3-access-key-path "$TMP/jwt"
AWS_CONTAINER_CREDENTIALS_FULL_URI=http://example.org/
fails 'nobody far away is asked over http' 'from this machine only' \
    niks3-uploader -n --s3-endpoint h --s3-bucket b --s3-use-iam
AWS_CONTAINER_CREDENTIALS_FULL_URI=
passes '-n asks nobody' env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1 \
    niks3-uploader -n --s3-endpoint h --s3-bucket b --s3-use-iam

passes 'the bucket holds what the database says' bucket_recount
is 'no secret is in a log' "$(cat "$TMP/said" "$STACK/uploader1.log" "$STACK/server.log" | grep -cF -e "$secret1" -e "$secret2" -e "$CEPH_SECRET_KEY" \
    -e "$(cat "$TMP/jwt")" -e hidden)" 0
tap_done
