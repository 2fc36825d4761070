#!/bin/sh
# The S3 client against the real server: tests/integration/s3_live.c.
. "$(dirname "$0")/lib.sh"
NIKS3_TEST_S3_ENDPOINT=$S3_ENDPOINT
NIKS3_TEST_S3_ACCESS_KEY=$S3_ACCESS_KEY
NIKS3_TEST_S3_SECRET_KEY=$S3_SECRET_KEY
export NIKS3_TEST_S3_ENDPOINT NIKS3_TEST_S3_ACCESS_KEY NIKS3_TEST_S3_SECRET_KEY
tap_program "$BUILD/tests/s3_live"
case $S3_ENDPOINT in
http://127.0.0.1:*)
	# The same, with the bucket in the name of the host.
	NIKS3_TEST_S3_ENDPOINT=http://s3.localhost:${S3_ENDPOINT##*:}
	NIKS3_TEST_S3_DNS=1
	export NIKS3_TEST_S3_DNS
	tap_program "$BUILD/tests/s3_live" ;;
esac
tap_done
