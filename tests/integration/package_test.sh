#!/bin/sh
# The Debian packages on a machine that is booted for this: installed, where nothing
# starts; configured and started; upgraded while it runs; removed; and purged, after
# which nothing is left but what policy wants to stay.
. "$(dirname "$0")/lib.sh"
. "$LIB/deb.sh"
. "$LIB/box.sh"

why=$(box_why)
if [ -n "$why" ]; then
	skip 'the packages under systemd' "$why"
	tap_done
	exit 0
fi
if ! deb_fresh "$BUILD/deb"; then
	passes 'the packages are built' deb_make "$BUILD/deb"
fi
mkdir -p "$TMP/up" "$TMP/debs"
chmod 755 "$TMP/up"
cp "$BUILD"/deb/*.deb "$TMP/debs/"
rm -f "$TMP"/debs/*-dbgsym_*
version=$(dpkg-deb -f "$TMP"/debs/niks3_*.deb Version)

# The same with a higher version.
mkdir "$TMP/newer"
for deb in "$TMP"/debs/*.deb; do
	dpkg-deb -R "$deb" "$TMP/tree"
	sed -i "s/^Version: .*/&+1/; s/(= $version)/(= $version+1)/" \
	    "$TMP/tree/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone -b "$TMP/tree" "$TMP/newer" >/dev/null
	rm -rf "$TMP/tree"
done

box_stack "$TMP/conf" || exit 1
box_boot "$TMP/up" || { tap_done; exit 1; }
passes 'PostgreSQL' box_postgres
# Of the machine that the container shares its files with, which may say that no
# service is to be started.
in_box rm -f /usr/sbin/policy-rc.d

# What was written in the container, or deleted of this machine's (by overlayfs a
# character device), but for what dpkg remembers and caches.
written() {
	(cd "$TMP/up" && find . \( -path ./var/lib/dpkg -o -path ./var/log \
	    -o -path ./var/cache -o -path ./var/backups -o -path ./root \
	    -o -path ./tmp \) -prune -o -print) | LC_ALL=C sort
	in_box find /run/niks3 2>/dev/null
}
installs() {
	local dir=$1
	tar -C "$dir" -c . | in_box sh -c "rm -rf /root/debs; mkdir -p /root/debs
	    tar -x -C /root/debs; DEBIAN_FRONTEND=noninteractive \
	    timeout 300 dpkg -i --force-confold /root/debs/*.deb"
}
daemons='niks3-signer niks3-uploader@1 niks3-gc-worker niks3-server'
states() {
	local unit
	for unit in $daemons niks3-server.socket niks3-gc.timer niks3.target; do
		in_box systemctl is-active "$unit"
	done | sort | uniq -c | sed 's/^ *//'
}

# ---- installed ----

written >"$TMP/before"
passes 'both are installed' installs "$TMP/debs"
is 'nothing was started' "$(states)" '7 inactive'
is '... nor will be' "$(for unit in niks3.target niks3-server.socket niks3-gc.timer \
    niks3-hook.socket niks3-hook.service; do
	in_box systemctl is-enabled $unit
    done | uniq)" disabled
is 'the users are there' "$(in_box getent passwd niks3-server niks3-signer \
    niks3-uploader niks3-gc niks3-migrate | wc -l)" 5
is 'the directory of the sockets' "$(in_box stat -c '%a %U %G' /run/niks3)" \
    '1770 root niks3'
is 'the secrets are for root' \
    "$(in_box stat -c '%a %U' /etc/niks3/secrets)" '700 root'
is 'dpkg finds all as it was packed' "$(in_box dpkg -V niks3 niks3-server)" ''
passes 'the programs run' in_box niks3 --version

# ---- started ----

for name in server signer uploader gc migrate; do
	in_box sh -c "cat >>/etc/niks3/$name.conf" <"$TMP/conf/$name.conf"
done
tar -C "$TMP/conf/secrets" -c . | in_box tar -x --no-overwrite-dir \
    -C /etc/niks3/secrets
in_box mkdir -p /etc/systemd/system/niks3-server.socket.d
in_box sh -c 'cat >/etc/systemd/system/niks3-server.socket.d/port.conf' \
    <"$TMP/conf/port.conf"
in_box systemctl daemon-reload
passes 'systemctl enable --now niks3.target' timeout 120 nsenter -t "$LEADER" -a \
    -- systemctl enable --now niks3.target
passes 'all is ready' wait_until 30 box_ready
is 'all runs' "$(states)" '7 active'
passes 'a push' niks3 push "$(nix_build app)"
echo "NIKS3_SERVER_URL=$NIKS3_SERVER_URL" |
    in_box sh -c 'cat >>/etc/niks3/hook.conf'
