# `make help` lists what there is. Recipes are short: what takes more than a few lines is in tests/setup/ and packer/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
RUN := $(VENV)/bin/python -m

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: ## Make .venv from the locked dependencies; again only when the lock has changed
	@tests/setup/venv $(VENV)

.PHONY: zookeeper
zookeeper: ## Fetch ZooKeeper into the cache; ZOOKEEPER_HOME=... takes one of your own instead
	@tests/setup/zookeeper

.PHONY: demo
demo: venv zookeeper ## An ensemble that builds and heals itself, told as it happens; KEEP=1 leaves it running
	@$(call needs_module,tests.demo)
	@$(RUN) tests.demo $(if $(KEEP),--keep)

.PHONY: lab
lab: venv zookeeper ## The image, booted (root, Linux): built by Packer, three instances, the stories; KEEP=1, ONLY=power,scale
	@$(RUN) tests.lab.full run $(if $(KEEP),--keep) $(if $(ONLY),--only $(ONLY))

.PHONY: lab-shell
lab-shell: ## A shell in an instance of a lab that runs: I=1, or the beginning of its id; without I the instances
	@$(RUN) tests.lab.full shell $(I)

.PHONY: lab-down
lab-down: ## End the lab and clean up after it, however it was left
	@$(RUN) tests.lab.full down

.PHONY: wheel
wheel: venv ## What the image is built from: zkboot's wheel and its locked dependencies, in build/ami
	@packer/prepare

.PHONY: ami
ami: venv ## Build the golden image in AWS with Packer; ARGS="-var region=eu-central-1" goes to it (packer/README.md)
	@packer/build $(ARGS)

.PHONY: ami-check
ami-check: venv zookeeper ## Build this checkout's image in the lab, boot three, kill a leader, reboot one (root, Linux)
	@$(RUN) tests.lab.full run --only kill,reboot

.PHONY: test
test: lint zookeeper ## Lint, then all tests but the long ones, two at a time; ARGS="-k name" goes to pytest, ARGS="-n 0" one at a time
	@$(RUN) pytest tests -n 2 $(ARGS)

.PHONY: test-long
test-long: venv zookeeper ## What make test leaves out for its time: every case on real servers, hours; ARGS="-k name" goes to pytest
	@$(RUN) pytest tests -m long $(ARGS)

.PHONY: crash
crash: venv zookeeper ## Kill zkboot, and cut the power, around every step, on real servers; hours, goes on where it was; ONLY=join,reseed ONCE=1
	@$(RUN) tests.crash $(if $(ONCE),--once) $(if $(ONLY),--only "$(ONLY)")

.PHONY: chaos
chaos: venv zookeeper ## Every fault at every moment; hours, goes on where it was; build/chaos.html shows it; ONLY="idle,backup/power"
	@$(RUN) tests.chaos $(if $(ONLY),--only "$(ONLY)")

.PHONY: scale
scale: venv ## The policy, the record and a turn from 3 to 255 members, the bucket up to 1,000 clusters; build/scale.html shows it
	@$(RUN) tests.scale

.PHONY: soak
soak: venv ## A million random schedules of the simulation, on all cores; goes on where it was stopped; ARGS="--count 50000"
	@$(RUN) tests.sim.soak $(ARGS)

.PHONY: lint
lint: venv ## ruff (rules and format) on everything, mypy --strict on zkboot/
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy --strict zkboot

.PHONY: checkov
checkov: venv ## checkov on the stack, in an environment of its own; each finding that stands is justified in its line
	@UV_CACHE_DIR=$${XDG_CACHE_HOME:-$$HOME/.cache}/zkboot/uv $(VENV)/bin/uv tool run --quiet --from checkov==3.3.30 \
	    checkov --directory terraform --skip-path terraform/tests --framework terraform --quiet --compact --skip-download

.PHONY: bench
bench: venv zookeeper ## The figures: ratios to doing it by hand, measured here and now
	@$(call needs_module,tests.bench)
	@$(RUN) tests.bench $(ARGS)

.PHONY: lock
lock: venv ## Resolve requirements/*.in anew into the locks, with hashes, for Python 3.11 to 3.13
	@cd requirements; for name in node dev; do \
	    ../$(VENV)/bin/uv pip compile --quiet --no-config --no-cache --upgrade --universal --python-version 3.11 --generate-hashes \
	        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file $$name.txt $$name.in; \
	    echo "requirements/$$name.txt"; \
	done

.PHONY: clean
clean: ## Remove .venv and what tools leave in the checkout; the cache stays
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Fails with a sentence where a part of the checkout is missing.
needs_module = $(VENV)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("$(1)") is None)' \
    || { echo "$(1) is not in this checkout: is it complete? (git status)" >&2; exit 1; }
