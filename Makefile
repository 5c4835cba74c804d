# Each target needs Python 3.11 or newer and make, nothing else: the virtual environment makes itself.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=
data_option := $(if $(DATA),--data $(DATA))
OPTIONS ?=

.PHONY: serve docs test acceptance container-test drawings-test check client screenshots format train evaluate bench image pin-images clean

serve: .venv/core
	$(BIN)/manifold serve --log-format text

# The guide, which the server shows at /docs/guide/. The variable leaves out what mkdocs-material says about its successor.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Two processes, because most tests wait for one thing at a time; each computes with one thread. A process ends whose test
# takes ten minutes, since no signal ends a test that runs a server in its own thread.
test: .venv/dev .venv/transformers-4
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadscope -o faulthandler_timeout=600

# Clients of others, in environments of their own below .venv/acceptance, and generated requests; needs Node.js.
acceptance: .venv/dev
	$(BIN)/pytest acceptance

# Builds the image with Buildah on a Debian root and runs it; needs Buildah and debootstrap, and to be root.
container-test: .venv/dev
	$(BIN)/pytest acceptance/test_container.py

# 500 digits of MNIST on the page; DATA is the folder that `mnist` lies in. Needs Chromium.
drawings-test: .venv/dev
	DATA=$(or $(DATA),$(error DATA names no folder)) $(BIN)/pytest acceptance/test_drawings.py

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_docs.py tests/test_layout.py

# The part of the client that follows from the OpenAPI document.
client: .venv/dev
	$(BIN)/python -c 'import json; from app.main import create_app; print(json.dumps(create_app().openapi()))' \
	    | $(BIN)/python client/generate.py
	$(BIN)/ruff format --quiet client

# The pictures of the page in the README and the guide; needs Chromium.
screenshots: .venv/dev
	$(BIN)/python -m tests.browser.screenshots

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train: .venv/train
	$(BIN)/manifold train $(or $(RECIPE),vanilla-ae-mnist) $(data_option)

evaluate: .venv/train
	$(BIN)/manifold evaluate $(data_option)

bench: .venv/dev
	$(BIN)/manifold bench reconstruct

# With Docker, Podman or Buildah; OPTIONS are those of `docker build`.
image:
	deploy/build-image $(OPTIONS)

pin-images:
	deploy/pin-images

clean:
	rm -rf .venv

# One stamp a set of extras; the last set contains all others. `core` has files of sounds, which a shipped model takes.
.venv/core .venv/docs .venv/train .venv/dev: pyproject.toml constraints.txt hatch_build.py $(wildcard models/ops/avx512/*.?pp)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(if $(filter core,$(@F)),audio,$(@F))]'
	touch $@

# Another version of transformers, which some tests ask in a process of its own.
.venv/transformers-4: tests/transformers-4.txt | .venv/dev
	rm -rf $@
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ -r $<
	touch $@
