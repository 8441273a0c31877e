# SPDX-License-Identifier: GPL-2.0-only
# Completion of tcsim for fish: tcsim completion fish > ~/.config/fish/completions/tcsim.fish
function __tcsim_complete
    set -l words (commandline -opc)
    $words[1] complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c tcsim -a '(__tcsim_complete)'
