#!/bin/sh
# The one list of checks, called by make and so by CI.
#   packaging/check.sh lint          formatting, lint, import rules, types
#   packaging/check.sh test ARG...   the tests; ARG... go to pytest
#   packaging/check.sh faults ARG...   those that docs/faults.md names, and tests/faults, which only this runs
#   packaging/check.sh desk ARG...   those that need neither machines, rpms nor an engine: most of it, in half the time
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=.pytest_cache/v/cache/lastfailed
MOST_ALONE=4
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
    rm -f "$failed"
    # More workers than processors: whole rollouts spend half their time waiting for a drain, a boot, a dying process.
    $bin/pytest -n "${WORKERS:-$(($(nproc) * 3 / 2))}" --dist loadfile --no-loadscope-reorder \
        --durations=12 --durations-min=10 "$@" && return
    code=$?
    [ $code -eq 1 ] || exit $code
    alone "$@"
}

# A test of real processes that found no processor for seconds says nothing of the code: it is asked once more, with
# nothing beside it, and named. More than a few are no accident. See docs/decisions/0042-asked-once-more-alone.md.
alone() {
    count=$($bin/python -c 'import json, sys; print(len({name.split("::")[0] for name in json.load(open(sys.argv[1]))}))' "$failed")
    [ "$count" -le "$MOST_ALONE" ] || exit 1
    echo "check: tests of $count files failed beside others; once more, alone" >&2
    $bin/pytest -n 0 --last-failed --last-failed-no-failures=none "$@" || exit 1
    echo "check: passed alone, and failed beside others: mend what they wait for, or what others leave behind (see above)" >&2
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
