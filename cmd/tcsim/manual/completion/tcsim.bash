# SPDX-License-Identifier: GPL-2.0-only
# Completion of tcsim for bash: source <(tcsim completion bash). Needs nothing but bash.
_tcsim() {
  local line=${COMP_LINE:0:COMP_POINT} word lead
  local -a words
  # The words as the shell will see them: COMP_WORDS is cut at colons and equal signs.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  word=${words[${#words[@]} - 1]}
  # What of the word bash will keep: it replaces only what is after the last colon or equal sign.
  lead=${word%"${word##*[:=]}"}
  [[ $COMP_WORDBREAKS == *:* ]] || lead=${lead%"${lead##*=}"}
  COMPREPLY=()
  local text
  while IFS=$'\t' read -r text _; do
    COMPREPLY+=("${text#"$lead"}")
  done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -o bashdefault -o default -F _tcsim tcsim
