# streamer: see `make help`. Python packages are installed into .venv. With apt-get come, where they are missing, the
# shared libraries that OpenCV needs, and for the tests chromium, dicom3tools, dcmtk, Orthanc with DICOMweb and Tesseract.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
# Touched after an install, so that it is repeated only when pyproject.toml has changed.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
NVIDIA_DRIVER := /dev/nvidiactl /dev/dxg
comma := ,

.PHONY: help demo test lint mutation torture benchmark clean system-libraries browser dicom-validators

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) system-libraries  ## simulate a thyroid cine and analyse it (results in demo/)
	$(VENV)/bin/streamer demo --output demo

test: $(INSTALLED_DEV) system-libraries browser dicom-validators  ## run the tests
	$(PYTHON_IN_VENV) -m pytest -n 2 --dist loadfile

lint: $(INSTALLED_DEV)  ## check style, types and who imports whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache
	$(VENV)/bin/mypy

mutation: $(INSTALLED_DEV) system-libraries  ## plant faults in the core, one at a time; the tests must notice (hours)
	$(VENV)/bin/mutmut run
	$(VENV)/bin/mutmut results

torture: $(INSTALLED_DEV) system-libraries browser  ## damaged inputs, kills, full disks, fuzzing, a soak of the app (hours; docs/reliability.md)
	$(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check --editable '.[torture]'
	$(PYTHON_IN_VENV) -m tests.torture --report docs/reliability-measured.md

benchmark: $(INSTALLED_DEV) system-libraries  ## measure speed here, against what else could be used (docs/performance-measured.md)
	$(VENV)/bin/streamer benchmark --seconds 6 --baseline all --baseline-networks both --streams auto \
	    --json docs/performance.json --report docs/performance-measured.md

clean:  ## remove build products, caches and the demo's results (not .venv, not runs/)
	rm -rf build dist demo mutants *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find streamer tests -name __pycache__ -type d -prune -exec rm -rf {} +

# PYTHON=/path/to/python make ... chooses the interpreter.
$(PYTHON_IN_VENV):
	@for python in $(PYTHON) python3.11 python3.12 python3 python; do \
	    if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; then \
	        echo "creating $(VENV) with $$("$$python" --version)"; \
	        "$$python" -m venv $(VENV) && exit 0; \
	        rm -rf $(VENV); \
	        echo "cannot create $(VENV): see the message above (on Debian: apt-get install python3-venv)" >&2; exit 1; \
	    fi; \
	done; \
	echo "streamer needs Python 3.11 or 3.12, and none was found: install one, or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

# The analysis on a CPU and the app; beside an NVIDIA driver what runs the networks there too (several GB).
$(INSTALLED): pyproject.toml | $(PYTHON_IN_VENV)
	@$(call install_quickly,.[app$(if $(wildcard $(NVIDIA_DRIVER)),$(comma)cuda)])
	@touch $@

$(INSTALLED_DEV): pyproject.toml | $(PYTHON_IN_VENV)
	$(PYTHON_IN_VENV) -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $(INSTALLED) $@

# opencv-python links against libGL and GLib, which slim containers lack.
system-libraries: | $(PYTHON_IN_VENV)
	@$(PYTHON_IN_VENV) -c 'import cv2' 2>/dev/null && exit 0; \
	$(call apt_install,libgl1 libglib2.0-0); \
	$(PYTHON_IN_VENV) -c 'import cv2' || { \
	    echo "OpenCV cannot be imported: install libGL and GLib (Debian, Ubuntu: apt-get install libgl1 libglib2.0-0)" >&2; exit 1; }

# The app's tests drive a real browser; without one they are skipped.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { $(call apt_install,chromium); } || true

# The tests of DICOM ask these validators, a real PACS and OCR; without them those tests are skipped.
dicom-validators:
	@command -v dciodvfy >/dev/null && command -v dsrdump >/dev/null && command -v Orthanc >/dev/null && \
	    command -v tesseract >/dev/null || { \
	    $(call apt_install,dicom3tools dcmtk orthanc orthanc-dicomweb tesseract-ocr); } || true

# uv installs in seconds what takes pip more than a minute; pip does it where uv cannot be had, or where the site has set an index of
# its own for pip, which uv would not ask. $(1): the requirement.
define install_quickly
echo "installing into $(VENV)"; \
	pip='$(PYTHON_IN_VENV) -m pip --disable-pip-version-check'; tool=$(VENV)/uv-once; \
	if ! $$pip config list 2>/dev/null | grep -q '\.index-url=' && \
	    $$pip install --quiet --no-compile --target "$$tool" uv >/dev/null 2>&1 && \
	    "$$tool/bin/uv" pip install --python $(PYTHON_IN_VENV) --editable '$(1)'; then rm -rf "$$tool"; \
	else rm -rf "$$tool"; $$pip install --editable '$(1)'; fi
endef

# apt-get, where it is there and may be used; $(1) the packages.
define apt_install
if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root='sudo -n'; else as_root=no; fi; \
	if command -v apt-get >/dev/null && [ "$$as_root" != no ]; then \
	    $$as_root apt-get update -qq && $$as_root apt-get install -y -qq --no-install-recommends $(1); \
	fi
endef
