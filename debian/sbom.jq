# The document, of what debian/sbom.sh found.

def lines: split("\n") | map(select(. != "") | split("\t"));
def id($kind): "SPDXRef-" + $kind + "-" + gsub("[^A-Za-z0-9.-]"; "-");
def purl($name; $version; $arch; $more):
	"pkg:deb/\($vendor)/\($name)@\($version | @uri)?arch=\($arch)&distro=\($distro)"
	+ $more;
def purls: [{ referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
	referenceLocator: . }];

($programs | lines | map({ sha: .[0], name: .[1] })) as $programs
| ($owners | lines | map({ key: .[0], value: .[1] }) | from_entries) as $owner
| ($licences | map({ key: .package, value: . }) | from_entries) as $licence
| ($package | id("Package")) as $self
| {
	spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT",
	name: "\($package)_\($version)_\($arch)",
	documentNamespace:
	    "https://spdx.org/spdxdocs/\($package)-\($version | @uri)-\($arch)-\($digest)",
	creationInfo: {
		created: ($epoch | tonumber | todate),
		creators: ["Tool: niks3-debian-sbom.sh-\($version)"],
		comment: "Libraries as they were linked when this was built. Where it is installed they may be newer: what dpkg says of the packages named here is right."
	},
	packages: ([{
		SPDXID: $self, name: $package, versionInfo: $version,
		supplier: "Organization: The niks3 authors", downloadLocation: "NOASSERTION",
		filesAnalyzed: false, primaryPackagePurpose: "INSTALL",
		licenseConcluded: "MIT", licenseDeclared: "MIT",
		copyrightText: "2026 the niks3 authors",
		externalRefs: (purl($package; $version; $arch; "") | purls)
	}] + ($programs | map({
		SPDXID: (.name | id("Program")), name, versionInfo: $version,
		supplier: "Organization: The niks3 authors", downloadLocation: "NOASSERTION",
		packageFileName: "usr/bin/\(.name)",
		filesAnalyzed: false, primaryPackagePurpose: "APPLICATION",
		checksums: [{ algorithm: "SHA256", checksumValue: .sha }],
		licenseConcluded: "MIT", licenseDeclared: "MIT",
		copyrightText: "2026 the niks3 authors"
	})) + ($libraries | lines | map(. as $l | $licence[$l[0]] as $c | {
		SPDXID: ($l[0] | id("Library")), name: $l[0], versionInfo: $l[1],
		supplier: "Organization: \($supplier)", downloadLocation: "NOASSERTION",
		filesAnalyzed: false, primaryPackagePurpose: "LIBRARY",
		sourceInfo: "built from the Debian source package \($l[2]) \($l[3])",
		licenseConcluded: "NOASSERTION",
		licenseDeclared: ($c.expression // "NOASSERTION"),
		licenseComments: (if $c == null then "no copyright file was installed"
		    elif $c.readable | not then
			"its copyright file is not machine-readable"
		    else "its copyright file names: " + ($c.names | join("; ")) end),
		copyrightText: "NOASSERTION",
		externalRefs: (purl($l[0]; $l[1]; $l[4];
		    "&upstream=\($l[2])%40\($l[3] | @uri)") | purls)
	    } + (if ($l[5] // "") == "" then {} else { homepage: $l[5] } end)))
	| sort_by(.SPDXID)),
	hasExtractedLicensingInfos: ([$licence[].texts // [] | .[]
	    | { licenseId: .id, name, extractedText: .text }] | unique_by(.licenseId)),
	relationships: ([{ spdxElementId: "SPDXRef-DOCUMENT",
		relationshipType: "DESCRIBES", relatedSpdxElement: $self }]
	    + ($programs | map({ spdxElementId: $self, relationshipType: "CONTAINS",
		relatedSpdxElement: (.name | id("Program")) }))
	    + ($links | lines | map({
		spdxElementId: (if $owner[.[0]] then $owner[.[0]] | id("Library")
		    else .[0] | id("Program") end),
		relationshipType: "DYNAMIC_LINK",
		relatedSpdxElement: ($owner[.[1]] | id("Library")) })
		| map(select(.spdxElementId != .relatedSpdxElement)) | unique))
}
