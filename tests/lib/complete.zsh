# complete.zsh DIRECTORY LINE...: what an interactive zsh makes of each line when
# Tab is pressed at its end, with the completions in DIRECTORY. It talks to another
# zsh, on a terminal, which reads this file as "complete.zsh inside DIRECTORY".

if [[ $1 == inside ]]; then
	PROMPT= RPROMPT=
	setopt no_list_beep no_beep no_prompt_sp
	fpath=($2 $fpath)
	autoload -Uz compinit
	compinit -D -u
	tell() {
		print -r -- "<<$BUFFER>>"
		BUFFER=
	}
	zle -N tell
	bindkey '^I' complete-word '^X' tell
	print -r -- '<<ready>>'
	return
fi

emulate -R zsh
zmodload zsh/zpty || exit 1
export TERM=dumb

# answer: the next text in <<...>> that the shell prints.
answer() {
	local seen= part
	integer tries=0
	while ((tries++ < 200)); do
		if zpty -r -t shell part; then
			seen+=$part
			[[ $seen == *'<<'*'>>'* ]] && break
		else
			sleep 0.05
		fi
	done
	seen=${seen##*<<}
	print -r -- ${seen%%>>*}
}

zpty shell zsh -f -i
zpty -w shell "source ${0:A} inside $1"
shift
[[ $(answer) == ready ]] || { print 'the shell did not start'; exit 1 }
for line in "$@"; do
	zpty -w -n shell "$line"$'\t\x18'
	answer
done
zpty -d shell
