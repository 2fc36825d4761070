# What a narinfo says is signed so that nix believes it: by each of our keys,
# beside whoever signed the path before, and through a change of keys.
. "$(dirname "$0")/lib.sh"

# key_new NAME: a key in $TMP/NAME/key and $TMP/NAME/pub.
key_new() {
	mkdir "$TMP/$1" && nix_key "$TMP/$1" "$1" >"$TMP/$1/pub"
}

# verify KEYS PATH [OPTION...]: whether nix, trusting these public keys and no
# other, believes what the cache says of the path.
verify() {
	local keys=$1 path=$2
	shift 2
	rm -rf "$TMP/reader" # it remembers narinfos
	reader_new "$TMP/reader" "$keys"
	reader_nix "$TMP/reader" store verify --store "$NIKS3_CACHE_URL" \
	    "$@" "$path"
}

narinfo() {
	local hash=${1##*/}
	bucket_text "${hash%%-*}.narinfo"
}

# Who signed, in order of names, as often as they did.
signers() {
	narinfo "$1" | sed -n 's/^Sig: \([^:]*\):.*/\1/p' | sort | xargs
}

# Not content-addressed: such a path needs nobody's word.
path_new() {
	nix_build split.out --argstr seed "$1"
}

stack_start
ours=$NIKS3_PUBLIC_KEY us=${NIKS3_PUBLIC_KEY%%:*}
key_new stranger-1
key_new builder-1
key_new second-1
key_new seed-1
builder=$(cat "$TMP/builder-1/pub") second=$(cat "$TMP/second-1/pub")
seed=$(cat "$TMP/seed-1/pub")

# ---- one key ----

one=$(path_new one)
passes 'a push' niks3 push "$one"
is 'the narinfo has our signature alone' "$(signers "$one")" "$us"
passes 'nix store verify believes it' verify "$ours" "$one" -r
fails '... but not for another key' 'is untrusted' \
    verify "$(cat "$TMP/stranger-1/pub")" "$one"
fails '... nor for another key of the same name' 'is untrusted' \
    verify "$us:$(cut -d: -f2 "$TMP/stranger-1/pub")" "$one"

# ---- beside others' ----

two=$(path_new two)
nix store sign -k "$TMP/builder-1/key" "$two" 2>"$TMP/sign.log"
nix store sign -k "$STACK/key" "$two" 2>"$TMP/sign.log"
passes 'a push of a path that others, and we, have signed before' \
    niks3 push "$two"
is 'their signature is kept, ours stands there once' "$(signers "$two")" \
    "builder-1 $us"
passes 'nix believes theirs' verify "$builder" "$two"
passes 'nix believes both' verify "$builder $ours" "$two" --sigs-needed 2

# ---- several keys, one of them in the short form: a seed only ----

{
	printf 'seed-1:'
	cut -d: -f2 "$TMP/seed-1/key" | base64 -d | head -c 32 | base64
} >"$TMP/seed"
chmod 600 "$TMP/seed"
export NIKS3_SIGN_KEY_PATHS="$TMP/second-1/key"
STACK_SIGNER="--sign-key-path $TMP/seed"
stack_restart signer
three=$(path_new three)
passes 'a push that three keys sign' niks3 push "$three"
is 'each has signed once' "$(signers "$three")" \
    "$(printf '%s\n' "$us" second-1 seed-1 | sort | xargs)"
passes 'nix believes the first' verify "$ours" "$three"
passes 'nix believes that of the environment' verify "$second" "$three"
passes 'nix believes that of a seed' verify "$seed" "$three"
passes 'nix believes all three' verify "$ours $second $seed" "$three" \
    --sigs-needed 3
is 'what was there before is left alone' "$(signers "$one")" "$us"
fails 'two keys of one name are refused' 'two signing keys are named seed-1' \
    niks3-signer -n --sign-key-path "$TMP/seed" \
    --sign-key-path "$TMP/seed-1/key"

# ---- the old key goes ----

unset NIKS3_SIGN_KEY_PATHS
STACK_SIGNER=
mv "$STACK/key" "$TMP/old"
cp "$TMP/second-1/key" "$STACK/key"
stack_restart signer
four=$(path_new four)
passes 'a push with a new key' niks3 push "$four"
is 'only the new one signs' "$(signers "$four")" second-1
passes 'nix believes it' verify "$second" "$four"
fails 'who only knows the old one does not' 'is untrusted' \
    verify "$ours" "$four"
passes 'what the old key signed is still good' verify "$ours" "$one" -r
reader_new "$TMP/both" "$ours $second"
passes 'who knows both copies old and new' reader_copy "$TMP/both" \
    "$NIKS3_CACHE_URL" "$one" "$three" "$four"

# ---- what is signed ----

# tampered WHAT SED-SCRIPT: the narinfo, changed so in the bucket, is not
# believed.
tampered() {
	local key=${one##*/}
	key=${key%%-*}.narinfo
	narinfo "$one" | sed "$2" >"$TMP/changed"
	s3_put "$STACK_NAME" "$key" "$TMP/changed"
	fails "nobody believes it with $1" 'is untrusted' \
	    verify "$ours" "$one" --no-contents
}
narinfo "$one" >"$TMP/narinfo"
tampered 'another NAR hash' "s/^\(NarHash: sha256:\)...../\100000/"
tampered 'another NAR size' 's/^NarSize: /&1/'
tampered 'fewer references' 's/^References: .*/References: /'
tampered 'another store path' \
    "s|^StorePath: .*|StorePath: $four|; s|^References: .*|References: |"
s3_put "$STACK_NAME" "$(basename "$one" | cut -d- -f1).narinfo" "$TMP/narinfo"
passes 'as it was, they do' verify "$ours" "$one"
tap_done
