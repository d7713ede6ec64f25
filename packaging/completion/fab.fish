# Completion of `fab` for fish: source this file, or copy it to ~/.config/fish/completions.
function __slipway_fab
    set -l typed (commandline --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor)
    $typed[1] --complete -- $typed 2>/dev/null
end
complete --command fab --no-files --arguments '(__slipway_fab)'
