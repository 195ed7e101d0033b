# The commands of the project.  `make sandbox` and `make test` set up all they need on a fresh machine.

SHELL := /bin/bash
# without what Python keeps of a module, each process that a test starts compiles all of them again
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PORT ?= 7777
ADMIN_PORT ?= 7780
SHOP_PORT ?= 7781
comma := ,
# where calls go through a gateway's rooms, well, spoilt and broken off; containers, browsers and commands tell nothing of that
TRIED_COMPILED := image_compiled doors faults liars life money payments invoices failover_money reconcile trace electrum cluster care

.PHONY: help setup sandbox test quick check simulate fuzz checker chaos compiled testcompiled bench soak format lock clean

help:  ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/.runtime: requirements/runtime.txt pyproject.toml
	@scripts/setup.sh runtime "$(PYTHON)" "$(VENV)"

$(BIN)/.dev: requirements/dev.txt pyproject.toml
	@scripts/setup.sh dev "$(PYTHON)" "$(VENV)"

setup: $(BIN)/.runtime  ## the environment to run in, and nothing else

sandbox: $(BIN)/.runtime  ## the gateway and three sandbox wallets with invented coins (PORT=7777 ADMIN_PORT=7780 SHOP_PORT=7781)
	@exec $(BIN)/ec-gateway sandbox --port $(PORT) --admin-port $(ADMIN_PORT) --shop-port $(SHOP_PORT)

test: $(BIN)/.dev  ## every test; real components are used where they are installed
	@scripts/real_components.sh
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/rules tests/base -n $(WORKERS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include "gateway/rules/*,gateway/base/*" --fail-under 100 --show-missing
	$(BIN)/python -m pytest tests -m "not simulation and not integration and not long" -n $(WORKERS) --ignore tests/rules --ignore tests/base
	scripts/long_tests.sh $(BIN)/python $(WORKERS)

testcompiled: compiled  ## the tests of real gateways once more, with the compiled one
	PYTHONPATH=$(CURDIR)/build/compiled:$(CURDIR) PYTHONSAFEPATH=1 ECGW_COMPILED=1 \
	    $(BIN)/python -m pytest $(addprefix tests/integration/test_,$(addsuffix .py,$(TRIED_COMPILED))) -n $(WORKERS) --dist loadfile

quick: $(BIN)/.dev  ## the tests that need no processes and no histories: under a minute
	$(BIN)/python -m pytest tests -m "not simulation and not integration and not long" -n $(WORKERS)

simulate: $(BIN)/.dev  ## ten thousand random histories of a fleet in virtual time
	ECGW_HISTORIES=$${ECGW_HISTORIES:-10000} $(BIN)/python -m pytest tests -m "simulation" -n $(WORKERS)

fuzz: $(BIN)/.dev  ## a million cases against both parsers and both doors: an hour (FUZZ_CASES=1000000 SEED=1)
	$(BIN)/python -m tests.fuzz --cases $${FUZZ_CASES:-1000000} --seed $(or $(SEED),1) --jobs $(WORKERS)

checker: $(BIN)/.dev  ## two hundred runs of real wallets under faults and a hundred of three gateways, judged from outside: ninety minutes
	$(BIN)/python -m tests.checker run --seconds 20 --seed $${ECGW_SEED:-1} --runs $${ECGW_RUNS:-200} --jobs $(WORKERS)
	$(BIN)/python -m tests.checker run --gateways 3 --seconds 20 --seed $${ECGW_SEED:-1} --runs $${ECGW_RUNS_CLUSTER:-100} --jobs $(WORKERS)

chaos: $(BIN)/.dev  ## break everything on purpose and judge what held: about forty minutes (SCENARIO=... SEED=1 DOORS=gateway,haproxy,nginx BUDGET=3000 JOBS=2)
	@scripts/real_components.sh
	$(BIN)/python -m chaos run $(foreach one,$(SCENARIO),--scenario $(one)) --seed $(or $(SEED),1) --doors $(or $(DOORS),gateway$(if $(SCENARIO),,$(comma)haproxy$(comma)nginx)) --budget $(or $(BUDGET),3000) --jobs $(or $(JOBS),2) --report $(or $(REPORT),build/chaos)

compiled: $(BIN)/.dev  ## build/compiled: the same gateway with its busiest rooms compiled; wants a C compiler, takes two minutes
	$(BIN)/python scripts/compile.py build/compiled

bench: $(BIN)/.dev  ## speed and reaction times, beside HAProxy and nginx where they are installed
	-$(BIN)/python scripts/compile.py build/compiled
	$(BIN)/python bench/run.py

soak: $(BIN)/.dev  ## a mixed load with faults, and whether anything of the gateway grows (MINUTES=30)
	@mkdir -p build
	$(BIN)/python bench/soak.py --minutes $(or $(MINUTES),30) --json build/soak.json --svg build/soak.svg

check: $(BIN)/.dev  ## lint, formatting, types, floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(BIN)/.dev  ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock:  ## pin and hash the newest allowed dependencies
	scripts/lock.sh

clean:  ## remove what was built here
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
