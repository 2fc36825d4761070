# push.sh DIR SEED: pushes one new closure after the other until DIR/enough is there.
LIB=$(dirname "$0")
. "$LIB/nix.sh"
n=0
while [ ! -e "$1/enough" ]; do
	n=$((n + 1))
	path=$(nix_build app --argstr seed "$2-$n") || exit 1
	niks3 push "$path" || { echo "FAILED $n"; continue; }
	echo "pushed $n"
done
