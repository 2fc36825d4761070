# A small S3 client of curl, for the tests' own looks at a bucket.
#
# s3_use ENDPOINT ACCESS-KEY SECRET-KEY DIR comes first. The keys go into a file
# of DIR that only we can read, never onto a command line.

S3_REGION=${NIKS3_TEST_S3_REGION:-us-east-1}

s3_use() {
	case $1 in
	http://* | https://*) S3_ENDPOINT=${1%/} ;;
	*) S3_ENDPOINT=http://$1 ;;
	esac
	S3_ACCESS_KEY=$2 S3_SECRET_KEY=$3 S3_CONFIG=$4/s3.curl
	(
		umask 077
		printf '%s' "$2" >"$4/s3-access-key"
		printf '%s' "$3" >"$4/s3-secret-key"
		cat >"$S3_CONFIG" <<-CONF
		user = "$2:$3"
		aws-sigv4 = "aws:amz:$S3_REGION:s3"
		header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"
		CONF
	)
}

# s3 PATH[?QUERY] [CURL-OPTION...]: a signed request. The query's parameters
# stand in the order of their names, each with its "=".
s3() {
	local path=$1
	shift
	curl -sS --fail-with-body --max-time 120 -K "$S3_CONFIG" \
	    "$@" "$S3_ENDPOINT/$path"
}

# s3_bucket_make BUCKET: anyone may read it, as the readers of a cache do.
s3_bucket_make() {
	s3 "$1" -X PUT >/dev/null &&
	    s3 "$1?policy=" -X PUT -d "{\"Version\": \"2012-10-17\",
		\"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"*\",
		\"Action\": [\"s3:GetObject\"],
		\"Resource\": [\"arn:aws:s3:::$1/*\"]}]}" >/dev/null
}

# s3_ls BUCKET [PREFIX]: size and key of every object, in the order of keys.
s3_ls() {
	local page token=
	while :; do
		page=$(s3 "$1?${token:+continuation-token=$token&}list-type=2$(
		    [ -z "${2-}" ] || printf '&prefix=%s' "$(s3_quote "$2")"
		)") || { printf '%s\n' "$page" >&2; return 1; }
		printf '%s\n' "$page" | sed 's/<Contents>/\n&/g' | sed -n \
		    's:^<Contents><Key>\([^<]*\)<.*<Size>\([0-9]*\)<.*:\2 \1:p'
		token=$(printf '%s\n' "$page" |
		    sed -n 's:.*<NextContinuationToken>\([^<]*\)<.*:\1:p')
		[ -n "$token" ] || break
		token=$(s3_quote "$token")
	done
}

# s3_uploads BUCKET: key and id of every multipart upload that is open.
s3_uploads() {
	{ s3 "$1?uploads=" && echo; } | sed 's/<Upload>/\n&/g' | sed -n \
	    's:^<Upload><Key>\([^<]*\)<.*<UploadId>\([^<]*\)<.*:\1 \2:p'
}

s3_put() { # BUCKET KEY FILE [CURL-OPTION...]
	local bucket=$1 key=$2 file=$3
	shift 3
	s3 "$bucket/$(s3_path "$key")" -T "$file" "$@" >/dev/null
}

# s3_get BUCKET KEY: the body as it is stored, as anyone may read it.
s3_get() {
	curl -sS --fail-with-body --max-time 120 \
	    "$S3_ENDPOINT/$1/$(s3_path "$2")"
}

s3_delete() { # BUCKET KEY
	s3 "$1/$(s3_path "$2")" -X DELETE >/dev/null
}

# s3_bucket_drop BUCKET: with all that it holds.
s3_bucket_drop() {
	local size key id
	s3_uploads "$1" | while read -r key id; do
		s3 "$1/$(s3_path "$key")?uploadId=$(s3_quote "$id")" \
		    -X DELETE >/dev/null
	done
	s3_ls "$1" | while read -r size key; do
		s3_delete "$1" "$key"
	done
	s3 "$1" -X DELETE >/dev/null
}

# s3_quote TEXT: percent-encoded for a query.
s3_quote() {
	case $1 in
	*[!A-Za-z0-9._~-]*) ;;
	*) printf '%s' "$1"; return ;;
	esac
	printf '%s' "$1" | od -An -v -tx1 | tr -s ' ' '\n' | sed '/^$/d' |
	while read -r byte; do
		case $byte in
		2d | 2e | 5f | 7e | 3[0-9] | 4[1-9a-f] | 5[0-9a] | \
		6[1-9a-f] | 7[0-9a])
			printf "\\$(printf %o "0x$byte")" ;;
		*)	printf '%%%s' "$byte" | tr a-f A-F ;;
		esac
	done
}

# s3_path KEY: percent-encoded for a path, where "/" stays.
s3_path() {
	s3_quote "$1" | sed 's:%2F:/:g'
}
