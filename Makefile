# Needs Python 3.11+ with venv, and make. Uses uv where it is installed.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.13 >/dev/null 2>&1 && python3.13 -V >/dev/null 2>&1 && echo python3.13 || echo python3)
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help demo test check format bench lock clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12
