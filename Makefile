# Everything that a person or a script asks of this checkout. `make run` is the one to begin with.

PYTHON ?= $(shell for p in python3.11 python3 python; do \
  if $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
PY := .venv/bin/python
PIP_OPTIONS := --quiet --disable-pip-version-check --no-input --require-hashes
INSTALL_TRAINING = $(PY) -m pip install $(PIP_OPTIONS) -r requirements/training.lock && \
  $(PY) -m pip install $(PIP_OPTIONS) --no-deps -r requirements/training-encoder.lock
TOOLS := var/tools
# Commands that only look at the code: the settings insist on a secret, and nothing is signed with this one.
WITH_SECRET = DJANGO_SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_hex(32))')

.PHONY: quick help run start stop status demo test check check-clients bench evaluate calibrate lock audit hooks tools packages weights train-judge train-clothing train-watermark payments-rig test-payments mutants

help:
	@echo 'make run       set up, start everything, cut out a first picture, serve until Ctrl-C'
	@echo 'make start     the same, detached; make stop ends it, make status shows it'
	@echo 'make demo      cut out the demo photo through the running service once more'
	@echo 'make test      install what the tests need and run all that this machine can run; it tells which it cannot, and why'
	@echo 'make quick     those tests that need no server and no network, in under a minute'
	@echo 'make check     lint, format, types, import contracts, lengths, migrations, OpenAPI document'
	@echo 'make lock      write requirements/*.lock anew after a change to requirements/*.txt; UPGRADE=1 takes the newest of all'
	@echo 'make audit     ask whether a fault of a locked package is known (needs an index)'
	@echo 'make hooks     install the git hooks of .pre-commit-config.yaml'
	@echo 'make mutants   break the product in one line after the other: each time a test must fail (MUTANTS_ARGS="-k money -j 2")'
	@echo 'make check-clients  generate clients from the running service and call it with them (needs Java)'
	@echo 'make bench     latency, throughput and memory of a service of its own beside bare onnxruntime and rembg'
	@echo 'make train-judge DEVICE=cpu|cuda  make the judge anew from labelled photos (an hour on two cores)'
	@echo 'make train-clothing DEVICE=cpu|cuda MINUTES=45  make the clothing network anew'
	@echo 'make train-watermark DEVICE=cpu|cuda MINUTES=65  make the two watermark networks anew'
	@echo 'make calibrate  find anew how each network is to compute in int8: CALIBRATION_DATA=folder with the photos'
	@echo 'make evaluate  the quality of cut-outs on labelled photos: EVALUATION_DATA=folder with their tars'
	@echo 'make payments-rig   two local chains to try the paid address on (needs Node.js 20)'
	@echo 'make test-payments  pay on them with the six real clients, and attack (needs Node.js 20)'

run: packages
	@$(PY) -m apps.stack run

start: packages
	@$(PY) -m apps.stack start

stop status:
	@if [ -x $(PY) ]; then exec $(PY) -m apps.stack $@; else echo 'Nothing is installed here yet: make run.'; exit 3; fi

demo: packages
	@$(PY) -m apps.stack demo

# KEYLINE_RIG: auto pays on chains where Node.js 20 is, 1 insists on it.
test: packages tools weights
	@echo 'Running every test (half an hour on two cores; the stack tests start services of their own) ...'
	@$(INSTALL_TRAINING) || echo 'The packages of training could not be installed: what needs them is not tested.' >&2
	@KEYLINE_RIG=$(or $(KEYLINE_RIG),auto) $(PY) -m tests.every $(PYTEST_ARGS)

quick: packages
	@$(PY) -m pytest tests/core tests/ml -n2 -q $(PYTEST_ARGS)

check: packages
	@echo 'Linting, checking types, import contracts, migrations and the OpenAPI document (about a minute) ...'
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy apps config ml tests
	@.venv/bin/lint-imports
	@$(PY) -m pytest -q -c /dev/null --rootdir=. --noconftest -p no:django -p no:cacheprovider tests/architecture/test_lengths.py
	@$(WITH_SECRET) $(PY) manage.py check
	@$(WITH_SECRET) $(PY) -W ignore manage.py makemigrations --check --dry-run
	@$(WITH_SECRET) $(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null

# dev comes first: whatever is in two locks has one version.
lock: tools
	@set -e; cd requirements; \
	compile() { name=$$1; shift; ../$(TOOLS)/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes \
	  --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) "$$@" $$name.txt -o $$name.lock; }; \
	compile dev; \
	for name in build web worker training calibration; do compile $$name --constraints dev.lock; done; \
	compile worker-gpu --constraints worker.lock; \
	for name in training-encoder rembg; do compile $$name --no-deps; done; \
	for name in rig clients tools; do compile $$name; done
	@echo 'Written. torch-cpu.txt is changed by hand: its comment says from where.'

audit: tools
	@$(PYTHON) .ci/audit.py $(TOOLS)/bin/pip-audit \
	  $(foreach lock,dev build worker-gpu training training-encoder calibration rig clients rembg tools,requirements/$(lock).lock)

hooks: packages tools
	@$(TOOLS)/bin/pre-commit install

mutants: packages
	@$(PY) -m tests.mutants $(MUTANTS_ARGS)

check-clients: packages
	@$(PY) -m tests.clients

bench: packages weights
	@$(PY) -m tests.bench $(BENCH_ARGS)

evaluate: packages weights
	@$(PY) -m ml.evaluation $(EVALUATE_ARGS)

calibrate: packages weights
	@$(PY) -m pip install $(PIP_OPTIONS) -r requirements/calibration.lock
	@$(PY) -m ml.training.calibration --data $${CALIBRATION_DATA:?says which folder the photos lie in} $(CALIBRATE_ARGS)

train-judge train-clothing train-watermark: packages weights
	@$(INSTALL_TRAINING)
	@$(PY) -m ml.training.$(@:train-%=%) --data $${EVALUATION_DATA:?says which folder the labelled photos lie in} \
	  --device $(or $(DEVICE),cpu) $(if $(MINUTES),--minutes $(MINUTES)) $(TRAIN_ARGS)

payments-rig: packages
	@$(PY) -m tests.payments.rig

test-payments: packages weights
	@KEYLINE_RIG=1 $(PY) -m pytest tests/payments -n0 -s $(PYTEST_ARGS)

packages:
	@if [ -z '$(PYTHON)' ]; then \
	  echo 'Keyline needs Python 3.11: apt-get install python3.11 python3.11-venv,' \
	       'or name one: make PYTHON=/path/to/python3.11' >&2; exit 1; fi
	@$(PYTHON) -I apps/stack/bootstrap.py

tools:
	@cmp -s requirements/tools.lock $(TOOLS)/tools.lock || { \
	  echo 'Installing the tools into $(TOOLS) (once) ...' && rm -rf $(TOOLS) && $(PYTHON) -m venv $(TOOLS) && \
	  $(TOOLS)/bin/python -m pip install $(PIP_OPTIONS) -r requirements/tools.lock && \
	  cp requirements/tools.lock $(TOOLS)/; }

weights:
	@$(PY) -m ml.weights fetch