in_box cp /etc/niks3/secrets/api-token /etc/niks3/secrets/auth-token
passes 'the hook is enabled, too' in_box systemctl enable --now niks3-hook.socket \
    niks3-hook.service
passes '... and has its queue' in_box test -d /var/lib/private/niks3-hook

# ---- upgraded ----

for unit in $daemons; do
	main_pid $unit
done >"$TMP/pids"
socket=$(in_box systemctl show -P ActiveEnterTimestampMonotonic niks3-server.socket)
background asker sh "$LIB/ask.sh" "$TMP" "$STACK" "$NIKS3_SERVER_URL" 30
passes 'an upgrade' installs "$TMP/newer"
is '... to the newer version' "$(in_box dpkg-query -W -f '${Version} ' niks3 \
    niks3-server)" "$version+1 $version+1 "
passes '... after which all is ready' wait_until 60 box_ready
is '... and runs' "$(states)" '7 active'
is '... the socket of the hook, too' \
    "$(in_box systemctl is-active niks3-hook.socket)" active
: >"$TMP/enough"
finished asker
is '... without turning anybody away' "$(cat "$TMP/asker.log")" ''
is 'every daemon was restarted' "$(for unit in $daemons; do main_pid $unit; done |
    grep -cxF -f "$TMP/pids")" 0
is '... but the socket' "$(in_box systemctl show -P ActiveEnterTimestampMonotonic \
    niks3-server.socket)" "$socket"
started_at() {
	in_box systemctl show -P ExecMainStartTimestampMonotonic "$1"
}
stopped_at() {
	in_box systemctl show -P InactiveEnterTimestampMonotonic "$1"
}
for unit in niks3-signer niks3-uploader@1 niks3-gc-worker; do
	passes "the server was stopped before $unit" test \
	    "$(stopped_at niks3-server)" -le "$(stopped_at $unit)"
	passes '... and started after it' test \
	    "$(started_at niks3-server)" -ge "$(started_at $unit)"
done
passes '... and the migrations' test \
    "$(started_at niks3-server)" -ge "$(started_at niks3-migrate)"
is 'the configuration is as it was left' \
    "$(in_box sh -c 'tail -n 1 /etc/niks3/migrate.conf')" \
    "$(cat "$TMP/conf/migrate.conf")"
in_box systemctl stop niks3-gc-worker
passes 'installed once more' installs "$TMP/newer"
is '... what was stopped is left so' \
    "$(in_box systemctl is-active niks3-gc-worker)" inactive
passes '... and the rest is ready' wait_until 60 box_ready

# ---- removed, purged ----

in_box systemctl enable --quiet niks3-uploader@2
passes 'the server is removed' in_box timeout 120 dpkg -r niks3-server
is '... and stopped' "$(in_box ps -e -o user:32= | grep '^niks3' |
    grep -vx niks3-hook)" ''
fails '... its socket too' 'refuse|connect to' curl -sS --max-time 5 \
    "$NIKS3_SERVER_URL/health"
passes '... its configuration is kept' in_box test -s /etc/niks3/uploader.conf \
    -a -s /etc/niks3/secrets/sign-key
hook_files='/etc/niks3
/etc/niks3/hook.conf
/etc/niks3/secrets
/etc/niks3/secrets/auth-token
/run/niks3
/run/niks3/upload-to-cache.sock'
passes 'and purged' in_box dpkg -P niks3-server
is '... but for what the hook needs' "$(in_box find /etc/niks3 /run/niks3 | sort)" \
    "$hook_files"
is '... which goes on' "$(in_box systemctl is-active niks3-hook.socket)" active
passes 'client and hook are purged' in_box timeout 180 dpkg -P niks3
is '... and stopped' "$(in_box systemctl is-active niks3-hook.socket \
    niks3-hook.service | uniq)" inactive
# What the administrator wrote himself.
in_box rm -r /etc/systemd/system/niks3-server.socket.d
written >"$TMP/after"
LC_ALL=C comm -13 "$TMP/before" "$TMP/after" >"$TMP/new"
is 'nothing is left' "$(while read -r path; do
	[ -c "$TMP/up/$path" ] || [ -e "/$path" ] || echo "$path"
    done <"$TMP/new")" ''
is 'nothing else is gone' "$(while read -r path; do
	[ ! -c "$TMP/up/$path" ] || echo "$path"
    done <"$TMP/new")" ''
is 'the users stay' "$(in_box getent passwd niks3-server niks3-signer \
    niks3-uploader niks3-gc niks3-migrate | wc -l)" 5
is 'systemd knows no unit of ours' \
    "$(in_box systemctl list-unit-files --no-legend 'niks3*')" ''
proc_stop "$TMP" TERM nspawn
tap_done
