# Nix stores of our own, one a directory: nothing of the system's store is seen
# or touched, and any user can have them.

# nix_store_new DIR: an empty store, and from here on the one that nix, niks3 and
# the functions below work on. Its paths begin with DIR/store.
nix_store_new() {
	mkdir -p "$1/store" "$1/home" "$1/conf"
	cat >"$1/conf/nix.conf" <<-CONF
	experimental-features = nix-command flakes ca-derivations
	sandbox = false
	build-users-group =
	substituters =
	trusted-public-keys =
	require-sigs = true
	CONF
	export NIX_STORE_DIR="$1/store" NIX_STATE_DIR="$1/state"
	export NIX_LOG_DIR="$1/log" NIX_LOCALSTATE_DIR="$1/var"
	export NIX_CONF_DIR="$1/conf" NIX_USER_CONF_FILES=/dev/null
	export NIX_REMOTE=local HOME="$1/home" XDG_CACHE_HOME="$1/home/.cache"
	unset NIX_PATH NIX_CONFIG XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
	nix-store --init
}

# nix_build ATTRIBUTE [OPTION...]: builds one of fixture.nix and prints its path;
# --argstr seed X makes another of it.
nix_build() {
	local attr=$1
	shift
	nix-build --no-out-link -Q "$LIB/fixture.nix" -A "$attr" "$@" \
	    2>"$HOME/build.log" || { cat "$HOME/build.log" >&2; return 1; }
}

# nix_key DIR NAME: a signing key in DIR/key; prints the public one.
nix_key() {
	local nix='nix --extra-experimental-features nix-command key'
	(
		umask 077
		$nix generate-secret --key-name "$2" >"$1/key"
	) && $nix convert-secret-to-public <"$1/key"
}

# reader_new DIR KEY...: somebody else's machine, with an empty store and a home
# of its own, who trusts these public keys and no other. It shares the store
# directory's name with the store at hand, not the files.
reader_new() {
	mkdir -p "$1/home" "$1/conf"
	sed '/^trusted-public-keys/d' "$NIX_CONF_DIR/nix.conf" \
	    >"$1/conf/nix.conf"
	local dir=$1
	shift
	echo "trusted-public-keys = $*" >>"$dir/conf/nix.conf"
}

# reader_nix DIR COMMAND [ARGUMENT...]: any of nix's, as that reader. Commands
# of its store take: --store "$(reader_store DIR)".
reader_nix() {
	local dir=$1
	shift
	env -u NIX_REMOTE -u NIX_STATE_DIR -u NIX_LOG_DIR -u NIX_LOCALSTATE_DIR \
	    NIX_CONF_DIR="$dir/conf" HOME="$dir/home" \
	    XDG_CACHE_HOME="$dir/home/.cache" nix "$@"
}

reader_store() {
	echo "local?root=$1"
}

# reader_copy DIR URL PATH...: fetches the closure from that cache, signatures
# checked.
reader_copy() {
	local dir=$1 url=$2
	shift 2
	reader_nix "$dir" copy --from "$url" --to "$(reader_store "$dir")" "$@"
}

# reader_path DIR PATH: where the files of a store path lie.
reader_path() {
	echo "$1/nix/store/${2##*/}"
}

# reader_diff DIR PATH: compares the closure of PATH, file by file with kinds and
# targets of links, and as the two Nix databases know it.
reader_diff() {
	local dir=$1 path
	nix-store -qR "$2" >"$dir/closure" || return 1
	while read -r path; do
		diff -r --no-dereference "$path" "$(reader_path "$dir" "$path")" &&
		    nix_modes "$path" >"$dir/modes.ours" &&
		    nix_modes "$(reader_path "$dir" "$path")" |
		    diff "$dir/modes.ours" - || return 1
	done <"$dir/closure"
	nix path-info --json -r "$2" | nix_facts >"$dir/info.ours" &&
	    reader_nix "$dir" path-info --store "$(reader_store "$dir")" \
		--json -r "$2" | nix_facts | diff "$dir/info.ours" -
}

nix_modes() {
	find "$1" -printf '%P %y %m %l\n' | sort
}

nix_facts() {
	jq -S 'map({path, narHash, narSize, references: (.references | sort),
	    deriver, ca}) | sort_by(.path)'
}

# nix_remove DIR: paths in a store are read-only, also to rm.
nix_remove() {
	[ ! -d "$1" ] || { chmod -R u+w "$1" && rm -rf "$1"; }
}
