# The front door. `make` alone prints what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo run fleet test test-desk test-faults lint format translations release wheel rpm repo image agent salt-bundle artifacts key repo-key sign verify-reproducible check-migrations record audit bench bench-app bench-packaging bench-fleet bench-servers bench-peers bench-migrations bench-scale adopt lock clean operator packager dev

PYTHON ?= /usr/bin/python3.11
VENV := .venv/bin
# Arguments for pytest: make test ARGS="-k rollout -x"
ARGS ?=
export PYTHON

help: ## print this
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ See it work
demo: operator ## build, set up `local`, deploy, and roll a second release out under traffic
	@$(VENV)/python -m deploy.demo

run: dev ## serve the app from this checkout, for development
	@$(VENV)/python -m app run

fleet: operator ## Debian machines on this computer, five of them: systemd, SSH, addresses; as root
	@packaging/workstation.sh machines
	@$(VENV)/fab fleet.up

##@ Build (into dist/)
adopt: operator ## take on another application: write slipway.toml for it; APP=../theirs
	@$(VENV)/python -m deploy.adopt init "$(APP)"

wheel: operator ## the wheel: only app/, the same bytes for the same commit
	@$(VENV)/python -m deploy.artifacts wheel

release: operator ## the release tree: wheel and locked dependencies, ready to run from any path
	@$(VENV)/python -m deploy.artifacts release

rpm: packager ## rpms: the release as a package of its own, what a server needs beside it, and one that brings both
	@$(VENV)/python -m deploy.artifacts rpm

repo: packager ## a dnf repository of the rpms, in dist/repo; signed, when there is a key
	@$(VENV)/python -m deploy.artifacts repo

image: operator ## the image: the release tree on a base; BASE=IMAGE, or Debian's packages
	@packaging/workstation.sh image
	@$(VENV)/python -m deploy.artifacts.image $(if $(BASE),--base $(BASE)) $(if $(NEW_BASE),--new-base)

agent: operator ## releasectl, the one program that runs on every server
	@$(VENV)/python -m deploy.artifacts.agent dist/releasectl

salt-bundle: operator ## Salt for servers that have none, into the user's cache; `fab bootstrap` makes it too
	@$(VENV)/python -m deploy.highstate.bundle

artifacts: operator ## all of these with checksums, bill of materials, provenance and signatures; WITHOUT=rpm,image
	@$(VENV)/python -m deploy.artifacts.supply artifacts --without "$(WITHOUT)"

key: operator ## a key to sign releases with; only its public half enters the repository
	@$(VENV)/python -m deploy.artifacts.supply key

repo-key: packager ## a key that rpm and dnf know, to sign packages with; its public half enters the repository
	@$(VENV)/python -m deploy.artifacts.supply repo-key

sign: operator ## sign what was built, with that key
	@$(VENV)/python -m deploy.artifacts.supply sign

##@ Check
test-faults: dev ## cause every fault of docs/faults.md for real, and see what it says
	@packaging/check.sh faults $(ARGS)

test-desk: dev ## lint, and the tests that need neither machines, rpms nor an engine
	@packaging/check.sh lint
	@packaging/check.sh desk $(ARGS)

test: dev ## lint, types and every test, on real gunicorn, HAProxy and sockets
	@packaging/check.sh lint
	@packaging/check.sh test $(ARGS)

lint: dev ## formatting, lint, import rules and types only
	@packaging/check.sh lint

format: dev ## mend formatting and what the linter can mend
	@$(VENV)/ruff check --fix --quiet . ; $(VENV)/ruff format --quiet .

translations: dev ## write the catalogs anew from what code and templates say; new messages come in empty
	@packaging/translations.sh

verify-reproducible: operator ## build the commit twice, as differently as possible, and compare every byte
	@packaging/workstation.sh proof
	@$(VENV)/python -m deploy.artifacts.supply verify-reproducible --without "$(WITHOUT)"

check-migrations: dev ## prove that migrations lock nobody out and let the release before work; PREVIOUS=REF
	@PREVIOUS="$(PREVIOUS)" $(VENV)/python -m tests.migrations

record: dev ## write anew which statements the application runs, for the rehearsal of later migrations (10 minutes)
	@$(VENV)/python -m tests.migrations.record

audit: dev ## look for known vulnerabilities of all that is locked; IGNORE=ID,ID, STRICT=1
	@$(VENV)/python -m deploy.artifacts.supply audit --ignore "$(IGNORE)" $(if $(STRICT),--strict)

bench: operator ## time a cold deploy, a one-line change and a deploy of nothing, phase by phase
	@$(VENV)/python bench/deploy.py

bench-packaging: packager ## time wheel, tree and rpms beside what a team has without Slipway; weigh them
	@packaging/workstation.sh image
	@$(VENV)/python bench/packaging.py

bench-fleet: operator ## time boot and reset of machines, and file systems without overlays beside them
	@packaging/workstation.sh machines
	@$(VENV)/python bench/fleet.py

bench-servers: operator ## time five machines from empty to serving, and a highstate that has nothing to change
	@packaging/workstation.sh machines
	@$(VENV)/python bench/servers.py

bench-peers: operator ## time the same job done by Slipway, Ansible, pyinfra and a script, to three machines; ROUNDS=3, DELAY=ms, ONLY="floor;slipway"
	@packaging/workstation.sh peers
	@$(VENV)/python bench/peers.py --rounds $(or $(ROUNDS),3) --delay $(or $(DELAY),0) $(if $(ONLY),--only "$(ONLY)")

bench-app: dev ## time requests to the app beside bare Flask and Falcon; search in process; DATABASES=sqlite,postgresql,mariadb
	@$(VENV)/python bench/app.py --rounds $(or $(ROUNDS),5) $(if $(DATABASES),--databases $(DATABASES) --ten-times $(DATABASES))

bench-migrations: dev ## time the longest request that a migration or a backfill of a million rows holds up; ROWS=1000000
	@$(VENV)/python bench/migrations.py --rows $(or $(ROWS),1000000)

bench-scale: operator ## time a deploy to 1, 3, 10 and 30 hosts, and weigh it; HOSTS=1,100
	@packaging/workstation.sh machines
	@$(VENV)/python bench/scale.py $(if $(HOSTS),--hosts $(HOSTS)) --delay $(or $(DELAY),0)

##@ Look after
lock: operator ## write packaging/locks anew, or slipway.lock; UPGRADE=1 takes newer versions
	@if [ -f slipway.toml ]; then $(VENV)/python -m deploy.adopt lock $(if $(UPGRADE),--upgrade); else packaging/lock.sh; fi

clean: ## remove what make built; environments under var/ stay
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

operator: # what demo, release and fab need
	@packaging/workstation.sh operator

packager: operator # that and rpmbuild
	@packaging/workstation.sh rpm

dev: # that and the developers' tools
	@packaging/workstation.sh dev
