# A real S3 server: Ceph's object gateway on a cluster of one monitor and one
# store, on loopback, without cephx, as any user. It checks signatures, the
# hashes of bodies, the sizes of parts and conditional PUTs as production S3
# does.

CEPH_ACCESS_KEY=TESTKEY
CEPH_SECRET_KEY=testsecret

# ceph_conf DIR STORE S3-PORT MON-PORT
ceph_conf() {
	cat <<-CONF
	[global]
	fsid = $(cat /proc/sys/kernel/random/uuid)
	mon host = [v2:127.0.0.1:$4/0]
	public addr = 127.0.0.1
	cluster addr = 127.0.0.1
	ms bind port min = $(($4 + 1))
	ms bind port max = $(($4 + 60))
	auth cluster required = none
	auth service required = none
	auth client required = none
	ms mon client mode = crc
	ms mon service mode = crc
	ms mon cluster mode = crc
	auth allow insecure global id reclaim = false
	osd pool default size = 1
	osd pool default min size = 1
	osd pool default pg num = 4
	osd pool default pgp num = 4
	osd pool default pg autoscale mode = off
	osd crush chooseleaf type = 0
	mon allow pool size one = true
	mon max pg per osd = 2000
	run dir = $1
	admin socket =
	log file = $1/\$name.log
	crash dir = $1/crash
	err to stderr = true
	keyring = /dev/null

	[mon]
	mon data = $1/mon
	mon initial members = a
	mon data avail crit = 1
	mon data avail warn = 2
	mon election timeout = 1
	mon cpu threads = 1
	paxos propose interval = 0.02
	paxos min wait = 0.01
	mon tick interval = 1
	mon subscribe interval = 60

	[osd]
	osd data = $1/osd
	osd objectstore = $2
	memstore device bytes = $((3 << 30))
	bluestore block size = $((16 << 30))
	bluestore fsck on mount = false
	osd memory target = 939524096
	osd op num shards = 2
	osd op num threads per shard = 1
	osd crush update on start = true
	osd class dir = $(echo /usr/lib/*/rados-classes)
	osd class load list = *
	osd class default list = *
	osd heartbeat grace = 120

	[client]
	rgw frontends = beast endpoint=127.0.0.1:$3
	rgw dns name = s3.localhost
	rgw sts key = abcdefghijklmnop
	rgw s3 auth use sts = true
	rgw enable usage log = false
	rgw enable ops log = false
	rgw thread pool size = 64
	rgw max concurrent requests = 256
	rgw override bucket index max shards = 1
	rgw dynamic resharding = false
	rgw run sync thread = false
	rgw rados pool pg num min = 4
	rgw gc obj min wait = 5
	rgw gc processor period = 30
	CONF
}

# ceph_start DIR [memstore|bluestore]: makes the cluster if it is not there yet.
# A memstore is fast and forgets; a bluestore is a sparse file and remembers.
# Sets CEPH_ENDPOINT.
ceph_start() {
	local dir=$1 store=${2:-memstore} port monport try
	if [ ! -e "$dir/made" ]; then
		# Somebody may take a port between our look and Ceph's.
		for try in 1 2 3; do
			ceph_make "$dir" "$store" && break
			ceph_stop "$dir"
			[ "$try" -lt 3 ] || die "ceph did not start: see $dir"
		done
	fi
	read -r port monport <"$dir/ports"
	CEPH_ENDPOINT=http://127.0.0.1:$port
	ceph_run "$dir" mon "$monport" && ceph_run "$dir" osd "$monport" &&
	    ceph_run "$dir" rgw "$monport" &&
	    wait_until 60 curl -sf -o /dev/null "$CEPH_ENDPOINT/" ||
	    { tail -n 20 "$dir"/*.log >&2; die "ceph did not start: see $dir"; }
}

# ceph_run DIR mon|osd|rgw MON-PORT: starts it unless it runs already.
ceph_run() {
	! proc_pid "$1" "$2" >/dev/null || return 0
	case $2 in
	mon)	set -- "$@" ceph-mon -f -i a \
		    --public-addrv "[v2:127.0.0.1:$3/0]" ;;
	osd)	set -- "$@" ceph-osd -f -i 0 ;;
	rgw)	set -- "$@" radosgw -f -n client.rgw ;;
	esac
	local dir=$1 name=$2
	shift 3
	proc_start "$dir" "$name" "$@" -c "$dir/ceph.conf"
}

ceph_make() {
	local dir=$1 store=$2 port monport uuid conf
	rm -rf "$dir"
	mkdir -p "$dir/mon" "$dir/osd" "$dir/crash"
	port=$(port_free) monport=$(port_free)
	uuid=$(cat /proc/sys/kernel/random/uuid)
	conf=$dir/ceph.conf
	echo "$port $monport" >"$dir/ports"
	ceph_conf "$dir" "$store" "$port" "$monport" >"$conf"
	monmaptool -c "$conf" --create \
	    --fsid "$(sed -n 's/^fsid = //p' "$conf")" \
	    --addv a "[v2:127.0.0.1:$monport/0]" "$dir/monmap" &&
	    ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" &&
	    ceph_run "$dir" mon "$monport" &&
	    wait_until 20 ceph -c "$conf" --connect-timeout 5 osd new "$uuid" &&
	    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$uuid" &&
	    ceph_run "$dir" osd "$monport" &&
	    timeout 60 radosgw-admin -c "$conf" user create --uid=test \
		--display-name=test --access-key="$CEPH_ACCESS_KEY" \
		--secret-key="$CEPH_SECRET_KEY" || return 1
	: >"$dir/made"
} >>"${1:?}.make.log" 2>&1

# A store that remembers is given time to write; the gateway stops first.
ceph_stop() {
	if grep -qs 'objectstore = bluestore' "$1/ceph.conf"; then
		proc_stop "$1" TERM rgw
		proc_stop "$1" TERM osd
		proc_stop "$1" TERM mon
	else
		proc_stop "$1" KILL rgw osd mon
	fi
}
