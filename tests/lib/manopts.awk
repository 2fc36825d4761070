# manopts.awk -v program=NAME LIST PAGE...: compares the options of a program in
# LIST (what --completion=list prints) with those that manual pages document, both
# ways, and prints what is wrong. A page with a subsection for each command is
# read in that of the program; one that is named first by shared=FILE need not
# document what another page does, and may document more, or otherwise.
#
# An option is an item ".It Fl -name ..." with, before the next item, the line
# "Required.", its variable as ".Pq Ev NAME" and its default as "Ql VALUE".

function say(text) {
	print program ": " text
	bad = 1
}

# Of what follows, does it belong to the program?
function enter(title) {
	if (title !~ /^niks3(-hook)? /)
		inside = !sections
	else {
		sections = 1
		inside = title == program
	}
	item = ""
}

function note(name) {
	# What the page itself says of it counts.
	if (FILENAME != shared && where[name] == shared) {
		seen[name] = 0
		delete told_required[name]
		delete told_env[name]
	}
	item = item " " name
	seen[name]++
	where[name] = FILENAME
	own[name] = FILENAME != shared
}

FNR == 1 {
	file++
	inside = 1
	sections = 0
	item = ""
}

file == 1 {
	split($0, f, "\t")
	if (f[1] != program)
		next
	if (f[7] ~ /hidden,/) { # may be documented
		hidden[f[2]] = 1
		next
	}
	have[f[2]] = 1
	env[f[2]] = f[3]
	required[f[2]] = f[7] ~ /required,/
	fallback[f[2]] = f[5]
	if (f[4] == "bool" && f[5] == "false")
		fallback[f[2]] = "-"
	# Where it is installed depends on the prefix.
	sub(/^\/.*\/share\/niks3\//, "share/niks3/", fallback[f[2]])
	next
}

/^\.S[sh] / { enter(substr($0, 5)) }
/^\.El/ { item = "" }
!inside { next }

/^\.It / {
	item = ""
	n = split($0, w, " ")
	for (i = 2; i < n; i++)
		if (w[i] == "Fl")
			note("-" w[i + 1])
	next
}
item == "" { next }
/^Required\.$/ { mark(told_required, "yes") }
/^\.P[qo] Ev / { mark(told_env, $3) }
/Ql [^ ]+$/ {
	split(item, names, " ")
	for (i in names)
		told_fallback[names[i], $NF] = 1
}

function mark(table, value,    i, names) {
	split(item, names, " ")
	for (i in names)
		table[names[i]] = value
}

END {
	for (o in seen)
		if (!(o in have) && !(o in hidden) && own[o])
			say(o " is in " where[o] ", but is no option")
	for (o in have) {
		if (!(o in seen)) {
			say(o " is not documented")
			continue
		}
		if (seen[o] > 1)
			say(o " is documented " seen[o] " times")
		if (required[o] != (told_required[o] == "yes"))
			say(o (required[o] ? " is not called" : " is called") \
			    " required")
		if (env[o] != (o in told_env ? told_env[o] : "-"))
			say(o " has the variable " env[o] ", not " told_env[o])
		n = split(fallback[o], words, " ")
		for (i = 1; i <= n; i++)
			if (words[i] != "-" && !((o, words[i]) in told_fallback))
				say(o ": its default " words[i] \
				    " is not documented")
	}
	exit bad
}
