#!/bin/sh
# The one list of checks, called by make and so by CI.
#   packaging/check.sh lint          formatting, lint, import rules, types
#   packaging/check.sh test ARG...   the tests; ARG... go to pytest
#   packaging/check.sh faults ARG...   those that docs/faults.md names, and tests/faults, which only this runs
#   packaging/check.sh desk ARG...   those that need neither machines, rpms nor an engine: most of it, in half the time
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
unset PYTHONDONTWRITEBYTECODE # or every worker, and every program that a test starts, compiles its libraries anew

lint() {
    $bin/ruff check --quiet .
    $bin/ruff format --check --quiet .
    $bin/lint-imports --no-cache >/tmp/slipway-imports.$$ || { cat /tmp/slipway-imports.$$; rm -f /tmp/slipway-imports.$$; exit 1; }
    rm -f /tmp/slipway-imports.$$
    find salt -name '*.sls' -exec $bin/salt-lint {} +
    $bin/mypy
}

tests() {
    # More workers than processors: whole rollouts spend half their time waiting for a drain, a boot, a dying process.
    exec $bin/pytest -n "${WORKERS:-$(($(nproc) * 3 / 2))}" --dist loadfile --no-loadscope-reorder "$@"
}

# Each row of the table of faults names the test that causes it. What takes long is in tests/faults, which also prints
# the table; pyproject.toml keeps it out of the other lists.
faults() {
    # shellcheck disable=SC2046  # a list of words
    tests tests/faults $(grep -o 'tests/[a-z_/]*\.py::test_[a-z_0-9]*' docs/faults.md | grep -v ^tests/faults/ | sort -u) "$@"
}

desk() {
    for part in fleet salt deploy/highstate deploy/artifacts/image deploy/artifacts/rpm deploy/artifacts/supply \
        deploy/artifacts/test_three_ways.py deploy/agent/test_use.py local/test_signed.py; do
        set -- "$@" "--ignore=tests/$part"
    done
    tests "$@"
}

case ${1:-} in
    lint) lint ;;
    test) shift; tests "$@" ;;
    desk) shift; desk "$@" ;;
    faults) shift; faults "$@" ;;
    *) echo "usage: packaging/check.sh lint|test|faults|desk [ARG...]" >&2; exit 2 ;;
esac
