# Makes the files of a closure of n small store paths below dir, and prints what
# nix-store --register-validity wants to read: each path refers to two others,
# as in a heap, and to the last one; the first is the root. Names and contents
# depend on the seed alone. Awk makes no directories: with mkdirs=1 it prints
# those that must be there.
BEGIN {
	srand(seed)
	for (i = 0; i < n; i++) {
		hash = ""
		for (k = 0; k < 32; k++)
			hash = hash substr("0123456789abcdfghijklmnpqrsvwxyz",
			    int(rand() * 32) + 1, 1)
		path[i] = dir "/" hash "-bench-" i "-1.0"
	}
	for (i = 0; i < n; i++)
		if (mkdirs)
			print path[i] "/bin"
		else
			make(i)
}

# Half a kilobyte that compresses, and a kilobyte that hardly does.
function make(i,    file, k, refs, j) {
	file = path[i] "/bin/program"
	printf "#!/bin/sh\nexec %s/bin/program \"$@\"\n", path[n - 1] >file
	for (k = 0; k < 10; k++)
		printf "# This is line %d of program %d.\n", k, i >file
	close(file)
	file = path[i] "/data"
	for (k = 0; k < 128; k++)
		printf "%08x", rand() * 4294967295 >file
	close(file)
	refs = ""
	j = 0
	for (k = 2 * i + 1; k <= 2 * i + 2 && k < n - 1; k++) {
		refs = refs path[k] "\n"
		j++
	}
	if (i < n - 1) {
		refs = refs path[n - 1] "\n"
		j++
	}
	printf "%s\n\n%d\n%s", path[i], j, refs
}
