# ask.sh DIR STACK URL SECONDS: asks the server until DIR/enough is there, each time
# by a connection of its own, and says when it was refused or not answered in time.
# It does not try again, as niks3 does.
while [ ! -e "$1/enough" ]; do
	curl -sSf --max-time "$4" -K "$2/token.curl" -o /dev/null \
	    "$3/api/v2/pins" || echo "FAILED: $?"
done
