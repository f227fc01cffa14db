# litefleet: everything a person or CI does with a checkout. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without isolation nothing that is not locked is fetched to build a package with.
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-build-isolation
FLEET_HOSTS := nats1 nats2 nats3 app1 app2
# Debian packages that test hosts need, by a file each of them brings.
PACKAGES := systemd-container:/usr/bin/systemd-nspawn mmdebstrap:/usr/bin/mmdebstrap iproute2:/usr/sbin/ip:/bin/ip \
	openssh-client:/usr/bin/ssh e2fsprogs:/usr/sbin/mkfs.ext4:/sbin/mkfs.ext4 \
	libfaketime:/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1:/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/ready packages ## A fleet from nothing: build, write, destroy a host, bring its database back
	@$(BIN)/python -m demo

.PHONY: test
test: lint test-agent test-torture test-hosts test-site ## All tests (root, about 25 minutes)

.PHONY: test-quick
test-quick: $(VENV)/ready ## The tests that need neither root nor much time
	@$(BIN)/python -m pytest -q -m "not slow"

.PHONY: test-agent
test-agent: $(VENV)/ready
	@$(BIN)/python -m pytest -q

.PHONY: test-torture
test-torture: $(VENV)/ready packages
	@$(BIN)/python -m tests.torture --minutes 5 --seed 6

.PHONY: test-hosts
test-hosts: $(VENV)/ready packages
	@$(BIN)/python -m pytest -q tests/hosts

.PHONY: test-site
test-site: $(VENV)/ready packages
	@$(BIN)/molecule test --scenario-name site

.PHONY: lint
lint: $(VENV)/ready ## ruff, mypy, import-linter, ansible-lint, yamllint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/yamllint --strict .
	@$(BIN)/ansible-lint --offline

.PHONY: bench
bench: $(VENV)/ready ## Side by side with Litestream, in one run
	@$(BIN)/python -m bench

.PHONY: idle
idle: $(VENV)/ready ## 1,000 databases with nothing to do, in one agent: messages, processor time, memory
	@$(BIN)/python -m bench.idle --databases 1000

.PHONY: conditions
conditions: $(VENV)/ready ## The hard conditions, with Litestream beside it (about 10 minutes); writes docs/conditions.md
	@$(BIN)/python -m tests.conditions --write docs/conditions.md

.PHONY: fuzz
fuzz: $(VENV)/fuzz ## Ten million inputs for everything that reads foreign bytes (about an hour)
	@$(BIN)/python -m tests.fuzz --inputs 10000000

.PHONY: fuzz-quick
fuzz-quick: $(VENV)/fuzz ## Twenty seconds of them for each reader
	@$(BIN)/python -m tests.fuzz --seconds 20

.PHONY: torture
torture: $(VENV)/ready packages ## An hour of killed agents, killed servers, cut links, full disks and clocks that jump (root)
	@$(BIN)/python -m tests.torture --minutes 60

.PHONY: fleet-up
fleet-up: $(VENV)/ready packages ## Boot five test hosts to play with
	@$(BIN)/python -m testhosts up $(FLEET_HOSTS)
	@$(BIN)/python -m testhosts list

.PHONY: fleet-down
fleet-down: $(VENV)/ready ## Take them away
	@$(BIN)/python -m testhosts down

.PHONY: lock
lock: $(VENV)/ready ## Resolve requirements/*.txt anew (needs uv)
	@uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-header pyproject.toml -o requirements/agent.txt
	@uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-header pyproject.toml --group dev -o requirements/dev.txt
	@uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-header --group build -o requirements/build.txt
	@uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-header --group fuzz -o requirements/fuzz.txt

.PHONY: clean
clean: ## Remove what the targets above made, in the checkout
	@rm -rf $(VENV) .cache dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .ansible

# The environment: locked versions, checked by hash, in the checkout and nowhere else.
$(VENV)/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=…" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) install-venv
	@echo "Preparing $(VENV) (locked versions, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --require-hashes --requirement requirements/build.txt
	@$(INSTALL) --require-hashes --requirement requirements/dev.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/fuzz: requirements/fuzz.txt $(VENV)/ready
	@$(INSTALL) --require-hashes --requirement requirements/fuzz.txt
	@touch $@

.PHONY: install-venv
install-venv:
	@[ "$$(id -u)" = 0 ] || { echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing the Debian package python3-venv"
	@apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends python3-venv >/dev/null

.PHONY: packages
packages:
	@missing=""; \
	for package in $(PACKAGES); do \
		IFS=: read -r name files <<<"$$package"; found=""; \
		for file in $${files//:/ }; do if [ -e "$$file" ]; then found=1; fi; done; \
		if [ -z "$$found" ]; then missing+=" $$name"; fi; \
	done; \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "Test hosts need root and: apt-get install$$missing" >&2; exit 2; }; \
		echo "Installing the Debian packages that test hosts need:$$missing"; \
		apt-get -qq update; \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $$missing >/dev/null; \
	fi
