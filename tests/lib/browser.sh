# A real browser, driven by WebDriver (W3C) with curl: Debian's chromium and
# chromium-driver.

# browser_there: both are installed.
browser_there() {
	command -v chromium >/dev/null && command -v chromedriver >/dev/null
}

# browser_start: headless, with an empty profile in $TMP. It asks nobody but those
# it is sent to.
browser_start() {
	local port
	port=$(port_free)
	BROWSER=http://127.0.0.1:$port
	mkdir -p "$TMP/profile"
	proc_start "$TMP" chromedriver chromedriver --port="$port"
	wait_until 20 curl -sf "$BROWSER/status" || return 1
	BROWSER=$BROWSER/session/$(browser_send POST /session "$(jq -n \
	    --arg profile "$TMP/profile" '{capabilities: {alwaysMatch: {
		"goog:loggingPrefs": {browser: "ALL"},
		"goog:chromeOptions": {binary: "/usr/bin/chromium", args: [
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir=" + $profile]}}}}')" |
	    jq -r .value.sessionId)
	case $BROWSER in */null | */) return 1 ;; esac
}

browser_stop() {
	browser_send DELETE '' >/dev/null
	proc_stop "$TMP" TERM chromedriver
}

browser_send() { # METHOD PATH [BODY]
	curl -sS --max-time 60 -X "$1" -H 'Content-Type: application/json' \
	    ${3:+-d "$3"} "$BROWSER$2"
}

# browser_look WIDTH HEIGHT light|dark URL: opens it, in a screen of that size.
browser_look() {
	browser_send POST /goog/cdp/execute "$(jq -n --argjson w "$1" \
	    --argjson h "$2" '{cmd: "Emulation.setDeviceMetricsOverride",
	    params: {width: $w, height: $h, deviceScaleFactor: 1,
	    mobile: false}}')" >/dev/null
	browser_send POST /goog/cdp/execute "$(jq -n --arg c "$3" \
	    '{cmd: "Emulation.setEmulatedMedia", params: {features:
	    [{name: "prefers-color-scheme", value: $c}]}}')" >/dev/null
	browser_send POST /url "$(jq -n --arg u "$4" '{url: $u}')" |
	    jq -e '.value == null' >/dev/null
}

# browser_run EXPRESSION: what that is in the page, as JSON.
browser_run() {
	browser_send POST /execute/sync "$(jq -n --arg s "return $1" \
	    '{script: $s, args: []}')" | jq -c .value
}

# browser_complaints: what the page had the browser say, a line each; once.
browser_complaints() {
	browser_send POST /se/log '{"type":"browser"}' |
	    jq -r '.value[] | .level + " " + .message'
}

browser_picture() { # FILE
	browser_send GET /screenshot | jq -r .value | base64 -d >"$1"
}
