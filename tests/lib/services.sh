# What niks3 stands on: PostgreSQL and an S3 server, in a directory.
#
# NIKS3_TEST_S3_ENDPOINT, NIKS3_TEST_S3_ACCESS_KEY and NIKS3_TEST_S3_SECRET_KEY
# name another S3 server than the one we would start.

# services_start DIR [memstore|bluestore]
services_start() {
	local dir=$1
	postgres_start "$dir/postgres" || return 1
	if [ -n "${NIKS3_TEST_S3_ENDPOINT-}" ]; then
		echo "$NIKS3_TEST_S3_ENDPOINT" >"$dir/s3-endpoint"
	else
		ceph_start "$dir/ceph" "${2-}" || return 1
		echo "$CEPH_ENDPOINT" >"$dir/s3-endpoint"
	fi
	services_use "$dir"
}

# services_use DIR: where somebody else has started them.
services_use() {
	POSTGRES_DIR=$1/postgres
	s3_use "$(cat "$1/s3-endpoint")" \
	    "${NIKS3_TEST_S3_ACCESS_KEY:-$CEPH_ACCESS_KEY}" \
	    "${NIKS3_TEST_S3_SECRET_KEY:-$CEPH_SECRET_KEY}" "$1"
}

services_stop() {
	[ ! -d "$1/ceph" ] || ceph_stop "$1/ceph"
	[ ! -d "$1/postgres" ] || postgres_stop "$1/postgres"
}
