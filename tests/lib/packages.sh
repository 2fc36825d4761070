# The packages of Debian 12 that building, running and testing need.

PACKAGES_BUILD='gcc make pkg-config libc6-dev libcurl4-openssl-dev libsodium-dev
	libzstd-dev libmicrohttpd-dev libjansson-dev libexpat1-dev libssl-dev
	libpq-dev libmsgpack-dev libnng-dev libbz2-dev libsqlite3-dev
	libcmocka-dev libgnutls28-dev libcjose-dev libseccomp-dev'
PACKAGES_RUN='postgresql-15 ceph-mon ceph-osd ceph-common radosgw nix-bin curl
	jq openssl procps zstd'
PACKAGES_DEB='debhelper dpkg-dev jq'
PACKAGES_CHECK='clang-14 clang-format-14 libclang-rt-14-dev mandoc spin
	nginx-light prometheus chromium chromium-driver zsh fish systemd
	systemd-container strace faketime locales shellcheck'

# packages_missing NAME...: prints those that are not installed.
packages_missing() {
	local name
	for name in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$name" \
		    2>/dev/null)" = installed ] || echo "$name"
	done
}

# packages_install NAME...: what is missing of them, with apt-get. Without any
# missing it needs neither root nor a network.
packages_install() {
	local missing
	missing=$(packages_missing "$@")
	[ -n "$missing" ] || return 0
	echo "Installing with apt-get:" $missing
	if [ "$(id -u)" -eq 0 ]; then
		packages_apt $missing
	elif command -v sudo >/dev/null; then
		sudo sh -c ". '$LIB/packages.sh'; packages_apt \"\$@\"" sh \
		    $missing
	else
		die "no sudo here; run as root: apt-get install" $missing
	fi || die "apt-get failed; what it said is above"
}

# packages_quiet NAME...: of Prometheus only promtool is wanted, of nginx the
# program, and no server that starts with the machine.
packages_quiet() {
	local units=/etc/systemd/system package unit
	for package in "$@"; do
		case $package in
		prometheus)	unit=prometheus.service ;;
		nginx-light)	unit=nginx.service ;;
		*)		continue ;;
		esac
		mkdir -p $units
		[ -e "$units/$unit" ] || ln -s /dev/null "$units/$unit"
	done
}

# packages_apt NAME...: as root. PostgreSQL comes without the cluster that
# Debian's package makes: we start our own, and yours is your business.
packages_apt() {
	local conf=/etc/postgresql-common/createcluster.d/niks3-setup.conf rc=0
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update || return 1
	mkdir -p "${conf%/*}"
	echo 'create_main_cluster = false' >"$conf"
	packages_quiet "$@"
	apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" ||
	    rc=1
	rm -f "$conf"
	rmdir -p "${conf%/*}" 2>/dev/null || :
	return $rc
} </dev/null
