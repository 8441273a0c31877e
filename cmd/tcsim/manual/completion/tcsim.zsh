#compdef tcsim
# SPDX-License-Identifier: GPL-2.0-only
# Completion of tcsim for zsh: source <(tcsim completion zsh), after compinit; or in a folder of $fpath as _tcsim.
_tcsim() {
  local -a found
  local text about
  while IFS=$'\t' read -r text about; do
    found+=("${text//:/\\:}${about:+:$about}")
  done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe -V 'tcsim' found
  [[ $PREFIX == -* ]] || _files
}
if [ "$funcstack[1]" = "_tcsim" ]; then
  _tcsim "$@"
elif (( $+functions[compdef] )); then
  compdef _tcsim tcsim
fi
