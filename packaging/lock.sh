#!/bin/sh
# Write the lock files: every dependency with its hashes. `make lock` runs this; `make lock UPGRADE=1` takes newer versions.
#   uv.txt        the installer of everything else
#   app.txt       what ships in a release
#   operator.txt  what `fab` and `make release` need
#   dev.txt       both of them and the tools of the developers
#   bench.txt     what `make bench-packaging` compares with
#   peers.txt     what `make bench-peers` compares with
#   salt.txt      Salt as servers get it
#   template/starter/packaging/locks/app.txt  what ships of a new project without the reference application
set -eu
cd "$(dirname "$0")/.."
locks=packaging/locks
python=3.11

compile() { # compile FILE ARG...
    out=$locks/$1
    shift
    # shellcheck disable=SC2086  # UPGRADE is a flag or nothing
    "${UV:-.venv/bin/uv}" pip compile --quiet --generate-hashes --universal --python-version "$python" \
        --custom-compile-command "make lock" ${UPGRADE:+--upgrade} --output-file "$out" "$@"
}

# Extras of the application ship if the contract names them; developers have all, for the tests.
extras=$("${PYTHON:-/usr/bin/python3.11}" -c 'import tomllib
for extra in tomllib.load(open("pyproject.toml", "rb")).get("tool", {}).get("slipway", {}).get("extras", []):
    print("--extra", extra)')

# shellcheck disable=SC2086  # words
compile app.txt pyproject.toml $extras
compile operator.txt --group operator -c "$locks/app.txt"
compile dev.txt pyproject.toml --all-extras --group operator --group dev -c "$locks/app.txt" -c "$locks/operator.txt"
compile bench.txt --group bench
if [ -d template ]; then
    compile ../../template/starter/packaging/locks/app.txt template/starter/pyproject.toml -c "$locks/app.txt"
fi
compile peers.txt --group peers
printf 'uv==%s\n' "$(sed -n 's/^uv==\([^ ]*\).*/\1/p' "$locks/operator.txt")" | compile uv.txt -
compile salt.txt --no-deps --group salt
