# Completion of `fab` for bash, TASK:ENV included: source this file, or put it into /etc/bash_completion.d.
# bash cuts words at the colon (COMP_WORDBREAKS), so the word is taken from the line itself, and what lies before
# the last colon is taken off the answers again.
_slipway_fab() {
    local line=${COMP_LINE:0:COMP_POINT} word candidates
    word=${line##*[[:space:]]}
    candidates=$("${COMP_WORDS[0]}" --complete -- ${line} 2>/dev/null) || return
    COMPREPLY=($(compgen -W "$candidates" -- "$word"))
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%:*}:"}")
    fi
}
complete -F _slipway_fab -o default fab
