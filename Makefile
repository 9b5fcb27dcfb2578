# Thin on purpose: each target creates the environment if necessary and calls one command.
#   make lab      JupyterLab on the quick start      (make lab ARGS="--no-browser --port 9999")
#   make check    the checks that take minutes       (lint, types, unit tests, the quick start)
#   make test     every check                        (make test ARGS="-k ssd")
#   make site     the course as web pages            (open build/site/index.html)
#   make grade    grade your exercises               (make grade ARGS=exercises/03b_duality.ipynb)
#   make bench    time and memory on this machine    (make bench ARGS=--quick)
#   make build    notebooks from their sources       (make build ARGS=03b_duality)
#   make install  only the environment of `make lab`

EXTRAS ?= dev
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c \
	'import sys; 11 <= sys.version_info[1] <= 13 and print("$(p)")' 2>/dev/null)))
BIN := .venv/bin
LEARNER := .venv/.installed
ALL := .venv/.installed-$(EXTRAS)
# What is installed knows the folder's path: in a folder that was moved, it is installed again.
MOVED := $(shell [ ! -f $(LEARNER) ] || { read -r where < $(LEARNER); [ "$$where" = "$$(pwd)" ] || rm -f $(LEARNER)*; })

.PHONY: lab install check test grade build bench site
.DEFAULT_GOAL := lab

lab: $(LEARNER)
	@$(BIN)/python -m lecture17 lab $(ARGS)

install: $(LEARNER)

CHECKED := tests/test_*.py $(foreach part,reference ops layers models figures course,tests/$(part)) \
	notebooks/00_quickstart.ipynb solutions/00_quickstart.ipynb
SLOW := tests/test_bench.py tests/test_gpu.py tests/ops/kernels tests/ops/test_distributed.py tests/ops/test_memory.py \
	tests/course/test_mutants.py tests/course/test_contributing.py tests/course/test_nbgrader.py

check: $(ALL)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(CHECKED) $(SLOW:%=--ignore=%) $(ARGS)

test: $(ALL)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

grade: $(LEARNER)
	@$(BIN)/python -m lecture17 grade $(ARGS) || [ $$? = 1 ] # points are missing: no error of make's

build: $(LEARNER)
	$(BIN)/python -m lecture17 build $(ARGS)

bench: $(LEARNER)
	$(BIN)/python -m lecture17 bench $(ARGS)

site: $(ALL)
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -d build/doctrees . build/site $(ARGS)

$(LEARNER) $(ALL): $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing into .venv, which takes about 2 GB of disk. This happens once and takes a few minutes."
	@PIP_USER=0 PIP_TARGET= PIP_PREFIX= $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".$(if $(filter $(ALL),$@),[$(EXTRAS)])" \
		|| { echo "The installation failed; the reason is above. It needs the network: connect, then run the same command again."; exit 1; }
	@pwd > $(LEARNER); pwd > $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "The course needs Python 3.11, 3.12 or 3.13; none was found. Name one: make lab PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c '' || { echo "PYTHON=$(PYTHON) cannot be run. Name another: make lab PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { echo "On Debian and Ubuntu, run this first: apt install python3-venv"; exit 1; }
