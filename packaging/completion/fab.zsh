#compdef fab
# Completion of `fab` for zsh, TASK:ENV included: source this file after compinit, or name it _fab on $fpath.
_slipway_fab() {
    local -a candidates
    candidates=("${(@f)$(${words[1]} --complete -- ${words[1,CURRENT]} 2>/dev/null)}")
    compadd -- $candidates
}
compdef _slipway_fab fab
