# Of a copyright file of Debian, where that is machine-readable
# (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/): the licence
# of "Files: *" as an expression of SPDX, all names of licences in it, and the texts
# of those for which SPDX has no identifier.

# Paragraphs as objects, their fields with continuation lines.
def paragraphs:
	gsub("\r"; "") | [splits("\n([ \t]*\n)+")]
	| map([scan("(?:^|\n)([A-Za-z-]+):[ \t]*([^\n]*(?:\n[ \t][^\n]*)*)")]
	    | map({ key: .[0] | ascii_downcase, value: .[1] }) | from_entries);

def first_line: split("\n")[0] | gsub("^[ \t]+|[ \t]+$"; "");
def text:
	split("\n")[1:] | map(sub("^[ \t]"; "") | if . == "." then "" else . end)
	| join("\n");

# Debian's short names: those that SPDX spells otherwise.
def known: {
	"expat": "MIT", "mit": "MIT", "isc": "ISC", "zlib": "Zlib", "curl": "curl",
	"apache-2.0": "Apache-2.0", "postgresql": "PostgreSQL",
	"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause",
	"bsd-4-clause": "BSD-4-Clause", "cc0-1.0": "CC0-1.0",
	"artistic": "Artistic-1.0", "openldap-2.8": "OLDAP-2.8",
	"mpl-2.0": "MPL-2.0"
};
def identifier:
	(ascii_downcase) as $name
	| known[$name] // [
	    $name | capture("^(?<n>l?gpl|agpl|gfdl)-(?<v>[0-9](\\.[0-9])?)(?<p>\\+?)$")
		| (.n | ascii_upcase) + "-" + .v
		    + (if .v | test("\\.") then "" else ".0" end)
		    + (if .p == "+" then "-or-later" else "-only" end)][0];

def reference($package):
	"LicenseRef-" + ($package + "-" + . | gsub("[^A-Za-z0-9.-]+"; "-"));

# "A, and B or C with X exception": what is neither a word of Debian's grammar nor
# known to SPDX gets a reference.
def expression($package):
	gsub("(?<c>[(),])"; " \(.c) ") | [splits("[ \t]+")] | map(select(. != "")) as $words
	| if $words | any(. == "," or (ascii_downcase == "with")) then
		{ text: reference($package), unknown: [.] }
	  else {
	    text: ($words | map(
		if test("^(and|or)$"; "i") then ascii_upcase
		elif . == "(" or . == ")" then .
		else identifier // reference($package) end) | join(" ")
		| gsub("\\( "; "(") | gsub(" \\)"; ")")),
	    unknown: ($words | map(select(test("^(and|or|[()])$"; "i") | not)
		| select(identifier == null))) }
	  end;

paragraphs as $all
| if ($all[0].format // "") | test("copyright-format") | not then
	{ package: $package, readable: false }
  else
	# Of names that stand with a text.
	($all | map(select(.license != null)
	    | { key: (.license | first_line), value: (.license | text) }
	    | select(.value != "")) | from_entries) as $texts
	| ([$all[] | select((.files // "") | [splits("[ \t\n]+")] | index("*"))
	    | .license // empty | first_line][0]) as $declared
	| (if $declared then $declared | expression($package) else null end) as $e
	| { package: $package, readable: true, expression: $e.text,
	    names: ([$all[].license // empty | first_line | select(. != "")] | unique),
	    texts: [($e.unknown // [])[] | { id: reference($package), name: .,
		text: ($texts[.] // ("/usr/share/doc/\($package)/copyright: License: \(.)")) }]
	  }
  end
