# Two commands: `make run` and `make test`. Each makes the environment first, if need be.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help run test check docs docs-links setup mutants bench-lab bench-journal crash soak bench clean
help:            ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "Relaylab needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is" \
	         "$$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.12 run" >&2; exit 2; }
	@echo "Making the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@VIRTUAL_ENV=$(abspath $(VENV)) UV_PROJECT_ENVIRONMENT=$(abspath $(VENV)) \
	  $(BIN)/uv sync --quiet --frozen --inexact
	@touch $@

setup: $(STAMP)  ## make the environment

run: $(STAMP)    ## start the relay and the lab under policies/required-verify.yaml
	@exec $(BIN)/relay serve --policy policies/required-verify.yaml

test: $(STAMP)   ## run the whole test suite
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: $(STAMP)  ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(STAMP)   ## build the documentation site into site/; a dead link or anchor is a failure
	@rm -rf site && $(BIN)/python -m sphinx -c docs -b html -d .cache/docs -E -W --keep-going -q . site
	@echo "site/index.html"

docs-links: $(STAMP) ## ask over the network whether the documentation's links to elsewhere still work
	@$(BIN)/python -m sphinx -c docs -b linkcheck -d .cache/docs-links -q . .cache/linkcheck

mutants: $(STAMP) ## change judge and next_step in every way; a change that no test notices is listed
	@rm -rf mutants && $(BIN)/mutmut run >/dev/null; \
	  $(BIN)/mutmut results | awk '{print $$1}' | tr -d : | while read -r m; do \
	    $(BIN)/mutmut show "$$m" | grep -q '^-.*assert_never' || { echo "survived: $$m"; $(BIN)/mutmut show "$$m"; }; done

bench: $(STAMP)  ## measure the relay beside Postfix and others, in 10 minutes (ARGS=--help)
	@$(BIN)/python -m benchmarks.bench $(ARGS)

bench-lab: $(STAMP) ## measure the whole lab: start-up, memory, 200 sessions at once
	@$(BIN)/python benchmarks/lab.py

bench-journal: $(STAMP) ## measure the journal with 10,000 and with 100,000 messages
	@$(BIN)/python benchmarks/journal.py

crash: $(STAMP)  ## kill the relay 1,000 times (an hour at most; ARGS="--rounds 20"): nothing may be lost
	@$(BIN)/python benchmarks/crash.py $(ARGS)

soak: $(STAMP)   ## mixed mail for 10 minutes (SOAK_MINUTES=3 for a try): nothing may grow
	@$(BIN)/python benchmarks/soak.py

clean:           ## remove the environment and what the tools left
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build site
